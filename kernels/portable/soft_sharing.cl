// Soft parameter sharing: (lambda / 2) * sum of (a - b)^2 draws two tensors together that need not be equal (Duong,
// Cohn, Bird and Cook, "Low resource dependency parsing: cross-lingual parameter sharing in a neural network parser",
// ACL 2015; the idea: Nowlan and Hinton, 1992). Gradients lambda * (a - b) and lambda * (b - a).
//
//   soft_sharing_tiles  the sum of each tile; HAS_GRADIENT adds scale * gradient to what is there. norm_penalty_value
//                       adds the tiles

#include "types.h"
#include "reduce.h"
#include "tensor_list.h"

// The value of `width` elements. Halves are subtracted, as a difference may be beyond the largest number where its
// product with the root is not; halving is exact.
DEVICE real share(GLOBAL const scalar* a, GLOBAL const scalar* b, GLOBAL scalar* da, GLOBAL scalar* db, u64 index,
                  u32 width, real root, real slope) {
    real left[PIECE], right[PIECE], value = 0;
    load_few(a, index, width, left);
    load_few(b, index, width, right);
#if HAS_GRADIENT
    real up[PIECE], down[PIECE];
    if (da != 0) load_few(da, index, width, up);
    if (db != 0) load_few(db, index, width, down);
#endif
    for (u32 k = 0; k < width; k++) {
        left[k] = (real)0.5 * left[k] - (real)0.5 * right[k];
        const real rooted = root * left[k];
        value += rooted * rooted;
    }
#if HAS_GRADIENT
    for (u32 k = 0; k < width; k++) {
        const real part = slope * left[k];
        up[k] += part;
        down[k] -= part;
    }
    if (da != 0) store_few(da, index, width, up);
    if (db != 0) store_few(db, index, width, down);
#endif
    return value;
}

// Of twice the strength: `root` is 2 * sqrt(lambda / 2), `slope` 2 * lambda * scale.
KERNEL void soft_sharing_tiles(GLOBAL const scalar* a, u64 a_offset, GLOBAL const scalar* b, u64 b_offset,
                               GLOBAL scalar* da, u64 da_offset, GLOBAL scalar* db, u64 db_offset,
                               GLOBAL real* RESTRICT sums, u64 sums_offset, u64 count, u64 tile_length, u32 aligned,
                               real root, real slope) {
    SHARED real scratch[GROUP_SIZE];
    for (u64 tile = GROUP_ID; tile * tile_length < count; tile += GROUP_COUNT) {
        const u64 first = tile * tile_length, rest = count - first, length = rest < tile_length ? rest : tile_length;
        const u64 end = aligned ? length / PIECE * PIECE : 0;
        GLOBAL const scalar* left = a + a_offset + first;
        GLOBAL const scalar* right = b + b_offset + first;
        GLOBAL scalar* up = da == 0 ? 0 : da + da_offset + first;
        GLOBAL scalar* down = db == 0 ? 0 : db + db_offset + first;
        real value = 0;
        for (u64 i = PIECE * LOCAL_ID; i < end; i += PIECE * GROUP_SIZE)
            value += share(left, right, up, down, i, PIECE, root, slope);
        for (u64 i = end + LOCAL_ID; i < length; i += GROUP_SIZE)
            value += share(left, right, up, down, i, 1, root, slope);
        const real total = group_sum(value, scratch);
        if (LOCAL_ID == 0) sums[sums_offset + tile] = total;
    }
}
