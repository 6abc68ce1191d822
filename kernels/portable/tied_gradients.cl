// The gradient of a parameter that is used several times, in layers that share their weights (Rumelhart, Hinton and
// Williams, 1986; Press and Wolf, "Using the output embedding to improve language models", EACL 2017): the sum of the
// gradients of its uses, in a fixed order, for a whole list of parameters in one launch.
//
//   tied_gradients_sum  gradient = the sum of its uses; with `adds` they join what is there

#include "types.h"
#include "tensor_list.h"

// Before Ampere the compiler's own choice spills.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS (__CUDA_ARCH__ >= 800 ? 0 : 2)

// Uses that an item asks for at once.
#define AT_ONCE 4

// `width` elements of the sum over `count` uses, at most AT_ONCE: neighbours, then their sums.
DEVICE void sum_few(GLOBAL const scalar* uses, GLOBAL const u64* places, u64 count, u64 index, u32 width, real* sums) {
    real values[AT_ONCE][PIECE];
    u64 at[AT_ONCE];
    // All places before the first use, which would wait for its own.
    for (u32 k = 0; k < AT_ONCE; k++) at[k] = places[k < count ? k : 0];
#if DTYPE_F16 || DTYPE_BF16
    // What is stored is made into numbers when all of it is on its way.
    stored8 stored[AT_ONCE] = {{{0}}};
    for (u32 k = 0; k < AT_ONCE; k++)
        if (k < count && width == 8) stored[k] = load8_stored(uses + at[k], index);
    for (u32 k = 0; k < AT_ONCE; k++) {
        if (width == 8) widen8(stored[k], values[k]);
        if (k < count && width != 8) load_few(uses + at[k], index, width, values[k]);
    }
#else
    for (u32 k = 0; k < AT_ONCE; k++)
        if (k < count) load_few(uses + at[k], index, width, values[k]);
#endif
    for (u32 i = 0; i < width; i++) {
        sums[i] = count > 1 ? values[0][i] + values[1][i] : values[0][i];
        if (count > 2) sums[i] += count > 3 ? values[2][i] + values[3][i] : values[2][i];
    }
}

// `width` elements: the uses from number `first` to `end` - 1, whose places are in `places`. Every four are a binary
// tree, and join what there is one after the other; so eight of them are a binary tree, too.
DEVICE void sum_uses(GLOBAL scalar* gradient, GLOBAL const scalar* uses, GLOBAL const u64* places, u64 first, u64 end,
                     u64 index, u32 width, u32 adds) {
    real sums[PIECE];
    for (u32 i = 0; i < width; i++) sums[i] = 0;
    if (adds) load_few(gradient, index, width, sums);
    for (u64 use = first; use < end; use += AT_ONCE) {
        real four[PIECE];
        sum_few(uses, places + use, end - use, index, width, four);
        const u32 joins = adds || use > first;
        for (u32 i = 0; i < width; i++) sums[i] = joins ? sums[i] + four[i] : four[i];
    }
    store_few(gradient, index, width, sums);
}

// `places` has for each parameter where its uses begin in it, one end more, and then the uses: elements from the base
// pointer, modulo 2^64. A parameter's group says whether all its uses lie on 16 bytes.
KERNEL void tied_gradients_sum(GLOBAL scalar* gradient, u64 gradient_offset, GLOBAL const scalar* uses, u64 uses_offset,
                               TENSOR_LIST_PARAMETERS, GLOBAL const u64* RESTRICT places, u64 places_offset, u32 adds) {
    gradient += gradient_offset;
    uses += uses_offset;
    places += places_offset;
    for (u64 index = first_tile + GROUP_ID; index < first_tile + tile_count; index += GROUP_COUNT) {
        tensor_tile tile = tile_at(tensors + tensors_offset, tiles + tiles_offset, index);
        if (tile.group == 0) tile.aligned = 0;
        const u64 first = places[tile.tensor], last = places[tile.tensor + 1];
        // The second word of a tile's entry counts from the start of the tensor here.
        const u64 end = pieces_end(&tile, PIECE);
        for (u64 i = PIECE * LOCAL_ID; i < end; i += PIECE * GROUP_SIZE)
            sum_uses(gradient + tile.first, uses + tile.second, places, first, last, i, PIECE, adds);
        for (u64 i = end + LOCAL_ID; i < tile.count; i += GROUP_SIZE)
            sum_uses(gradient + tile.first, uses + tile.second, places, first, last, i, 1, adds);
    }
}
