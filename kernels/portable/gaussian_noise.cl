// Gaussian noise: y = x * (1 + sigma z) (multiplicative; Srivastava et al., JMLR 2014, section 10) or y = x + sigma z,
// with z standard normal, drawn from Philox for each element and never stored.
//
//   gaussian_noise  MULTIPLICATIVE chooses the form; the backward of the multiplicative form is the same map of dy. One
//                   work item draws two blocks, which serve eight elements.

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
