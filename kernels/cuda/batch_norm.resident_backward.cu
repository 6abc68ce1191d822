// Gradients of batch normalization in one launch, dy and x read once (formula in portable/batch_norm_backward.cl): a
// group keeps its share of both in shared memory from the sums until dx. Parts, teams and what it takes are those of
// the forward pass (batch_norm.resident.cu); a part is half as long.
//
// Moved are 3 values an element, dy, x and dx, where the launches of several move 5: 12 bytes in place of 20 in float,
// 6 in place of 10 in the half types. With the gradient of a residual it is 4 in place of 6, and with y besides, which
// is read once too, 5 in place of 8. Which elements pass the ReLU and dropout is found out once: from then on what is
// kept of dy is 0 where they do not, and g is that times the scale of dropout. So an element takes its part of one
// draw, a product for the sums, and four for dx.
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

// Where dx or the gradient of a residual takes the place of dy, planes are whole blocks: other groups read what lies
// beside their own.
#define BATCH_NORM_RESIDENT_BACKWARD_PARAMETERS BATCH_NORM_BACKWARD_PARAMETERS, RESIDENT_TEAM_PARAMETERS

// Blocks that DropBlock drops are left to the launches of several.
DEVICE norm_backward kept_backward_of(BATCH_NORM_BACKWARD_PARAMETERS) {
    norm_backward own = backward_of(BATCH_NORM_BACKWARD_ARGUMENTS);
    own.after.kept = 0;
    return own;
}

// A block of dy and one of x lie side by side.
#define PAIRS_AHEAD (BLOCKS_AHEAD / 2)

DEVICE void keep_pair(u32 resident, u32 pair, norm_backward pass, u64 index, u32 is_inside) {
    keep_block(resident, 2 * pair, pass.dy, index, is_inside);
    keep_block(resident, 2 * pair + 1, pass.x, index, is_inside);
}

DEVICE void kept_pair(const uint4* resident, u32 pair, real* gradients, real* x) {
    widen8(kept_block(resident, 2 * pair), gradients);
    widen8(kept_block(resident, 2 * pair + 1), x);
}

// Whether some elements may not pass.
DEVICE u32 selects(norm_backward pass) { return pass.y != 0 || pass.after.rectifies || pass.after.threshold < 65536u; }

DEVICE norm_epilogue unscaled(norm_epilogue after) {
    after.drop_scale = 1;
    return after;
}

// Sums of g and of g d of a part of a channel, and its elements. What is kept of dy becomes g without its scale.
DEVICE void kept_plane_sums(norm_backward pass, uint4* resident, plane_walk walk, u32 places, affine map, real* sums,
                            real* scratch) {
    const u32 pairs = (places + GROUP_SIZE - 1) / GROUP_SIZE, is_selected = selects(pass);
    const norm_epilogue after = unscaled(pass.after);
    plane_walk ahead = walk;
    const u32 target = resident_address(resident);
    for (u32 pair = 0; pair < PAIRS_AHEAD; pair++) {
        const plane_block own = part_block(&ahead, pair, places);
        if (pair < pairs) keep_pair(target, pair, pass, own.index, has_elements(own));
        COMMIT_COPIES();
    }
    plane_block own = part_block(&walk, 0, places);
    stored8 output = {{0}};
    if (pass.y != 0) output = load_plane(pass.y, own);
    sums[0] = sums[1] = sums[2] = 0;
    NO_UNROLL
    for (u32 pair = 0; pair < pairs; pair++) {
        const u32 next = pair + PAIRS_AHEAD;
        const plane_block own_next = part_block(&ahead, next, places), following = part_block(&walk, pair + 1, places);
        if (next < pairs) keep_pair(target, next, pass, own_next.index, has_elements(own_next));
        COMMIT_COPIES();
        real gradients[8], distances[8], outputs[8];
        widen8(output, outputs);
        // On its way while this block has its turn.
        if (pass.y != 0) output = load_plane(pass.y, following);
        WAIT_COPIES(PAIRS_AHEAD);
        kept_pair(resident, pair, gradients, distances);
        lead_plane(gradients, distances, outputs, pass.y != 0, map, own.index, after);
        if (is_selected) replace_block(resident, 2 * pair, gradients);
        add_block(own, gradients, distances, sums);
        own = following;
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
    const real scale = pass.after.drop_scale;
    const u64 first = team.split * part, left = outer * width - first;
    const u32 places = (u32)(left < part ? left : part);
    for (u64 channel = team.number; channel < channels; channel += team.teams) {
        const plane_walk begin = walk_from(first + LOCAL_ID, 0, channel, channels, inner, width, 0);
        const affine map = channel_affine(of, channel, channel, 0, 0);
        real sums[GRADIENT_ROWS];
        kept_plane_sums(pass, resident, begin, places, map, sums, scratch);
        if (splits > 1) {
            if (LOCAL_ID == 0)
                store_sums(team.partial + team.split * GRADIENT_ROWS * channels, channel, channels, sums, sums[2]);
            team_barrier(team);
            sums[0] = sums[1] = sums[2] = 0;
            add_parts(team.partial, channel, channels, LOCAL_ID, GROUP_SIZE, splits, sums);
            team_sums(sums, GRADIENT_ROWS, GROUP_SIZE, scratch);
        }
        const correction own = correction_of(sums, of.mean[channel], of.rest[channel], of.spread[channel]);
        if (team.split == 0 && LOCAL_ID == 0) store_gradients(pass, channel, own, sums[0]);
        plane_walk walk = begin;
        // All items of a warp take part, some of them with nothing.
        for (u32 pair = 0; pair * GROUP_SIZE < places; pair++) {
            plane_block to = part_block(&walk, pair, places);
            const u32 apart = paired_block(&to);
            real gradients[8], x[8];
            widen8(kept_fours(resident, 2 * pair, apart), gradients);
            widen8(kept_fours(resident, 2 * pair + 1, apart), x);
            for (u32 lane = 0; lane < 8; lane++) gradients[lane] *= scale;
            if (pass.dresidual != 0) store_plane(pass.dresidual, to, apart, gradients);
            for (u32 lane = 0; lane < 8; lane++)
                gradients[lane] = map.slope * FMA(-own.tilt, x[lane] - map.center, gradients[lane] - own.shift);
            store_plane(pass.dx, to, apart, gradients);
        }
        // The next copies take the place of what a neighbour reads.
        BARRIER();
    }
}

// Here inner is 1: columns are channels.
KERNEL void batch_norm_resident_backward_columns(BATCH_NORM_RESIDENT_BACKWARD_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real centers[GROUP_SIZE], slopes[GROUP_SIZE], levels[GROUP_SIZE];
    SHARED real scratch[8 * COLUMN_STRIDE], sums_of[TILE_COLUMNS], products_of[TILE_COLUMNS];
    const norm_backward pass = kept_backward_of(BATCH_NORM_BACKWARD_ARGUMENTS);
    const norm_channels of = pass.channels;
    const resident_team team = team_of(RESIDENT_TEAM_ARGUMENTS);
    const norm_epilogue after = unscaled(pass.after);
    const real scale = pass.after.drop_scale;
    const u32 deep = GROUP_SIZE / wide, columns = 8 * wide, is_selected = selects(pass);
    for (u64 tile = team.number; tile < tiles; tile += team.teams) {
        const column_job own = column_job_at(team.split * tiles + tile, outer, channels, splits, part, tiles, wide);
        const u32 rows = own.count > 0 ? (u32)(own.end - own.begin) : 0u;
        const u32 pairs = (u32)(own.end - own.begin + deep - 1) / deep;
        const u64 first = (own.begin + depth_of(wide)) * channels + own.column, step = deep * channels;
        const u32 target = resident_address(resident);
        for (u32 pair = 0; pair < PAIRS_AHEAD; pair++) {
            if (pair < pairs) keep_pair(target, pair, pass, first + pair * step, pair * deep + depth_of(wide) < rows);
            COMMIT_COPIES();
        }
        stored8 output = {{0}};
        if (pass.y != 0 && depth_of(wide) < rows) output = load_columns(pass.y, first, own.count, own.apart);
        tile_affines(own, of, channels, 1, wide, 0, 0, centers, slopes, levels);
        BARRIER();
        real center[8], slope[8], level[8], sums[8], products[8];
        load_lanes(centers, wide, own.apart, center);
        load_lanes(slopes, wide, own.apart, slope);
        load_lanes(levels, wide, own.apart, level);
        for (u32 lane = 0; lane < 8; lane++) sums[lane] = products[lane] = 0;
        NO_UNROLL
        for (u32 pair = 0; pair < pairs; pair++) {
            const u32 next = pair + PAIRS_AHEAD, row = pair * deep + depth_of(wide);
            const u64 index = first + pair * step;
            if (next < pairs) keep_pair(target, next, pass, first + next * step, next * deep + depth_of(wide) < rows);
            COMMIT_COPIES();
            real gradients[8], distances[8], outputs[8];
            widen8(output, outputs);
            // On its way while this row has its turn.
            if (pass.y != 0 && row + deep < rows) output = load_columns(pass.y, index + step, own.count, own.apart);
            WAIT_COPIES(PAIRS_AHEAD);
            if (row < rows) {
                kept_pair(resident, pair, gradients, distances);
                for (u32 lane = 0; lane < 8; lane++) distances[lane] -= center[lane];
                lead(gradients, distances, outputs, pass.y != 0, slope, level, index, own.apart, after);
                if (is_selected) replace_block(resident, 2 * pair, gradients);
                for (u32 lane = 0; lane < 8; lane++) {
                    sums[lane] += gradients[lane];
                    products[lane] = FMA(gradients[lane], distances[lane], products[lane]);
                }
            }
        }
        summed_columns(sums, wide, scratch, sums_of);
        summed_columns(products, wide, scratch, products_of);

        // An item a channel, and then as many as there are for the parts of one.
        const u32 column = LOCAL_ID & (columns - 1);
        const u64 channel = 8 * own.tile * wide + column;
        real totals[GRADIENT_ROWS] = {0, 0, (real)(own.end - own.begin)};
        if (LOCAL_ID < columns) {
            totals[0] = sums_of[column] * scale;
            totals[1] = products_of[column] * scale;
        }
        if (splits > 1) {
            if (LOCAL_ID < columns && channel < channels)
                store_sums(team.partial + team.split * GRADIENT_ROWS * channels, channel, channels, totals, totals[2]);
            team_barrier(team);
            totals[0] = totals[1] = totals[2] = 0;
            if (channel < channels)
                add_parts(team.partial, channel, channels, LOCAL_ID / columns, GROUP_SIZE / columns, splits, totals);
            summed_depths(totals, columns, scratch);
        }
        if (LOCAL_ID < columns && channel < channels) {
            const correction taken = correction_of(totals, of.mean[channel], of.rest[channel], of.spread[channel]);
            if (team.split == 0) store_gradients(pass, channel, taken, totals[0]);
            sums_of[column] = taken.shift;
            products_of[column] = taken.tilt;
        }
        BARRIER();
        const column_job to = paired_job(own, channels, wide);
        real shift[8], tilt[8];
        load_lanes(centers, wide, to.apart, center);
        load_lanes(slopes, wide, to.apart, slope);
        load_lanes(sums_of, wide, to.apart, shift);
        load_lanes(products_of, wide, to.apart, tilt);
        for (u32 pair = 0, row = depth_of(wide); row < rows; pair++, row += deep) {
            const u64 index = (own.begin + row) * channels + to.column;
            real gradients[8], x[8];
            widen8(kept_fours(resident, 2 * pair, to.apart), gradients);
            widen8(kept_fours(resident, 2 * pair + 1, to.apart), x);
            for (u32 lane = 0; lane < 8; lane++) gradients[lane] *= scale;
            if (pass.dresidual != 0) store_columns(pass.dresidual, index, to.count, to.apart, gradients);
            for (u32 lane = 0; lane < 8; lane++)
                gradients[lane] = slope[lane] * FMA(-tilt[lane], x[lane] - center[lane], gradients[lane] - shift[lane]);
            store_columns(pass.dx, index, to.count, to.apart, gradients);
        }
        // The next copies take the place of what a neighbour reads.
        BARRIER();
    }
}
