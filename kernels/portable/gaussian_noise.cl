// Gaussian noise: y = x * (1 + sigma z) (multiplicative; Srivastava et al., JMLR 2014, section 10) or y = x + sigma z,
// with z standard normal, drawn from Philox for each element. One work item draws two blocks, which serve eight
// elements.
//
//   gaussian_noise    MULTIPLICATIVE chooses the form; the backward of the multiplicative form is the same map of dy.
//                     Nothing is stored.
//   gaussian_factors  The multiplicative form, whose factors are stored too; y is made with them as they are stored.
//   gaussian_scale    Its backward: dx = dy * factor.

#include "types.h"
#include "blocks.h"
#include "philox.h"
#include "math.h"
#include "normal.h"

DEVICE void add_noise(const float* normals, real sigma, real* values) {
    for (u32 lane = 0; lane < 8; lane++) {
#if MULTIPLICATIVE
        values[lane] *= FMA(sigma, (real)normals[lane], (real)1);
#else
        values[lane] = FMA(sigma, (real)normals[lane], values[lane]);
#endif
    }
}

// Element i takes normal i % 4 of block i / 4.
KERNEL void gaussian_noise(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count, u64 start,
                           real sigma, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const block_range blocks = blocks_of(start, count);
    real values[8];
    float normals[8];
    x += x_offset;
    y += y_offset;
    u64 block = blocks.first + GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        normals_wide(resolved, block, normals);
        add_noise(normals, sigma, values);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        normals_of_8(resolved, block, normals);
        add_noise(normals, sigma, values);
        store_block(y, blocks, block, values);
    }
}

// What is left of factors when they are stored.
DEVICE void make_factors(const float* normals, real sigma, real* factors) {
    for (u32 lane = 0; lane < 8; lane++) factors[lane] = to_real(to_scalar(FMA(sigma, (real)normals[lane], (real)1)));
}

DEVICE void scale_by(const real* factors, real* values) {
    for (u32 lane = 0; lane < 8; lane++) values[lane] *= factors[lane];
}

KERNEL void gaussian_factors(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset,
                             GLOBAL scalar* factors, u64 factors_offset, u64 count, u64 start, real sigma,
                             KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const block_range blocks = blocks_of(start, count);
    real values[8], made[8];
    float normals[8];
    x += x_offset;
    y += y_offset;
    factors += factors_offset;
    u64 block = blocks.first + GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        normals_wide(resolved, block, normals);
        make_factors(normals, sigma, made);
        store_wide(factors, blocks, block, made);
        scale_by(made, values);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        normals_of_8(resolved, block, normals);
        make_factors(normals, sigma, made);
        store_block(factors, blocks, block, made);
        scale_by(made, values);
        store_block(y, blocks, block, values);
    }
}

KERNEL void gaussian_scale(GLOBAL const scalar* dy, u64 dy_offset, GLOBAL const scalar* factors, u64 factors_offset,
                           GLOBAL scalar* dx, u64 dx_offset, u64 count) {
    const block_range blocks = blocks_of(0, count);
    real values[8], made[8];
    dy += dy_offset;
    factors += factors_offset;
    dx += dx_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(dy, blocks, block, values);
        load_wide(factors, blocks, block, made);
        scale_by(made, values);
        store_wide(dx, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(dy, blocks, block, values);
        load_block(factors, blocks, block, made);
        scale_by(made, values);
        store_block(dx, blocks, block, values);
    }
}
