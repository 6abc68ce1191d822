// ReLU: y = max(x, 0), NaN stays NaN (Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines",
// ICML 2010). The gradient stops where y <= 0.
//
//   relu_forward   y from x
//   relu_backward  dx from y (or x: the sign is the same) and dy

#include "types.h"
#include "blocks.h"

DEVICE void rectify(const real* outputs, real* values) {
    for (u32 lane = 0; lane < 8; lane++) values[lane] = outputs[lane] <= 0 ? (real)0 : values[lane];
}

KERNEL void relu_forward(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count) {
    const block_range blocks = blocks_of(0, count);
    real values[8];
    x += x_offset;
    y += y_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        rectify(values, values);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        rectify(values, values);
        store_block(y, blocks, block, values);
    }
}

KERNEL void relu_backward(GLOBAL const scalar* y, u64 y_offset, GLOBAL const scalar* dy, u64 dy_offset,
                          GLOBAL scalar* dx, u64 dx_offset, u64 count) {
    const block_range blocks = blocks_of(0, count);
    real outputs[8], gradients[8];
    y += y_offset;
    dy += dy_offset;
    dx += dx_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(y, blocks, block, outputs);
        load_wide(dy, blocks, block, gradients);
        rectify(outputs, gradients);
        store_wide(dx, blocks, block, gradients);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(y, blocks, block, outputs);
        load_block(dy, blocks, block, gradients);
        rectify(outputs, gradients);
        store_block(dx, blocks, block, gradients);
    }
}
