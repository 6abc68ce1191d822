// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011). Key = seed; counter = (block, offset). Element i takes 16-bit
// lane i % 8 of block i / 8: word lane / 2, low half first. All decisions are integers, so every device draws the same
// bits.

// A kernel takes its key as four parameters: `key`, when not null, points to (seed, offset) in device memory and wins
// over the two values.
#define KEY_PARAMETERS GLOBAL const u64 *key, u64 key_offset, u64 seed, u64 offset

typedef struct {
    u64 seed;
    u64 offset;
} random_key;

typedef struct {
    u32 words[4];
} philox_block;

DEVICE random_key resolve_key(GLOBAL const u64* key, u64 key_offset, u64 seed, u64 offset) {
    random_key resolved = {seed, offset};
    if (key != 0) {
        resolved.seed = key[key_offset];
        resolved.offset = key[key_offset + 1];
    }
    return resolved;
}

DEVICE philox_block philox(random_key key, u64 block) {
    u32 c0 = (u32)block, c1 = (u32)(block >> 32), c2 = (u32)key.offset, c3 = (u32)(key.offset >> 32);
    u32 k0 = (u32)key.seed, k1 = (u32)(key.seed >> 32);
    for (int round = 0; round < 10; round++) {
        const u32 high0 = MUL_HI(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        const u32 high1 = MUL_HI(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0, c1 = low1;
        c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    philox_block result = {{c0, c1, c2, c3}};
    return result;
}

// Sixteen random bits, 0 to 65535; keep an element iff they are less than its threshold.
// Selections, not an index: an array that is indexed at run time lies in memory, not in registers.
DEVICE u32 philox_lane(philox_block block, u32 lane) {
    const u32 even = (lane & 4) ? block.words[2] : block.words[0], odd = (lane & 4) ? block.words[3] : block.words[1];
    return (((lane & 2) ? odd : even) >> (16 * (lane % 2))) & 0xffffu;
}

// The same decision, for a threshold below 65536, with an instruction less for an odd lane.
DEVICE u32 keeps_lane(philox_block block, u32 lane, u32 threshold) {
    const u32 even = (lane & 4) ? block.words[2] : block.words[0], odd = (lane & 4) ? block.words[3] : block.words[1];
    const u32 word = (lane & 2) ? odd : even;
    return (lane % 2 ? word : word << 16) < threshold << 16;
}

// The draws of the elements that load_wide of blocks.h gives an item: a block, or halves of the blocks of a pair. All
// items of the warp call.
DEVICE philox_block philox_wide(random_key key, u64 block) {
    philox_block drawn = philox(key, block);
#if PAIRED
    const u32 odd = LOCAL_ID % 2;
    const u32 first = __shfl_xor_sync(0xffffffffu, odd ? drawn.words[0] : drawn.words[2], 1);
    const u32 second = __shfl_xor_sync(0xffffffffu, odd ? drawn.words[1] : drawn.words[3], 1);
    drawn.words[0] = odd ? first : drawn.words[0];
    drawn.words[1] = odd ? second : drawn.words[1];
    drawn.words[2] = odd ? drawn.words[2] : first;
    drawn.words[3] = odd ? drawn.words[3] : second;
#endif
    return drawn;
}
