// Batch normalization of training in one launch, x read once (formula and paper in portable/batch_norm.cl): a group
// keeps its share of x in shared memory from the moments until y. Where the parts of a channel are several groups',
// these are all there at once and wait for each other; parts of one group wait for nobody. One set, where everything
// counts, and eights of columns. Needs compute capability 8.0.
//
//   batch_norm_resident_planes   where the elements of a channel lie side by side: a part of a channel a group
//   batch_norm_resident_columns  where the channels of a place do: a tile of columns and a part of the rows

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "reduce.h"
#include "divisor.h"
#include "batch_norm_moments.h"
#include "cuda/copies.h"
#include "cuda/grid.h"

// `part` is what each of `splits` has of a channel, in places, or of the rows; a tile is 8 * wide columns, no more than
// a group has items. The rows of moments and the counter of the barrier are absent where splits is 1.
#define BATCH_NORM_RESIDENT_PARAMETERS                                                                                \
    BATCH_NORM_FORWARD_PARAMETERS, GLOBAL real *partial, u64 partial_offset, GLOBAL u32 *counter, u64 counter_offset, \
        u64 splits, u64 part, u64 tiles, u32 wide

// Copies of eight elements, and how many of those are on their way while sums are made.
#define BLOCK_COPIES (DTYPE_F32 ? 2 : 1)
#define BLOCKS_AHEAD 8

// Sums of several blocks at a time would take registers and gain nothing, as nobody waits for a load.
#define NO_UNROLL _Pragma("unroll 1")

// An item reads what it has copied itself, so that it need not wait for others. Copies of neighbours lie side by side.
DEVICE u32 resident_place(u32 block, u32 copy) { return (block * BLOCK_COPIES + copy) * GROUP_SIZE + LOCAL_ID; }

// Zeros where the block is outside.
DEVICE void keep_block(uint4* resident, u32 block, const scalar* x, u64 index, u32 is_inside) {
    UNROLL
    for (u32 copy = 0; copy < BLOCK_COPIES; copy++)
        copy_chunk(shared_address(resident + resident_place(block, copy)), global_address(x + index + 4 * copy),
                   is_inside);
}

DEVICE stored8 kept_block(const uint4* resident, u32 block) {
    stored8 stored;
    UNROLL
    for (u32 copy = 0; copy < BLOCK_COPIES; copy++) {
        const uint4 words = resident[resident_place(block, copy)];
#if DTYPE_F32
        stored.values[4 * copy] = AS_F32(words.x), stored.values[4 * copy + 1] = AS_F32(words.y);
        stored.values[4 * copy + 2] = AS_F32(words.z), stored.values[4 * copy + 3] = AS_F32(words.w);
#else
        stored.pairs[0] = words.x, stored.pairs[1] = words.y, stored.pairs[2] = words.z, stored.pairs[3] = words.w;
#endif
    }
    return stored;
}

// The moments of a part of a channel, which is kept; the mean is relative to `reference`.
DEVICE moments kept_plane_moments(const scalar* x, uint4* resident, plane_walk walk, u32 places, real* reference,
                                  real* scratch) {
    const u32 blocks = (places + GROUP_SIZE - 1) / GROUP_SIZE;
    plane_walk ahead = walk;
    for (u32 block = 0; block < BLOCKS_AHEAD; block++) {
        const plane_block own = next_block(&ahead);
        const u32 is_inside = block * GROUP_SIZE + LOCAL_ID < places && own.end > own.first;
        if (block < blocks) keep_block(resident, block, x, is_inside ? own.index : 0, is_inside);
        COMMIT_COPIES();
    }
    const real from = plane_reference(x, walk, places, scratch);
    distance_sums sums = {0, 0, 0, 0};
    NO_UNROLL
    for (u32 block = 0; block < blocks; block++) {
        const u32 next = block + BLOCKS_AHEAD;
        const plane_block own_next = next_block(&ahead);
        const u32 is_inside = next * GROUP_SIZE + LOCAL_ID < places && own_next.end > own_next.first;
        if (next < blocks) keep_block(resident, next, x, is_inside ? own_next.index : 0, is_inside);
        COMMIT_COPIES();
        WAIT_COPIES(BLOCKS_AHEAD);
        plane_block own = next_block(&walk);
        if (block * GROUP_SIZE + LOCAL_ID >= places) own.first = own.end = 0;
        real values[8];
        widen8(kept_block(resident, block), values);
        fill_beside(own, values, from);
        add_distances(&sums, values, from);
        sums.count += own.end > own.first ? own.end - own.first : 0u;
    }
    real totals[MOMENT_FIELDS] = {(real)sums.count, sums.sum, sums.squares, sums.coarse};
    team_sums(totals, MOMENT_FIELDS, GROUP_SIZE, scratch);
    *reference = from;
    return moments_of(totals[0], totals[1], totals[2], totals[3]);
}

KERNEL void batch_norm_resident_planes(BATCH_NORM_RESIDENT_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real scratch[MOMENT_FIELDS * GROUP_SIZE];
    const norm_epilogue after = epilogue_of(rectifies, threshold, drop_scale, start, kept, kept_offset, kept_words,
                                            scales, scales_offset, block_scale, key, key_offset, seed, offset);
    const running_values running =
        running_of(running_mean, running_mean_offset, running_variance, running_variance_offset, share, is_unbiased);
    x += x_offset;
    y += y_offset;
    partial += partial_offset;
    statistics += statistics_offset;
    if (residual != 0) residual += residual_offset;
    if (gamma != 0) gamma += gamma_offset;
    if (beta != 0) beta += beta_offset;
    for (u64 job = GROUP_ID; job < channels * splits; job += GROUP_COUNT) {
        const u64 split = job / channels, channel = job - split * channels, first = split * part;
        const u64 left = outer * width - first;
        const u32 places = (u32)(left < part ? left : part);
        const plane_walk begin = walk_from(first + LOCAL_ID, 0, channel, channels, inner, width, 0);
        real reference;
        moments own = kept_plane_moments(x, resident, begin, places, &reference, scratch);
        if (splits > 1) {
            if (LOCAL_ID == 0)
                store_moments(partial + split * MOMENT_ROWS * channels, channel, channels, reference, own);
            grid_barrier(counter + counter_offset);
            reference = first_reference(partial, channel, channels, splits);
            own = merged_parts(partial, channel, channels, reference, LOCAL_ID, GROUP_SIZE, splits);
            own = merged_depths(own, 1, scratch);
        }
        if (split == 0 && LOCAL_ID == 0) store_channel(statistics, running, channel, channels, reference, own, epsilon);
        const real mean = reference + own.mean;
        const affine map = affine_of(mean, rest_of_sum(reference, own.mean, mean), inverse_deviation_of(own, epsilon),
                                     gamma, beta, channel);
        plane_walk walk = begin;
        for (u32 place = LOCAL_ID, block = 0; place < places; place += GROUP_SIZE, block++) {
            const plane_block at = next_block(&walk);
            real values[8];
            widen8(kept_block(resident, block), values);
            for (u32 lane = 0; lane < 8; lane++) values[lane] = FMA(values[lane] - map.center, map.slope, map.level);
            if (residual != 0) {
                real added[8];
                widen8(load_plane_alone(residual, at), added);
                for (u32 lane = 0; lane < 8; lane++) values[lane] += added[lane];
            }
            follow(values, at.index, after);
            store_plane(y, at, values);
        }
    }
}

// Here inner is 1: columns are channels.
KERNEL void batch_norm_resident_columns(BATCH_NORM_RESIDENT_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real scratch[8 * COLUMN_STRIDE];
    SHARED real firsts_of[TILE_COLUMNS], sums_of[TILE_COLUMNS], squares_of[TILE_COLUMNS], coarse_of[TILE_COLUMNS];
    const norm_epilogue after = epilogue_of(rectifies, threshold, drop_scale, start, kept, kept_offset, kept_words,
                                            scales, scales_offset, block_scale, key, key_offset, seed, offset);
    const running_values running =
        running_of(running_mean, running_mean_offset, running_variance, running_variance_offset, share, is_unbiased);
    const u32 deep = GROUP_SIZE / wide, columns = 8 * wide;
    x += x_offset;
    y += y_offset;
    partial += partial_offset;
    statistics += statistics_offset;
    if (residual != 0) residual += residual_offset;
    if (gamma != 0) gamma += gamma_offset;
    if (beta != 0) beta += beta_offset;
    for (u64 job = GROUP_ID; job < splits * tiles; job += GROUP_COUNT) {
        const column_job own = column_job_at(job, outer, channels, splits, part, tiles, wide);
        const u32 rows = own.count > 0 ? (u32)(own.end - own.begin) : 0u;
        const u32 blocks = (u32)(own.end - own.begin + deep - 1) / deep;
        const u64 first = (own.begin + depth_of(wide)) * channels + own.column, step = deep * channels;
        for (u32 block = 0; block < BLOCKS_AHEAD; block++) {
            const u32 is_inside = block * deep + depth_of(wide) < rows;
            if (block < blocks) keep_block(resident, block, x, is_inside ? first + block * step : 0, is_inside);
            COMMIT_COPIES();
        }

        // Distances are from the mean of the rows that the items begin with, as in the launches of several.
        const u64 top = own.count > 0 ? own.begin * channels + own.column : 0;
        const real heads = (real)(own.end - own.begin < deep ? own.end - own.begin : deep);
        real from[8], sums[8], squares[8], coarse[8];
        widen8(load_columns(x, top, own.count), from);
        widen8(load_columns(x, depth_of(wide) < rows ? first : top, own.count), sums);
        for (u32 lane = 0; lane < 8; lane++) sums[lane] = depth_of(wide) < rows ? sums[lane] - from[lane] : (real)0;
        summed_columns(sums, wide, scratch, firsts_of);
        load_lanes(firsts_of, wide, sums);
        for (u32 lane = 0; lane < 8; lane++) {
            from[lane] += sums[lane] / heads;
            sums[lane] = squares[lane] = coarse[lane] = 0;
        }
        NO_UNROLL
        for (u32 block = 0; block < blocks; block++) {
            const u32 next = block + BLOCKS_AHEAD, is_inside = next * deep + depth_of(wide) < rows;
            if (next < blocks) keep_block(resident, next, x, is_inside ? first + next * step : 0, is_inside);
            COMMIT_COPIES();
            WAIT_COPIES(BLOCKS_AHEAD);
            if (block * deep + depth_of(wide) < rows) add_row(kept_block(resident, block), from, sums, squares, coarse);
        }
        summed_columns(sums, wide, scratch, sums_of);
        summed_columns(squares, wide, scratch, squares_of);
        summed_columns(coarse, wide, scratch, coarse_of);

        // An item a channel, and then as many as there are for the parts of one.
        const u32 column = LOCAL_ID & (columns - 1);
        const u64 channel = 8 * own.tile * wide + column;
        moments of_channel = {0, 0, 0, 0};
        real reference = 0;
        if (LOCAL_ID < columns && channel < channels) {
            reference = load(x, own.begin * channels + channel) + firsts_of[column] / heads;
            of_channel =
                moments_of((real)(own.end - own.begin), sums_of[column], squares_of[column], coarse_of[column]);
        }
        if (splits > 1) {
            if (LOCAL_ID < columns && channel < channels)
                store_moments(partial + own.split * MOMENT_ROWS * channels, channel, channels, reference, of_channel);
            grid_barrier(counter + counter_offset);
            if (channel < channels) {
                reference = first_reference(partial, channel, channels, splits);
                of_channel = merged_parts(partial, channel, channels, reference, LOCAL_ID / columns,
                                          GROUP_SIZE / columns, splits);
            }
            of_channel = merged_depths(of_channel, columns, scratch);
        }
        if (LOCAL_ID < columns && channel < channels) {
            if (own.split == 0) store_channel(statistics, running, channel, channels, reference, of_channel, epsilon);
            const real mean = reference + of_channel.mean;
            const affine map = affine_of(mean, rest_of_sum(reference, of_channel.mean, mean),
                                         inverse_deviation_of(of_channel, epsilon), gamma, beta, channel);
            firsts_of[column] = map.center;
            sums_of[column] = map.slope;
            squares_of[column] = map.level;
        }
        BARRIER();
        real center[8], slope[8], level[8];
        load_lanes(firsts_of, wide, center);
        load_lanes(sums_of, wide, slope);
        load_lanes(squares_of, wide, level);
        for (u32 block = 0, row = depth_of(wide); row < rows; block++, row += deep) {
            const u64 at = first + block * step;
            real values[8];
            widen8(kept_block(resident, block), values);
            for (u32 lane = 0; lane < 8; lane++)
                values[lane] = FMA(values[lane] - center[lane], slope[lane], level[lane]);
            if (residual != 0) {
                real added[8];
                widen8(load_columns(residual, at, own.count), added);
                for (u32 lane = 0; lane < 8; lane++) values[lane] += added[lane];
            }
            follow(values, at, after);
            store_columns(y, at, own.count, values);
        }
    }
}
