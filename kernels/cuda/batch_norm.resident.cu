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

DEVICE u32 keep_plane(resident_blocks held, u64 x, part_walk* walk, u32 place) {
    u32 apart;
    const plane_block own = part_block(walk, place, &apart);
    keep_block(held, 0, place, x, own.index, apart, own.lanes);
    return own.lanes;
}

// Distances of a block that has come; 0 beside the plane.
DEVICE void kept_distances(resident_blocks held, u32 place, u32 lanes, real from, real* distances) {
    widen8(kept_block(held, 0, place), distances);
    const plane_block own = {0, lanes};
    if (lanes != ALL_LANES) fill_beside(own, distances, from);
    for (u32 lane = 0; lane < 8; lane++) distances[lane] -= from;
}

DEVICE real scaled_down(real squares) { return squares * MOMENTS_DOWN * MOMENTS_DOWN; }

DEVICE void add_scaled_down(const real* distances, u32 lane, real* coarse) {
    const real down = distances[lane] * MOMENTS_DOWN;
    *coarse = FMA(down, down, *coarse);
}

// Squares of an item's distances, scaled down before they are added up: where the squares themselves are too large.
DEVICE real kept_plane_coarse(resident_blocks held, part_walk walk, real from) {
    real coarse = 0;
    u32 apart;
    NO_UNROLL
    for (u32 place = LOCAL_ID; place < walk.places; place += GROUP_SIZE) {
        real distances[8];
        kept_distances(held, place, part_block(&walk, place, &apart).lanes, from, distances);
        for (u32 lane = 0; lane < 8; lane++) add_scaled_down(distances, lane, &coarse);
    }
    return coarse;
}

// The moments of a part of a channel, which is kept; the mean is relative to `reference`.
DEVICE moments kept_plane_moments(const scalar* x, resident_blocks held, plane_walk begin, u32 places, real* reference,
                                  real* scratch) {
    part_walk walk = part_walk_of(begin, places);
    const u64 source = global_address(x);
    u64 lanes_ahead = 0; // eight bits of each block that is on its way, the next to come lowest
    NO_UNROLL
    for (u32 turn = 0; turn < BLOCKS_AHEAD; turn++) {
        const u32 place = turn * GROUP_SIZE + LOCAL_ID;
        if (place < places) lanes_ahead |= (u64)keep_plane(held, source, &walk, place) << 8 * turn;
        COMMIT_COPIES();
    }
    const real from = plane_reference(x, begin, places, scratch);
    real sum = 0, squares = 0;
    u32 count = 0;
    NO_UNROLL
    for (u32 place = LOCAL_ID; place < places; place += GROUP_SIZE) {
        const u32 next = place + BLOCKS_AHEAD * GROUP_SIZE, lanes = (u32)lanes_ahead & ALL_LANES;
        lanes_ahead >>= 8;
        if (next < places) lanes_ahead |= (u64)keep_plane(held, source, &walk, next) << 56;
        COMMIT_COPIES();
        WAIT_COPIES(BLOCKS_AHEAD);
        real distances[8], own_sum = 0, own_squares = 0;
        kept_distances(held, place, lanes, from, distances);
        for (u32 lane = 0; lane < 8; lane++) {
            own_sum += distances[lane];
            own_squares = FMA(distances[lane], distances[lane], own_squares);
        }
        sum += own_sum;
        squares += own_squares;
        count += COUNT_ONES((u64)lanes);
    }
    const real coarse =
        is_finite(squares) ? scaled_down(squares) : kept_plane_coarse(held, part_walk_of(begin, places), from);
    real totals[MOMENT_FIELDS] = {(real)count, sum, squares, coarse};
    team_sums(totals, MOMENT_FIELDS, GROUP_SIZE, scratch);
    *reference = from;
    return moments_of(totals[0], totals[1], totals[2], totals[3]);
}

KERNEL void batch_norm_resident_planes(BATCH_NORM_RESIDENT_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real scratch[MOMENT_FIELDS * GROUP_SIZE];
    const norm_forward pass = kept_forward_of(BATCH_NORM_FORWARD_ARGUMENTS);
    const resident_team team = team_of(RESIDENT_TEAM_ARGUMENTS);
    const resident_blocks held = resident_of(resident, part);
    const u64 first = team.split * part, left = outer * width - first;
    const u32 places = (u32)(left < part ? left : part);
    for (u64 channel = team.number; channel < channels; channel += team.teams) {
        const plane_walk begin = walk_from(first + LOCAL_ID, 0, channel, channels, inner, width, 0);
        real reference;
        moments own = kept_plane_moments(pass.x, held, begin, places, &reference, scratch);
        if (splits > 1) {
            if (LOCAL_ID == 0)
                store_moments(team.partial + team.split * MOMENT_ROWS * channels, channel, channels, reference, own);
            team_barrier(team);
            reference = first_reference(team.partial, channel, channels, splits);
            // What an item merges at once takes no barrier.
            const u32 is_alone = splits <= PARTS_AT_ONCE;
            own = merged_parts(team.partial, channel, channels, reference, is_alone ? 0 : LOCAL_ID,
                               is_alone ? 1 : GROUP_SIZE, splits);
            if (!is_alone) own = merged_depths(own, 1, scratch);
        }
        if (team.split == 0 && LOCAL_ID == 0)
            store_channel(pass.statistics, pass.running, channel, channels, reference, own, epsilon);
        const affine map = moments_affine(reference, own, epsilon, pass.gamma, pass.beta, channel);
        part_walk walk = part_walk_of(begin, places);
        for (u32 place = LOCAL_ID; place < places; place += GROUP_SIZE) {
            u32 apart;
            const plane_block to = part_block(&walk, place, &apart);
            finish_plane(kept_block(held, 0, place), map, pass.residual, pass.y, to, apart, pass.after);
        }
    }
}

// Here inner is 1: columns are channels.
KERNEL void batch_norm_resident_columns(BATCH_NORM_RESIDENT_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real scratch[COLUMN_SCRATCH], centers[TABLE_VALUES], slopes[TABLE_VALUES], levels[TABLE_VALUES];
    const norm_forward pass = kept_forward_of(BATCH_NORM_FORWARD_ARGUMENTS);
    const resident_team team = team_of(RESIDENT_TEAM_ARGUMENTS);
    const resident_blocks held = resident_of(resident, part * wide);
    const u32 deep = GROUP_SIZE / wide, columns = 8 * wide;
    const u64 step = deep * channels, source = global_address(pass.x);
    for (u64 tile = team.number; tile < tiles; tile += team.teams) {
        const column_job own = paired_job(
            column_job_at(team.split * tiles + tile, outer, channels, splits, part, tiles, wide), channels, wide);
        const u32 rows = (u32)(own.end - own.begin), places = own.count > 0 ? rows * wide : 0u;
        const u64 first = (own.begin + depth_of(wide)) * channels + own.column;
        u64 ahead = first;
        NO_UNROLL
        for (u32 turn = 0; turn < BLOCKS_AHEAD; turn++, ahead += step) {
            const u32 place = turn * GROUP_SIZE + LOCAL_ID;
            if (place < places) keep_block(held, 0, place, source, ahead, own.apart, ALL_LANES);
            COMMIT_COPIES();
        }

        // Distances are from the mean of the rows that the items begin with, as in the launches of several.
        const u64 top = own.count > 0 ? own.begin * channels + own.column : 0;
        const u32 has_row = LOCAL_ID < places;
        const real heads = (real)(rows < deep ? rows : deep);
        real from[8], sums[8], squares[8];
        widen8(load_columns(pass.x, top, own.count, own.apart), from);
        widen8(load_columns(pass.x, has_row ? first : top, own.count, own.apart), sums);
        for (u32 lane = 0; lane < 8; lane++) sums[lane] = has_row ? sums[lane] - from[lane] : (real)0;
        const real firsts = column_total(sums, wide, own.apart, scratch);
        if (LOCAL_ID < columns) centers[table_place(LOCAL_ID)] = firsts;
        BARRIER();
        load_table(centers, wide, own.apart, sums);
        for (u32 lane = 0; lane < 8; lane++) {
            from[lane] += sums[lane] / heads;
            sums[lane] = squares[lane] = 0;
        }
        NO_UNROLL
        for (u32 place = LOCAL_ID; place < places; place += GROUP_SIZE, ahead += step) {
            const u32 next = place + BLOCKS_AHEAD * GROUP_SIZE;
            if (next < places) keep_block(held, 0, next, source, ahead, own.apart, ALL_LANES);
            COMMIT_COPIES();
            WAIT_COPIES(BLOCKS_AHEAD);
            real distances[8];
            widen8(kept_block(held, 0, place), distances);
            for (u32 lane = 0; lane < 8; lane++) {
                distances[lane] -= from[lane];
                sums[lane] += distances[lane];
                squares[lane] = FMA(distances[lane], distances[lane], squares[lane]);
            }
        }
        const real sum = column_total(sums, wide, own.apart, scratch);
        const real of_squares = column_total(squares, wide, own.apart, scratch);
        real of_coarse = scaled_down(of_squares);
        if (__syncthreads_or(!is_finite(of_squares))) {
            real coarse[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            NO_UNROLL
            for (u32 place = LOCAL_ID; place < places; place += GROUP_SIZE) {
                real distances[8];
                widen8(kept_block(held, 0, place), distances);
                for (u32 lane = 0; lane < 8; lane++) {
                    distances[lane] -= from[lane];
                    add_scaled_down(distances, lane, coarse + lane);
                }
            }
            of_coarse = column_total(coarse, wide, own.apart, scratch);
        }

        // An item a channel, and then as many as there are for the parts of one.
        const u64 channel = 8 * own.tile * wide + (LOCAL_ID & (columns - 1));
        const u32 has_channel = LOCAL_ID < columns && channel < channels;
        moments of_channel = {0, 0, 0, 0};
        real reference = 0;
        if (has_channel) {
            reference = load(pass.x, own.begin * channels + channel) + firsts / heads;
            of_channel = moments_of((real)rows, sum, of_squares, of_coarse);
        }
        if (splits > 1) {
            if (has_channel)
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
        affine map = {0, 0, 0};
        if (has_channel) {
            if (team.split == 0)
                store_channel(pass.statistics, pass.running, channel, channels, reference, of_channel, epsilon);
            map = moments_affine(reference, of_channel, epsilon, pass.gamma, pass.beta, channel);
        }
        if (LOCAL_ID < columns) {
            centers[table_place(LOCAL_ID)] = map.center;
            slopes[table_place(LOCAL_ID)] = map.slope;
            levels[table_place(LOCAL_ID)] = map.level;
        }
        BARRIER();
        real center[8], slope[8], level[8];
        load_table(centers, wide, own.apart, center);
        load_table(slopes, wide, own.apart, slope);
        load_table(levels, wide, own.apart, level);
        u64 index = first;
        for (u32 place = LOCAL_ID; place < places; place += GROUP_SIZE, index += step)
            finish_columns(kept_block(held, 0, place), center, slope, level, pass.residual, pass.y, index, own.count,
                           own.apart, pass.after);
    }
}
