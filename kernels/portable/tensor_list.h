// A list of tensors for one launch. The host cuts every tensor into tiles and keeps two tables in device memory: for
// each tile its tensor, and for each tensor where it lies. Groups stride over the tiles, so that the work is shared by
// bytes whatever the sizes of the tensors. Offsets are counted in elements from the base pointers of the launch, modulo
// 2^64.
//
// The items of a group take pieces of a tile side by side, so that every access of a warp fills whole sectors of
// memory. What no piece holds, which is all of a tile that is not aligned, they take element by element. A piece is
// PIECE elements, or four where others of the arithmetic type lie beside them:
//
//     const u64 end = pieces_end(&tile, PIECE);
//     for (u64 i = PIECE * LOCAL_ID; i < end; i += PIECE * GROUP_SIZE) { ... load_few(..., PIECE, ...) ... }
//     for (u64 i = end + LOCAL_ID; i < tile.count; i += GROUP_SIZE) { ... load_few(..., 1, ...) ... }

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
    tile.tensor = (u32)entry[6];
    tile.group = (u32)(entry[6] >> 32);
    tile.aligned = (u32)entry[7];
    return tile;
}

// Elements that an item reads and writes at a time: 16 bytes, 32 of double.
#define PIECE (DTYPE_F32 || DTYPE_F64 ? 4 : 8)

// Where the pieces of a tile end, of `width` elements each.
DEVICE u64 pieces_end(const tensor_tile* tile, u32 width) { return tile->aligned ? tile->count / width * width : 0; }

// `width` elements: 8, 4 or 1, a constant.
DEVICE void load_few(GLOBAL const scalar* source, u64 index, u32 width, real* values) {
    if (width == 8) {
        load8(source, index, values);
    } else if (width == 4) {
        load4(source, index, values);
    } else {
        values[0] = load(source, index);
    }
}

DEVICE void store_few(GLOBAL scalar* target, u64 index, u32 width, const real* values) {
    if (width == 8) {
        store8(target, index, values);
    } else if (width == 4) {
        store4(target, index, values);
    } else {
        store(target, index, values[0]);
    }
}
