// Batch normalization: y = gamma (x - mean) / sqrt(variance + epsilon) + beta with mean and variance of each channel
// over a set of samples and all their places (Ioffe and Szegedy, ICML 2015). A residual, a ReLU and dropout may follow
// in the same pass: y = dropout(relu(... + residual)).
//
//   batch_norm_moments_planes   moments of a channel in parts, where its elements lie side by side
//   batch_norm_moments_columns  the same where the channels of a place do
//   batch_norm_statistics       merges the parts: mean and inverse deviation, and the running ones
//   batch_norm_apply            y
//   batch_norm_forward          all of it in one launch, a work group a channel

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "moments.h"
#include "batch_norm.h"

// The moments of places first to end - 1 of a channel, for each item of the group. `scratch` holds MOMENT_FIELDS *
// GROUP_SIZE values; means are relative to `reference`, an element.
DEVICE moments plane_moments(GLOBAL const scalar* x, plane_walk walk, u64 places, real* reference,
                             LOCAL real* scratch) {
    distance_sums sums = {0, 0, 0, 0};
    real from = 0;
    if (LOCAL_ID < places) {
        plane_walk first = walk;
        const plane_block block = next_block(&first);
        // A place behind the end of its plane, as planes have where they begin inside a block, has no element.
        from = load(x, block.end > block.first ? block.index + block.first : walk.begin);
    }
    for (u64 place = LOCAL_ID; place < places; place += BLOCKS_AT_ONCE * GROUP_SIZE) {
        plane_block blocks[BLOCKS_AT_ONCE];
        stored8 stored[BLOCKS_AT_ONCE];
        for (u32 i = 0; i < BLOCKS_AT_ONCE; i++) {
            blocks[i] = next_block(&walk);
            if (place + i * GROUP_SIZE >= places) blocks[i].first = blocks[i].end = 0;
            stored[i] = load_plane(x, blocks[i]);
        }
        for (u32 i = 0; i < BLOCKS_AT_ONCE; i++) {
            real values[8];
            widen8(stored[i], values);
            fill_beside(blocks[i], values, from);
            add_distances(&sums, values, from);
            sums.count += blocks[i].end > blocks[i].first ? blocks[i].end - blocks[i].first : 0u;
        }
    }
    moments own = moments_of((real)sums.count, sums.sum, sums.squares, sums.coarse);
    scratch[LOCAL_ID] = from;
    BARRIER();
    *reference = scratch[0];
    BARRIER();
    if (own.count > 0) own.mean += from - *reference;
    return merged_depths(own, 1, scratch);
}

// The parts of a unit are records of MOMENT_ROWS rows over all units.
KERNEL void batch_norm_moments_planes(GLOBAL const scalar* x, u64 x_offset, GLOBAL real* partial, u64 partial_offset,
                                      NORM_SHAPE_PARAMETERS, u64 splits, u64 share, u64 width) {
    SHARED real scratch[MOMENT_FIELDS * GROUP_SIZE];
    const u64 units = sets * channels;
    x += x_offset;
    partial += partial_offset;
    for (u64 job = GROUP_ID; job < units * splits; job += GROUP_COUNT) {
        const u64 part = job / channels, channel = job - part * channels;
        const u64 set = part / splits, split = part - set * splits, first = split * share;
        const u64 places = outer * width - first < share ? outer * width - first : share;
        const plane_walk walk = walk_from(first + LOCAL_ID, set * outer, channel, channels, inner, width);
        real reference;
        const moments own = plane_moments(x, walk, places, &reference, scratch);
        if (LOCAL_ID == 0)
            store_moments(partial + split * MOMENT_ROWS * units, set * channels + channel, units, reference, own);
    }
}

// Four channels of an item go through the local memory at a time.
#define LANES_AT_ONCE 4

// Here inner is 1: columns are channels.
KERNEL void batch_norm_moments_columns(GLOBAL const scalar* x, u64 x_offset, GLOBAL real* partial, u64 partial_offset,
                                       NORM_SHAPE_PARAMETERS, u64 splits, u64 share, u64 tiles, u32 wide) {
    SHARED real scratch[LANES_AT_ONCE * MOMENT_FIELDS * GROUP_SIZE];
    const u64 units = sets * channels, deep = GROUP_SIZE / wide;
    x += x_offset;
    partial += partial_offset;
    for (u64 job = GROUP_ID; job < sets * splits * tiles; job += GROUP_COUNT) {
        const column_job own = column_job_at(job, outer, channels * inner, splits, share, tiles, wide);
        const u64 begin = own.begin + LOCAL_ID / wide, step = deep * channels, stop = own.end * channels;
        const u64 start = begin * channels + own.column;
        const u32 has_rows = own.count > 0 && begin < own.end;
        real from[8], sums[8], squares[8], coarse[8];
        for (u32 lane = 0; lane < 8; lane++) from[lane] = sums[lane] = squares[lane] = coarse[lane] = 0;
        if (has_rows) widen8(load_columns(x, start, own.count), from);
        const real rows = has_rows ? (real)((own.end - begin + deep - 1) / deep) : (real)0;
        for (u64 index = start; has_rows && index < stop; index += BLOCKS_AT_ONCE * step) {
            stored8 stored[BLOCKS_AT_ONCE];
            for (u32 i = 0; i < BLOCKS_AT_ONCE; i++)
                stored[i] = load_columns(x, index + i * step < stop ? index + i * step : index, own.count);
            UNROLL
            for (u32 i = 0; i < BLOCKS_AT_ONCE; i++) {
                if (index + i * step < stop) {
                    real values[8];
                    widen8(stored[i], values);
                    for (u32 lane = 0; lane < 8; lane++) {
                        const real distance = values[lane] - from[lane], down = distance * MOMENTS_DOWN;
                        sums[lane] += distance;
                        squares[lane] = FMA(distance, distance, squares[lane]);
                        coarse[lane] = FMA(down, down, coarse[lane]);
                    }
                }
            }
        }
        for (u32 first = 0; first < 8; first += LANES_AT_ONCE) {
            real reference[LANES_AT_ONCE];
            moments result[LANES_AT_ONCE];
            for (u32 i = 0; i < LANES_AT_ONCE; i++) scratch[i * GROUP_SIZE + LOCAL_ID] = from[first + i];
            BARRIER();
            for (u32 i = 0; i < LANES_AT_ONCE; i++) {
                const u32 lane = first + i;
                reference[i] = scratch[i * GROUP_SIZE + LOCAL_ID % wide];
                result[i] = moments_of(rows, sums[lane], squares[lane], coarse[lane]);
                if (rows > 0) result[i].mean += from[lane] - reference[i];
            }
            BARRIER();
            for (u32 i = 0; i < LANES_AT_ONCE; i++)
                put_moments(scratch + i * MOMENT_FIELDS * GROUP_SIZE, LOCAL_ID, result[i]);
            BARRIER();
            for (u32 half_size = GROUP_SIZE / 2; half_size >= wide; half_size /= 2) {
                for (u32 i = 0; i < LANES_AT_ONCE; i++) {
                    LOCAL real* of_lane = scratch + i * MOMENT_FIELDS * GROUP_SIZE;
                    if (LOCAL_ID < half_size)
                        put_moments(of_lane, LOCAL_ID,
                                    merged(moments_at(of_lane, LOCAL_ID), moments_at(of_lane, LOCAL_ID + half_size)));
                }
                BARRIER();
            }
            for (u32 i = 0; i < LANES_AT_ONCE; i++)
                if (LOCAL_ID < wide && first + i < own.count)
                    store_moments(partial + own.split * MOMENT_ROWS * units,
                                  own.set * channels + own.column + first + i, units, reference[i],
                                  moments_at(scratch + i * MOMENT_FIELDS * GROUP_SIZE, LOCAL_ID));
        }
    }
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

// The merged moments are a record, as a part is one. What is absent is not written. A group takes `wide` channels, a
// power of two up to GROUP_SIZE, and goes through the sets in order, as the running values do; its items are that wide
// and deep over the parts.
KERNEL void batch_norm_statistics(GLOBAL const real* partial, u64 partial_offset, GLOBAL real* record,
                                  u64 record_offset, GLOBAL real* statistics, u64 statistics_offset,
                                  GLOBAL real* running_mean, u64 running_mean_offset, GLOBAL real* running_variance,
                                  u64 running_variance_offset, u64 sets, u64 channels, u64 splits, u32 wide,
                                  real epsilon, real share, u32 is_unbiased) {
    SHARED real scratch[MOMENT_FIELDS * GROUP_SIZE];
    const u64 units = sets * channels, part_length = MOMENT_ROWS * units;
    partial += partial_offset;
    for (u64 first = GROUP_ID * wide; first < channels; first += GROUP_COUNT * wide) {
        const u64 channel = first + LOCAL_ID % wide;
        const u32 keeps = LOCAL_ID < wide && channel < channels && running_mean != 0;
        running_pair running = {0, 0};
        if (keeps) {
            running.mean = running_mean[running_mean_offset + channel];
            running.variance = running_variance[running_variance_offset + channel];
        }
        for (u64 set = 0; set < sets; set++) {
            const u64 unit = set * channels + channel;
            moments own = {0, 0, 0, 0};
            real reference = 0;
            if (channel < channels) {
                // The mean of the first part that has one.
                u64 part = 0;
                while (part + 1 < splits && partial[part * part_length + unit] == 0) part++;
                reference = partial[part * part_length + units + unit];
                for (u64 split = LOCAL_ID / wide; split < splits; split += GROUP_SIZE / wide)
                    own = merged(own, load_moments(partial + split * part_length, unit, units, reference));
            }
            own = merged_depths(own, wide, scratch);
            if (LOCAL_ID < wide && channel < channels) {
                if (record != 0) store_moments(record + record_offset, unit, units, reference, own);
                if (statistics != 0)
                    store_statistics(statistics + statistics_offset, unit, units, reference, own, epsilon);
                if (keeps) running = run_on(running, reference, own, share, is_unbiased);
            }
        }
        if (keeps) {
            running_mean[running_mean_offset + channel] = running.mean;
            running_variance[running_variance_offset + channel] = running.variance;
        }
    }
}

// Backwards, as what the moments read last is still in the cache. The residual may be absent.
KERNEL void batch_norm_apply(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset,
                             GLOBAL const scalar* residual, u64 residual_offset, NORM_CHANNEL_PARAMETERS,
                             NORM_SHAPE_PARAMETERS, u64 splits, u64 share, u64 tiles, u32 wide, u32 is_variance,
                             real epsilon, NORM_EPILOGUE_PARAMETERS) {
    SHARED real centers[TILE_COLUMNS], slopes[TILE_COLUMNS], levels[TILE_COLUMNS];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const norm_channels of = channels_of(mean, mean_offset, rest, rest_offset, spread, spread_offset, gamma,
                                         gamma_offset, beta, beta_offset);
    const u64 columns = channels * inner, jobs = sets * splits * tiles, deep = GROUP_SIZE / wide;
    x += x_offset;
    y += y_offset;
    if (residual != 0) residual += residual_offset;
    for (u64 job = GROUP_ID; job < jobs; job += GROUP_COUNT) {
        const column_job own = column_job_at(jobs - 1 - job, outer, columns, splits, share, tiles, wide);
        real center[8], slope[8], level[8];
        tile_affines(own, of, channels, inner, wide, is_variance, epsilon, centers, slopes, levels);
        BARRIER();
        load_lanes(centers, wide, center);
        load_lanes(slopes, wide, slope);
        load_lanes(levels, wide, level);
        BARRIER();
        const u64 step = deep * columns, stop = own.count > 0 ? own.end * columns : 0;
        for (u64 index = (own.begin + LOCAL_ID / wide) * columns + own.column; index < stop;
             index += BLOCKS_AT_ONCE * step) {
            stored8 stored[BLOCKS_AT_ONCE];
            for (u32 i = 0; i < BLOCKS_AT_ONCE; i++)
                stored[i] = load_columns(x, index + i * step < stop ? index + i * step : index, own.count);
            UNROLL
            for (u32 i = 0; i < BLOCKS_AT_ONCE; i++) {
                const u64 at = index + i * step;
                if (at < stop) {
                    real values[8];
                    widen8(stored[i], values);
                    for (u32 lane = 0; lane < 8; lane++)
                        values[lane] = FMA(values[lane] - center[lane], slope[lane], level[lane]);
                    if (residual != 0) {
                        real added[8];
                        widen8(load_columns(residual, at, own.count), added);
                        for (u32 lane = 0; lane < 8; lane++) values[lane] += added[lane];
                    }
                    follow(values, start + at, rectifies, resolved, threshold, drop_scale);
                    store_columns(y, at, own.count, values);
                }
            }
        }
    }
}

// For channels of few elements, and one set.
KERNEL void batch_norm_forward(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset,
                               GLOBAL const scalar* residual, u64 residual_offset, GLOBAL const real* gamma,
                               u64 gamma_offset, GLOBAL const real* beta, u64 beta_offset, GLOBAL real* statistics,
                               u64 statistics_offset, GLOBAL real* running_mean, u64 running_mean_offset,
                               GLOBAL real* running_variance, u64 running_variance_offset, NORM_SHAPE_PARAMETERS,
                               u64 width, real epsilon, real share, u32 is_unbiased, NORM_EPILOGUE_PARAMETERS) {
    SHARED real scratch[MOMENT_FIELDS * GROUP_SIZE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 places = outer * width;
    x += x_offset;
    y += y_offset;
    if (residual != 0) residual += residual_offset;
    if (gamma != 0) gamma += gamma_offset;
    if (beta != 0) beta += beta_offset;
    for (u64 channel = GROUP_ID; channel < channels; channel += GROUP_COUNT) {
        const plane_walk begin = walk_from(LOCAL_ID, 0, channel, channels, inner, width);
        real reference;
        const moments own = plane_moments(x, begin, places, &reference, scratch);
        if (LOCAL_ID == 0) {
            store_statistics(statistics + statistics_offset, channel, channels, reference, own, epsilon);
            if (running_mean != 0) {
                running_pair running = {running_mean[running_mean_offset + channel],
                                        running_variance[running_variance_offset + channel]};
                running = run_on(running, reference, own, share, is_unbiased);
                running_mean[running_mean_offset + channel] = running.mean;
                running_variance[running_variance_offset + channel] = running.variance;
            }
        }
        const real mean = reference + own.mean;
        const affine map = affine_of(mean, rest_of_sum(reference, own.mean, mean), inverse_deviation_of(own, epsilon),
                                     gamma, beta, channel);
        plane_walk walk = begin;
        for (u64 place = LOCAL_ID; place < places; place += GROUP_SIZE) {
            const plane_block block = next_block(&walk);
            real values[8];
            widen8(load_plane(x, block), values);
            for (u32 lane = 0; lane < 8; lane++) values[lane] = FMA(values[lane] - map.center, map.slope, map.level);
            if (residual != 0) {
                real added[8];
                widen8(load_plane_alone(residual, block), added);
                for (u32 lane = 0; lane < 8; lane++) values[lane] += added[lane];
            }
            follow(values, start + block.index, rectifies, resolved, threshold, drop_scale);
            store_plane(y, block, values);
        }
    }
}
