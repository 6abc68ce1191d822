// Rows that stochastic depth keeps: their list, and the way of their elements to a compact tensor and back, so that the
// branch is calculated for them alone. Row i is kept iff 16-bit lane i % 8 of block i / 8 is below the threshold, as in
// stochastic_depth.cl.
//
//   kept_rows_list         the kept rows in ascending order, -1 after the last, and how many they are; one group
//   kept_rows_gather       result[i] = scale * source[rows[i]]; zeros for -1
//   kept_rows_scatter_add  y = x + scale * f where row i of f belongs to row rows[i] of y; one group for each row

#include "types.h"
#include "philox.h"
#include "errors.h"

#define ROWS_PER_ITEM 8

KERNEL void kept_rows_list(GLOBAL i32* rows, u64 rows_offset, GLOBAL i32* kept, u64 kept_offset, u64 count, u64 start,
                           u32 threshold, KEY_PARAMETERS) {
    SHARED u32 sums[GROUP_SIZE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 draws = threshold != 0 && threshold < 65536u;
    if (GROUP_ID == 0) {
        u64 total = 0;
        for (u64 tile = 0; tile < count; tile += GROUP_SIZE * ROWS_PER_ITEM) {
            const u64 first = tile + LOCAL_ID * ROWS_PER_ITEM;
            u32 keep = 0, own = 0;
            for (u32 i = 0; i < ROWS_PER_ITEM; i++) {
                const u64 row = start + first + i;
                const u32 bits = draws ? philox_lane(philox(resolved, row / 8), (u32)(row % 8)) : 0;
                if (first + i < count && bits < threshold) {
                    keep |= 1u << i;
                    own++;
                }
            }
            // Inclusive sums over the items.
            sums[LOCAL_ID] = own;
            BARRIER();
            for (u32 distance = 1; distance < GROUP_SIZE; distance *= 2) {
                const u32 before = LOCAL_ID >= distance ? sums[LOCAL_ID - distance] : 0;
                BARRIER();
                sums[LOCAL_ID] += before;
                BARRIER();
            }
            u64 next = total + sums[LOCAL_ID] - own;
            for (u32 i = 0; i < ROWS_PER_ITEM; i++)
                if (keep >> i & 1u) rows[rows_offset + next++] = (i32)(first + i);
            total += sums[GROUP_SIZE - 1];
            BARRIER();
        }
        for (u64 i = total + LOCAL_ID; i < count; i += GROUP_SIZE) rows[rows_offset + i] = -1;
        if (LOCAL_ID == 0) kept[kept_offset] = (i32)total;
    }
}

// VEC = 8 needs rows of whole octets. A row that does not exist is reported and gives zeros.
KERNEL void kept_rows_gather(GLOBAL const scalar* source, u64 source_offset, GLOBAL const i32* rows, u64 rows_offset,
                             GLOBAL scalar* result, u64 result_offset, GLOBAL u32* error, u64 error_offset,
                             u64 source_rows, u64 count, u64 run, real scale) {
    source += source_offset;
    result += result_offset;
    for (u64 first = VEC * GLOBAL_ID; first < count; first += VEC * GLOBAL_SIZE) {
        const u64 i = first / run, in_run = first - i * run;
        const i32 row = rows[rows_offset + i];
        const u32 exists = row >= 0 && (u64)row < source_rows;
        if (!exists && row != -1 && in_run == 0) report_error(error, error_offset, i);
        const u64 from = exists ? (u64)row * run + in_run : 0;
#if VEC == 8
        real values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        if (exists) {
            load8(source, from, values);
            for (u32 lane = 0; lane < 8; lane++) values[lane] *= scale;
        }
        store8(result, first, values);
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
                                  GLOBAL u32* error, u64 error_offset, u64 target_rows, u64 kept, u64 run, real scale) {
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
    for (u64 row = GROUP_ID; row < target_rows; row += GROUP_COUNT) {
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
        for (u64 i = VEC * LOCAL_ID; i < run; i += VEC * GROUP_SIZE) {
            const u64 to = row * run + i, from = low * run + i;
#if VEC == 8
            real values[8], branch[8];
            for (u32 lane = 0; lane < 8; lane++) values[lane] = absent;
            if (has_x) load8(x, to, values);
            if (keep) {
                load8(f, from, branch);
                for (u32 lane = 0; lane < 8; lane++) values[lane] = FMA(scale, branch[lane], values[lane]);
            }
            store8(y, to, values);
#else
            const real base = has_x ? load(x, to) : absent;
            store(y, to, keep ? FMA(scale, load(f, from), base) : base);
#endif
        }
    }
}
