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

// The sums of a piece that is to be read, whose last chunk is left in z; with `pieces` those of its row.
DEVICE INLINED softmax_sums row_sums(GLOBAL const scalar* row, GLOBAL const u8* mask, row_piece part, u32 reads,
                                     u32 lane, u32 team, GLOBAL const real* pieces, u32 piece_count, real* z,
                                     LOCAL real* scratch) {
    softmax_sums sums = {NEGATIVE_INFINITY, 0, 0};
    if (pieces != 0 && lane < piece_count) {
        GLOBAL const real* of_piece = pieces + 3 * (part.row * piece_count + lane);
        sums.largest = of_piece[0], sums.sum = of_piece[1], sums.moment = of_piece[2];
    }
    const u32 stop = reads && pieces == 0 ? part.stop : 0;
    for (u32 chunk = part.start; chunk < stop; chunk += CHUNK_ITEMS * team) {
        load_masked(row, mask, part.stop, chunk, lane, team, z);
        softmax_raise(&sums, largest_of_chunk(z, sums.largest));
        softmax_add(&sums, z);
    }
    softmax_raise(&sums, team_max(sums.largest, team, scratch));
    real all[2] = {sums.sum, sums.moment};
    team_sums(all, 2, team, scratch);
    sums.sum = all[0], sums.moment = all[1];
    return sums;
}

DEVICE void store_sums(softmax_sums sums, row_piece part, u32 piece_count, GLOBAL real* pieces) {
    GLOBAL real* of_piece = pieces + 3 * (part.row * piece_count + part.piece);
    of_piece[0] = sums.largest, of_piece[1] = sums.sum, of_piece[2] = sums.moment;
}

KERNEL void entropy_forward(GLOBAL const scalar* RESTRICT logits, u64 logits_offset, GLOBAL const u8* RESTRICT mask,
                            u64 mask_offset, GLOBAL real* RESTRICT entropies, u64 entropies_offset, u64 rows,
                            u64 classes, SPLIT_PARAMETERS) {
    SHARED real scratch[2 * GROUP_SIZE];
    const u32 team = 1u << team_log2, lane = LOCAL_ID & (team - 1), rows_per_group = GROUP_SIZE >> team_log2;
    const u64 count = rows * piece_count;
    if (pieces != 0) pieces += pieces_offset;
    for (u64 next = GROUP_ID * rows_per_group; next < count; next += GROUP_COUNT * rows_per_group) {
        // Every item stays to the end, also without a row: reductions are for the whole group.
        const row_piece part = take_piece(next + (LOCAL_ID >> team_log2), rows, (u32)classes, piece_count, piece_size);
        const u64 source = part.row * classes;
        real z[CHUNK_ITEMS];
        const softmax_sums sums =
            row_sums(logits + logits_offset + source, mask != 0 ? mask + mask_offset + source : 0, part, part.exists,
                     lane, team, sums_only ? 0 : pieces, piece_count, z, scratch);
        if (sums_only && lane == 0) store_sums(sums, part, piece_count, pieces);
        if (!sums_only && part.exists && part.piece == 0 && lane == 0)
            entropies[entropies_offset + part.row] = sums.sum == 0 ? (real)0 : LOG(sums.sum) - sums.moment / sums.sum;
    }
}

KERNEL void entropy_backward(GLOBAL const scalar* logits, u64 logits_offset, GLOBAL const u8* RESTRICT mask,
                             u64 mask_offset, GLOBAL const real* RESTRICT entropy_gradient, u64 entropy_gradient_offset,
                             GLOBAL scalar* gradient, u64 gradient_offset, u64 rows, u64 classes,
                             u64 entropy_gradient_stride, real gradient_scale, SPLIT_PARAMETERS) {
    SHARED real scratch[2 * GROUP_SIZE];
    const u32 team = 1u << team_log2, lane = LOCAL_ID & (team - 1), rows_per_group = GROUP_SIZE >> team_log2,
              chunk_size = CHUNK_ITEMS * team;
    const u64 count = rows * piece_count;
    if (pieces != 0) pieces += pieces_offset;
    for (u64 next = GROUP_ID * rows_per_group; next < count; next += GROUP_COUNT * rows_per_group) {
        const row_piece part = take_piece(next + (LOCAL_ID >> team_log2), rows, (u32)classes, piece_count, piece_size);
        const u64 source = part.row * classes;
        GLOBAL const scalar* z_row = logits + logits_offset + source;
        GLOBAL const u8* mask_row = mask != 0 ? mask + mask_offset + source : 0;
        real slope = part.exists ? entropy_gradient[entropy_gradient_offset + part.row * entropy_gradient_stride] : 0;
        slope = slope - slope == 0 ? slope : QUIET_NAN;
        const u32 reads = slope != 0;
        slope *= gradient_scale;
        real z[CHUNK_ITEMS];
        const softmax_sums sums =
            row_sums(z_row, mask_row, part, reads, lane, team, sums_only ? 0 : pieces, piece_count, z, scratch);
        if (sums_only && lane == 0) store_sums(sums, part, piece_count, pieces);
        const real inverse = 1 / sums.sum, surprise = -sums.moment * inverse; // added to z - largest it is log p + H
        if (!sums_only && part.exists) {
            const u32 last = last_chunk(part, chunk_size);
            for (u32 chunk = last;; chunk -= chunk_size) {
                if (!reads)
                    mask_chunk(z);
                else if (chunk != last || pieces != 0)
                    load_masked(z_row, mask_row, part.stop, chunk, lane, team, z);
                // Each logit gives way to its slope.
                UNROLL
                for (u32 i = 0; i < CHUNK_ITEMS; i++) {
                    const u32 seen = z[i] != NEGATIVE_INFINITY;
                    const real x = softmax_exponent(z[i], sums.largest);
                    z[i] = seen ? slope * -(softmax_exp(x) * inverse * (x + surprise)) : (real)0;
                }
                store_chunk(gradient + gradient_offset + source, part.stop, chunk, lane, team, z);
                if (chunk == part.start) break;
            }
        }
    }
}
