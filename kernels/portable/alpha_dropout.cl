// Alpha dropout, which keeps mean and variance of self-normalising networks: y = scale * x + shift where the element is
// kept, else a constant (Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks", NeurIPS
// 2017).
//
//   alpha_dropout  forward; backward is the same map of dy with shift and constant 0. One work item per Philox block.

#include "types.h"
#include "blocks.h"
#include "philox.h"

DEVICE void alpha_map(philox_block drawn, u32 threshold, real scale, real shift, real dropped, real* values) {
    for (u32 lane = 0; lane < 8; lane++) {
        // Calculated for all: a compiler makes a branch of a product that is needed for some.
        const real kept = FMA(values[lane], scale, shift);
        values[lane] = philox_lane(drawn, lane) < threshold ? kept : dropped;
    }
}

KERNEL void alpha_dropout(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count, u64 start,
                          u32 threshold, real scale, real shift, real dropped, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const block_range blocks = blocks_of(start, count);
    real values[8];
    x += x_offset;
    y += y_offset;
    u64 block = blocks.first + GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        alpha_map(philox_wide(resolved, block), threshold, scale, shift, dropped, values);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        alpha_map(philox(resolved, block), threshold, scale, shift, dropped, values);
        store_block(y, blocks, block, values);
    }
}
