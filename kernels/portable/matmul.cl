// Matrix product of row-major matrices: c[m, n] = sum over k of op(a)[m, k] op(b)[k, n] (+ bias[n]). Sums are in the
// arithmetic type, over k in ascending order, and rounded once.
//
//   matmul  64 x 64 tiles through local memory, 4 x 4 results per work item; TRANSPOSE_A and TRANSPOSE_B say how the
//           operands are stored

#include "types.h"

#define TILE  64
#define DEPTH 16
// One column of padding keeps the work items of a column on different banks.
#define PITCH (TILE + 1)

KERNEL void matmul(GLOBAL const scalar* RESTRICT a, u64 a_offset, GLOBAL const scalar* RESTRICT b, u64 b_offset,
                   GLOBAL const scalar* RESTRICT bias, u64 bias_offset, GLOBAL scalar* RESTRICT c, u64 c_offset, u64 m,
                   u64 n, u64 k) {
    SHARED real a_tile[DEPTH * PITCH];
    SHARED real b_tile[DEPTH * PITCH];
    const u32 row_in_tile = LOCAL_ID / 16 * 4, column_in_tile = LOCAL_ID % 16 * 4;
    const u64 tiles_across = (n + TILE - 1) / TILE;
    const u64 tiles = tiles_across * ((m + TILE - 1) / TILE);

    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 first_row = tile / tiles_across * TILE, first_column = tile % tiles_across * TILE;
        real sums[4][4] = {{0}};
        for (u64 first_k = 0; first_k < k; first_k += DEPTH) {
            // Neighbouring work items read neighbouring addresses, whichever way the operand is stored.
            for (u32 i = LOCAL_ID; i < TILE * DEPTH; i += GROUP_SIZE) {
#if TRANSPOSE_A
                const u32 row = i % TILE, depth = i / TILE;
                const u64 a_index = (first_k + depth) * m + first_row + row;
#else
                const u32 row = i / DEPTH, depth = i % DEPTH;
                const u64 a_index = (first_row + row) * k + first_k + depth;
#endif
                const u32 a_inside = first_row + row < m && first_k + depth < k;
                a_tile[depth * PITCH + row] = a_inside ? load(a, a_offset + a_index) : (real)0;
            }
            for (u32 i = LOCAL_ID; i < TILE * DEPTH; i += GROUP_SIZE) {
#if TRANSPOSE_B
                const u32 column = i / DEPTH, depth = i % DEPTH;
                const u64 b_index = (first_column + column) * k + first_k + depth;
#else
                const u32 column = i % TILE, depth = i / TILE;
                const u64 b_index = (first_k + depth) * n + first_column + column;
#endif
                const u32 b_inside = first_column + column < n && first_k + depth < k;
                b_tile[depth * PITCH + column] = b_inside ? load(b, b_offset + b_index) : (real)0;
            }
            BARRIER();
            for (u32 depth = 0; depth < DEPTH; depth++) {
                real rows[4], columns[4];
                for (u32 i = 0; i < 4; i++) rows[i] = a_tile[depth * PITCH + row_in_tile + i];
                for (u32 j = 0; j < 4; j++) columns[j] = b_tile[depth * PITCH + column_in_tile + j];
                for (u32 i = 0; i < 4; i++)
                    for (u32 j = 0; j < 4; j++) sums[i][j] = FMA(rows[i], columns[j], sums[i][j]);
            }
            BARRIER();
        }
        for (u32 i = 0; i < 4; i++) {
            for (u32 j = 0; j < 4; j++) {
                const u64 row = first_row + row_in_tile + i, column = first_column + column_in_tile + j;
                if (row >= m || column >= n) continue;
#if HAS_BIAS
                store(c, c_offset + row * n + column, sums[i][j] + load(bias, bias_offset + column));
#else
                store(c, c_offset + row * n + column, sums[i][j]);
#endif
            }
        }
    }
}
