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
#include "blocks.h"
#include "philox.h"

DEVICE void drop_out(philox_block drawn, u32 threshold, real scale, real* values) {
    for (u32 lane = 0; lane < 8; lane++)
        values[lane] = philox_lane(drawn, lane) < threshold ? values[lane] * scale : (real)0;
}

// `start` is the index of the first element in the whole tensor of which this may be a shard.
KERNEL void dropout_apply(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count, u64 start,
                          u32 threshold, real scale, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const block_range blocks = blocks_of(start, count);
    real values[8];
    x += x_offset;
    y += y_offset;
    u64 block = blocks.first + GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        drop_out(philox_wide(resolved, block), threshold, scale, values);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        drop_out(philox(resolved, block), threshold, scale, values);
        store_block(y, blocks, block, values);
    }
}

KERNEL void dropout_scale(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count, real scale) {
    const block_range blocks = blocks_of(0, count);
    real values[8];
    x += x_offset;
    y += y_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        for (u32 lane = 0; lane < 8; lane++) values[lane] *= scale;
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        for (u32 lane = 0; lane < 8; lane++) values[lane] *= scale;
        store_block(y, blocks, block, values);
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

DEVICE void select_by_bits(u32 kept, real scale, real* values) {
    for (u32 lane = 0; lane < 8; lane++) values[lane] = (kept >> lane & 1u) ? values[lane] * scale : (real)0;
}

KERNEL void dropout_apply_mask(GLOBAL const scalar* x, u64 x_offset, GLOBAL const u32* mask, u64 mask_offset,
                               GLOBAL scalar* y, u64 y_offset, u64 count, real scale) {
    const block_range blocks = blocks_of(0, count);
    real values[8];
    x += x_offset;
    mask += mask_offset;
    y += y_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        select_by_bits(bits_wide(mask, block), scale, values);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        select_by_bits(bits_of_block(mask, block), scale, values);
        store_block(y, blocks, block, values);
    }
}
