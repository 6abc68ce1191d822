// From elements to statistics: what the forward passes of batch normalization share, in one launch or in several.

#include "moments.h"
#include "batch_norm.h"

// What distances in `places` places of a channel are from: a number that all items share, so that sums are merged as
// sums, the mean of the elements that the items begin with, which no one element draws far from all others. `scratch`
// holds GROUP_SIZE values.
DEVICE INLINED real plane_reference(GLOBAL const scalar* x, plane_walk walk, u64 places, LOCAL real* scratch) {
    real first[1] = {0};
    u32 has_element = LOCAL_ID < places;
    if (has_element) has_element = counted_places(walk.length, walk.inner) > 0;
    if (has_element) {
        plane_walk begin = walk;
        const plane_block block = next_block(&begin);
        // A place behind the end of its plane, as planes have where they begin inside a block, has no element.
        first[0] = load(x, block.lanes != 0 ? block.index + first_lane(block) : walk.begin);
    }
    if (LOCAL_ID == 0) scratch[0] = first[0];
    BARRIER();
    const real base = scratch[0];
    BARRIER();
    first[0] = has_element ? first[0] - base : (real)0;
    team_sums(first, 1, GROUP_SIZE, scratch);
    return base + first[0] / (real)(places == 0 ? 1 : places < GROUP_SIZE ? places : GROUP_SIZE);
}

// The mean of the first part of a unit that has one.
DEVICE real first_reference(GLOBAL const real* partial, u64 unit, u64 units, u64 parts) {
    real count = partial[unit], reference = partial[units + unit];
    for (u64 part = 1; part < parts && count == 0; part++) {
        count = partial[part * MOMENT_ROWS * units + unit];
        reference = partial[part * MOMENT_ROWS * units + units + unit];
    }
    return reference;
}

// Parts first, first + step, ... of a unit.
DEVICE moments merged_parts(GLOBAL const real* partial, u64 unit, u64 units, real reference, u64 first, u64 step,
                            u64 parts) {
    moments own = {0, 0, 0, 0};
    for (u64 part = first; part < parts; part += PARTS_AT_ONCE * step) {
        moments several[PARTS_AT_ONCE];
        for (u32 i = 0; i < PARTS_AT_ONCE; i++)
            several[i] = load_moments(partial, unit, units, reference, part + i * step, parts);
        for (u32 i = 0; i < PARTS_AT_ONCE; i++) own = merged(own, several[i]);
    }
    return own;
}

// Mean, what its rounding left, and inverse deviation: a row over the units each, 0 where there are no elements.
DEVICE void store_statistics(GLOBAL real* statistics, u64 unit, u64 units, real reference, moments own, real epsilon) {
    const real mean = reference + own.mean;
    const u32 sound = are_finite(own);
    statistics[unit] = sound ? mean : QUIET_NAN;
    statistics[units + unit] = sound ? rest_of_sum(reference, own.mean, mean) : QUIET_NAN;
    statistics[2 * units + unit] = own.count == 0 ? (real)0 : inverse_deviation_of(own, epsilon);
}

typedef struct {
    real mean, variance;
} running_pair;

// `share` is that of the new value. Fewer than two elements have no deviation, and move nothing.
DEVICE running_pair run_on(running_pair running, real reference, moments own, real share, u32 is_unbiased) {
    if (own.count < 2) return running;
    const real variance = variance_of(own), mean = are_finite(own) ? reference + own.mean : QUIET_NAN;
    running.mean = (1 - share) * running.mean + share * mean;
    running.variance =
        (1 - share) * running.variance + share * (is_unbiased ? variance * (own.count / (own.count - 1)) : variance);
    return running;
}

// Running values of the channels, which may be absent, and how they go on.
typedef struct {
    GLOBAL real *mean, *variance;
    real share;
    u32 is_unbiased;
} running_values;

DEVICE running_values running_of(GLOBAL real* mean, u64 mean_offset, GLOBAL real* variance, u64 variance_offset,
                                 real share, u32 is_unbiased) {
    running_values own;
    own.mean = mean != 0 ? mean + mean_offset : 0;
    own.variance = variance != 0 ? variance + variance_offset : 0;
    own.share = share, own.is_unbiased = is_unbiased;
    return own;
}

// What a channel came to, where there is one set.
DEVICE void store_channel(GLOBAL real* statistics, running_values running, u64 channel, u64 channels, real reference,
                          moments own, real epsilon) {
    store_statistics(statistics, channel, channels, reference, own, epsilon);
    if (running.mean == 0) return;
    running_pair pair = {running.mean[channel], running.variance[channel]};
    pair = run_on(pair, reference, own, running.share, running.is_unbiased);
    running.mean[channel] = pair.mean;
    running.variance[channel] = pair.variance;
}

// What the parameters of a forward pass come to.
typedef struct {
    GLOBAL const scalar *x, *residual;
    GLOBAL scalar* y;
    GLOBAL const real *gamma, *beta;
    GLOBAL real* statistics;
    running_values running;
    norm_epilogue after;
} norm_forward;

DEVICE norm_forward forward_of(BATCH_NORM_FORWARD_PARAMETERS) {
    norm_forward own;
    own.x = x + x_offset;
    own.residual = residual != 0 ? residual + residual_offset : 0;
    own.y = y + y_offset;
    own.gamma = gamma != 0 ? gamma + gamma_offset : 0;
    own.beta = beta != 0 ? beta + beta_offset : 0;
    own.statistics = statistics + statistics_offset;
    own.running =
        running_of(running_mean, running_mean_offset, running_variance, running_variance_offset, share, is_unbiased);
    own.after = epilogue_of(NORM_EPILOGUE_ARGUMENTS);
    return own;
}

DEVICE affine moments_affine(real reference, moments own, real epsilon, GLOBAL const real* gamma,
                             GLOBAL const real* beta, u64 channel) {
    const real mean = reference + own.mean;
    return affine_of(mean, rest_of_sum(reference, own.mean, mean), inverse_deviation_of(own, epsilon), gamma, beta,
                     channel);
}

// y of a block of a plane, or of two fours of it and its neighbour. The residual may be absent.
DEVICE void finish_plane(stored8 x, affine map, GLOBAL const scalar* residual, GLOBAL scalar* y, plane_block block,
                         u32 apart, norm_epilogue after) {
    real values[8];
    widen8(x, values);
    for (u32 lane = 0; lane < 8; lane++) values[lane] = FMA(values[lane] - map.center, map.slope, map.level);
    if (residual != 0) {
        real added[8];
        widen8(load_plane_alone(residual, block, apart), added);
        for (u32 lane = 0; lane < 8; lane++) values[lane] += added[lane];
    }
    follow(values, block.index, apart, after);
    store_plane(y, block, apart, values);
}

// y of eight columns.
DEVICE void finish_columns(stored8 x, const real* center, const real* slope, const real* level,
                           GLOBAL const scalar* residual, GLOBAL scalar* y, u64 index, u32 count, u32 apart,
                           norm_epilogue after) {
    real values[8];
    widen8(x, values);
    for (u32 lane = 0; lane < 8; lane++) values[lane] = FMA(values[lane] - center[lane], slope[lane], level[lane]);
    if (residual != 0) {
        real added[8];
        widen8(load_columns(residual, index, count, apart), added);
        for (u32 lane = 0; lane < 8; lane++) values[lane] += added[lane];
    }
    follow(values, index, apart, after);
    store_columns(y, index, count, apart, values);
}

// Sums of distances of eight columns.
DEVICE void add_row(stored8 row, const real* from, real* sums, real* squares, real* coarse) {
    real values[8];
    widen8(row, values);
    for (u32 lane = 0; lane < 8; lane++) {
        const real distance = values[lane] - from[lane], down = distance * MOMENTS_DOWN;
        sums[lane] += distance;
        squares[lane] = FMA(distance, distance, squares[lane]);
        coarse[lane] = FMA(down, down, coarse[lane]);
    }
}
