// Alpha dropout, which keeps mean and variance of self-normalising networks: y = scale * x + shift where the element is
// kept, else a constant (Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks", NeurIPS
// 2017).
//
//   alpha_dropout  forward; backward is the same map of dy with shift and constant 0. One work item per Philox block.

#include "types.h"
#include "philox.h"

DEVICE real alpha_map(u32 keep, real x, real scale, real shift, real dropped) {
    return keep ? FMA(x, scale, shift) : dropped;
}

// VEC = 8 needs `start` to be a multiple of eight.
KERNEL void alpha_dropout(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count, u64 start,
                          u32 threshold, real scale, real shift, real dropped, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 end = start + count;
    const u64 end_block = (end + 7) / 8;
    x += x_offset;
    y += y_offset;
    for (u64 block = start / 8 + GLOBAL_ID; block < end_block; block += GLOBAL_SIZE) {
        const philox_block drawn = philox(resolved, block);
#if VEC == 8
        if (8 * block + 8 <= end) {
            real values[8];
            load8(x, 8 * block - start, values);
            for (u32 lane = 0; lane < 8; lane++)
                values[lane] = alpha_map(philox_lane(drawn, lane) < threshold, values[lane], scale, shift, dropped);
            store8(y, 8 * block - start, values);
            continue;
        }
#endif
        for (u32 lane = 0; lane < 8; lane++) {
            const u64 index = 8 * block + lane;
            if (index < start || index >= end) continue;
            const u32 keep = philox_lane(drawn, lane) < threshold;
            store(y, index - start, alpha_map(keep, load(x, index - start), scale, shift, dropped));
        }
    }
}
