// What comes before the pass over the parameters where settings ask for it: the norm of all gradients, and the
// decisions that hold for one step, made on the device so that a captured graph makes them anew in every replay.
//
//   gradient_squares   for each tile three sums of the squares of its gradients, in different ranges
//   optimizer_prepare  one work group: norm, loss scale, clipping, skip, and counts of zeros begin at 0

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

KERNEL void optimizer_prepare(GLOBAL real* progress, u64 progress_offset, GLOBAL const real* RESTRICT sums,
                              u64 sums_offset, GLOBAL const float* RESTRICT loss_scales, u64 loss_scales_offset,
                              GLOBAL u32* zeros, u64 zeros_offset, u64 measured_tiles, u64 counted_tensors,
                              u32 has_loss_scale, u32 skips_faults, real loss_scale, real maximum_norm) {
    SHARED real scratch[SQUARE_SUMS * GROUP_SIZE];
    GLOBAL step_progress* step = (GLOBAL step_progress*)(progress + progress_offset);
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
        step->gradient_norm = length / norm.scale;
    }
    for (u64 i = LOCAL_ID; i < (skip ? 0 : counted_tensors); i += GROUP_SIZE) zeros[zeros_offset + i] = 0;
}
