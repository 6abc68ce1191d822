// Batch normalization: y = gamma (x - mean) / sqrt(variance + epsilon) + beta with mean and variance of each channel
// over a set of samples and all their places (Ioffe and Szegedy, ICML 2015). A residual, a ReLU and dropout may follow
// in the same pass: y = dropout(relu(... + residual)).
//
//   batch_norm_moments_planes   moments of a channel in parts, where its elements lie side by side
//   batch_norm_moments_columns  the same where the channels of a place do
//   batch_norm_statistics       merges the parts: mean and inverse deviation, and the running ones
//   batch_norm_apply            y
//   batch_norm_clear            0 where lengths say that nothing counts
//   batch_norm_forward          all of it in one launch, a work group a channel

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "reduce.h"
#include "divisor.h"
#include "batch_norm_moments.h"

// The moments of `places` places of a channel; the mean is relative to `reference`. `scratch` holds
// MOMENT_FIELDS * GROUP_SIZE values.
DEVICE INLINED moments plane_moments(GLOBAL const scalar* x, plane_walk walk, u64 places, real* reference,
                                     LOCAL real* scratch) {
    const real from = plane_reference(x, walk, places, scratch);
    distance_sums sums = {0, 0, 0, 0};
    for (u64 place = LOCAL_ID; place < places; place += PLANE_BLOCKS_AT_ONCE * GROUP_SIZE) {
        plane_block blocks[PLANE_BLOCKS_AT_ONCE];
        stored8 stored[PLANE_BLOCKS_AT_ONCE];
        for (u32 i = 0; i < PLANE_BLOCKS_AT_ONCE; i++) {
            blocks[i] = next_block_of(&walk, place + i * GROUP_SIZE < places);
            stored[i] = load_plane(x, blocks[i]);
        }
        for (u32 i = 0; i < PLANE_BLOCKS_AT_ONCE; i++) {
            real values[8];
            widen8(stored[i], values);
            fill_beside(blocks[i], values, from);
            add_distances(&sums, values, from);
            sums.count += lanes_of(blocks[i]);
        }
    }
    real totals[MOMENT_FIELDS] = {(real)sums.count, sums.sum, sums.squares, sums.coarse};
    team_sums(totals, MOMENT_FIELDS, GROUP_SIZE, scratch);
    *reference = from;
    return moments_of(totals[0], totals[1], totals[2], totals[3]);
}

// The parts of a unit are records of MOMENT_ROWS rows over all units.
KERNEL void batch_norm_moments_planes(GLOBAL const scalar* x, u64 x_offset, GLOBAL real* partial, u64 partial_offset,
                                      NORM_SHAPE_PARAMETERS, NORM_LENGTHS_PARAMETERS, u64 splits, u64 share,
                                      u64 width) {
    SHARED real scratch[MOMENT_FIELDS * GROUP_SIZE];
    const norm_lengths counted = lengths_of(lengths, lengths_offset, places, inverse, inverse_shift);
    const u64 units = sets * channels;
    x += x_offset;
    partial += partial_offset;
    for (u64 job = GROUP_ID; job < units * splits; job += GROUP_COUNT) {
        const u64 part = job / channels, channel = job - part * channels;
        const u64 set = part / splits, split = part - set * splits;
        const u64 end = outer * width < (split + 1) * share ? outer * width : (split + 1) * share;
        const u64 first = first_counted_place(counted.of_samples, split * share, end, set * outer, inner, width);
        const plane_walk walk =
            walk_from(first + LOCAL_ID, set * outer, channel, channels, inner, width, counted.of_samples);
        real reference;
        const moments own = plane_moments(x, walk, end - first, &reference, scratch);
        if (LOCAL_ID == 0)
            store_moments(partial + split * MOMENT_ROWS * units, set * channels + channel, units, reference, own);
    }
}

// Here inner is 1: columns are channels. Distances are from a number that all rows of a part share, so that sums are
// merged as sums: the mean of the rows that the items begin with, which no one element draws far from all others.
KERNEL void batch_norm_moments_columns(GLOBAL const scalar* x, u64 x_offset, GLOBAL real* partial, u64 partial_offset,
                                       NORM_SHAPE_PARAMETERS, NORM_LENGTHS_PARAMETERS, u64 splits, u64 share, u64 tiles,
                                       u32 wide) {
    SHARED real scratch[8 * COLUMN_STRIDE];
    SHARED real firsts_of[TILE_COLUMNS], sums_of[TILE_COLUMNS], squares_of[TILE_COLUMNS], coarse_of[TILE_COLUMNS];
    const norm_lengths counted = lengths_of(lengths, lengths_offset, places, inverse, inverse_shift);
    const u64 units = sets * channels, deep = GROUP_SIZE / wide, step = deep * channels;
    x += x_offset;
    partial += partial_offset;
    for (u64 job = GROUP_ID; job < sets * splits * tiles; job += GROUP_COUNT) {
        column_job own = column_job_at(job, outer, channels, splits, share, tiles, wide);
        own.begin = first_counted_row(counted, own.begin, own.end);
        const u64 rows = own.end - own.begin, stop = own.count > 0 ? own.end * channels : 0;
        real row_count[1] = {(real)rows};
#if HAS_MASKS
        count_rows(counted, own, wide, row_count, scratch);
#endif
        u64 head_rows = rows < deep ? rows : deep;
        if (counted.of_samples != 0 && rows > 0) {
            const u64 counts = counted_rows(counted, own.begin);
            head_rows = head_rows < counts ? head_rows : counts;
        }
        const real heads = (real)head_rows;
        u64 index = (own.begin + depth_of(wide)) * channels + own.column, row = own.begin + depth_of(wide);
        stored8 stored[BLOCKS_AT_ONCE];
        real from[8], sums[8], squares[8], coarse[8];
        for (u32 lane = 0; lane < 8; lane++) sums[lane] = squares[lane] = coarse[lane] = 0;
        // Every item loads it, with a row of its own or without.
        widen8(load_columns(x, own.count > 0 && rows > 0 ? own.begin * channels + own.column : 0, own.count, own.apart),
               from);
        if (index < stop) {
            load_rows(x, index, step, stop, own.count, own.apart, stored);
            real first[8];
            widen8(stored[0], first);
            if (depth_of(wide) < head_rows)
                for (u32 lane = 0; lane < 8; lane++) sums[lane] = first[lane] - from[lane];
        }
        summed_columns(sums, wide, scratch, firsts_of);
        load_lanes(firsts_of, wide, own.apart, sums);
        for (u32 lane = 0; lane < 8; lane++) {
            from[lane] += sums[lane] / heads;
            sums[lane] = 0;
        }
        while (index < stop) {
            UNROLL
            for (u32 i = 0; i < BLOCKS_AT_ONCE; i++)
                if (index + i * step < stop && row_counts(counted, row + i * deep))
                    add_row(stored[i], from, sums, squares, coarse);
            index += BLOCKS_AT_ONCE * step;
            row += BLOCKS_AT_ONCE * deep;
            if (index < stop) load_rows(x, index, step, stop, own.count, own.apart, stored);
        }
        summed_columns(sums, wide, scratch, sums_of);
        summed_columns(squares, wide, scratch, squares_of);
        summed_columns(coarse, wide, scratch, coarse_of);
        for (u32 i = LOCAL_ID; i < 8 * wide; i += GROUP_SIZE) {
            const u64 channel = 8 * own.tile * wide + i;
            if (channel < channels)
                store_moments(partial + own.split * MOMENT_ROWS * units, own.set * channels + channel, units,
                              rows > 0 ? load(x, own.begin * channels + channel) + firsts_of[i] / heads : (real)0,
                              moments_of(row_count[0], sums_of[i], squares_of[i], coarse_of[i]));
        }
    }
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
    const u64 units = sets * channels, deep = GROUP_SIZE / wide;
    partial += partial_offset;
    for (u64 first = GROUP_ID * wide; first < channels; first += GROUP_COUNT * wide) {
        const u64 channel = first + block_of(wide);
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
                reference = first_reference(partial, unit, units, splits);
                own = merged_parts(partial, unit, units, reference, depth_of(wide), deep, splits);
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
    SHARED real centers[TABLE_VALUES], slopes[TABLE_VALUES], levels[TABLE_VALUES];
    const norm_epilogue after = epilogue_of(NORM_EPILOGUE_ARGUMENTS);
    const norm_channels of = channels_of(NORM_CHANNEL_ARGUMENTS);
    const u64 columns = channels * inner, jobs = sets * splits * tiles, deep = GROUP_SIZE / wide;
    x += x_offset;
    y += y_offset;
    if (residual != 0) residual += residual_offset;
    for (u64 job = GROUP_ID; job < jobs; job += GROUP_COUNT) {
        const column_job own =
            paired_job(column_job_at(jobs - 1 - job, outer, columns, splits, share, tiles, wide), columns, wide);
        const u64 step = deep * columns, stop = own.count > 0 ? own.end * columns : 0;
        u64 index = (own.begin + depth_of(wide)) * columns + own.column;
        stored8 stored[BLOCKS_AT_ONCE];
        // On their way while coefficients are made.
        if (index < stop) load_rows(x, index, step, stop, own.count, own.apart, stored);
        real center[8], slope[8], level[8];
        tile_affines(own, of, channels, inner, wide, is_variance, epsilon, centers, slopes, levels);
        BARRIER();
        load_table(centers, wide, own.apart, center);
        load_table(slopes, wide, own.apart, slope);
        load_table(levels, wide, own.apart, level);
        BARRIER();
        while (index < stop) {
            UNROLL
            for (u32 i = 0; i < BLOCKS_AT_ONCE; i++) {
                const u64 at = index + i * step;
                if (at < stop)
                    finish_columns(stored[i], center, slope, level, residual, y, at, own.count, own.apart, after);
            }
            index += BLOCKS_AT_ONCE * step;
            if (index < stop) load_rows(x, index, step, stop, own.count, own.apart, stored);
        }
    }
}

// Makes 0 of what does not count, which is the end of each plane, or rows where channels come last. A run is a plane or
// a row; `per_sample` of them are a sample.
KERNEL void batch_norm_clear(GLOBAL scalar* y, u64 y_offset, GLOBAL const i32* lengths, u64 lengths_offset, u64 runs,
                             u64 run_length, u64 width, u64 width_inverse, u32 width_shift, u64 per_sample,
                             u64 per_sample_inverse, u32 per_sample_shift, u32 are_planes) {
    const real zeros[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    y += y_offset;
    lengths += lengths_offset;
    for (u64 job = GLOBAL_ID; job < runs * width; job += GLOBAL_SIZE) {
        const u64 run = quotient(job, width_inverse, width_shift);
        const u64 sample = quotient(run, per_sample_inverse, per_sample_shift), place = run - sample * per_sample;
        u64 counted = counted_places(lengths + sample, are_planes ? run_length : per_sample);
        if (!are_planes) counted = place < counted ? run_length : 0;
        if (counted == run_length) continue;
        plane_walk walk;
        walk.begin = run * run_length, walk.block = (u32)(job - run * width), walk.inner = (u32)run_length;
        walk.width = (u32)width, walk.stride = walk.stride_on = 0, walk.blocks_on = walk.samples_on = 0;
        walk.length = 0;
        plane_block block = next_block(&walk);
        const u64 first = run * run_length + counted;
        if (first >= block.index + 8) continue;
        if (first > block.index) block.lanes &= ALL_LANES << (u32)(first - block.index);
        store_plane(y, block, 4, zeros);
    }
}

// For channels of few elements, and one set.
KERNEL void batch_norm_forward(BATCH_NORM_FORWARD_PARAMETERS) {
    SHARED real scratch[MOMENT_FIELDS * GROUP_SIZE];
    const norm_forward pass = forward_of(BATCH_NORM_FORWARD_ARGUMENTS);
    const u64 places = outer * width;
    for (u64 channel = GROUP_ID; channel < channels; channel += GROUP_COUNT) {
        const plane_walk begin = walk_from(LOCAL_ID, 0, channel, channels, inner, width, 0);
        real reference;
        const moments own = plane_moments(pass.x, begin, places, &reference, scratch);
        if (LOCAL_ID == 0) store_channel(pass.statistics, pass.running, channel, channels, reference, own, epsilon);
        const affine map = moments_affine(reference, own, epsilon, pass.gamma, pass.beta, channel);
        plane_walk walk = begin;
        for (u64 place = LOCAL_ID; place < places; place += GROUP_SIZE) {
            const plane_block block = next_block(&walk);
            finish_plane(load_plane(pass.x, block), map, pass.residual, pass.y, block, 4, pass.after);
        }
    }
}
