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

// Half types are copied as they are stored: the way through float would make signalling NaN quiet.
DEVICE void copy_part(GLOBAL scalar* target, u64 to, GLOBAL const scalar* source, u64 from, u32 count, u32 aligned) {
    if (count == 8 && aligned) {
#if DTYPE_F32 || DTYPE_F64
        real values[8];
        load8(source, from, values);
        store8(target, to, values);
#else
        u32 pairs[4];
        load8_u16(source + from, pairs);
        store8_u16(target + to, pairs);
#endif
    } else {
        for (u32 k = 0; k < 8; k++) {
            if (k < count) target[to + k] = source[from + k];
        }
    }
}

KERNEL void parameter_snapshot_save(PARAMETER_SNAPSHOT_PARAMETERS) {
    for (u64 index = first_tile + GROUP_ID; index < first_tile + tile_count; index += GROUP_COUNT) {
        const tensor_tile tile = tile_at(tensors + tensors_offset, tiles + tiles_offset, index);
        for (u64 i = LOCAL_ID * 8; i < tile.count; i += GROUP_SIZE * 8) {
            const u32 count = tile.count - i < 8 ? (u32)(tile.count - i) : 8;
            copy_part(copy, copy_offset + tile.flat + i, parameter, parameter_offset + tile.first + i, count,
                      tile.aligned);
        }
    }
}

KERNEL void parameter_snapshot_restore(PARAMETER_SNAPSHOT_PARAMETERS) {
    for (u64 index = first_tile + GROUP_ID; index < first_tile + tile_count; index += GROUP_COUNT) {
        const tensor_tile tile = tile_at(tensors + tensors_offset, tiles + tiles_offset, index);
        for (u64 i = LOCAL_ID * 8; i < tile.count; i += GROUP_SIZE * 8) {
            const u32 count = tile.count - i < 8 ? (u32)(tile.count - i) : 8;
            copy_part(parameter, parameter_offset + tile.first + i, copy, copy_offset + tile.flat + i, count,
                      tile.aligned);
        }
    }
}
