// A list of tensors and one flat buffer with room for all of them, copied bit for bit in either direction.
//
//   parameter_snapshot_save     the tensors into the buffer
//   parameter_snapshot_restore  the buffer into the tensors

#include "types.h"
#include "tensor_list.h"

// Either direction takes the same.
#define PARAMETER_SNAPSHOT_PARAMETERS                                                              \
    GLOBAL scalar *parameter, u64 parameter_offset, GLOBAL scalar *RESTRICT copy, u64 copy_offset, \
        TENSOR_LIST_PARAMETERS

// Pieces of an item that are under way at once.
#define PIECES 4

// A piece as it is stored: the way of half types through float would make signalling NaN quiet.
#if DTYPE_F32 || DTYPE_F64
typedef real piece_part;
DEVICE void load_piece(GLOBAL const scalar* source, piece_part* piece) { load4(source, 0, piece); }
DEVICE void store_piece(GLOBAL scalar* target, const piece_part* piece) { store4(target, 0, piece); }
#else
typedef u32 piece_part;
DEVICE void load_piece(GLOBAL const scalar* source, piece_part* piece) { load8_u16(source, piece); }
DEVICE void store_piece(GLOBAL scalar* target, const piece_part* piece) { store8_u16(target, piece); }
#endif

DEVICE void copy_tile(GLOBAL scalar* target, GLOBAL const scalar* source, const tensor_tile* tile) {
    const u64 end = pieces_end(tile, PIECE);
    for (u64 i = PIECE * LOCAL_ID; i < end; i += PIECES * PIECE * GROUP_SIZE) {
        piece_part held[PIECES][4];
        for (u32 k = 0; k < PIECES; k++) {
            if (i + k * PIECE * GROUP_SIZE < end) load_piece(source + i + k * PIECE * GROUP_SIZE, held[k]);
        }
        for (u32 k = 0; k < PIECES; k++) {
            if (i + k * PIECE * GROUP_SIZE < end) store_piece(target + i + k * PIECE * GROUP_SIZE, held[k]);
        }
    }
    for (u64 i = end + LOCAL_ID; i < tile->count; i += GROUP_SIZE) target[i] = source[i];
}

KERNEL void parameter_snapshot_save(PARAMETER_SNAPSHOT_PARAMETERS) {
    for (u64 index = first_tile + GROUP_ID; index < first_tile + tile_count; index += GROUP_COUNT) {
        const tensor_tile tile = tile_at(tensors + tensors_offset, tiles + tiles_offset, index);
        copy_tile(copy + copy_offset + tile.flat, parameter + parameter_offset + tile.first, &tile);
    }
}

KERNEL void parameter_snapshot_restore(PARAMETER_SNAPSHOT_PARAMETERS) {
    for (u64 index = first_tile + GROUP_ID; index < first_tile + tile_count; index += GROUP_COUNT) {
        const tensor_tile tile = tile_at(tensors + tensors_offset, tiles + tiles_offset, index);
        copy_tile(parameter + parameter_offset + tile.first, copy + copy_offset + tile.flat, &tile);
    }
}
