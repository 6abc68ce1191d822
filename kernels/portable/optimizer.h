// The one pass over memory that every optimizer makes over its list of parameters. An optimizer defines `optimizer_rule`; all else is here: gradient
// scaling, weight decay, L1, proximal steps, max-norm projection, f32 master copies, the moving average of the weights and the count of zeros.

#include "optimizer_layout.h"
#include "tensor_list.h"

#define NO_ROLE 0xffffffffu

// The settings that hold for a tile, ready to use.
typedef struct {
    real gradient_factor; // clipping over loss scale
    real rate;
    real coupled_decay; // joins the gradient
    real subgradient;   // of L1; joins the gradient
    real decay_factor;  // decoupled decay: 1 - rate * decay
    real threshold;     // proximal L1: rate * l1
    real shrinkage;     // proximal L2: 1 / (1 + rate * l2)
    real maximum_norm;  // of a row; 0 for none
    real beta1, share1; // a moving average and what enters it
    real beta2, share2;
    real epsilon;
    real mode;                     // the rule's own switch
    real average, average_share;   // of the moving average of weights
    real correction1, correction2; // 1 - beta^step
    u32 first;                     // nothing was stored yet: state counts as 0 and is not read
} optimizer_group;

// Updates the rule's state and returns the new weight, before proximal steps. `gradient` holds decay and penalties.
DEVICE real optimizer_rule(const optimizer_group* group, real weight, real gradient, real* a, real* b, real* c);

DEVICE optimizer_group group_at(GLOBAL const real* RESTRICT settings, GLOBAL const real* RESTRICT progress, u32 index) {
    GLOBAL const real* setting = settings + (u64)index * SETTING_WORDS;
    GLOBAL const real* own = progress + PROGRESS_HEADER + (u64)index * PROGRESS_WORDS;
    optimizer_group group;
    group.gradient_factor = progress[0];
    group.first = progress[2] != 0;
    group.rate = own[0];
    group.correction1 = own[1];
    group.correction2 = own[2];
    group.coupled_decay = setting[1];
    group.decay_factor = 1 - group.rate * setting[2];
    group.subgradient = setting[4];
    group.threshold = group.rate * setting[5];
    group.shrinkage = 1 / (1 + group.rate * setting[3]);
    group.maximum_norm = setting[6];
    group.beta1 = setting[7], group.share1 = setting[8];
    group.beta2 = setting[9], group.share2 = setting[10];
    group.epsilon = setting[11];
    group.mode = setting[12];
    group.average = setting[13], group.average_share = setting[14];
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

// How many of the first `count` weights are 0 as they are stored.
DEVICE u32 stored_zeros(const real* weights, u32 count) {
    u32 zeros = 0;
    for (u32 k = 0; k < 8; k++) zeros += k < count && to_real(to_scalar(weights[k])) == 0 ? 1u : 0u;
    return zeros;
}

// Scales the rows that are too long, which this work item wrote itself, and only then lets them into the average. Returns the zeros that are left: an infinite
// weight makes zeros of all others.
DEVICE u32 optimizer_project(const optimizer_group* group, real square, GLOBAL scalar* parameter, GLOBAL real* state,
                             u64 role_stride, u32 master, u32 average, const tensor_tile* tile) {
    const real limit = group->maximum_norm;
    const real scale = square > limit * limit ? limit / SQRT(square) : (real)1;
    u32 zeros = 0;
    for (u64 i = LOCAL_ID * 8; i < tile->count; i += GROUP_SIZE * 8) {
        const u32 count = tile->count - i < 8 ? (u32)(tile->count - i) : 8;
        const u32 whole = count == 8 && tile->aligned;
        real weights[8], averages[8];
        load_part(parameter, tile->first + i, count, tile->aligned, weights);
        if (master != NO_ROLE) load_role(state, role_stride, master, tile->flat + i, count, whole, weights);
        if (scale < 1) {
            for (u32 k = 0; k < 8; k++) weights[k] *= scale;
            store_role(state, role_stride, master, tile->flat + i, count, whole, weights);
            store_part(parameter, tile->first + i, count, tile->aligned, weights);
        }
        zeros += stored_zeros(weights, count);
        if (average != NO_ROLE) {
            load_role(state, role_stride, group->first ? NO_ROLE : average, tile->flat + i, count, whole, averages);
            for (u32 k = 0; k < 8; k++)
                averages[k] =
                    group->first ? weights[k] : group->average * averages[k] + group->average_share * weights[k];
            store_role(state, role_stride, average, tile->flat + i, count, whole, averages);
        }
    }
    return zeros;
}

// The sum of the items' counts, which are below 2^32 / GROUP_SIZE: in two halves, as floats are exact up to 2^24 only.
DEVICE u32 group_count(u32 count, LOCAL real* scratch) {
    const u32 low = (u32)group_sum((real)(count & 0xfffu), scratch);
    return low + ((u32)group_sum((real)(count >> 12), scratch) << 12);
}

// What the step of every rule takes.
#define OPTIMIZER_STEP_PARAMETERS                                                                           \
    GLOBAL scalar *parameter, u64 parameter_offset, GLOBAL const scalar *gradient, u64 gradient_offset,     \
        GLOBAL real *state, u64 state_offset, TENSOR_LIST_PARAMETERS, GLOBAL const real *RESTRICT settings, \
        u64 settings_offset, GLOBAL const real *RESTRICT progress, u64 progress_offset, GLOBAL u32 *zeros,  \
        u64 zeros_offset, u64 role_stride, u32 role_a, u32 role_b, u32 role_c, u32 master, u32 average,     \
        u32 counts_zeros

// The whole pass. `parameter` and `gradient` are the base pointers of the list; `state` holds flat buffers of the list, `role_stride` apart; a role that is
// not kept is NO_ROLE. A work item owns the same elements in every loop over a tile. REDUCES is 1 where rows are projected or zeros counted.
DEVICE void optimizer_pass(GLOBAL scalar* parameter, GLOBAL const scalar* gradient, GLOBAL real* state,
                           GLOBAL const u64* RESTRICT tensors, GLOBAL const u32* RESTRICT tiles,
                           GLOBAL const real* RESTRICT settings, GLOBAL const real* RESTRICT progress,
                           GLOBAL u32* zeros, u64 first_tile, u64 tile_count, u64 role_stride, u32 role_a, u32 role_b,
                           u32 role_c, u32 master, u32 average, u32 counts_zeros, LOCAL real* scratch) {
    const u64 last = first_tile + (progress[1] != 0 ? 0 : tile_count);
    for (u64 index = first_tile + GROUP_ID; index < last; index += GROUP_COUNT) {
        const tensor_tile tile = tile_at(tensors, tiles, index);
        const optimizer_group group = group_at(settings, progress, tile.group);
        const u32 projects = group.maximum_norm > 0;
        real square = 0;
        u32 zero_count = 0;
        for (u64 i = LOCAL_ID * 8; i < tile.count; i += GROUP_SIZE * 8) {
            const u32 count = tile.count - i < 8 ? (u32)(tile.count - i) : 8;
            const u32 whole = count == 8 && tile.aligned;
            const u64 flat = tile.flat + i;
            real weights[8], gradients[8], a[8], b[8], c[8];
            load_part(gradient, tile.second + i, count, tile.aligned, gradients);
            if (master != NO_ROLE && !group.first)
                load_role(state, role_stride, master, flat, count, whole, weights);
            else
                load_part(parameter, tile.first + i, count, tile.aligned, weights);
            load_role(state, role_stride, group.first ? NO_ROLE : role_a, flat, count, whole, a);
            load_role(state, role_stride, group.first ? NO_ROLE : role_b, flat, count, whole, b);
            load_role(state, role_stride, group.first ? NO_ROLE : role_c, flat, count, whole, c);
            for (u32 k = 0; k < 8; k++) {
                const real weight = weights[k];
                const real slope = group.gradient_factor * gradients[k] + group.coupled_decay * weight +
                                   group.subgradient * sign_of(weight);
                const real moved = optimizer_rule(&group, weight, slope, &a[k], &b[k], &c[k]);
                weights[k] = soft_threshold(moved, group.threshold) * group.shrinkage;
            }
            store_role(state, role_stride, role_a, flat, count, whole, a);
            store_role(state, role_stride, role_b, flat, count, whole, b);
            store_role(state, role_stride, role_c, flat, count, whole, c);
            store_role(state, role_stride, master, flat, count, whole, weights);
            store_part(parameter, tile.first + i, count, tile.aligned, weights);
            if (projects) {
                for (u32 k = 0; k < 8; k++) {
                    const real kept = master == NO_ROLE ? to_real(to_scalar(weights[k])) : weights[k];
                    if (k < count) square += kept * kept;
                }
            }
            if (counts_zeros) zero_count += stored_zeros(weights, count);
            if (average != NO_ROLE && !projects) {
                load_role(state, role_stride, group.first ? NO_ROLE : average, flat, count, whole, a);
                for (u32 k = 0; k < 8; k++)
                    a[k] = group.first ? weights[k] : group.average * a[k] + group.average_share * weights[k];
                store_role(state, role_stride, average, flat, count, whole, a);
            }
        }

#if REDUCES
        // Outside any condition: not every compiler takes a barrier inside one, though all items agree on it.
        square = group_sum(square, scratch);
        if (projects)
            zero_count = optimizer_project(&group, square, parameter, state, role_stride, master, average, &tile);
        zero_count = group_count(zero_count, scratch);
        if (LOCAL_ID == 0 && counts_zeros && zero_count > 0) ATOMIC_ADD(zeros + tile.tensor, zero_count);
#endif
    }
}
