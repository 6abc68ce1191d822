// The generator itself and the upkeep of keys in device memory.
//
//   random_bits    words[4 * b + w] = word w of block first_block + b: what every other kernel draws, as it is; for
//                  known-answer tests.
//   random_advance key.offset += steps: the key of the next call, without the host.

#include "types.h"
#include "philox.h"

KERNEL void random_bits(GLOBAL u32* words, u64 words_offset, u64 blocks, u64 first_block, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    for (u64 b = GLOBAL_ID; b < blocks; b += GLOBAL_SIZE) {
        const philox_block drawn = philox(resolved, first_block + b);
        for (u32 w = 0; w < 4; w++) words[words_offset + 4 * b + w] = drawn.words[w];
    }
}

KERNEL void random_advance(GLOBAL u64* key, u64 key_offset, u64 steps) {
    if (GLOBAL_ID == 0) key[key_offset + 1] += steps;
}
