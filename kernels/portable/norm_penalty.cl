// L1, L2 and elastic-net penalties over a list of parameters: value = sum of l1 * |w| + c * l2 * w^2, gradient
// l1 * sign(w) + 2 * c * l2 * w with c = 1/2 or 1 (Zou and Hastie, 2005). Sums in a fixed order, whatever the launch.
//
//   norm_penalty_tiles  the value of each tile; HAS_GRADIENT adds scale * gradient to what is there
//   norm_penalty_value  one work group: the sum of all tiles

#include "types.h"
#include "reduce.h"
#include "squares.h"
#include "tensor_list.h"

// What a tensor's weights are multiplied by. 0 is absent: then weights are not looked at, which may be infinite.
typedef struct {
    real magnitude; // of |w|
    real root;      // of w before it is squared: so the square overflows only where the value does
    real slope;     // of w in the gradient
} penalty_coefficients;

// The value of `width` elements. With HAS_GRADIENT the scaled gradient joins what is in `gradient`. What is absent is
// asked outside the loops over the elements.
DEVICE real penalize(const penalty_coefficients* own, GLOBAL const scalar* parameter, GLOBAL scalar* gradient,
                     u64 index, u32 width, real gradient_scale) {
    real weights[PIECE], value = 0;
    load_few(parameter, index, width, weights);
#if HAS_GRADIENT
    real gradients[PIECE];
    load_few(gradient, index, width, gradients);
#endif
    if (own->magnitude != 0) {
        for (u32 k = 0; k < width; k++) value += own->magnitude * (weights[k] < 0 ? -weights[k] : weights[k]);
    }
    if (own->root != 0) {
        for (u32 k = 0; k < width; k++) {
            const real root = own->root * weights[k];
            value += root * root;
        }
    }
#if HAS_GRADIENT
    real slopes[PIECE];
    for (u32 k = 0; k < width; k++) slopes[k] = 0;
    if (own->magnitude != 0) {
        for (u32 k = 0; k < width; k++) {
            const real sign = weights[k] > 0 ? (real)1 : weights[k] < 0 ? (real)-1 : weights[k];
            slopes[k] = own->magnitude * sign;
        }
    }
    if (own->slope != 0) {
        for (u32 k = 0; k < width; k++) slopes[k] += own->slope * weights[k];
    }
    for (u32 k = 0; k < width; k++) gradients[k] += gradient_scale * slopes[k];
    store_few(gradient, index, width, gradients);
#endif
    return value;
}

KERNEL void norm_penalty_tiles(GLOBAL const scalar* parameter, u64 parameter_offset, GLOBAL scalar* gradient,
                               u64 gradient_offset, TENSOR_LIST_PARAMETERS, GLOBAL const real* RESTRICT coefficients,
                               u64 coefficients_offset, GLOBAL real* RESTRICT sums, u64 sums_offset,
                               real gradient_scale) {
    SHARED real scratch[GROUP_SIZE];
    for (u64 index = first_tile + GROUP_ID; index < first_tile + tile_count; index += GROUP_COUNT) {
        tensor_tile tile = tile_at(tensors + tensors_offset, tiles + tiles_offset, index);
        const penalty_coefficients own =
            ((GLOBAL const penalty_coefficients*)(coefficients + coefficients_offset))[tile.tensor];
        // A tensor that is excluded is not read: NaN in it does not matter.
        if (own.magnitude == 0 && own.root == 0) tile.count = 0;
        const u64 end = pieces_end(&tile, PIECE);
        GLOBAL const scalar* weights = parameter + parameter_offset + tile.first;
        GLOBAL scalar* slopes = gradient + gradient_offset + tile.second;
        real value = 0;
        for (u64 i = PIECE * LOCAL_ID; i < end; i += PIECE * GROUP_SIZE)
            value += penalize(&own, weights, slopes, i, PIECE, gradient_scale);
        for (u64 i = end + LOCAL_ID; i < tile.count; i += GROUP_SIZE)
            value += penalize(&own, weights, slopes, i, 1, gradient_scale);
        const real total = group_sum(value, scratch);
        if (LOCAL_ID == 0) sums[sums_offset + index] = total;
    }
}

// Sums of tiles that are under way at once.
#define TILES_AT_ONCE 8

KERNEL void norm_penalty_value(GLOBAL const real* RESTRICT sums, u64 sums_offset, GLOBAL real* RESTRICT value,
                               u64 value_offset, u64 tile_count) {
    SHARED real scratch[GROUP_SIZE];
    long_sum total = {0, 0};
    for (u64 tile = LOCAL_ID; tile < tile_count; tile += TILES_AT_ONCE * GROUP_SIZE) {
        real own[TILES_AT_ONCE];
        for (u32 k = 0; k < TILES_AT_ONCE; k++)
            own[k] = tile + k * GROUP_SIZE < tile_count ? sums[sums_offset + tile + k * GROUP_SIZE] : (real)0;
        for (u32 k = 0; k < TILES_AT_ONCE; k++) add_long(&total, own[k]);
    }
    const real sum = group_sum(total.sum, scratch);
    if (LOCAL_ID == 0) value[value_offset] = sum;
}
