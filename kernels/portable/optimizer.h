// The one pass over memory that every optimizer makes over its list of parameters. The text of an optimizer declares
// its `rule_options` and the places of its state ahead of this one, and defines `optimizer_rule` after it; all else is
// here: gradient scaling, weight decay, L1, proximal steps, max-norm projection, f32 master copies, the moving average
// of the weights and the count of zeros.

#include "optimizer_layout.h"
#include "tensor_list.h"
#include "squares.h"
#include "quotients.h"

#define NO_ROLE 0xffffffffu

// Three groups hide what the memory takes to answer, and leave the registers that the pass needs. Told of two the
// compiler takes more of them where there are sums of squares, and then only two fit. Before Ampere it spills.
#if !DTYPE_F64
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS (__CUDA_ARCH__ >= 800 ? 3 : 2)
#endif

// The options that hold for a tile, ready to use.
typedef struct {
    real gradient_scale, gradient_factor;
    real rate;
    real coupled_decay;
    real subgradient_l1;
    real decay_factor; // decoupled decay: 1 - rate * decay
    real threshold;    // proximal L1: rate * l1
    real shrinkage;    // proximal L2: 1 / (1 + rate * l2)
    real maximum_norm;
    real average_decay, average_share;
    real first_rate;  // rate / (1 - decay^step) of the rule's first moment
    real second_root; // 1 / sqrt(1 - decay^step) of its second moment
    u32 is_first;     // nothing was stored yet: state counts as 0 and is not read
    rule_options rule;
} optimizer_group;

// Updates the state of `width` weights by the rule and moves the weights, before proximal steps. `gradients` hold decay
// and penalties. Like all functions here it asks what its options are outside its loops over the weights.
DEVICE void optimizer_rule(const optimizer_group* group, u32 width, real* weights, const real* gradients,
                           real (*state)[4]);

// 1 - e^-x, without cancellation where x is small: there by the series x (1 - x/2 (1 - x/3 (...))). 1 - beta^step is
// that of -step * log beta.
DEVICE real rise(real x) {
    if (!(x < (real)0.5f)) return 1 - EXP(-x);
    real sum = 1;
    for (u32 k = 16; k > 1; k--) sum = 1 - x * (1 / (real)k) * sum;
    return x * sum;
}

// `steps` were taken before this one. `rates` are those of the groups, or null for the rates of the options.
DEVICE optimizer_group group_at(GLOBAL const real* RESTRICT options, GLOBAL const real* RESTRICT progress,
                                GLOBAL const float* RESTRICT rates, u64 steps, u32 index) {
    GLOBAL const group_options* own = (GLOBAL const group_options*)options + index;
    GLOBAL const step_progress* step = (GLOBAL const step_progress*)progress;
    optimizer_group group;
    group.gradient_scale = step->gradient_scale;
    group.gradient_factor = step->gradient_factor;
    group.is_first = steps == 0;
    group.rate = rates == 0 ? own->learning_rate : (real)rates[index];
    group.coupled_decay = own->coupled_decay;
    group.subgradient_l1 = own->subgradient_l1;
    group.decay_factor = 1 - group.rate * own->decoupled_decay;
    group.threshold = group.rate * own->proximal_l1;
    group.shrinkage = 1 / (1 + group.rate * own->proximal_decay);
    group.maximum_norm = own->maximum_norm;
    group.average_decay = own->average_decay;
    group.average_share = own->average_share;
    group.first_rate = group.rate / rise((real)(steps + 1) * own->first_log);
    group.second_root = 1 / SQRT(rise((real)(steps + 1) * own->second_log));
    group.rule = *(GLOBAL const rule_options*)own->rule;
    return group;
}

// -1, 0 or 1; NaN for NaN.
DEVICE real sign_of(real x) { return x > 0 ? (real)1 : x < 0 ? (real)-1 : x; }

// The minimum of threshold * |x| + (x - w)^2 / 2 over x: exact zeros for small weights. NaN stays.
DEVICE real soft_threshold(real weight, real threshold) {
    if (weight > threshold) return weight - threshold;
    if (weight < -threshold) return weight + threshold;
    return weight == weight ? (real)0 : weight;
}

// Makes slopes of gradients, with decay and penalty. An absent term does not look at the weight, which may be infinite.
DEVICE void add_penalties(const optimizer_group* group, u32 width, const real* weights, real* gradients) {
    for (u32 k = 0; k < width; k++) gradients[k] = group->gradient_factor * (group->gradient_scale * gradients[k]);
    if (group->coupled_decay != 0) {
        for (u32 k = 0; k < width; k++) gradients[k] += group->coupled_decay * weights[k];
    }
    if (group->subgradient_l1 != 0) {
        for (u32 k = 0; k < width; k++) gradients[k] += group->subgradient_l1 * sign_of(weights[k]);
    }
}

DEVICE void shrink(const optimizer_group* group, u32 width, real* weights) {
    if (group->threshold != 0) {
        for (u32 k = 0; k < width; k++) weights[k] = soft_threshold(weights[k], group->threshold);
    }
    for (u32 k = 0; k < width; k++) weights[k] *= group->shrinkage;
}

// The moving average with the new weight in it. It moves by a share of the difference, so that it stays where the
// weight is; an average that is not finite has not begun, or is of weights that diverged, and begins with the weight.
DEVICE real averaged(const optimizer_group* group, real average, real weight) {
    const real decay = group->average_decay, share = group->average_share;
    const real difference = weight - average;
    if (!is_finite(average)) return weight;
    // Between finite numbers that lie far apart too.
    if (!is_finite(difference)) return decay * average + share * weight;
    return share < (real)0.5f ? average + share * difference : weight - decay * difference;
}

// What the step of every rule takes.
#define OPTIMIZER_STEP_PARAMETERS                                                                          \
    GLOBAL scalar *parameter, u64 parameter_offset, GLOBAL const scalar *gradient, u64 gradient_offset,    \
        GLOBAL real *state, u64 state_offset, TENSOR_LIST_PARAMETERS, GLOBAL const real *RESTRICT options, \
        u64 options_offset, GLOBAL const real *RESTRICT progress, u64 progress_offset,                     \
        GLOBAL const float *RESTRICT rates, u64 rates_offset, GLOBAL u64 *counts, u64 counts_offset,       \
        GLOBAL u32 *finished, u64 finished_offset, GLOBAL u32 *zeros, u64 zeros_offset, u64 role_stride,   \
        u32 first_role, u32 second_role, u32 third_role, u32 master, u32 average, u32 counts_zeros, u32 ends_step

// The memory of a tile. State lies in flat buffers of the list, `role_stride` apart; a role that is not kept is
// NO_ROLE.
typedef struct {
    GLOBAL scalar* parameter;
    GLOBAL const scalar* gradient;
    GLOBAL real* state;
    u64 role_stride;
    u32 roles[3];
    u32 master, average;
} optimizer_memory;

// `width` numbers of a role; 0 where it is not kept.
DEVICE void load_role(const optimizer_memory* memory, u32 role, u64 index, u32 width, real* values) {
    GLOBAL const real* source = memory->state + role * memory->role_stride + index;
    if (role == NO_ROLE) {
        for (u32 k = 0; k < width; k++) values[k] = 0;
    } else if (width == 4) {
        load4_real(source, values);
    } else {
        values[0] = *source;
    }
}

DEVICE void store_role(const optimizer_memory* memory, u32 role, u64 index, u32 width, const real* values) {
    GLOBAL real* target = memory->state + role * memory->role_stride + index;
    if (role == NO_ROLE) return;
    if (width == 4) {
        store4_real(target, values);
    } else {
        *target = values[0];
    }
}

// Lets weights into the average.
DEVICE void store_average(const optimizer_group* group, const optimizer_memory* memory, u64 index, u32 width,
                          const real* weights) {
    real averages[4];
    load_role(memory, group->is_first ? NO_ROLE : memory->average, index, width, averages);
    for (u32 k = 0; k < width; k++)
        averages[k] = group->is_first ? weights[k] : averaged(group, averages[k], weights[k]);
    store_role(memory, memory->average, index, width, averages);
}

// How many of the weights are 0 as they are stored.
DEVICE u32 stored_zeros(const real* weights, u32 width) {
    u32 zeros = 0;
    for (u32 k = 0; k < width; k++) zeros += to_real(to_scalar(weights[k])) == 0 ? 1u : 0u;
    return zeros;
}

// Updates `width` elements of a tile from `index` on. Where rows are projected their squares are added up, and they go
// into the average later. Returns the zeros among them.
DEVICE u32 optimizer_update(const optimizer_group* group, const optimizer_memory* memory, u64 index, u32 width,
                            long_sum* squares) {
    real weights[4], gradients[4], states[RULE_STATES][4];
    // All of them first, so that they are under way together.
    load_few(memory->parameter, index, width, weights);
    load_few(memory->gradient, index, width, gradients);
    for (u32 s = 0; s < RULE_STATES; s++)
        load_role(memory, group->is_first ? NO_ROLE : memory->roles[s], index, width, states[s]);
    if (memory->master != NO_ROLE && !group->is_first) {
        real masters[4];
        load_role(memory, memory->master, index, width, masters);
        // A parameter that its copy does not round to was written by someone else, and holds.
        for (u32 k = 0; k < width; k++) {
            if (to_real(to_scalar(masters[k])) == weights[k]) weights[k] = masters[k];
        }
    }
    add_penalties(group, width, weights, gradients);
    optimizer_rule(group, width, weights, gradients, states);
    shrink(group, width, weights);
    for (u32 s = 0; s < RULE_STATES; s++) store_role(memory, memory->roles[s], index, width, states[s]);
    store_role(memory, memory->master, index, width, weights);
    store_few(memory->parameter, index, width, weights);
    const u32 projects = REDUCES && group->maximum_norm > 0;
    if (projects) {
        real kept[4];
        for (u32 k = 0; k < width; k++)
            kept[k] = memory->master == NO_ROLE ? to_real(to_scalar(weights[k])) : weights[k];
        add_squares(squares, kept, width);
    } else if (memory->average != NO_ROLE) {
        store_average(group, memory, index, width, weights);
    }
    return REDUCES ? stored_zeros(weights, width) : 0;
}

// Scales elements of a row by `scale` and then `factor` where it is too long, and only then lets them into the average.
// Returns the zeros that are left: an infinite weight makes zeros of all others.
DEVICE u32 optimizer_project(const optimizer_group* group, const optimizer_memory* memory, u64 index, u32 width,
                             u32 too_long, real scale, real factor) {
    real weights[4];
    load_few(memory->parameter, index, width, weights);
    if (memory->master != NO_ROLE) load_role(memory, memory->master, index, width, weights);
    if (too_long) {
        for (u32 k = 0; k < width; k++) weights[k] = weights[k] * scale * factor;
        store_role(memory, memory->master, index, width, weights);
        store_few(memory->parameter, index, width, weights);
    }
    if (memory->average != NO_ROLE) store_average(group, memory, index, width, weights);
    return stored_zeros(weights, width);
}

// The sum of the items' counts, which are at most 2^32 / GROUP_SIZE: in two halves, as floats are exact up to 2^24
// only.
DEVICE INLINED u32 group_count(u32 count, LOCAL real* scratch) {
    const u32 low = (u32)group_sum((real)(count & 0xfffu), scratch);
    return low + ((u32)group_sum((real)(count >> 12), scratch) << 12);
}

// All groups of a launch read a count, and the one that finishes last moves it on: by atomic operations alone, on its
// halves, as OpenCL C 1.2 has none of 64 bits. Two items ask for it.
DEVICE u32 request_count(GLOBAL u64* count) { return LOCAL_ID < 2 ? ATOMIC_ADD((GLOBAL u32*)count + LOCAL_ID, 0) : 0; }

DEVICE INLINED u64 receive_count(u32 requested, LOCAL u32* halves) {
    if (LOCAL_ID < 2) halves[LOCAL_ID] = requested;
    BARRIER();
    return halves[0] | (u64)halves[1] << 32;
}

// One item of each group calls. `finished` is 0 again when all did.
DEVICE void count_step(GLOBAL u64* count, GLOBAL u32* finished) {
    GLOBAL u32* halves = (GLOBAL u32*)count;
    if (ATOMIC_ADD(finished, 1) != GROUP_COUNT - 1) return;
    ATOMIC_ADD(finished, 0 - (u32)GROUP_COUNT);
    if (ATOMIC_ADD(halves, 1) == 0xffffffffu) ATOMIC_ADD(halves + 1, 1);
}

// The whole pass. `memory` is that of the list, `counts` are steps taken and steps skipped. A work item owns the same
// elements in every loop over a tile. REDUCES is 1 where rows are projected or zeros counted. The launch that ends the
// step counts it.
DEVICE INLINED void optimizer_pass(optimizer_memory memory, GLOBAL const u64* tensors, GLOBAL const u32* tiles,
                                   GLOBAL const real* options, GLOBAL const real* progress, GLOBAL const float* rates,
                                   GLOBAL u64* counts, GLOBAL u32* finished, GLOBAL u32* zeros, u64 first_tile,
                                   u64 tile_count, u32 counts_zeros, u32 ends_step, LOCAL u32* halves,
                                   LOCAL real* scratch) {
    // The table answers while the count is on its way.
    const u32 requested = request_count(counts);
    const u32 skips = ((GLOBAL const step_progress*)progress)->skips != 0;
    const u64 last = first_tile + tile_count;
    u64 index = first_tile + GROUP_ID;
    tensor_tile tile;
    if (index < last) tile = tile_at(tensors, tiles, index);
    const u64 steps = receive_count(requested, halves);
    while (index < last) {
        if (skips) tile.count = 0;
        const optimizer_group group = group_at(options, progress, rates, steps, tile.group);
        optimizer_memory own = memory;
        own.parameter += tile.first;
        own.gradient += tile.second;
        own.state += tile.flat;
        const u64 end = pieces_end(&tile, 4);
        long_sum squares[SQUARE_SUMS] = {{0, 0}, {0, 0}, {0, 0}};
        u32 zero_count = 0;
        for (u64 i = 4 * LOCAL_ID; i < end; i += 4 * GROUP_SIZE)
            zero_count += optimizer_update(&group, &own, i, 4, squares);
        for (u64 i = end + LOCAL_ID; i < tile.count; i += GROUP_SIZE)
            zero_count += optimizer_update(&group, &own, i, 1, squares);

#if REDUCES
        // Outside any condition: not every compiler takes a barrier inside one, though all items agree on it.
        real sums[SQUARE_SUMS];
        group_squares(squares, sums, scratch);
        if (group.maximum_norm > 0) {
            const scaled_norm norm = norm_of(sums);
            const u32 too_long = norm.length > group.maximum_norm * norm.scale;
            const real factor = group.maximum_norm / norm.length;
            zero_count = 0;
            for (u64 i = 4 * LOCAL_ID; i < end; i += 4 * GROUP_SIZE)
                zero_count += optimizer_project(&group, &own, i, 4, too_long, norm.scale, factor);
            for (u64 i = end + LOCAL_ID; i < tile.count; i += GROUP_SIZE)
                zero_count += optimizer_project(&group, &own, i, 1, too_long, norm.scale, factor);
        }
        zero_count = group_count(zero_count, scratch);
        if (LOCAL_ID == 0 && counts_zeros && zero_count > 0) ATOMIC_ADD(zeros + tile.tensor, zero_count);
#endif
        index += GROUP_COUNT;
        if (index < last) tile = tile_at(tensors, tiles, index);
    }
    if (LOCAL_ID == 0 && ends_step) count_step(counts + (skips ? 1 : 0), finished);
}
