// What comes before the pass over the parameters: the norm of all gradients, and the decisions that hold for one step,
// made on the device so that a captured graph makes them anew in every replay.
//
//   gradient_squares   for each tile three sums of the squares of its gradients, in different ranges
//   optimizer_prepare  one work group: norm, clipping, skip, learning rates, corrections 1 - beta^step, step counts

#include "types.h"
#include "reduce.h"
#include "squares.h"
#include "optimizer_layout.h"
#include "tensor_list.h"

KERNEL void gradient_squares(GLOBAL const scalar* gradient, u64 gradient_offset, TENSOR_LIST_PARAMETERS,
                             GLOBAL real* sums, u64 sums_offset) {
    SHARED real scratch[SQUARE_SUMS * GROUP_SIZE];
    for (u64 index = first_tile + GROUP_ID; index < first_tile + tile_count; index += GROUP_COUNT) {
        const tensor_tile tile = tile_at(tensors + tensors_offset, tiles + tiles_offset, index);
        long_sum squares[SQUARE_SUMS] = {{0, 0}, {0, 0}, {0, 0}};
        const u64 end = pieces_end(&tile, PIECE);
        real values[PIECE];
        for (u64 i = PIECE * LOCAL_ID; i < end; i += PIECE * GROUP_SIZE) {
            load_few(gradient, gradient_offset + tile.second + i, PIECE, values);
            add_squares(squares, values, PIECE);
        }
        for (u64 i = end + LOCAL_ID; i < tile.count; i += GROUP_SIZE) {
            load_few(gradient, gradient_offset + tile.second + i, 1, values);
            add_squares(squares, values, 1);
        }
        real own[SQUARE_SUMS];
        group_squares(squares, own, scratch);
        if (LOCAL_ID == 0) {
            for (u32 s = 0; s < SQUARE_SUMS; s++) sums[sums_offset + SQUARE_SUMS * index + s] = own[s];
        }
    }
}

// 1 - e^-x, without cancellation where x is small: there by the series x (1 - x/2 (1 - x/3 (...))). 1 - beta^step is
// that of -step * log beta.
DEVICE real rise(real x) {
    if (!(x < (real)0.5f)) return 1 - EXP(-x);
    real sum = 1;
    for (u32 k = 16; k > 1; k--) sum = 1 - x * (1 / (real)k) * sum;
    return x * sum;
}

// counts: steps taken, steps skipped.
KERNEL void optimizer_prepare(GLOBAL real* progress, u64 progress_offset, GLOBAL u64* counts, u64 counts_offset,
                              GLOBAL const real* RESTRICT options, u64 options_offset, GLOBAL const real* RESTRICT sums,
                              u64 sums_offset, GLOBAL const float* RESTRICT rates, u64 rates_offset,
                              GLOBAL const float* RESTRICT loss_scales, u64 loss_scales_offset, GLOBAL u32* zeros,
                              u64 zeros_offset, u64 groups, u64 measured_tiles, u64 counted_tensors, u32 has_rates,
                              u32 has_loss_scale, u32 skips_faults, real loss_scale, real maximum_norm) {
    SHARED real scratch[SQUARE_SUMS * GROUP_SIZE];
    GLOBAL step_progress* step = (GLOBAL step_progress*)(progress + progress_offset);
    GLOBAL group_progress* now = (GLOBAL group_progress*)(step + 1);
    GLOBAL const group_options* own = (GLOBAL const group_options*)(options + options_offset);
    const u64 steps = counts[counts_offset];
    const u64 skipped = counts[counts_offset + 1];
    // For a step that is skipped too, where nobody reads them.
    for (u64 group = LOCAL_ID; group < groups; group += GROUP_SIZE) {
        const real rate = has_rates ? (real)rates[rates_offset + group] : own[group].learning_rate;
        now[group].learning_rate = rate;
        now[group].decay_factor = 1 - rate * own[group].decoupled_decay;
        now[group].threshold = rate * own[group].proximal_l1;
        now[group].shrinkage = 1 / (1 + rate * own[group].proximal_decay);
        now[group].first_rate = rate / rise((real)(steps + 1) * own[group].first_log);
        now[group].second_root = 1 / SQRT(rise((real)(steps + 1) * own[group].second_log));
    }

    long_sum squares[SQUARE_SUMS] = {{0, 0}, {0, 0}, {0, 0}};
    for (u64 tile = LOCAL_ID; tile < measured_tiles; tile += GROUP_SIZE) {
        for (u32 s = 0; s < SQUARE_SUMS; s++) add_long(&squares[s], sums[sums_offset + SQUARE_SUMS * tile + s]);
    }
    real totals[SQUARE_SUMS];
    group_squares(squares, totals, scratch);

    const scaled_norm norm = norm_of(totals);
    real scale = 1, factor = 1 / (has_loss_scale ? (real)loss_scales[loss_scales_offset] : loss_scale);
    const real length = norm.length * factor;
    if (maximum_norm > 0) {
        const real clip = maximum_norm / (length + (real)1e-6f * norm.scale);
        // Written so that a NaN stays one.
        if (!(clip * norm.scale >= 1)) {
            scale = norm.scale;
            factor *= clip;
        }
    }
    const u32 skip = skips_faults && !is_finite(totals[0]);
    if (LOCAL_ID == 0) {
        step->gradient_scale = scale;
        step->gradient_factor = factor;
        step->skips = skip ? 1 : 0;
        step->is_first = steps == 0 ? 1 : 0;
        step->gradient_norm = length / norm.scale;
        counts[counts_offset] = skip ? steps : steps + 1;
        counts[counts_offset + 1] = skip ? skipped + 1 : skipped;
    }
    for (u64 i = LOCAL_ID; i < (skip ? 0 : counted_tensors); i += GROUP_SIZE) zeros[zeros_offset + i] = 0;
}
