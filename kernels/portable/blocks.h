// A tensor in blocks of eight elements: most of them moved in wide accesses by whole warps, those at the ends element
// by element. The way of a kernel over them is
//
//     u64 block = blocks.first + GLOBAL_ID;
//     for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) { ... load_wide ... store_wide ... }
//     for (; block < blocks.end; block += GLOBAL_SIZE) { ... load_block ... store_block ... }

#define HAS_WIDE (VEC == 8)

// Elements `start` to `stop` - 1 of a tensor, in blocks that are numbered in the whole tensor.
typedef struct {
    u64 start, stop;
    u64 first, end;
    u64 wide_end; // 32 blocks at a time, so that all items of a warp take part
} block_range;

// VEC = 8 needs `start` to be a multiple of eight.
DEVICE block_range blocks_of(u64 start, u64 count) {
    block_range blocks;
    blocks.start = start;
    blocks.stop = start + count;
    blocks.first = start / 8;
    blocks.end = (blocks.stop + 7) / 8;
    blocks.wide_end = blocks.first + count / 256 * 32;
    return blocks;
}

// The elements of a block that exist; the others are 0. `source` is where element `start` lies.
DEVICE void load_block(GLOBAL const scalar* source, block_range blocks, u64 block, real* values) {
    for (u32 lane = 0; lane < 8; lane++) {
        const u64 index = 8 * block + lane;
        values[lane] = index >= blocks.start && index < blocks.stop ? load(source, index - blocks.start) : (real)0;
    }
}

DEVICE void store_block(GLOBAL scalar* target, block_range blocks, u64 block, const real* values) {
    for (u32 lane = 0; lane < 8; lane++) {
        const u64 index = 8 * block + lane;
        if (index >= blocks.start && index < blocks.stop) store(target, index - blocks.start, values[lane]);
    }
}

// Eight elements for each item of a warp. All items of the warp call, the first for a block of an even number, the next
// for the next block.
DEVICE void load_wide(GLOBAL const scalar* source, block_range blocks, u64 block, real* values) {
    const u64 index = 8 * block - blocks.start;
#if PAIRED
    load4_f32(source + index - 4 * (LOCAL_ID % 2), values);
    load4_f32(source + index - 4 * (LOCAL_ID % 2) + 8, values + 4);
#else
    load8(source, index, values);
#endif
}

DEVICE void store_wide(GLOBAL scalar* target, block_range blocks, u64 block, const real* values) {
    const u64 index = 8 * block - blocks.start;
#if PAIRED
    store4_f32(target + index - 4 * (LOCAL_ID % 2), values);
    store4_f32(target + index - 4 * (LOCAL_ID % 2) + 8, values + 4);
#else
    store8(target, index, values);
#endif
}

// Packed bits of the eight elements of a block; elements are counted from 0.
DEVICE u32 bits_of_block(GLOBAL const u32* bits, u64 block) {
    return bits[block / 4] >> (u32)(8 * (block % 4)) & 0xffu;
}

// The same of the elements that load_wide gives an item.
DEVICE u32 bits_wide(GLOBAL const u32* bits, u64 block) {
#if PAIRED
    const u32 own = bits[block / 4] >> (16 * ((u32)(block / 2) % 2) + 4 * (LOCAL_ID % 2));
    return (own & 0xfu) | (own >> 4 & 0xf0u);
#else
    return bits_of_block(bits, block);
#endif
}
