// A list of tensors for one launch. The host cuts every tensor into tiles and keeps two tables in device memory: for
// each tile its tensor, and for each tensor where it lies. Groups stride over the tiles, so that the work is shared by
// bytes whatever the sizes of the tensors. Offsets are counted in elements from the base pointers of the launch, modulo
// 2^64.
//
// The items of a group take fours of a tile side by side, so that every access of a warp fills whole sectors of memory,
// whatever the type. What no four holds, which is all of a tile that is not aligned, they take element by element:
//
//     for (u64 i = 4 * LOCAL_ID; i < tile.fours; i += 4 * GROUP_SIZE) { ... load_few(..., 4, ...) ... }
//     for (u64 i = tile.fours + LOCAL_ID; i < tile.count; i += GROUP_SIZE) { ... load_few(..., 1, ...) ... }

// A kernel takes a list as its two tables and the tiles of this launch.
#define TENSOR_LIST_PARAMETERS                                                                                  \
    GLOBAL const u64 *RESTRICT tensors, u64 tensors_offset, GLOBAL const u32 *RESTRICT tiles, u64 tiles_offset, \
        u64 first_tile, u64 tile_count

// Words of a tensor's entry, in the order of `tensor_tile`.
#define TENSOR_WORDS 8

typedef struct {
    u64 first;   // of the tile, from the first base pointer
    u64 second;  // the same from the second base pointer
    u64 flat;    // the same in a flat buffer with room for the whole list
    u64 count;   // elements
    u64 fours;   // those of them that are read and written four at a time
    u32 tensor;  // the tensor's place in the caller's list
    u32 group;   // whose options hold for it
    u32 aligned; // whether eight elements can be read and written at a time
} tensor_tile;

DEVICE tensor_tile tile_at(GLOBAL const u64* RESTRICT tensors, GLOBAL const u32* RESTRICT tiles, u64 index) {
    GLOBAL const u64* entry = tensors + (u64)tiles[index] * TENSOR_WORDS;
    const u64 length = entry[5];
    const u64 start = (index - entry[4]) * length;
    const u64 rest = entry[3] - start;
    tensor_tile tile;
    tile.first = entry[0] + start;
    tile.second = entry[1] + start;
    tile.flat = entry[2] + start;
    tile.count = rest < length ? rest : length;
    tile.fours = (u32)entry[7] ? tile.count / 4 * 4 : 0;
    tile.tensor = (u32)entry[6];
    tile.group = (u32)(entry[6] >> 32);
    tile.aligned = (u32)entry[7];
    return tile;
}

// `width` elements, 4 or 1, a constant.
DEVICE void load_few(GLOBAL const scalar* source, u64 index, u32 width, real* values) {
    if (width == 4) {
        load4(source, index, values);
    } else {
        values[0] = load(source, index);
    }
}

DEVICE void store_few(GLOBAL scalar* target, u64 index, u32 width, const real* values) {
    if (width == 4) {
        store4(target, index, values);
    } else {
        store(target, index, values[0]);
    }
}

// Elements index to index + 7, of which `count` exist; the others are 0.
DEVICE void load_part(GLOBAL const scalar* source, u64 index, u32 count, u32 aligned, real* values) {
    if (count == 8 && aligned) {
        load8(source, index, values);
    } else {
        for (u32 k = 0; k < 8; k++) values[k] = k < count ? load(source, index + k) : (real)0;
    }
}

DEVICE void store_part(GLOBAL scalar* target, u64 index, u32 count, u32 aligned, const real* values) {
    if (count == 8 && aligned) {
        store8(target, index, values);
    } else {
        for (u32 k = 0; k < 8; k++) {
            if (k < count) store(target, index + k, values[k]);
        }
    }
}
