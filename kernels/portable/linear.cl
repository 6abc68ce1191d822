// The parts of a linear layer y = x w^T + b that are no matrix product.
//
//   linear_add_bias       y[n, o] += bias[o]; after a vendor's matrix product
//   linear_backward_bias  dbias[o] = sum over n of dy[n, o], rows in ascending order within eight interleaved sums,
//                         then a tree

#include "types.h"

KERNEL void linear_add_bias(GLOBAL scalar* y, u64 y_offset, GLOBAL const scalar* RESTRICT bias, u64 bias_offset,
                            u64 rows, u64 columns) {
    for (u64 i = GLOBAL_ID; i < rows * columns; i += GLOBAL_SIZE)
        store(y, y_offset + i, load(y, y_offset + i) + load(bias, bias_offset + i % columns));
}

// A group takes 32 columns; its work items are 32 wide, so that a row is read in one piece, and 8 deep over the rows.
KERNEL void linear_backward_bias(GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dbias,
                                 u64 dbias_offset, u64 rows, u64 columns) {
    SHARED real partial[8 * 32];
    const u32 lane = LOCAL_ID % 32, layer = LOCAL_ID / 32;
    for (u64 block = GROUP_ID; block < (columns + 31) / 32; block += GROUP_COUNT) {
        const u64 column = 32 * block + lane;
        real sum = 0;
        if (column < columns)
            for (u64 row = layer; row < rows; row += 8) sum += load(dy, dy_offset + row * columns + column);
        partial[LOCAL_ID] = sum;
        BARRIER();
        for (u32 half_depth = 4; half_depth > 0; half_depth /= 2) {
            if (layer < half_depth) partial[LOCAL_ID] += partial[LOCAL_ID + 32 * half_depth];
            BARRIER();
        }
        // The next turn writes what only this item reads here.
        if (layer == 0 && column < columns) store(dbias, dbias_offset + column, partial[lane]);
    }
}
