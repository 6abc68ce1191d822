// The eight elements that load_wide of blocks.h gives an item, where they may be of two rows: in float the items of a
// pair take fours in turn.

#define PARTS      (PAIRED ? 2 : 1)
#define PART_LANES (PAIRED ? 4 : 8)

// The first element of a part of a block.
DEVICE u64 part_index(u64 block, u32 part) { return 8 * (block + part) - (PAIRED ? 4 * (LOCAL_ID % 2) : 0); }

DEVICE void load_part(GLOBAL const scalar* source, u64 index, real* values) {
#if PAIRED
    load4_f32(source + index, values);
#else
    load8(source, index, values);
#endif
}

DEVICE void store_part(GLOBAL scalar* target, u64 index, const real* values) {
#if PAIRED
    store4_f32(target + index, values);
#else
    store8(target, index, values);
#endif
}
