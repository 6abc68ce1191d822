// Entropy of softmax rows: H = -sum over k of p[k] * log p[k] in nats, p = softmax(z) over the classes that are not
// masked (Williams and Peng, "Function optimization using connectionist reinforcement learning algorithms", 1991, for
// its use as a bonus). dH/dz[k] = -p[k] * (log p[k] + H).
//
//   entropy_forward   H of each row
//   entropy_backward  dz[k] = scale * dH * (dH/dz[k]), calculated from the logits again, in place if asked
//
// A team of work items takes a row, as in cross_entropy.cl; backward goes through it in reverse, from the nearest cache
// on.

#define OWNS_BLOCKS 0

#include "types.h"
#include "reduce.h"
#include "softmax.h"

// This item's logits of a chunk, -inf where the mask has 0.
DEVICE void load_masked(GLOBAL const scalar* row, GLOBAL const u8* mask, u32 classes, u32 chunk, u32 lane, u32 team,
                        real* z) {
    load_chunk(row, classes, chunk, lane, team, z);
    if (mask == 0) return;
    UNROLL
    for (u32 i = 0; i < CHUNK_ITEMS; i++) {
        const u32 k = stretch_column(chunk + i / 8 * 8 * team, lane, team, i % 8);
        if (k < classes && mask[k] == 0) z[i] = NEGATIVE_INFINITY;
    }
}

// The sums of the whole row, whose last chunk is left in z. `read_classes` is 0 or `classes`.
DEVICE softmax_sums row_sums(GLOBAL const scalar* row, GLOBAL const u8* mask, u32 classes, u32 read_classes, u32 lane,
                             u32 team, real* z, LOCAL real* scratch) {
    softmax_sums sums = {NEGATIVE_INFINITY, 0, 0};
    for (u32 chunk = 0; chunk < read_classes; chunk += CHUNK_ITEMS * team) {
        load_masked(row, mask, classes, chunk, lane, team, z);
        softmax_raise(&sums, largest_of_chunk(z, classes, chunk, team, sums.largest));
        softmax_add(&sums, z, classes, chunk, team);
    }
    softmax_raise(&sums, team_max(sums.largest, team, scratch));
    real all[2] = {sums.sum, sums.moment};
    team_sums(all, 2, team, scratch);
    sums.sum = all[0], sums.moment = all[1];
    return sums;
}

KERNEL void entropy_forward(GLOBAL const scalar* RESTRICT logits, u64 logits_offset, GLOBAL const u8* RESTRICT mask,
                            u64 mask_offset, GLOBAL real* RESTRICT entropies, u64 entropies_offset, u64 rows,
                            u64 classes, u32 team) {
    SHARED real scratch[2 * GROUP_SIZE];
    const u32 lane = LOCAL_ID % team, rows_per_group = GROUP_SIZE / team;
    for (u64 first_row = GROUP_ID * rows_per_group; first_row < rows; first_row += GROUP_COUNT * rows_per_group) {
        // Every item stays to the end, also without a row: reductions are for the whole group.
        const u64 row = first_row + LOCAL_ID / team, source = row < rows ? row * classes : 0;
        real z[CHUNK_ITEMS];
        const softmax_sums sums = row_sums(logits + logits_offset + source, mask != 0 ? mask + mask_offset + source : 0,
                                           (u32)classes, row < rows ? (u32)classes : 0, lane, team, z, scratch);
        if (row < rows && lane == 0)
            entropies[entropies_offset + row] = sums.sum == 0 ? (real)0 : LOG(sums.sum) - sums.moment / sums.sum;
    }
}

KERNEL void entropy_backward(GLOBAL const scalar* logits, u64 logits_offset, GLOBAL const u8* RESTRICT mask,
                             u64 mask_offset, GLOBAL const real* RESTRICT entropy_gradient, u64 entropy_gradient_offset,
                             GLOBAL scalar* gradient, u64 gradient_offset, u64 rows, u64 classes, u32 team,
                             u64 entropy_gradient_stride, real gradient_scale) {
    SHARED real scratch[2 * GROUP_SIZE];
    const u32 lane = LOCAL_ID % team, rows_per_group = GROUP_SIZE / team;
    const u32 row_classes = (u32)classes, chunk_size = CHUNK_ITEMS * team,
              last = (row_classes - 1) / chunk_size * chunk_size;
    for (u64 first_row = GROUP_ID * rows_per_group; first_row < rows; first_row += GROUP_COUNT * rows_per_group) {
        const u64 row = first_row + LOCAL_ID / team, source = row < rows ? row * classes : 0;
        GLOBAL const scalar* z_row = logits + logits_offset + source;
        GLOBAL const u8* mask_row = mask != 0 ? mask + mask_offset + source : 0;
        real slope = row < rows ? entropy_gradient[entropy_gradient_offset + row * entropy_gradient_stride] : 0;
        slope = slope - slope == 0 ? slope : QUIET_NAN;
        const u32 read_classes = slope != 0 ? row_classes : 0;
        slope *= gradient_scale;
        real z[CHUNK_ITEMS];
        const softmax_sums sums = row_sums(z_row, mask_row, row_classes, read_classes, lane, team, z, scratch);
        const real inverse = 1 / sums.sum, surprise = -sums.moment * inverse; // added to z - largest it is log p + H
        if (row < rows) {
            for (u32 chunk = last;; chunk -= chunk_size) {
                if (read_classes == 0)
                    mask_chunk(z);
                else if (chunk != last)
                    load_masked(z_row, mask_row, row_classes, chunk, lane, team, z);
                // Each logit gives way to its slope.
                UNROLL
                for (u32 s = 0; s < STRETCHES; s++) {
                    if (chunk + 8 * s * team >= row_classes) break;
                    for (u32 i = 0; i < 8; i++) {
                        const u32 seen = z[8 * s + i] != NEGATIVE_INFINITY;
                        const real x = softmax_exponent(z[8 * s + i], sums.largest);
                        z[8 * s + i] = seen ? slope * -(softmax_exp(x) * inverse * (x + surprise)) : (real)0;
                    }
                }
                store_chunk(gradient + gradient_offset + source, row_classes, chunk, lane, team, z);
                if (chunk == 0) break;
            }
        }
    }
}
