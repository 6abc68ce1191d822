// The parts of a linear layer y = x w^T + b that are no matrix product.
//
//   linear_add_bias       y[n, o] += bias[o]; after a vendor's matrix product
//   linear_backward_bias  dbias[o] = sum over n of dy[n, o], rows in ascending order within eight interleaved sums,
//                         then a tree; or the same of every `splits`-th eight rows, to fill a large device

#include "types.h"
#include "parts.h"

// Elements that an item moves at a time.
#define LANES (VEC == 8 ? PART_LANES : 1)

// VEC = 8 needs rows of whole eights. The column moves on with the row-major index: a division for each element would
// cost more than all else.
KERNEL void linear_add_bias(GLOBAL scalar* y, u64 y_offset, GLOBAL const scalar* RESTRICT bias, u64 bias_offset,
                            u64 rows, u64 columns) {
    const u64 step = LANES * GLOBAL_SIZE % columns;
    u64 column = LANES * GLOBAL_ID % columns;
    y += y_offset;
    bias += bias_offset;
    for (u64 i = LANES * GLOBAL_ID; i < rows * columns; i += LANES * GLOBAL_SIZE) {
#if VEC == 8
        real values[8], added[8];
        load_part(y, i, values);
        load_part(bias, column, added);
        for (u32 lane = 0; lane < LANES; lane++) values[lane] += added[lane];
        store_part(y, i, values);
#else
        store(y, i, load(y, i) + load(bias, column));
#endif
        column += step;
        if (column >= columns) column -= columns;
    }
}

// A group takes 32 columns and every `splits`-th eight of the rows; its work items are 32 wide, so that a row is read
// in one piece, and 8 deep over the rows. With more than one split the sums go to a row of `partial` each, for
// partial_sums.cl to add.
KERNEL void linear_backward_bias(GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dbias,
                                 u64 dbias_offset, GLOBAL real* RESTRICT partial, u64 partial_offset, u64 rows,
                                 u64 columns, u64 splits) {
    SHARED real layers[8 * 32];
    const u32 lane = LOCAL_ID % 32, layer = LOCAL_ID / 32;
    const u64 blocks = (columns + 31) / 32;
    dy += dy_offset;
    for (u64 job = GROUP_ID; job < blocks * splits; job += GROUP_COUNT) {
        const u64 split = job / blocks, column = 32 * (job - split * blocks) + lane;
        real sum = 0;
        if (column < columns) {
            const u64 step = 8 * splits * columns;
            u64 i = (8 * split + layer) * columns + column;
            // Several rows are on their way while the first is added.
            for (; i + 7 * step < rows * columns; i += 8 * step) {
                real values[8];
                for (u32 row = 0; row < 8; row++) values[row] = load(dy, i + row * step);
                for (u32 row = 0; row < 8; row++) sum += values[row];
            }
            for (; i < rows * columns; i += step) sum += load(dy, i);
        }
        layers[LOCAL_ID] = sum;
        BARRIER();
        for (u32 half_depth = 4; half_depth > 0; half_depth /= 2) {
            if (layer < half_depth) layers[LOCAL_ID] += layers[LOCAL_ID + 32 * half_depth];
            BARRIER();
        }
        // The next turn writes what only this item reads here.
        if (layer == 0 && column < columns) {
            if (splits == 1)
                store(dbias, dbias_offset + column, layers[lane]);
            else
                partial[partial_offset + split * columns + column] = layers[lane];
        }
    }
}
