// The one pass over memory that every optimizer makes over its list of parameters. The text of an optimizer declares
// its `rule_options` and the places of its state ahead of this one, and defines `optimizer_rule` after it; all else is
// here: gradient scaling, weight decay, L1, proximal steps, max-norm projection, f32 master copies, the moving average
// of the weights and the count of zeros.

#include "optimizer_layout.h"
#include "tensor_list.h"
#include "squares.h"

#define NO_ROLE 0xffffffffu

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
    real first_correction, second_correction;
    u32 is_first; // nothing was stored yet: state counts as 0 and is not read
    rule_options rule;
} optimizer_group;

// Updates the rule's state and returns the new weight, before proximal steps. `gradient` holds decay and penalties.
DEVICE real optimizer_rule(const optimizer_group* group, real weight, real gradient, real* state);

DEVICE optimizer_group group_at(GLOBAL const real* RESTRICT options, GLOBAL const real* RESTRICT progress, u32 index) {
    GLOBAL const group_options* own = (GLOBAL const group_options*)options + index;
    GLOBAL const step_progress* step = (GLOBAL const step_progress*)progress;
    GLOBAL const group_progress* now = (GLOBAL const group_progress*)(step + 1) + index;
    optimizer_group group;
    group.gradient_scale = step->gradient_scale;
    group.gradient_factor = step->gradient_factor;
    group.is_first = step->is_first != 0;
    group.rate = now->learning_rate;
    group.first_correction = now->first_correction;
    group.second_correction = now->second_correction;
    group.coupled_decay = own->coupled_decay;
    group.decay_factor = 1 - group.rate * own->decoupled_decay;
    group.subgradient_l1 = own->subgradient_l1;
    group.threshold = group.rate * own->proximal_l1;
    group.shrinkage = 1 / (1 + group.rate * own->proximal_decay);
    group.maximum_norm = own->maximum_norm;
    group.average_decay = own->average_decay;
    group.average_share = own->average_share;
    group.rule = *(GLOBAL const rule_options*)own->rule;
    return group;
}

// -1, 0 or 1; NaN for NaN.
DEVICE real sign_of(real x) { return x > 0 ? (real)1 : x < 0 ? (real)-1 : x; }

// The minimum of threshold * |x| + (x - w)^2 / 2 over x: exact zeros for small weights. NaN stays.
DEVICE real soft_threshold(real weight, real threshold) {
    if (threshold == 0) return weight;
    if (weight > threshold) return weight - threshold;
    if (weight < -threshold) return weight + threshold;
    return weight == weight ? (real)0 : weight;
}

// The gradient with decay and penalty. An absent term does not look at the weight, which may be infinite.
DEVICE real slope_of(const optimizer_group* group, real weight, real gradient) {
    const real decayed = group->coupled_decay == 0 ? (real)0 : weight;
    const real direction = group->subgradient_l1 == 0 ? (real)0 : sign_of(weight);
    return group->gradient_factor * (group->gradient_scale * gradient) + group->coupled_decay * decayed +
           group->subgradient_l1 * direction;
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

DEVICE void load_state(GLOBAL const real* source, u64 index, u32 count, u32 whole, real* values) {
    if (whole) {
        load8_real(source + index, values);
    } else {
        for (u32 k = 0; k < 8; k++) values[k] = k < count ? source[index + k] : (real)0;
    }
}

DEVICE void store_state(GLOBAL real* target, u64 index, u32 count, u32 whole, const real* values) {
    if (whole) {
        store8_real(target + index, values);
    } else {
        for (u32 k = 0; k < 8; k++) {
            if (k < count) target[index + k] = values[k];
        }
    }
}

DEVICE void load_role(GLOBAL const real* state, u64 stride, u32 role, u64 index, u32 count, u32 whole, real* values) {
    if (role == NO_ROLE) {
        for (u32 k = 0; k < 8; k++) values[k] = 0;
    } else {
        load_state(state + role * stride, index, count, whole, values);
    }
}

DEVICE void store_role(GLOBAL real* state, u64 stride, u32 role, u64 index, u32 count, u32 whole, const real* values) {
    if (role != NO_ROLE) store_state(state + role * stride, index, count, whole, values);
}

// Lets eight weights into the average.
DEVICE void store_average(const optimizer_group* group, GLOBAL real* state, u64 stride, u32 role, u64 index, u32 count,
                          u32 whole, const real* weights) {
    real averages[8];
    load_role(state, stride, group->is_first ? NO_ROLE : role, index, count, whole, averages);
    for (u32 k = 0; k < 8; k++) averages[k] = group->is_first ? weights[k] : averaged(group, averages[k], weights[k]);
    store_role(state, stride, role, index, count, whole, averages);
}

// How many of the first `count` weights are 0 as they are stored.
DEVICE u32 stored_zeros(const real* weights, u32 count) {
    u32 zeros = 0;
    for (u32 k = 0; k < 8; k++) zeros += k < count && to_real(to_scalar(weights[k])) == 0 ? 1u : 0u;
    return zeros;
}

// Scales the rows that are too long, which this work item wrote itself, and only then lets them into the average.
// Returns the zeros that are left: an infinite weight makes zeros of all others.
DEVICE u32 optimizer_project(const optimizer_group* group, scaled_norm norm, GLOBAL scalar* parameter,
                             GLOBAL real* state, u64 role_stride, u32 master, u32 average, const tensor_tile* tile) {
    const u32 too_long = norm.length > group->maximum_norm * norm.scale;
    const real factor = group->maximum_norm / norm.length;
    u32 zeros = 0;
    for (u64 i = LOCAL_ID * 8; i < tile->count; i += GROUP_SIZE * 8) {
        const u32 count = tile->count - i < 8 ? (u32)(tile->count - i) : 8;
        const u32 whole = count == 8 && tile->aligned;
        real weights[8];
        load_part(parameter, tile->first + i, count, tile->aligned, weights);
        if (master != NO_ROLE) load_role(state, role_stride, master, tile->flat + i, count, whole, weights);
        if (too_long) {
            for (u32 k = 0; k < 8; k++) weights[k] = weights[k] * norm.scale * factor;
            store_role(state, role_stride, master, tile->flat + i, count, whole, weights);
            store_part(parameter, tile->first + i, count, tile->aligned, weights);
        }
        zeros += stored_zeros(weights, count);
        if (average != NO_ROLE)
            store_average(group, state, role_stride, average, tile->flat + i, count, whole, weights);
    }
    return zeros;
}

// The sum of the items' counts, which are at most 2^32 / GROUP_SIZE: in two halves, as floats are exact up to 2^24
// only.
DEVICE u32 group_count(u32 count, LOCAL real* scratch) {
    const u32 low = (u32)group_sum((real)(count & 0xfffu), scratch);
    return low + ((u32)group_sum((real)(count >> 12), scratch) << 12);
}

// What the step of every rule takes.
#define OPTIMIZER_STEP_PARAMETERS                                                                                    \
    GLOBAL scalar *parameter, u64 parameter_offset, GLOBAL const scalar *gradient, u64 gradient_offset,              \
        GLOBAL real *state, u64 state_offset, TENSOR_LIST_PARAMETERS, GLOBAL const real *RESTRICT options,           \
        u64 options_offset, GLOBAL const real *RESTRICT progress, u64 progress_offset, GLOBAL u32 *zeros,            \
        u64 zeros_offset, u64 role_stride, u32 first_role, u32 second_role, u32 third_role, u32 master, u32 average, \
        u32 counts_zeros

// The whole pass. `parameter` and `gradient` are the base pointers of the list; `state` holds flat buffers of the list,
// `role_stride` apart; a role that is not kept is NO_ROLE. A work item owns the same elements in every loop over a
// tile. REDUCES is 1 where rows are projected or zeros counted.
DEVICE void optimizer_pass(GLOBAL scalar* parameter, GLOBAL const scalar* gradient, GLOBAL real* state,
                           GLOBAL const u64* RESTRICT tensors, GLOBAL const u32* RESTRICT tiles,
                           GLOBAL const real* RESTRICT options, GLOBAL const real* RESTRICT progress, GLOBAL u32* zeros,
                           u64 first_tile, u64 tile_count, u64 role_stride, u32 first_role, u32 second_role,
                           u32 third_role, u32 master, u32 average, u32 counts_zeros, LOCAL real* scratch) {
    const u32 roles[3] = {first_role, second_role, third_role};
    const u32 skips = ((GLOBAL const step_progress*)progress)->skips != 0;
    const u64 last = first_tile + (skips ? 0 : tile_count);
    for (u64 index = first_tile + GROUP_ID; index < last; index += GROUP_COUNT) {
        const tensor_tile tile = tile_at(tensors, tiles, index);
        const optimizer_group group = group_at(options, progress, tile.group);
        const u32 projects = REDUCES && group.maximum_norm > 0;
        const u32 average_now = projects ? NO_ROLE : average;
        long_sum squares[SQUARE_SUMS] = {{0, 0}, {0, 0}, {0, 0}};
        u32 zero_count = 0;
        for (u64 i = LOCAL_ID * 8; i < tile.count; i += GROUP_SIZE * 8) {
            const u32 count = tile.count - i < 8 ? (u32)(tile.count - i) : 8;
            const u32 whole = count == 8 && tile.aligned;
            const u64 flat = tile.flat + i;
            real weights[8], gradients[8], states[RULE_STATES][8];
            load_part(parameter, tile.first + i, count, tile.aligned, weights);
            if (master != NO_ROLE && !group.is_first) {
                real masters[8];
                load_role(state, role_stride, master, flat, count, whole, masters);
                // A parameter that its copy does not round to was written by someone else, and holds.
                for (u32 k = 0; k < 8; k++) {
                    if (to_real(to_scalar(masters[k])) == weights[k]) weights[k] = masters[k];
                }
            }
            load_part(gradient, tile.second + i, count, tile.aligned, gradients);
            for (u32 k = 0; k < 8; k++) gradients[k] = slope_of(&group, weights[k], gradients[k]);
            for (u32 s = 0; s < RULE_STATES; s++)
                load_role(state, role_stride, group.is_first ? NO_ROLE : roles[s], flat, count, whole, states[s]);
            for (u32 k = 0; k < 8; k++) {
                real own[RULE_STATES];
                for (u32 s = 0; s < RULE_STATES; s++) own[s] = states[s][k];
                const real moved = optimizer_rule(&group, weights[k], gradients[k], own);
                for (u32 s = 0; s < RULE_STATES; s++) states[s][k] = own[s];
                weights[k] = soft_threshold(moved, group.threshold) * group.shrinkage;
            }
            for (u32 s = 0; s < RULE_STATES; s++)
                store_role(state, role_stride, roles[s], flat, count, whole, states[s]);
            store_role(state, role_stride, master, flat, count, whole, weights);
            store_part(parameter, tile.first + i, count, tile.aligned, weights);
            if (projects) {
                real kept[8];
                for (u32 k = 0; k < 8; k++) kept[k] = master == NO_ROLE ? to_real(to_scalar(weights[k])) : weights[k];
                add_squares(squares, kept, count);
            }
            if (REDUCES && counts_zeros) zero_count += stored_zeros(weights, count);
            if (average_now != NO_ROLE)
                store_average(&group, state, role_stride, average_now, flat, count, whole, weights);
        }

#if REDUCES
        // Outside any condition: not every compiler takes a barrier inside one, though all items agree on it.
        real sums[SQUARE_SUMS];
        group_squares(squares, sums, scratch);
        if (projects)
            zero_count =
                optimizer_project(&group, norm_of(sums), parameter, state, role_stride, master, average, &tile);
        zero_count = group_count(zero_count, scratch);
        if (LOCAL_ID == 0 && counts_zeros && zero_count > 0) ATOMIC_ADD(zeros + tile.tensor, zero_count);
#endif
    }
}
