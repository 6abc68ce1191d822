// Gradients of batch normalization and of what follows it in the same pass: with g the gradient of the normalized
// values, dbeta = sum of g, dgamma = sum of g xhat, dx = gamma / deviation * (g - mean of g - xhat * mean of g xhat).
//
//   batch_norm_sums_planes     sums of g and of g (x - mean) in parts, where the elements of a channel lie side by side
//   batch_norm_sums_columns    the same where the channels of a place do
//   batch_norm_gradients       adds the parts: dgamma and dbeta, and what dx takes off
//   batch_norm_apply_gradient  dx, and the gradient of a residual
//   batch_norm_backward        all of it in one launch, a work group a channel

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "reduce.h"
#include "divisor.h"
#include "batch_norm_gradients.h"

// The gradient g of eight normalized values, and the distances d of x from the mean. writes_dy says that results may
// take the place of dy.
DEVICE void plane_gradients(GLOBAL const scalar* dy, GLOBAL const scalar* x, GLOBAL const scalar* y, plane_block block,
                            u32 writes_dy, affine map, norm_epilogue after, real* gradients, real* distances) {
    real outputs[8];
    widen8(writes_dy ? load_plane_alone(dy, block, 4) : load_plane(dy, block), gradients);
    widen8(load_plane(x, block), distances);
    if (y != 0) widen8(load_plane(y, block), outputs);
    lead_plane(gradients, distances, outputs, y != 0, map, block.index, 4, after);
}

// Sums of g and of g d over places of a channel, and their elements, for each item of the group.
DEVICE INLINED void plane_sums(GLOBAL const scalar* dy, GLOBAL const scalar* x, GLOBAL const scalar* y, plane_walk walk,
                               u32 writes_dy, u64 places, affine map, norm_epilogue after, real* sums,
                               LOCAL real* scratch) {
    sums[0] = sums[1] = sums[2] = 0;
    for (u64 place = LOCAL_ID; place < places; place += GROUP_SIZE) {
        const plane_block block = next_block(&walk);
        real gradients[8], distances[8];
        plane_gradients(dy, x, y, block, writes_dy, map, after, gradients, distances);
        add_block(block, gradients, distances, sums);
    }
    team_sums(sums, GRADIENT_ROWS, GROUP_SIZE, scratch);
}

// The parts of a unit are records of GRADIENT_ROWS rows over all units.
KERNEL void batch_norm_sums_planes(GLOBAL const scalar* dy, u64 dy_offset, GLOBAL const scalar* x, u64 x_offset,
                                   GLOBAL const scalar* y, u64 y_offset, GLOBAL real* partial, u64 partial_offset,
                                   NORM_CHANNEL_PARAMETERS, NORM_SHAPE_PARAMETERS, NORM_LENGTHS_PARAMETERS, u64 splits,
                                   u64 share, u64 width, NORM_EPILOGUE_PARAMETERS) {
    SHARED real scratch[GRADIENT_ROWS * GROUP_SIZE];
    const norm_lengths counted = lengths_of(lengths, lengths_offset, places, inverse, inverse_shift);
    const norm_epilogue after = epilogue_of(NORM_EPILOGUE_ARGUMENTS);
    const norm_channels of = channels_of(NORM_CHANNEL_ARGUMENTS);
    const u64 units = sets * channels;
    dy += dy_offset;
    x += x_offset;
    if (y != 0) y += y_offset;
    partial += partial_offset;
    for (u64 job = GROUP_ID; job < units * splits; job += GROUP_COUNT) {
        const u64 part = job / channels, channel = job - part * channels;
        const u64 set = part / splits, split = part - set * splits, first = split * share;
        const u64 own_places = outer * width - first < share ? outer * width - first : share;
        plane_walk walk = walk_from(first + LOCAL_ID, set * outer, channel, channels, inner, width, counted.of_samples);
        const affine map = channel_affine(of, set * channels + channel, channel, 0, 0);
        real sums[GRADIENT_ROWS];
        plane_sums(dy, x, y, walk, 0, own_places, map, after, sums, scratch);
        if (LOCAL_ID == 0)
            store_sums(partial + split * GRADIENT_ROWS * units, set * channels + channel, units, sums, sums[2]);
    }
}

// The gradients g of eight columns and the distances of x, as plane_gradients has them. Slopes and levels stay in local
// memory, as only a ReLU needs them.
DEVICE INLINED void column_gradients(stored8 dy, stored8 x, GLOBAL const scalar* y, u64 index, column_job own, u32 wide,
                                     const real* center, LOCAL const real* slopes, LOCAL const real* levels,
                                     norm_epilogue after, real* gradients, real* distances) {
    widen8(dy, gradients);
    widen8(x, distances);
    for (u32 lane = 0; lane < 8; lane++) distances[lane] -= center[lane];
    if (y != 0) {
        real outputs[8];
        widen8(load_columns(y, index, own.count, own.apart), outputs);
        lead_by_output(gradients, outputs, after);
        return;
    }
    if (after.rectifies) {
        real slope[8], level[8];
        load_table(slopes, wide, own.apart, slope);
        load_table(levels, wide, own.apart, level);
        lead_by_values(gradients, distances, slope, level);
    }
    drop(gradients, index, own.apart, after);
}

// Adds the sums of g and of g times the distance of eight columns.
DEVICE INLINED void add_products(stored8 dy, stored8 x, GLOBAL const scalar* y, u64 index, column_job own, u32 wide,
                                 const real* center, LOCAL const real* slopes, LOCAL const real* levels,
                                 norm_epilogue after, real* sums, real* products) {
    real gradients[8], distances[8];
    column_gradients(dy, x, y, index, own, wide, center, slopes, levels, after, gradients, distances);
    for (u32 lane = 0; lane < 8; lane++) {
        sums[lane] += gradients[lane];
        products[lane] = FMA(gradients[lane], distances[lane], products[lane]);
    }
}

// Where the compiler would leave it at two.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS (DTYPE_F64 || VEC != 8 || HAS_MASKS ? 0 : 3)

KERNEL void batch_norm_sums_columns(GLOBAL const scalar* dy, u64 dy_offset, GLOBAL const scalar* x, u64 x_offset,
                                    GLOBAL const scalar* y, u64 y_offset, GLOBAL real* partial, u64 partial_offset,
                                    NORM_CHANNEL_PARAMETERS, NORM_SHAPE_PARAMETERS, NORM_LENGTHS_PARAMETERS, u64 splits,
                                    u64 share, u64 tiles, u32 wide, NORM_EPILOGUE_PARAMETERS) {
    SHARED real centers[TABLE_VALUES], slopes[TABLE_VALUES], levels[TABLE_VALUES];
    SHARED real scratch[8 * COLUMN_STRIDE], sums_of[TILE_COLUMNS], products_of[TILE_COLUMNS];
    const norm_epilogue after = epilogue_of(NORM_EPILOGUE_ARGUMENTS);
    const norm_channels of = channels_of(NORM_CHANNEL_ARGUMENTS);
    const norm_lengths counted = lengths_of(lengths, lengths_offset, places, inverse, inverse_shift);
    const u64 units = sets * channels, columns = channels * inner, deep = GROUP_SIZE / wide, step = deep * columns;
    dy += dy_offset;
    x += x_offset;
    if (y != 0) y += y_offset;
    partial += partial_offset;
    for (u64 job = GROUP_ID; job < sets * splits * tiles; job += GROUP_COUNT) {
        const column_job own = column_job_at(job, outer, columns, splits, share, tiles, wide);
        real row_count[1] = {(real)(own.end - own.begin)};
#if HAS_MASKS
        count_rows(counted, own, wide, row_count, scratch);
#endif
        const u64 stop = own.count > 0 ? own.end * columns : 0;
        u64 index = (own.begin + depth_of(wide)) * columns + own.column, row = own.begin + depth_of(wide);
        stored8 gradient[BLOCKS_AT_ONCE], input[BLOCKS_AT_ONCE];
        // On their way while coefficients are made.
        if (index < stop) {
            load_rows(dy, index, step, stop, own.count, own.apart, gradient);
            load_rows(x, index, step, stop, own.count, own.apart, input);
        }
        real center[8], sums[8], products[8];
        tile_affines(own, of, channels, 1, wide, 0, 0, centers, slopes, levels); // inner is 1 here
        BARRIER();
        load_table(centers, wide, own.apart, center);
        for (u32 lane = 0; lane < 8; lane++) sums[lane] = products[lane] = 0;
        while (index < stop) {
            UNROLL
            for (u32 i = 0; i < BLOCKS_AT_ONCE; i++)
                if (index + i * step < stop && row_counts(counted, row + i * deep))
                    add_products(gradient[i], input[i], y, index + i * step, own, wide, center, slopes, levels, after,
                                 sums, products);
            index += BLOCKS_AT_ONCE * step;
            row += BLOCKS_AT_ONCE * deep;
            if (index < stop) {
                load_rows(dy, index, step, stop, own.count, own.apart, gradient);
                load_rows(x, index, step, stop, own.count, own.apart, input);
            }
        }
        summed_columns(sums, wide, scratch, sums_of);
        summed_columns(products, wide, scratch, products_of);
        for (u32 i = LOCAL_ID; i < 8 * wide; i += GROUP_SIZE) {
            const u64 channel = 8 * own.tile * wide + i;
            const real both[2] = {sums_of[i], products_of[i]};
            if (channel < channels)
                store_sums(partial + own.split * GRADIENT_ROWS * units, own.set * channels + channel, units, both,
                           row_count[0]);
        }
    }
}

// Sums of all parts are a record, as a part is one; corrections are two rows over all units: shift and tilt. What is
// absent is not written. Work items as in batch_norm_statistics.
KERNEL void batch_norm_gradients(GLOBAL const real* partial, u64 partial_offset, GLOBAL const real* statistics,
                                 u64 statistics_offset, GLOBAL real* record, u64 record_offset,
                                 GLOBAL real* corrections, u64 corrections_offset, GLOBAL real* dgamma,
                                 u64 dgamma_offset, GLOBAL real* dbeta, u64 dbeta_offset, u64 sets, u64 channels,
                                 u64 splits, u32 wide) {
    SHARED real scratch[GRADIENT_ROWS * GROUP_SIZE];
    const u64 units = sets * channels, deep = GROUP_SIZE / wide;
    partial += partial_offset;
    statistics += statistics_offset;
    for (u64 first = GROUP_ID * wide; first < channels; first += GROUP_COUNT * wide) {
        const u64 channel = first + block_of(wide);
        real of_gamma = 0, of_beta = 0;
        for (u64 set = 0; set < sets; set++) {
            const u64 unit = set * channels + channel;
            real sums[GRADIENT_ROWS] = {0, 0, 0};
            if (channel < channels) add_parts(partial, unit, units, depth_of(wide), deep, splits, sums);
            summed_depths(sums, wide, scratch);
            if (LOCAL_ID < wide && channel < channels) {
                const correction own =
                    correction_of(sums, statistics[unit], statistics[units + unit], statistics[2 * units + unit]);
                if (record != 0) store_sums(record + record_offset, unit, units, sums, sums[2]);
                if (corrections != 0) {
                    corrections[corrections_offset + unit] = own.shift;
                    corrections[corrections_offset + units + unit] = own.tilt;
                }
                of_gamma += own.product;
                of_beta += sums[0];
            }
        }
        if (LOCAL_ID < wide && channel < channels) {
            if (dgamma != 0) dgamma[dgamma_offset + channel] = of_gamma;
            if (dbeta != 0) dbeta[dbeta_offset + channel] = of_beta;
        }
    }
}

// dresidual, the gradient before the normalization, may be absent.
KERNEL void batch_norm_apply_gradient(GLOBAL const scalar* dy, u64 dy_offset, GLOBAL const scalar* x, u64 x_offset,
                                      GLOBAL const scalar* y, u64 y_offset, GLOBAL scalar* dx, u64 dx_offset,
                                      GLOBAL scalar* dresidual, u64 dresidual_offset, GLOBAL const real* corrections,
                                      u64 corrections_offset, NORM_CHANNEL_PARAMETERS, NORM_SHAPE_PARAMETERS,
                                      u64 splits, u64 share, u64 tiles, u32 wide, NORM_EPILOGUE_PARAMETERS) {
    SHARED real centers[TABLE_VALUES], slopes[TABLE_VALUES], levels[TABLE_VALUES];
    SHARED real shifts[TABLE_VALUES], tilts[TABLE_VALUES];
    const norm_epilogue after = epilogue_of(NORM_EPILOGUE_ARGUMENTS);
    const norm_channels of = channels_of(NORM_CHANNEL_ARGUMENTS);
    const u64 columns = channels * inner, units = sets * channels, jobs = sets * splits * tiles;
    const u64 deep = GROUP_SIZE / wide;
    dy += dy_offset;
    x += x_offset;
    if (y != 0) y += y_offset;
    dx += dx_offset;
    if (dresidual != 0) dresidual += dresidual_offset;
    corrections += corrections_offset;
    for (u64 job = GROUP_ID; job < jobs; job += GROUP_COUNT) {
        const column_job own =
            paired_job(column_job_at(jobs - 1 - job, outer, columns, splits, share, tiles, wide), columns, wide);
        const u64 stop = own.count > 0 ? own.end * columns : 0;
        u64 index = (own.begin + depth_of(wide)) * columns + own.column;
        stored8 gradient, input;
        // On their way while coefficients are made.
        if (index < stop) {
            gradient = load_columns(dy, index, own.count, own.apart);
            input = load_columns(x, index, own.count, own.apart);
        }
        real center[8], slope[8], shift[8], tilt[8];
        tile_affines(own, of, channels, inner, wide, 0, 0, centers, slopes, levels);
        for (u32 i = LOCAL_ID; i < 8 * wide; i += GROUP_SIZE) {
            const u64 column = 8 * own.tile * wide + i, channel = inner == 1 ? column : column / inner;
            shifts[table_place(i)] = channel < channels ? corrections[own.set * channels + channel] : (real)0;
            tilts[table_place(i)] = channel < channels ? corrections[units + own.set * channels + channel] : (real)0;
        }
        BARRIER();
        load_table(centers, wide, own.apart, center);
        load_table(slopes, wide, own.apart, slope);
        load_table(shifts, wide, own.apart, shift);
        load_table(tilts, wide, own.apart, tilt);
        while (index < stop) {
            real gradients[8], distances[8];
            column_gradients(gradient, input, y, index, own, wide, center, slopes, levels, after, gradients, distances);
            if (dresidual != 0) store_columns(dresidual, index, own.count, own.apart, gradients);
            for (u32 lane = 0; lane < 8; lane++)
                gradients[lane] = slope[lane] * FMA(-tilt[lane], distances[lane], gradients[lane] - shift[lane]);
            store_columns(dx, index, own.count, own.apart, gradients);
            index += deep * columns;
            if (index < stop) {
                gradient = load_columns(dy, index, own.count, own.apart);
                input = load_columns(x, index, own.count, own.apart);
            }
        }
        BARRIER();
    }
}

// For channels of few elements, and one set.
KERNEL void batch_norm_backward(BATCH_NORM_BACKWARD_PARAMETERS) {
    SHARED real scratch[GRADIENT_ROWS * GROUP_SIZE];
    const norm_backward pass = backward_of(BATCH_NORM_BACKWARD_ARGUMENTS);
    const norm_channels of = pass.channels;
    const u64 places = outer * width;
    for (u64 channel = GROUP_ID; channel < channels; channel += GROUP_COUNT) {
        const plane_walk begin = walk_from(LOCAL_ID, 0, channel, channels, inner, width, 0);
        const affine map = channel_affine(of, channel, channel, 0, 0);
        real sums[GRADIENT_ROWS];
        plane_sums(pass.dy, pass.x, pass.y, begin, 1, places, map, pass.after, sums, scratch);
        const correction own = correction_of(sums, of.mean[channel], of.rest[channel], of.spread[channel]);
        if (LOCAL_ID == 0) store_gradients(pass, channel, own, sums[0]);
        plane_walk walk = begin;
        for (u64 place = LOCAL_ID; place < places; place += GROUP_SIZE) {
            const plane_block block = next_block(&walk);
            real gradients[8], distances[8];
            plane_gradients(pass.dy, pass.x, pass.y, block, 1, map, pass.after, gradients, distances);
            if (pass.dresidual != 0) store_plane(pass.dresidual, block, 4, gradients);
            for (u32 lane = 0; lane < 8; lane++)
                gradients[lane] = map.slope * FMA(-own.tilt, distances[lane], gradients[lane] - own.shift);
            store_plane(pass.dx, block, 4, gradients);
        }
    }
}
