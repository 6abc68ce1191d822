// Matrix products of a warp on tensor cores, for the half types, and the loads of fragments that feed them. A chunk is
// eight elements, 16 bytes; tiles in shared memory are of chunks, which are swizzled so that eight that are loaded
// together lie in different banks.

#include "cuda/copies.h"

#define CHUNK 8

// Depth of a slice in elements, in chunks (a line of memory) and in steps of a product; slices in shared memory: one is
// multiplied, two are on their way.
#define SLICE        64
#define SLICE_CHUNKS (SLICE / CHUNK)
#define SLICE_STEPS  (SLICE / 16)
#define STAGES       3

// A warp has 64 rows of a product and 64 columns, or without WIDE 32, in fragments of 16 x 8.
#define ROW_FRAGMENTS    4
#define COLUMN_FRAGMENTS (WIDE ? 8 : 4)
#define WARP_ROWS        (16 * ROW_FRAGMENTS)
#define WARP_COLUMNS     (8 * COLUMN_FRAGMENTS)

// Groups that a multiprocessor is to hold: with as many its shared memory is full.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS (WIDE ? 2 : 3)

// Four matrices of 8 x 8, whose rows are the chunks at the addresses that lanes 0 to 7, 8 to 15, ... give. A lane gets
// two neighbours of row lane / 4 of each, or of that column.
DEVICE void load_matrices(u32 address, u32* parts) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(parts[0]), "=r"(parts[1]), "=r"(parts[2]), "=r"(parts[3])
                 : "r"(address)
                 : "memory");
}

DEVICE void load_matrices_transposed(u32 address, u32* parts) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(parts[0]), "=r"(parts[1]), "=r"(parts[2]), "=r"(parts[3])
                 : "r"(address)
                 : "memory");
}

// sums += rows (16 x 16) by columns (16 x 8). The sums of a lane are two neighbours of row lane / 4, and of the row
// eight below.
DEVICE void multiply_fragments(float* sums, const u32* rows, const u32* columns) {
#if DTYPE_F16
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
#endif
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(rows[0]), "r"(rows[1]), "r"(rows[2]), "r"(rows[3]), "r"(columns[0]), "r"(columns[1]));
}

// Where a chunk lies, in bytes: in a tile along its depth a row has the chunks of a slice, in a tile across it those of
// one depth.
DEVICE u32 place_along(u32 row, u32 chunk) { return row * (2 * SLICE) + ((chunk ^ (row & 7)) << 4); }

DEVICE u32 place_across(u32 depth, u32 chunk, u32 width) { return depth * (2 * width) + ((chunk ^ (depth & 7)) << 4); }

// A number that stays in a register: compilers like to make it anew in every turn of a loop.
DEVICE u32 kept(u32 number) {
    u32 result;
    asm volatile("mov.u32 %0, %1;" : "=r"(result) : "r"(number));
    return result;
}

// Where in a tile along the depth a lane finds its part of the first 16 rows, or columns, of those from `first` on.
DEVICE u32 rows_along(u32 first) {
    const u32 lane = LOCAL_ID % 32;
    return kept(place_along(first + lane % 16, lane / 16));
}

DEVICE u32 columns_along(u32 first) {
    const u32 lane = LOCAL_ID % 32;
    return kept(place_along(first + lane % 8 + lane / 16 * 8, lane / 8 % 2));
}

// The same in a tile across it, for each 16 rows or columns.
typedef struct {
    u32 at[4];
} lane_places;

DEVICE lane_places rows_across(u32 first, u32 width) {
    const u32 lane = LOCAL_ID % 32;
    lane_places places;
    for (u32 i = 0; i < 4; i++)
        places.at[i] = kept(place_across(lane % 8 + lane / 16 * 8, first / CHUNK + 2 * i + lane / 8 % 2, width));
    return places;
}

DEVICE lane_places columns_across(u32 first, u32 width) {
    const u32 lane = LOCAL_ID % 32;
    lane_places places;
    for (u32 j = 0; j < COLUMN_FRAGMENTS / 2; j++)
        places.at[j] = kept(place_across(lane % 16, first / CHUNK + 2 * j + lane / 16, width));
    return places;
}

// Fragments of `count` times 16 rows, or columns, at a step of a slice.
DEVICE void load_along(u32 tile, u32 place, u32 count, u32 step, u32* parts) {
    UNROLL
    for (u32 i = 0; i < count; i++) load_matrices(tile + (place ^ 32 * step) + 16 * 2 * SLICE * i, parts + 4 * i);
}

DEVICE void load_across(u32 tile, lane_places places, u32 width, u32 count, u32 step, u32* parts) {
    UNROLL
    for (u32 i = 0; i < count; i++)
        load_matrices_transposed(tile + places.at[i] + 16 * 2 * width * step, parts + 4 * i);
}

DEVICE void multiply_warp_tiles(float* sums, const u32* rows, const u32* columns) {
    UNROLL
    for (u32 i = 0; i < ROW_FRAGMENTS; i++) {
        UNROLL
        for (u32 j = 0; j < COLUMN_FRAGMENTS; j++)
            multiply_fragments(sums + 4 * (COLUMN_FRAGMENTS * i + j), rows + 4 * i, columns + 2 * j);
    }
}

// The larger one; NaN stays NaN.
DEVICE float at_least(float value, float least) {
    float result;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(value), "f"(least));
    return result;
}

// A number in three digits, the lowest first, with the counts of the lower two as bases.
typedef struct {
    u32 low, middle, high;
} short_digits;

DEVICE short_digits short_digits_of(u32 number, u32 low_count, u32 middle_count) {
    short_digits result;
    const u32 rest = number / low_count;
    result.low = number - rest * low_count;
    result.high = rest / middle_count;
    result.middle = rest - result.high * middle_count;
    return result;
}

// The digits of the sum: numbers that go on by a constant need no division.
DEVICE short_digits short_sum_of(short_digits a, short_digits b, u32 low_count, u32 middle_count) {
    short_digits sum;
    sum.low = a.low + b.low;
    const u32 low_carry = sum.low >= low_count;
    sum.low -= low_carry ? low_count : 0;
    sum.middle = a.middle + b.middle + low_carry;
    const u32 middle_carry = sum.middle >= middle_count;
    sum.middle -= middle_carry ? middle_count : 0;
    sum.high = a.high + b.high + middle_carry;
    return sum;
}
