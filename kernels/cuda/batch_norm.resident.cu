// Batch normalization of training in one launch, x read once (formula and paper in portable/batch_norm.cl): a group
// keeps its share of x in shared memory from the moments until y. Where the parts of a channel are several groups',
// these are a team, are all there at once and wait for each other; parts of one group wait for nobody. One set, where
// everything counts, and eights of columns. Needs compute capability 8.0.
//
//   batch_norm_resident_planes   where the elements of a channel lie side by side: a part of a channel a group
//   batch_norm_resident_columns  where the channels of a place do: a tile of columns and a part of the rows

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "reduce.h"
#include "divisor.h"
#include "batch_norm_moments.h"
#include "cuda/resident.h"

#define BATCH_NORM_RESIDENT_PARAMETERS BATCH_NORM_FORWARD_PARAMETERS, RESIDENT_TEAM_PARAMETERS

// Blocks that DropBlock drops are left to the launches of several.
DEVICE norm_forward kept_forward_of(BATCH_NORM_FORWARD_PARAMETERS) {
    norm_forward own = forward_of(BATCH_NORM_FORWARD_ARGUMENTS);
    own.after.kept = 0;
    return own;
}

// The moments of a part of a channel, which is kept; the mean is relative to `reference`.
DEVICE moments kept_plane_moments(const scalar* x, uint4* resident, plane_walk begin, u32 places, real* reference,
                                  real* scratch) {
    const u32 blocks = (places + GROUP_SIZE - 1) / GROUP_SIZE, target = resident_address(resident);
    plane_walk walk = begin;
    u64 lanes_ahead = 0; // eight bits of each block that is on its way, the next to come lowest
    for (u32 block = 0; block < BLOCKS_AHEAD; block++) {
        const plane_block own = part_block(&walk, block, places);
        if (block < blocks) keep_block(target, block, x, own.index, has_elements(own));
        COMMIT_COPIES();
        lanes_ahead |= (u64)own.lanes << 8 * block;
    }
    const real from = plane_reference(x, begin, places, scratch);
    distance_sums sums = {0, 0, 0, 0};
    NO_UNROLL
    for (u32 block = 0; block < blocks; block++) {
        const u32 next = block + BLOCKS_AHEAD;
        const plane_block own = {0, (u32)lanes_ahead & ALL_LANES}, own_next = part_block(&walk, next, places);
        if (next < blocks) keep_block(target, next, x, own_next.index, has_elements(own_next));
        COMMIT_COPIES();
        lanes_ahead = lanes_ahead >> 8 | (u64)own_next.lanes << 56;
        WAIT_COPIES(BLOCKS_AHEAD);
        real values[8];
        widen8(kept_block(resident, block), values);
        fill_beside(own, values, from);
        add_distances(&sums, values, from);
        sums.count += lanes_of(own);
    }
    real totals[MOMENT_FIELDS] = {(real)sums.count, sums.sum, sums.squares, sums.coarse};
    team_sums(totals, MOMENT_FIELDS, GROUP_SIZE, scratch);
    *reference = from;
    return moments_of(totals[0], totals[1], totals[2], totals[3]);
}

KERNEL void batch_norm_resident_planes(BATCH_NORM_RESIDENT_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real scratch[MOMENT_FIELDS * GROUP_SIZE];
    const norm_forward pass = kept_forward_of(BATCH_NORM_FORWARD_ARGUMENTS);
    const resident_team team = team_of(RESIDENT_TEAM_ARGUMENTS);
    const u64 first = team.split * part, left = outer * width - first;
    const u32 places = (u32)(left < part ? left : part);
    for (u64 channel = team.number; channel < channels; channel += team.teams) {
        const plane_walk begin = walk_from(first + LOCAL_ID, 0, channel, channels, inner, width, 0);
        real reference;
        moments own = kept_plane_moments(pass.x, resident, begin, places, &reference, scratch);
        if (splits > 1) {
            if (LOCAL_ID == 0)
                store_moments(team.partial + team.split * MOMENT_ROWS * channels, channel, channels, reference, own);
            team_barrier(team);
            reference = first_reference(team.partial, channel, channels, splits);
            own = merged_parts(team.partial, channel, channels, reference, LOCAL_ID, GROUP_SIZE, splits);
            own = merged_depths(own, 1, scratch);
        }
        if (team.split == 0 && LOCAL_ID == 0)
            store_channel(pass.statistics, pass.running, channel, channels, reference, own, epsilon);
        const affine map = moments_affine(reference, own, epsilon, pass.gamma, pass.beta, channel);
        plane_walk walk = begin;
        // All items of a warp take part, some of them with nothing.
        for (u32 block = 0; block * GROUP_SIZE < places; block++) {
            plane_block to = part_block(&walk, block, places);
            const u32 apart = paired_block(&to);
            finish_plane(kept_fours(resident, block, apart), map, pass.residual, pass.y, to, apart, pass.after);
        }
        // The next copies take the place of what a neighbour reads.
        BARRIER();
    }
}

// Here inner is 1: columns are channels.
KERNEL void batch_norm_resident_columns(BATCH_NORM_RESIDENT_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real scratch[8 * COLUMN_STRIDE];
    SHARED real firsts_of[TILE_COLUMNS], sums_of[TILE_COLUMNS], squares_of[TILE_COLUMNS], coarse_of[TILE_COLUMNS];
    const norm_forward pass = kept_forward_of(BATCH_NORM_FORWARD_ARGUMENTS);
    const resident_team team = team_of(RESIDENT_TEAM_ARGUMENTS);
    const u32 deep = GROUP_SIZE / wide, columns = 8 * wide;
    for (u64 tile = team.number; tile < tiles; tile += team.teams) {
        const column_job own = column_job_at(team.split * tiles + tile, outer, channels, splits, part, tiles, wide);
        const u32 rows = own.count > 0 ? (u32)(own.end - own.begin) : 0u;
        const u32 blocks = (u32)(own.end - own.begin + deep - 1) / deep;
        const u64 first = (own.begin + depth_of(wide)) * channels + own.column, step = deep * channels;
        const u32 target = resident_address(resident);
        for (u32 block = 0; block < BLOCKS_AHEAD; block++) {
            if (block < blocks)
                keep_block(target, block, pass.x, first + block * step, block * deep + depth_of(wide) < rows);
            COMMIT_COPIES();
        }

        // Distances are from the mean of the rows that the items begin with, as in the launches of several.
        const u64 top = own.count > 0 ? own.begin * channels + own.column : 0;
        const real heads = (real)(own.end - own.begin < deep ? own.end - own.begin : deep);
        real from[8], sums[8], squares[8], coarse[8];
        widen8(load_columns(pass.x, top, own.count, own.apart), from);
        widen8(load_columns(pass.x, depth_of(wide) < rows ? first : top, own.count, own.apart), sums);
        for (u32 lane = 0; lane < 8; lane++) sums[lane] = depth_of(wide) < rows ? sums[lane] - from[lane] : (real)0;
        summed_columns(sums, wide, scratch, firsts_of);
        load_lanes(firsts_of, wide, own.apart, sums);
        for (u32 lane = 0; lane < 8; lane++) {
            from[lane] += sums[lane] / heads;
            sums[lane] = squares[lane] = coarse[lane] = 0;
        }
        NO_UNROLL
        for (u32 block = 0; block < blocks; block++) {
            const u32 next = block + BLOCKS_AHEAD;
            if (next < blocks)
                keep_block(target, next, pass.x, first + next * step, next * deep + depth_of(wide) < rows);
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
            reference = load(pass.x, own.begin * channels + channel) + firsts_of[column] / heads;
            of_channel =
                moments_of((real)(own.end - own.begin), sums_of[column], squares_of[column], coarse_of[column]);
        }
        if (splits > 1) {
            if (LOCAL_ID < columns && channel < channels)
                store_moments(team.partial + team.split * MOMENT_ROWS * channels, channel, channels, reference,
                              of_channel);
            team_barrier(team);
            if (channel < channels) {
                reference = first_reference(team.partial, channel, channels, splits);
                of_channel = merged_parts(team.partial, channel, channels, reference, LOCAL_ID / columns,
                                          GROUP_SIZE / columns, splits);
            }
            of_channel = merged_depths(of_channel, columns, scratch);
        }
        if (LOCAL_ID < columns && channel < channels) {
            if (team.split == 0)
                store_channel(pass.statistics, pass.running, channel, channels, reference, of_channel, epsilon);
            const affine map = moments_affine(reference, of_channel, epsilon, pass.gamma, pass.beta, channel);
            firsts_of[column] = map.center;
            sums_of[column] = map.slope;
            squares_of[column] = map.level;
        }
        BARRIER();
        const column_job to = paired_job(own, channels, wide);
        const u64 index = (own.begin + depth_of(wide)) * channels + to.column;
        real center[8], slope[8], level[8];
        load_lanes(firsts_of, wide, to.apart, center);
        load_lanes(sums_of, wide, to.apart, slope);
        load_lanes(squares_of, wide, to.apart, level);
        for (u32 block = 0, row = depth_of(wide); row < rows; block++, row += deep)
            finish_columns(kept_fours(resident, block, to.apart), center, slope, level, pass.residual, pass.y,
                           index + block * step, to.count, to.apart, pass.after);
        // The next copies take the place of what a neighbour reads.
        BARRIER();
    }
}
