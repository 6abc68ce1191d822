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

KERNEL void norm_penalty_tiles(GLOBAL const scalar* parameter, u64 parameter_offset, GLOBAL scalar* gradient,
                               u64 gradient_offset, TENSOR_LIST_PARAMETERS, GLOBAL const real* RESTRICT coefficients,
                               u64 coefficients_offset, GLOBAL real* RESTRICT sums, u64 sums_offset,
                               real gradient_scale) {
    SHARED real scratch[GROUP_SIZE];
    for (u64 index = first_tile + GROUP_ID; index < first_tile + tile_count; index += GROUP_COUNT) {
        const tensor_tile tile = tile_at(tensors + tensors_offset, tiles + tiles_offset, index);
        const penalty_coefficients own =
            ((GLOBAL const penalty_coefficients*)(coefficients + coefficients_offset))[tile.tensor];
        // A tensor that is excluded is not read: NaN in it does not matter.
        const u64 end = own.magnitude == 0 && own.root == 0 ? 0 : tile.count;
        real value = 0;
        for (u64 i = LOCAL_ID * 8; i < end; i += GROUP_SIZE * 8) {
            const u32 count = end - i < 8 ? (u32)(end - i) : 8;
            real weights[8];
            load_part(parameter, parameter_offset + tile.first + i, count, tile.aligned, weights);
            for (u32 k = 0; k < 8; k++) {
                const real magnitude = own.magnitude == 0 ? (real)0 : weights[k] < 0 ? -weights[k] : weights[k];
                const real root = own.root == 0 ? (real)0 : own.root * weights[k];
                value += own.magnitude * magnitude + root * root;
            }
#if HAS_GRADIENT
            real gradients[8];
            load_part(gradient, gradient_offset + tile.second + i, count, tile.aligned, gradients);
            for (u32 k = 0; k < 8; k++) {
                const real sign = weights[k] > 0 ? (real)1 : weights[k] < 0 ? (real)-1 : weights[k];
                const real direction = own.magnitude == 0 ? (real)0 : sign;
                const real weight = own.slope == 0 ? (real)0 : weights[k];
                gradients[k] += gradient_scale * (own.magnitude * direction + own.slope * weight);
            }
            store_part(gradient, gradient_offset + tile.second + i, count, tile.aligned, gradients);
#endif
        }
        const real total = group_sum(value, scratch);
        if (LOCAL_ID == 0) sums[sums_offset + index] = total;
    }
}

KERNEL void norm_penalty_value(GLOBAL const real* RESTRICT sums, u64 sums_offset, GLOBAL real* RESTRICT value,
                               u64 value_offset, u64 tile_count) {
    SHARED real scratch[GROUP_SIZE];
    long_sum total = {0, 0};
    for (u64 tile = LOCAL_ID; tile < tile_count; tile += GROUP_SIZE) add_long(&total, sums[sums_offset + tile]);
    const real sum = group_sum(total.sum, scratch);
    if (LOCAL_ID == 0) value[value_offset] = sum;
}
