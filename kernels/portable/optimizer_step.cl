// What comes before the pass over the parameters: the norm of all gradients, and the decisions that hold for one step, made on the device so that a
// captured graph makes them anew in every replay.
//
//   gradient_squares   for each tile the sum of the squares of its gradients, and NaN where one of them is not finite (else 0)
//   optimizer_prepare  one work group: clipping factor, skip, learning rates, bias corrections 1 - beta^step, step counts

#include "types.h"
#include "reduce.h"
#include "optimizer_layout.h"
#include "tensor_list.h"

KERNEL void gradient_squares(GLOBAL const scalar* gradient, u64 gradient_offset, TENSOR_LIST_PARAMETERS,
                             GLOBAL real* sums, u64 sums_offset) {
    SHARED real scratch[GROUP_SIZE];
    for (u64 index = first_tile + GROUP_ID; index < first_tile + tile_count; index += GROUP_COUNT) {
        const tensor_tile tile = tile_at(tensors + tensors_offset, tiles + tiles_offset, index);
        real square = 0, fault = 0;
        for (u64 i = LOCAL_ID * 8; i < tile.count; i += GROUP_SIZE * 8) {
            const u32 count = tile.count - i < 8 ? (u32)(tile.count - i) : 8;
            real values[8];
            load_part(gradient, gradient_offset + tile.second + i, count, tile.aligned, values);
            for (u32 k = 0; k < 8; k++) {
                square += values[k] * values[k];
                // 0, or NaN for infinities and NaN.
                fault += values[k] - values[k];
            }
        }
        square = group_sum(square, scratch);
        fault = group_sum(fault, scratch);
        if (LOCAL_ID == 0) {
            sums[sums_offset + 2 * index] = square;
            sums[sums_offset + 2 * index + 1] = fault;
        }
    }
}

// 1 - e^-x, without cancellation where x is small: there by the series x (1 - x/2 (1 - x/3 (...))). 1 - beta^step is that of -step * log beta.
DEVICE real rise(real x) {
    if (!(x < (real)0.5f)) return 1 - EXP(-x);
    real sum = 1;
    for (u32 k = 16; k > 1; k--) sum = 1 - x / (real)k * sum;
    return x * sum;
}

// progress: factor of the gradients, whether to skip, whether this is the first step, norm of the gradients; then for each group rate and bias corrections.
// counts: steps taken, steps skipped.
KERNEL void optimizer_prepare(GLOBAL real* progress, u64 progress_offset, GLOBAL u64* counts, u64 counts_offset,
                              GLOBAL const real* RESTRICT settings, u64 settings_offset,
                              GLOBAL const real* RESTRICT sums, u64 sums_offset, GLOBAL const float* RESTRICT rates,
                              u64 rates_offset, GLOBAL const float* RESTRICT loss_scales, u64 loss_scales_offset,
                              GLOBAL u32* zeros, u64 zeros_offset, u64 groups, u64 measured_tiles, u64 counted_tensors,
                              u32 has_rates, u32 has_loss_scale, u32 skips_faults, real loss_scale, real maximum_norm) {
    SHARED real scratch[GROUP_SIZE];
    GLOBAL real* header = progress + progress_offset;
    const u64 steps = counts[counts_offset];
    const u64 skipped = counts[counts_offset + 1];
    real square = 0, fault = 0;
    for (u64 tile = LOCAL_ID; tile < measured_tiles; tile += GROUP_SIZE) {
        square += sums[sums_offset + 2 * tile];
        fault += sums[sums_offset + 2 * tile + 1];
    }
    square = group_sum(square, scratch);
    fault = group_sum(fault, scratch);

    real factor = 1 / (has_loss_scale ? (real)loss_scales[loss_scales_offset] : loss_scale);
    const real norm = SQRT(square) * factor;
    if (maximum_norm > 0) {
        const real clip = maximum_norm / (norm + (real)1e-6f);
        // Written so that a NaN stays one.
        if (!(clip >= 1)) factor *= clip;
    }
    const u32 skip = skips_faults && fault != fault;
    if (LOCAL_ID == 0) {
        header[0] = factor;
        header[1] = skip ? 1 : 0;
        header[2] = steps == 0 ? 1 : 0;
        header[3] = norm;
        counts[counts_offset] = skip ? steps : steps + 1;
        counts[counts_offset + 1] = skip ? skipped + 1 : skipped;
    }
    for (u64 i = LOCAL_ID; i < (skip ? 0 : counted_tensors); i += GROUP_SIZE) zeros[zeros_offset + i] = 0;
    for (u64 group = LOCAL_ID; group < (skip ? 0 : groups); group += GROUP_SIZE) {
        GLOBAL const real* setting = settings + settings_offset + group * SETTING_WORDS;
        GLOBAL real* own = header + PROGRESS_HEADER + group * PROGRESS_WORDS;
        own[0] = has_rates ? (real)rates[rates_offset + group] : setting[0];
        for (u32 k = 0; k < 2; k++) own[1 + k] = rise((real)(steps + 1) * setting[15 + k]);
    }
}
