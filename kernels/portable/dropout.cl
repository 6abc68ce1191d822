// Dropout: y = scale * x where the element's 16 random bits are below the threshold, else +0, also for NaN and Inf
// (Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014). The mask is a
// function of key and index, so backward is the same map of dy.
//
//   dropout_apply      forward and backward: draws the mask, stores none. One work item per Philox block, which serves
//                      eight elements.
//   dropout_scale      inference of the original scaling: y = scale * x, nothing is drawn.
//   dropout_mask       writes the mask as bits, lowest first, for those who want to see or keep it.
//   dropout_apply_mask the same map under a mask read from bits.

#include "types.h"
#include "philox.h"

// `start` is the index of the first element in the whole tensor of which this may be a shard. VEC = 8 needs it to be a
// multiple of eight.
KERNEL void dropout_apply(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count, u64 start,
                          u32 threshold, real scale, KEY_PARAMETERS) {
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
                values[lane] = philox_lane(drawn, lane) < threshold ? values[lane] * scale : (real)0;
            store8(y, 8 * block - start, values);
            continue;
        }
#endif
        for (u32 lane = 0; lane < 8; lane++) {
            const u64 index = 8 * block + lane;
            if (index < start || index >= end) continue;
            store(y, index - start, philox_lane(drawn, lane) < threshold ? load(x, index - start) * scale : (real)0);
        }
    }
}

KERNEL void dropout_scale(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count, real scale) {
    x += x_offset;
    y += y_offset;
    for (u64 i = 8 * GLOBAL_ID; i < count; i += 8 * GLOBAL_SIZE) {
#if VEC == 8
        if (i + 8 <= count) {
            real values[8];
            load8(x, i, values);
            for (u32 lane = 0; lane < 8; lane++) values[lane] *= scale;
            store8(y, i, values);
            continue;
        }
#endif
        for (u64 j = i; j < i + 8 && j < count; j++) store(y, j, load(x, j) * scale);
    }
}

KERNEL void dropout_mask(GLOBAL u32* mask, u64 mask_offset, u64 count, u64 start, u32 threshold, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 words = (count + 31) / 32;
    for (u64 word = GLOBAL_ID; word < words; word += GLOBAL_SIZE) {
        u32 bits = 0;
        philox_block drawn = philox(resolved, (start + 32 * word) / 8);
        for (u32 bit = 0; bit < 32 && 32 * word + bit < count; bit++) {
            const u64 index = start + 32 * word + bit;
            const u32 lane = (u32)(index % 8);
            if (lane == 0 && bit > 0) drawn = philox(resolved, index / 8);
            if (philox_lane(drawn, lane) < threshold) bits |= 1u << bit;
        }
        mask[mask_offset + word] = bits;
    }
}

KERNEL void dropout_apply_mask(GLOBAL const scalar* x, u64 x_offset, GLOBAL const u32* mask, u64 mask_offset,
                               GLOBAL scalar* y, u64 y_offset, u64 count, real scale) {
    for (u64 i = GLOBAL_ID; i < count; i += GLOBAL_SIZE) {
        const u32 keep = mask[mask_offset + i / 32] >> (i % 32) & 1u;
        store(y, y_offset + i, keep ? load(x, x_offset + i) * scale : (real)0);
    }
}
