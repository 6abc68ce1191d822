// Activations and their gradients, which follow from the output:
//   leaky ReLU  y = x where x > 0, else slope * x    dx = dy where y > 0, else slope * dy
//   tanh        y = (e^x - e^-x) / (e^x + e^-x)      dx = dy * (1 - y^2)
//   sigmoid     y = 1 / (1 + e^-x)                   dx = dy * y * (1 - y)
// (Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.)
//
//   activation_forward   y from x
//   activation_backward  dx from y and dy
//
// Which function it is is an argument: all items agree on it, and a branch for eight elements costs less than another
// kernel takes to compile.

#include "types.h"
#include "blocks.h"

#define LEAKY_RELU 0
#define TANH       1

// |x| up to which float takes a polynomial (S. L. Moshier's Cephes): beyond it 1 - e^-2|x| cancels no more than a bit.
#define SMALL_TANH (real)0.625

DEVICE real tanh_of(real x) {
    const real size = x < 0 ? -x : x, t = EXP(-2 * size);
    const real large = (1 - t) * reciprocal(1 + t);
#if DTYPE_F64
    // e^-2|x| - 1 from the rounded exponential and its own logarithm, in which the rounding cancels (W. Kahan).
    if (t == 1) return x;
    const real less = (t - 1) * (-2 * size) / LOG(t), result = size < SMALL_TANH ? -less / (2 + less) : large;
    return x < 0 ? -result : result;
#else
    const real square = x * x;
    real p = FMA(-5.70498872745e-3f, square, 2.06390887954e-2f);
    p = FMA(p, square, -5.37397155531e-2f);
    p = FMA(p, square, 1.33314422036e-1f);
    p = FMA(p, square, -3.33332819422e-1f);
    const real small = FMA(p * square, x, x);
    return size < SMALL_TANH ? small : x < 0 ? -large : large;
#endif
}

// From t = e^-|x| <= 1, so that nothing overflows and nothing cancels.
DEVICE real sigmoid_of(real x) {
    const real t = EXP(x < 0 ? x : -x), larger = reciprocal(1 + t);
    return x < 0 ? t * larger : larger;
}

// NaN is neither more nor less than 0: it passes, and lets its gradient pass.
DEVICE real leak(real output, real value, real slope) { return output <= 0 ? slope * value : value; }

DEVICE void activate(u32 function, real slope, real* values) {
    if (function == LEAKY_RELU) {
        for (u32 lane = 0; lane < 8; lane++) values[lane] = leak(values[lane], values[lane], slope);
    } else if (function == TANH) {
        for (u32 lane = 0; lane < 8; lane++) values[lane] = tanh_of(values[lane]);
    } else {
        for (u32 lane = 0; lane < 8; lane++) values[lane] = sigmoid_of(values[lane]);
    }
}

DEVICE void differentiate(u32 function, real slope, const real* outputs, real* gradients) {
    if (function == LEAKY_RELU) {
        for (u32 lane = 0; lane < 8; lane++) gradients[lane] = leak(outputs[lane], gradients[lane], slope);
    } else {
        for (u32 lane = 0; lane < 8; lane++) {
            const real y = outputs[lane];
            gradients[lane] *= function == TANH ? FMA(-y, y, (real)1) : y * (1 - y);
        }
    }
}

KERNEL void activation_forward(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count,
                               u32 function, real slope) {
    const block_range blocks = blocks_of(0, count);
    real values[8];
    x += x_offset;
    y += y_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        activate(function, slope, values);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        activate(function, slope, values);
        store_block(y, blocks, block, values);
    }
}

KERNEL void activation_backward(GLOBAL const scalar* y, u64 y_offset, GLOBAL const scalar* dy, u64 dy_offset,
                                GLOBAL scalar* dx, u64 dx_offset, u64 count, u32 function, real slope) {
    const block_range blocks = blocks_of(0, count);
    real outputs[8], gradients[8];
    y += y_offset;
    dy += dy_offset;
    dx += dx_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(y, blocks, block, outputs);
        load_wide(dy, blocks, block, gradients);
        differentiate(function, slope, outputs, gradients);
        store_wide(dx, blocks, block, gradients);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(y, blocks, block, outputs);
        load_block(dy, blocks, block, gradients);
        differentiate(function, slope, outputs, gradients);
        store_block(dx, blocks, block, gradients);
    }
}
