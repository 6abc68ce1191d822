// Gradients of batch normalization in one launch, dy and x read once (formula in portable/batch_norm_backward.cl): a
// group keeps its share of both in shared memory from the sums until dx. Parts, teams and what it takes are those of
// the forward pass (batch_norm.resident.cu); a part is half as long.
//
// Moved are 3 values an element, dy, x and dx, where the launches of several move 5: 12 bytes in place of 20 in float,
// 6 in place of 10 in the half types. With the gradient of a residual it is 4 in place of 6, and with y besides, which
// is read once too, 5 in place of 8. Which elements pass the ReLU and dropout is found out once: from then on what is
// kept of dy is 0 where they do not, and g is that times the scale of dropout. So an element takes its part of one
// draw, or of two where items take fours in turn, a product for the sums, and four for dx.
//
//   batch_norm_resident_backward_planes   where the elements of a channel lie side by side
//   batch_norm_resident_backward_columns  where the channels of a place do

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "reduce.h"
#include "divisor.h"
#include "batch_norm_gradients.h"
#include "cuda/resident.h"

// Planes are whole chunks: dx or the gradient of a residual may take the place of dy, and of a chunk that is not whole
// other groups read the rest.
#define BATCH_NORM_RESIDENT_BACKWARD_PARAMETERS BATCH_NORM_BACKWARD_PARAMETERS, RESIDENT_TEAM_PARAMETERS

// Blocks that DropBlock drops are left to the launches of several.
DEVICE norm_backward kept_backward_of(BATCH_NORM_BACKWARD_PARAMETERS) {
    norm_backward own = backward_of(BATCH_NORM_BACKWARD_ARGUMENTS);
    own.after.kept = 0;
    return own;
}

// What is kept, in this order.
#define OF_DY 0
#define OF_X  1

// A pair is a block of dy and one of x.
#define PAIRS_AHEAD (BLOCKS_AHEAD / 2)

typedef struct {
    u64 dy, x;
} pair_sources;

DEVICE pair_sources sources_of(norm_backward pass) {
    const pair_sources own = {global_address(pass.dy), global_address(pass.x)};
    return own;
}

DEVICE void keep_pair(resident_blocks held, u32 place, pair_sources of, u64 index, u32 apart, u32 lanes) {
    keep_block(held, OF_DY, place, of.dy, index, apart, lanes);
    keep_block(held, OF_X, place, of.x, index, apart, lanes);
}

DEVICE void kept_pair(resident_blocks held, u32 place, real* gradients, real* x) {
    widen8(kept_block(held, OF_DY, place), gradients);
    widen8(kept_block(held, OF_X, place), x);
}

// Whether some elements may not pass.
DEVICE u32 selects(norm_backward pass) { return pass.y != 0 || pass.after.rectifies || pass.after.threshold < 65536u; }

DEVICE norm_epilogue unscaled(norm_epilogue after) {
    after.drop_scale = 1;
    return after;
}

// Sums of g and of g d of a part of a channel, and its elements. What is kept of dy becomes g without its scale.
DEVICE void kept_plane_sums(norm_backward pass, resident_blocks held, part_walk walk, affine map, real* sums,
                            real* scratch) {
    const u32 is_selected = selects(pass);
    const norm_epilogue after = unscaled(pass.after);
    const pair_sources sources = sources_of(pass);
    const u32 places = walk.places;
    part_walk ahead = walk;
    u32 apart;
    NO_UNROLL
    for (u32 turn = 0; turn < PAIRS_AHEAD; turn++) {
        const u32 place = turn * GROUP_SIZE + LOCAL_ID;
        if (place < places) {
            const plane_block own = part_block(&ahead, place, &apart);
            keep_pair(held, place, sources, own.index, apart, own.lanes);
        }
        COMMIT_COPIES();
    }
    plane_block own = part_block(&walk, LOCAL_ID, &apart);
    stored8 output = {{0}};
    if (pass.y != 0 && LOCAL_ID < places) output = load_fours(pass.y, own.lanes != 0 ? own.index : 0, apart);
    sums[0] = sums[1] = sums[2] = 0;
    NO_UNROLL
    for (u32 place = LOCAL_ID; place < places; place += GROUP_SIZE) {
        const u32 next = place + PAIRS_AHEAD * GROUP_SIZE;
        if (next < places) {
            u32 next_apart;
            const plane_block own_next = part_block(&ahead, next, &next_apart);
            keep_pair(held, next, sources, own_next.index, next_apart, own_next.lanes);
        }
        COMMIT_COPIES();
        real gradients[8], distances[8], outputs[8];
        widen8(output, outputs);
        // On its way while this block has its turn.
        u32 following_apart;
        const plane_block following = part_block(&walk, place + GROUP_SIZE, &following_apart);
        if (pass.y != 0 && place + GROUP_SIZE < places)
            output = load_fours(pass.y, following.lanes != 0 ? following.index : 0, following_apart);
        WAIT_COPIES(PAIRS_AHEAD);
        kept_pair(held, place, gradients, distances);
        lead_plane(gradients, distances, outputs, pass.y != 0, map, own.index, apart, after);
        if (is_selected) replace_block(held, OF_DY, place, gradients);
        add_block(own, gradients, distances, sums);
        own = following;
        apart = following_apart;
    }
    team_sums(sums, GRADIENT_ROWS, GROUP_SIZE, scratch);
    sums[0] *= pass.after.drop_scale;
    sums[1] *= pass.after.drop_scale;
}

KERNEL void batch_norm_resident_backward_planes(BATCH_NORM_RESIDENT_BACKWARD_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real scratch[GRADIENT_ROWS * GROUP_SIZE];
    const norm_backward pass = kept_backward_of(BATCH_NORM_BACKWARD_ARGUMENTS);
    const norm_channels of = pass.channels;
    const resident_team team = team_of(RESIDENT_TEAM_ARGUMENTS);
    const resident_blocks held = resident_of(resident, part);
    const real scale = pass.after.drop_scale;
    const u64 first = team.split * part, left = outer * width - first;
    const u32 places = (u32)(left < part ? left : part);
    for (u64 channel = team.number; channel < channels; channel += team.teams) {
        const part_walk begin =
            part_walk_of(walk_from(first + LOCAL_ID, 0, channel, channels, inner, width, 0), places);
        const affine map = channel_affine(of, channel, channel, 0, 0);
        real sums[GRADIENT_ROWS];
        kept_plane_sums(pass, held, begin, map, sums, scratch);
        if (splits > 1) {
            if (LOCAL_ID == 0)
                store_sums(team.partial + team.split * GRADIENT_ROWS * channels, channel, channels, sums, sums[2]);
            team_barrier(team);
            sums[0] = sums[1] = sums[2] = 0;
            // What an item adds at once takes no barrier.
            const u32 is_alone = splits <= PARTS_AT_ONCE;
            add_parts(team.partial, channel, channels, is_alone ? 0 : LOCAL_ID, is_alone ? 1 : GROUP_SIZE, splits,
                      sums);
            if (!is_alone) team_sums(sums, GRADIENT_ROWS, GROUP_SIZE, scratch);
        }
        const correction own = correction_of(sums, of.mean[channel], of.rest[channel], of.spread[channel]);
        if (team.split == 0 && LOCAL_ID == 0) store_gradients(pass, channel, own, sums[0]);
        part_walk walk = begin;
        for (u32 place = LOCAL_ID; place < places; place += GROUP_SIZE) {
            u32 apart;
            const plane_block to = part_block(&walk, place, &apart);
            real gradients[8], x[8];
            kept_pair(held, place, gradients, x);
            for (u32 lane = 0; lane < 8; lane++) gradients[lane] *= scale;
            if (pass.dresidual != 0) store_plane(pass.dresidual, to, apart, gradients);
            for (u32 lane = 0; lane < 8; lane++)
                gradients[lane] = map.slope * FMA(-own.tilt, x[lane] - map.center, gradients[lane] - own.shift);
            store_plane(pass.dx, to, apart, gradients);
        }
    }
}

// Here inner is 1: columns are channels.
KERNEL void batch_norm_resident_backward_columns(BATCH_NORM_RESIDENT_BACKWARD_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real scratch[COLUMN_SCRATCH], centers[TABLE_VALUES], slopes[TABLE_VALUES], levels[TABLE_VALUES];
    const norm_backward pass = kept_backward_of(BATCH_NORM_BACKWARD_ARGUMENTS);
    const norm_channels of = pass.channels;
    const resident_team team = team_of(RESIDENT_TEAM_ARGUMENTS);
    const resident_blocks held = resident_of(resident, part * wide);
    const norm_epilogue after = unscaled(pass.after);
    const pair_sources sources = sources_of(pass);
    const real scale = pass.after.drop_scale;
    const u32 deep = GROUP_SIZE / wide, columns = 8 * wide, is_selected = selects(pass);
    const u64 step = deep * channels;
    for (u64 tile = team.number; tile < tiles; tile += team.teams) {
        const column_job own = paired_job(
            column_job_at(team.split * tiles + tile, outer, channels, splits, part, tiles, wide), channels, wide);
        const u32 rows = (u32)(own.end - own.begin), places = own.count > 0 ? rows * wide : 0u;
        const u64 first = (own.begin + depth_of(wide)) * channels + own.column;
        u64 ahead = first, index = first;
        NO_UNROLL
        for (u32 turn = 0; turn < PAIRS_AHEAD; turn++, ahead += step) {
            const u32 place = turn * GROUP_SIZE + LOCAL_ID;
            if (place < places) keep_pair(held, place, sources, ahead, own.apart, ALL_LANES);
            COMMIT_COPIES();
        }
        stored8 output = {{0}};
        if (pass.y != 0 && LOCAL_ID < places) output = load_columns(pass.y, first, own.count, own.apart);
        tile_affines(own, of, channels, 1, wide, 0, 0, centers, slopes, levels);
        BARRIER();
        real center[8], slope[8], level[8], sums[8], products[8];
        load_table(centers, wide, own.apart, center);
        load_table(slopes, wide, own.apart, slope);
        load_table(levels, wide, own.apart, level);
        for (u32 lane = 0; lane < 8; lane++) sums[lane] = products[lane] = 0;
        NO_UNROLL
        for (u32 place = LOCAL_ID; place < places; place += GROUP_SIZE, index += step, ahead += step) {
            const u32 next = place + PAIRS_AHEAD * GROUP_SIZE;
            if (next < places) keep_pair(held, next, sources, ahead, own.apart, ALL_LANES);
            COMMIT_COPIES();
            real gradients[8], distances[8], outputs[8];
            widen8(output, outputs);
            // On its way while this row has its turn.
            if (pass.y != 0 && place + GROUP_SIZE < places)
                output = load_columns(pass.y, index + step, own.count, own.apart);
            WAIT_COPIES(PAIRS_AHEAD);
            kept_pair(held, place, gradients, distances);
            for (u32 lane = 0; lane < 8; lane++) distances[lane] -= center[lane];
            lead(gradients, distances, outputs, pass.y != 0, slope, level, index, own.apart, after);
            if (is_selected) replace_block(held, OF_DY, place, gradients);
            for (u32 lane = 0; lane < 8; lane++) {
                sums[lane] += gradients[lane];
                products[lane] = FMA(gradients[lane], distances[lane], products[lane]);
            }
        }

        // An item a channel, and then as many as there are for the parts of one.
        real totals[GRADIENT_ROWS];
        totals[0] = column_total(sums, wide, own.apart, scratch) * scale;
        totals[1] = column_total(products, wide, own.apart, scratch) * scale;
        totals[2] = (real)rows;
        const u32 column = LOCAL_ID & (columns - 1);
        const u64 channel = 8 * own.tile * wide + column;
        if (splits > 1) {
            if (LOCAL_ID < columns && channel < channels)
                store_sums(team.partial + team.split * GRADIENT_ROWS * channels, channel, channels, totals, totals[2]);
            team_barrier(team);
            totals[0] = totals[1] = totals[2] = 0;
            if (channel < channels)
                add_parts(team.partial, channel, channels, LOCAL_ID / columns, GROUP_SIZE / columns, splits, totals);
            summed_depths(totals, columns, scratch);
        }
        correction taken = {0, 0, 0};
        if (LOCAL_ID < columns && channel < channels) {
            taken = correction_of(totals, of.mean[channel], of.rest[channel], of.spread[channel]);
            if (team.split == 0) store_gradients(pass, channel, taken, totals[0]);
        }
        // Tables in the place of sums.
        real *shifts = scratch, *tilts = scratch + TABLE_VALUES;
        if (LOCAL_ID < columns) {
            shifts[table_place(LOCAL_ID)] = taken.shift;
            tilts[table_place(LOCAL_ID)] = taken.tilt;
        }
        BARRIER();
        real shift[8], tilt[8];
        load_table(centers, wide, own.apart, center);
        load_table(slopes, wide, own.apart, slope);
        load_table(shifts, wide, own.apart, shift);
        load_table(tilts, wide, own.apart, tilt);
        index = first;
        for (u32 place = LOCAL_ID; place < places; place += GROUP_SIZE, index += step) {
            real gradients[8], x[8];
            kept_pair(held, place, gradients, x);
            for (u32 lane = 0; lane < 8; lane++) gradients[lane] *= scale;
            if (pass.dresidual != 0) store_columns(pass.dresidual, index, own.count, own.apart, gradients);
            for (u32 lane = 0; lane < 8; lane++)
                gradients[lane] = slope[lane] * FMA(-tilt[lane], x[lane] - center[lane], gradients[lane] - shift[lane]);
            store_columns(pass.dx, index, own.count, own.apart, gradients);
        }
        // The next tile's coefficients and sums take the place of these.
        BARRIER();
    }
}
