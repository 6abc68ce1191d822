// Mean squared error: the mean over all elements of (prediction - target)^2, and its gradient
// 2 * (prediction - target) / count, times the scale. Sums have an order that depends on the number of elements alone.
//
//   mean_squared_error  the sums of parts of the elements, and the gradient unless it is absent; in place if asked

#include "types.h"
#include "blocks.h"
#include "reduce.h"

typedef struct {
    real share;      // of an element in the mean: 1 / count
    real slope;      // of a difference in the gradient
    u32 accumulates; // the gradient joins what is there
} error_factors;

// What eight elements add to the mean. Their gradients take the place of what was in `gradients`. The share comes
// before the square, which so overflows only where the mean does.
DEVICE real add_errors(error_factors factors, const real* predictions, const real* targets, real* gradients, real sum) {
    for (u32 lane = 0; lane < 8; lane++) {
        const real difference = predictions[lane] - targets[lane];
        sum = FMA(difference, factors.share * difference, sum);
        gradients[lane] =
            factors.accumulates ? FMA(factors.slope, difference, gradients[lane]) : factors.slope * difference;
    }
    return sum;
}

// Part g has part_blocks blocks of eight elements, from g * part_blocks on: whole turns of a group.
KERNEL void mean_squared_error(GLOBAL const scalar* predictions, u64 predictions_offset,
                               GLOBAL const scalar* RESTRICT targets, u64 targets_offset,
                               GLOBAL const real* RESTRICT loss_gradient, u64 loss_gradient_offset,
                               GLOBAL scalar* gradient, u64 gradient_offset, GLOBAL real* RESTRICT sums,
                               u64 sums_offset, u64 count, u64 parts, u64 part_blocks, real share, real slope,
                               u32 accumulates) {
    SHARED real scratch[GROUP_SIZE];
    const block_range blocks = blocks_of(0, count);
    error_factors factors = {share, slope, accumulates};
    if (loss_gradient != 0) {
        const real factor = loss_gradient[loss_gradient_offset];
        factors.slope *= is_finite(factor) ? factor : QUIET_NAN;
    }
    predictions += predictions_offset;
    targets += targets_offset;
    if (gradient != 0) gradient += gradient_offset;
    for (u64 part = GROUP_ID; part < parts; part += GROUP_COUNT) {
        const u64 last = (part + 1) * part_blocks, end = last < blocks.end ? last : blocks.end;
        const u64 wide_end = end < blocks.wide_end ? end : blocks.wide_end;
        u64 block = part * part_blocks + LOCAL_ID;
        real sum = 0, own[8], wanted[8], gradients[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (; HAS_WIDE && block < wide_end; block += GROUP_SIZE) {
            load_wide(predictions, blocks, block, own);
            load_wide(targets, blocks, block, wanted);
            if (accumulates) load_wide(gradient, blocks, block, gradients);
            sum = add_errors(factors, own, wanted, gradients, sum);
            if (gradient != 0) store_wide(gradient, blocks, block, gradients);
        }
        for (; block < end; block += GROUP_SIZE) {
            load_block(predictions, blocks, block, own);
            load_block(targets, blocks, block, wanted);
            if (accumulates) load_block(gradient, blocks, block, gradients);
            sum = add_errors(factors, own, wanted, gradients, sum);
            if (gradient != 0) store_block(gradient, blocks, block, gradients);
        }
        sum = group_sum(sum, scratch);
        if (LOCAL_ID == 0) sums[sums_offset + part] = sum;
    }
}
