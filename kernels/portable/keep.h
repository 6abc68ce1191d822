// Keep decisions of eight elements in a row, for ops whose work is not cut along Philox blocks: rows may start inside
// one.

// Bit i is set where element index + i is kept. A threshold of 0 or 65536 draws nothing. VEC = 8 needs an index that is
// a multiple of eight.
DEVICE u32 keep8(random_key key, u64 index, u32 threshold) {
    if (threshold == 0u || threshold >= 65536u) return threshold == 0u ? 0u : 0xffu;
    u32 bits = 0;
    const philox_block drawn = philox(key, index / 8);
    for (u32 lane = 0; lane < 8; lane++) bits |= (philox_lane(drawn, lane) < threshold ? 1u : 0u) << lane;
#if VEC != 8
    const u32 skipped = (u32)(index % 8);
    if (skipped != 0) {
        const philox_block next = philox(key, index / 8 + 1);
        for (u32 lane = 0; lane < 8; lane++) bits |= (philox_lane(next, lane) < threshold ? 1u : 0u) << (8 + lane);
        bits = bits >> skipped & 0xffu;
    }
#endif
    return bits;
}

// The draws of elements index to index + 7, as lanes of one block.
DEVICE philox_block draw8(random_key key, u64 index) {
    philox_block drawn = philox(key, index / 8);
#if VEC != 8
    const u32 skipped = (u32)(index % 8);
    if (skipped != 0) {
        const philox_block next = philox(key, index / 8 + 1);
        u32 words[8] = {drawn.words[0], drawn.words[1], drawn.words[2], drawn.words[3],
                        next.words[0],  next.words[1],  next.words[2],  next.words[3]};
        for (u32 i = 0; i < 6; i++) words[i] = (skipped & 4u) ? words[i + 2] : words[i];
        for (u32 i = 0; i < 5; i++) words[i] = (skipped & 2u) ? words[i + 1] : words[i];
        for (u32 i = 0; i < 4; i++) drawn.words[i] = (skipped & 1u) ? words[i] >> 16 | words[i + 1] << 16 : words[i];
    }
#endif
    return drawn;
}
