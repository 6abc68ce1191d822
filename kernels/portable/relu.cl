// ReLU: y = max(x, 0), NaN stays NaN (Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines",
// ICML 2010). The gradient stops where y <= 0.
//
//   relu_forward   y from x
//   relu_backward  dx from y (or x: the sign is the same) and dy

#include "types.h"

KERNEL void relu_forward(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count) {
    x += x_offset;
    y += y_offset;
    for (u64 i = 8 * GLOBAL_ID; i < count; i += 8 * GLOBAL_SIZE) {
#if VEC == 8
        if (i + 8 <= count) {
            real values[8];
            load8(x, i, values);
            for (u32 lane = 0; lane < 8; lane++) values[lane] = values[lane] <= 0 ? (real)0 : values[lane];
            store8(y, i, values);
            continue;
        }
#endif
        for (u64 j = i; j < i + 8 && j < count; j++) {
            const real value = load(x, j);
            store(y, j, value <= 0 ? (real)0 : value);
        }
    }
}

KERNEL void relu_backward(GLOBAL const scalar* y, u64 y_offset, GLOBAL const scalar* dy, u64 dy_offset,
                          GLOBAL scalar* dx, u64 dx_offset, u64 count) {
    y += y_offset;
    dy += dy_offset;
    dx += dx_offset;
    for (u64 i = 8 * GLOBAL_ID; i < count; i += 8 * GLOBAL_SIZE) {
#if VEC == 8
        if (i + 8 <= count) {
            real outputs[8], gradients[8];
            load8(y, i, outputs);
            load8(dy, i, gradients);
            for (u32 lane = 0; lane < 8; lane++) gradients[lane] = outputs[lane] <= 0 ? (real)0 : gradients[lane];
            store8(dx, i, gradients);
            continue;
        }
#endif
        for (u64 j = i; j < i + 8 && j < count; j++) store(dx, j, load(y, j) <= 0 ? (real)0 : load(dy, j));
    }
}
