// Gaussian noise: y = x * (1 + sigma z) (multiplicative; Srivastava et al., JMLR 2014, section 10) or y = x + sigma z,
// with z standard normal, drawn from Philox for each element and never stored.
//
//   gaussian_noise  MULTIPLICATIVE chooses the form; the backward of the multiplicative form is the same map of dy. One
//                   work item draws two blocks, which
//                   serve eight elements.

#include "types.h"
#include "philox.h"
#include "math.h"
#include "normal.h"

DEVICE real with_noise(real x, float normal, real sigma) {
#if MULTIPLICATIVE
    return x * FMA(sigma, (real)normal, (real)1);
#else
    return FMA(sigma, (real)normal, x);
#endif
}

// Element i takes normal i % 4 of block i / 4. VEC = 8 needs `start` to be a multiple of eight.
KERNEL void gaussian_noise(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count, u64 start,
                           real sigma, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 end = start + count;
    const u64 end_octet = (end + 7) / 8;
    x += x_offset;
    y += y_offset;
    for (u64 octet = start / 8 + GLOBAL_ID; octet < end_octet; octet += GLOBAL_SIZE) {
        float normals[8];
        normals_of(philox(resolved, 2 * octet), normals);
        normals_of(philox(resolved, 2 * octet + 1), normals + 4);
#if VEC == 8
        if (8 * octet + 8 <= end) {
            real values[8];
            load8(x, 8 * octet - start, values);
            for (u32 lane = 0; lane < 8; lane++) values[lane] = with_noise(values[lane], normals[lane], sigma);
            store8(y, 8 * octet - start, values);
            continue;
        }
#endif
        for (u32 lane = 0; lane < 8; lane++) {
            const u64 index = 8 * octet + lane;
            if (index < start || index >= end) continue;
            store(y, index - start, with_noise(load(x, index - start), normals[lane], sigma));
        }
    }
}
