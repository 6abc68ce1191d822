// Rows that stochastic depth keeps: their list, and the way of their elements to a compact tensor and back, so that the
// branch is calculated for them alone. Row i is kept iff 16-bit lane i % 8 of block i / 8 is below the threshold, as in
// stochastic_depth.cl.
//
//   kept_rows_count        how many rows of each piece are kept, so that groups can list the pieces side by side
//   kept_rows_list         the kept rows in ascending order, -1 after the last, and how many they are
//   kept_rows_gather       result[i] = scale * source[rows[i]]; zeros for -1
//   kept_rows_scatter_add  y = x + scale * f where row i of f belongs to row rows[i] of y; a group takes part of a row

#include "types.h"
#include "parts.h"
#include "divisor.h"
#include "philox.h"
#include "keep.h"
#include "reduce.h"
#include "errors.h"

// Elements that an item moves at a time.
#define LANES (VEC == 8 ? PART_LANES : 1)

#define TILE_ROWS (8 * GROUP_SIZE)

#define KEPT_LIST_PARAMETERS u64 count, u64 pieces, u64 piece_rows, u64 start, u32 threshold, KEY_PARAMETERS

// Bit i is set where row first + i exists and is kept.
DEVICE u32 keep_rows(random_key key, u64 first, u64 end, u64 start, u32 threshold) {
    if (first >= end) return 0;
    const u32 keep = keep8(key, start + first, threshold);
    return end - first < 8 ? keep & ((1u << (u32)(end - first)) - 1) : keep;
}

// The kept rows among those of a range that a work item takes of every tile.
DEVICE u32 count_rows(random_key key, u64 first, u64 end, u64 start, u32 threshold) {
    u32 sum = 0;
    for (u64 tile = first; tile < end; tile += TILE_ROWS)
        for (u32 keep = keep_rows(key, tile + 8 * LOCAL_ID, end, start, threshold); keep != 0; keep &= keep - 1) sum++;
    return sum;
}

KERNEL void kept_rows_count(GLOBAL u32* counts, u64 counts_offset, KEPT_LIST_PARAMETERS) {
    SHARED u64 sums[GROUP_SIZE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    for (u64 piece = GROUP_ID; piece < pieces; piece += GROUP_COUNT) {
        const u64 first = piece * piece_rows, end = count - first < piece_rows ? count : first + piece_rows;
        u64 total;
        running_sum(count_rows(resolved, first, end, start, threshold), sums, &total);
        if (LOCAL_ID == 0) counts[counts_offset + piece] = (u32)total;
    }
}

// The kept row that k kept ones precede goes to place k, and for a dropped row that d dropped ones precede a -1 to
// place `all kept + d`, so that each piece fills as many places as it has rows. One piece has no counts.
KERNEL void kept_rows_list(GLOBAL i32* rows, u64 rows_offset, GLOBAL i32* kept, u64 kept_offset,
                           GLOBAL const u32* counts, u64 counts_offset, KEPT_LIST_PARAMETERS) {
    SHARED u64 sums[GROUP_SIZE];
    SHARED i32 listed[TILE_ROWS];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    rows += rows_offset;
    for (u64 piece = GROUP_ID; piece < pieces; piece += GROUP_COUNT) {
        const u64 first = piece * piece_rows, end = count - first < piece_rows ? count : first + piece_rows;
        // All kept rows in the high half, those of the pieces before this one in the low half.
        u64 sum = 0;
        if (counts == 0)
            sum = (u64)count_rows(resolved, 0, count, start, threshold) << 32;
        else
            for (u64 i = LOCAL_ID; i < pieces; i += GROUP_SIZE)
                sum += (u64)counts[counts_offset + i] << 32 | (i < piece ? counts[counts_offset + i] : 0);
        running_sum(sum, sums, &sum);
        const u64 total = sum >> 32;
        u64 before = sum & 0xffffffffu;
        if (piece == 0 && LOCAL_ID == 0) kept[kept_offset] = (i32)total;
        for (u64 tile = first; tile < end; tile += TILE_ROWS) {
            const u64 row = tile + 8 * LOCAL_ID, tile_end = end - tile < TILE_ROWS ? end : tile + TILE_ROWS;
            const u32 keep = keep_rows(resolved, row, end, start, threshold);
            u64 tile_kept;
            u32 own = 0;
            for (u32 lane = 0; lane < 8; lane++) own += keep >> lane & 1u;
            u32 next = (u32)running_sum(own, sums, &tile_kept) - own;
            for (u32 lane = 0; lane < 8; lane++)
                if (keep >> lane & 1u) listed[next++] = (i32)(row + lane);
            BARRIER();
            const u64 dropped = tile - before;
            for (u64 i = LOCAL_ID; i < tile_kept; i += GROUP_SIZE) rows[before + i] = listed[i];
            for (u64 i = LOCAL_ID; i < tile_end - tile - tile_kept; i += GROUP_SIZE) rows[total + dropped + i] = -1;
            before += tile_kept;
        }
    }
}

// VEC = 8 needs rows of whole octets. A row that does not exist is reported and gives zeros.
KERNEL void kept_rows_gather(GLOBAL const scalar* source, u64 source_offset, GLOBAL const i32* rows, u64 rows_offset,
                             GLOBAL scalar* result, u64 result_offset, GLOBAL u32* error, u64 error_offset,
                             u64 source_rows, u64 count, u64 run, u64 run_inverse, u32 run_shift, real scale) {
    source += source_offset;
    result += result_offset;
    for (u64 first = LANES * GLOBAL_ID; first < count; first += LANES * GLOBAL_SIZE) {
        const u64 i = quotient(first, run_inverse, run_shift), in_run = first - i * run;
        const i32 row = rows[rows_offset + i];
        const u32 exists = row >= 0 && (u64)row < source_rows;
        if (!exists && row != -1 && in_run == 0) report_error(error, error_offset, i);
        const u64 from = exists ? (u64)row * run + in_run : 0;
#if VEC == 8
        real values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        if (exists) {
            load_part(source, from, values);
            for (u32 lane = 0; lane < LANES; lane++) values[lane] *= scale;
        }
        store_part(result, first, values);
#else
        store(result, first, exists ? scale * load(source, from) : (real)0);
#endif
    }
}

// Rows of f ascend, so the row of f for a row of y is found by bisection; -1, at the end, counts as the largest. x may
// be y, whose other rows are then left as they are, or absent, which counts as 0. A row that does not exist, or does
// not come after the one before it, is reported.
KERNEL void kept_rows_scatter_add(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* f, u64 f_offset,
                                  GLOBAL const i32* rows, u64 rows_offset, GLOBAL scalar* y, u64 y_offset,
                                  GLOBAL u32* error, u64 error_offset, u64 target_rows, u64 kept, u64 run, u64 parts,
                                  u64 part_length, real scale) {
    const u32 has_x = x != 0;
    x += x_offset;
    f += f_offset;
    rows += rows_offset;
    y += y_offset;
    for (u64 i = GLOBAL_ID; i < kept; i += GLOBAL_SIZE) {
        const u32 row = (u32)rows[i];
        const u32 follows = i == 0 || (u32)rows[i - 1] < row;
        if (row != 0xffffffffu && !(follows && row < target_rows)) report_error(error, error_offset, i);
    }
    for (u64 job = GROUP_ID; job < target_rows * parts; job += GROUP_COUNT) {
        const u64 row = job / parts, part = job - row * parts;
        const u64 first = part * part_length, end = run - first < part_length ? run : first + part_length;
        u64 low = 0, high = kept;
        while (low < high) {
            const u64 middle = (low + high) / 2;
            if ((u32)rows[middle] < row)
                low = middle + 1;
            else
                high = middle;
        }
        const u32 keep = low < kept && (u32)rows[low] == row;
        if (!keep && has_x && x == y) continue;
        // Without x a kept row is scale * f, signs of zeros included: -0 is what adds nothing.
        const real absent = keep ? -(real)0 : (real)0;
        for (u64 i = first + LANES * LOCAL_ID; i < end; i += LANES * GROUP_SIZE) {
            const u64 to = row * run + i, from = low * run + i;
#if VEC == 8
            real values[8], branch[8];
            for (u32 lane = 0; lane < LANES; lane++) values[lane] = absent;
            if (has_x) load_part(x, to, values);
            if (keep) {
                load_part(f, from, branch);
                for (u32 lane = 0; lane < LANES; lane++) values[lane] = FMA(scale, branch[lane], values[lane]);
            }
            store_part(y, to, values);
#else
            const real base = has_x ? load(x, to) : absent;
            store(y, to, keep ? FMA(scale, load(f, from), base) : base);
#endif
        }
    }
}
