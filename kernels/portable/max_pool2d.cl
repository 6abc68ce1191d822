// Max pooling: y is the largest element of each window (Ranzato, Boureau and LeCun, "Sparse feature learning for deep
// belief networks", NeurIPS 2007). The first of several largest is taken, row by row; of several NaN, which are larger
// than anything, the last. The taken tap's number in its window is kept in one byte where 256 are enough, else in four;
// backward gathers for each element of x the windows that took it, so that nothing is added out of order.
//
//   max_pool2d_forward       y, and the indices where they are wanted: any window, in chunks of VEC neighbours of inner
//   max_pool2d_backward      dx from dy and the indices
//   max_pool2d_forward_2x2   windows of 2x2 side by side, channels first, in rows of whole eights
//   max_pool2d_backward_2x2  its gradient
//   max_pool2d_forward_3x3   windows of 3x3 two apart behind a padding of one, likewise
//   max_pool2d_backward_3x3  its gradient

#include "types.h"
#include "divisor.h"
#include "pool2d.h"

// Takes `value` where it is larger than the best so far, or NaN.
DEVICE void take(real* best, u32* at, real value, u32 tap) {
    const u32 larger = value > *best || value != value;
    *best = larger ? value : *best;
    *at = larger ? tap : *at;
}

DEVICE void store_indices(GLOBAL u8* indices, u32 index_bytes, u64 first, const u32* at) {
    if (indices == 0) return;
    if (index_bytes != 1) {
        for (u32 lane = 0; lane < VEC; lane++) ((GLOBAL u32*)indices)[first + lane] = at[lane];
        return;
    }
#if VEC == 8
    const u32 words[2] = {at[0] | at[1] << 8 | at[2] << 16 | at[3] << 24,
                          at[4] | at[5] << 8 | at[6] << 16 | at[7] << 24};
    store4_u16((GLOBAL u16*)(indices + first), words);
#else
    indices[first] = (u8)at[0];
#endif
}

DEVICE void load_indices(GLOBAL const u8* indices, u32 index_bytes, u64 first, u32* at) {
    if (index_bytes != 1) {
        for (u32 lane = 0; lane < VEC; lane++) at[lane] = ((GLOBAL const u32*)indices)[first + lane];
        return;
    }
#if VEC == 8
    u32 words[2];
    load4_u16((GLOBAL const u16*)(indices + first), words);
    for (u32 lane = 0; lane < 8; lane++) at[lane] = words[lane / 4] >> (8 * (lane % 4)) & 0xffu;
#else
    at[0] = indices[first];
#endif
}

KERNEL void max_pool2d_forward(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y, u64 y_offset,
                               GLOBAL u8* RESTRICT indices, u64 indices_offset, u32 index_bytes, u64 jobs,
                               POOL_WINDOW_PARAMETERS, POOL_CHUNKS_PARAMETERS) {
    x += x_offset;
    y += y_offset;
    if (indices != 0) indices += indices_offset;
    const u64 inner = (u64)VEC * chunks;
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        const u64 number = quotient(job, chunks_inverse, chunks_shift);
        const pool_cell cell = POOL_CELL(number);
        const pool_start top = pool_start_of(cell.row, stride_y, pad_top, dilation_y, window_height, height);
        const pool_start left = pool_start_of(cell.column, stride_x, pad_left, dilation_x, window_width, width);
        const u64 plane = cell.plane * height * width * inner + VEC * (job - number * chunks);
        u32 first = top.tap * window_width + left.tap, at[VEC];
        real best[VEC];
        for (u32 lane = 0; lane < VEC; lane++) best[lane] = NEGATIVE_INFINITY, at[lane] = first;
        for (u32 h = top.place; h < top.end; h += dilation_y, first += window_width) {
            u32 tap = first;
            for (u32 w = left.place; w < left.end; w += dilation_x, tap++) {
                real values[VEC];
                load_chunk(x, plane + ((u64)h * width + w) * inner, values);
                for (u32 lane = 0; lane < VEC; lane++) take(&best[lane], &at[lane], values[lane], tap);
            }
        }
        store_chunk(y, VEC * job, best);
        store_indices(indices, index_bytes, VEC * job, at);
    }
}

KERNEL void max_pool2d_backward(GLOBAL const u8* RESTRICT indices, u64 indices_offset, u32 index_bytes,
                                GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dx,
                                u64 dx_offset, u64 jobs, POOL_WINDOW_PARAMETERS, POOL_STRIDE_PARAMETERS,
                                POOL_CHUNKS_PARAMETERS) {
    indices += indices_offset;
    dy += dy_offset;
    dx += dx_offset;
    const u64 inner = (u64)VEC * chunks;
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        const u64 number = quotient(job, chunks_inverse, chunks_shift);
        const pool_cell cell = POOL_CELL(number);
        const pool_range y_rows = POOL_ROWS_OF(cell.row), y_columns = POOL_COLUMNS_OF(cell.column);
        const u64 plane = cell.plane * out_height * out_width * inner + VEC * (job - number * chunks);
        real sums[VEC];
        for (u32 lane = 0; lane < VEC; lane++) sums[lane] = 0;
        for (u32 row = y_rows.first; row <= y_rows.last; row++) {
            u32 r, s;
            if (!find_tap(y_rows.place - row * stride_y, dilation_y, &r)) continue;
            for (u32 column = y_columns.first; column <= y_columns.last; column++) {
                if (!find_tap(y_columns.place - column * stride_x, dilation_x, &s)) continue;
                const u64 from = plane + ((u64)row * out_width + column) * inner;
                real values[VEC];
                u32 at[VEC];
                load_indices(indices, index_bytes, from, at);
                load_chunk(dy, from, values);
                for (u32 lane = 0; lane < VEC; lane++)
                    sums[lane] += at[lane] == r * window_width + s ? values[lane] : (real)0;
            }
        }
        store_chunk(dx, VEC * job, sums);
    }
}

#if VEC == 1
// The entries below take rows of x in eights, which are four elements of a row of y, whatever VEC is; so they are
// compiled once.

KERNEL void max_pool2d_forward_2x2(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y,
                                   u64 y_offset, GLOBAL u8* RESTRICT indices, u64 indices_offset, u64 jobs, u32 height,
                                   POOL_LINES_PARAMETERS) {
    x += x_offset;
    y += y_offset;
    if (indices != 0) indices += indices_offset;
    const u64 width = 8 * (u64)columns;
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        const pool_cell cell = POOL_CELL(job);
        const u64 from = (cell.plane * height + 2 * cell.row) * width + 8 * cell.column;
        real top[8], bottom[8], best[4];
        load8(x, from, top);
        load8(x, from + width, bottom);
        u32 word = 0;
        for (u32 i = 0; i < 4; i++) {
            u32 at = 0;
            best[i] = top[2 * i];
            take(&best[i], &at, top[2 * i + 1], 1);
            take(&best[i], &at, bottom[2 * i], 2);
            take(&best[i], &at, bottom[2 * i + 1], 3);
            word |= at << 8 * i;
        }
        store4(y, 4 * job, best);
        if (indices != 0) ((GLOBAL u32*)indices)[job] = word;
    }
}

KERNEL void max_pool2d_forward_3x3(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y,
                                   u64 y_offset, GLOBAL u8* RESTRICT indices, u64 indices_offset, u64 jobs, u32 height,
                                   POOL_LINES_PARAMETERS) {
    x += x_offset;
    y += y_offset;
    if (indices != 0) indices += indices_offset;
    const u64 width = 8 * (u64)columns;
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        const pool_cell cell = POOL_CELL(job);
        real best[4];
        u32 at[4];
        for (u32 i = 0; i < 4; i++) {
            best[i] = NEGATIVE_INFINITY;
            at[i] = (cell.row == 0 ? 3 : 0) + (cell.column == 0 && i == 0 ? 1 : 0);
        }
        UNROLL
        for (u32 r = 0; r < 3; r++) {
            const u32 h = 2 * cell.row + r; // with the padding
            if (h == 0 || h > height) continue;
            const u64 from = (cell.plane * height + h - 1) * width + 8 * cell.column;
            real values[9];
            load8(x, from, values + 1);
            values[0] = cell.column == 0 ? NEGATIVE_INFINITY : load(x, from - 1);
            for (u32 i = 0; i < 4; i++)
                for (u32 s = 0; s < 3; s++) take(&best[i], &at[i], values[2 * i + s], 3 * r + s);
        }
        store4(y, 4 * job, best);
        if (indices != 0) ((GLOBAL u32*)indices)[job] = at[0] | at[1] << 8 | at[2] << 16 | at[3] << 24;
    }
}

// Gradients and indices of neighbours in a row of y; those of an element that does not exist are 0 and of no tap.
typedef struct {
    real gradients[PIECE_OUTPUTS + 1];
    u32 at[PIECE_OUTPUTS + 1];
} taken_row;

DEVICE taken_row load_taken(GLOBAL const scalar* dy, GLOBAL const u8* indices, u64 first, u32 exists, u32 next_exists) {
    taken_row row;
    for (u32 i = 0; i <= PIECE_OUTPUTS; i++) row.gradients[i] = 0, row.at[i] = 255;
    if (exists) {
        load_half_piece(dy, first, row.gradients);
#if DTYPE_F16 || DTYPE_BF16
        const u32 word = *(GLOBAL const u32*)(indices + first);
#else
        const u32 word = *(GLOBAL const u16*)(indices + first);
#endif
        for (u32 i = 0; i < PIECE_OUTPUTS; i++) row.at[i] = word >> 8 * i & 0xffu;
        if (next_exists) {
            row.gradients[PIECE_OUTPUTS] = load(dy, first + PIECE_OUTPUTS);
            row.at[PIECE_OUTPUTS] = indices[first + PIECE_OUTPUTS];
        }
    }
    return row;
}

DEVICE real gradient_of(const taken_row* row, u32 i, u32 tap) {
    return row->at[i] == tap ? row->gradients[i] : (real)0;
}

KERNEL void max_pool2d_backward_2x2(GLOBAL const u8* RESTRICT indices, u64 indices_offset,
                                    GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dx,
                                    u64 dx_offset, u64 jobs, u32 height, u32 out_height, POOL_LINES_PARAMETERS) {
    indices += indices_offset;
    dy += dy_offset;
    dx += dx_offset;
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        const pool_cell cell = POOL_CELL(job);
        const u64 from = ((cell.plane * out_height + cell.row) * columns + cell.column) * PIECE_OUTPUTS;
        const taken_row row = load_taken(dy, indices, from, cell.row < out_height, 0);
        real top[PIECE_COLUMNS], bottom[PIECE_COLUMNS];
        for (u32 i = 0; i < PIECE_COLUMNS; i++) {
            top[i] = (real)0 + gradient_of(&row, i / 2, i % 2);
            bottom[i] = (real)0 + gradient_of(&row, i / 2, 2 + i % 2);
        }
        const u64 to = ((cell.plane * height + 2 * cell.row) * columns + cell.column) * PIECE_COLUMNS;
        store_piece(dx, to, top);
        if (2 * cell.row + 1 < height) store_piece(dx, to + (u64)columns * PIECE_COLUMNS, bottom);
    }
}

KERNEL void max_pool2d_backward_3x3(GLOBAL const u8* RESTRICT indices, u64 indices_offset,
                                    GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dx,
                                    u64 dx_offset, u64 jobs, u32 height, u32 out_height, POOL_LINES_PARAMETERS) {
    indices += indices_offset;
    dy += dy_offset;
    dx += dx_offset;
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        // Rows 2 i and 2 i + 1 are in the windows of rows i and i + 1.
        const pool_cell cell = POOL_CELL(job);
        const u64 from = ((cell.plane * out_height + cell.row) * columns + cell.column) * PIECE_OUTPUTS;
        const u32 has_next = cell.column + 1 < columns;
        const taken_row upper = load_taken(dy, indices, from, cell.row < out_height, has_next);
        const taken_row lower =
            load_taken(dy, indices, from + (u64)columns * PIECE_OUTPUTS, cell.row + 1 < out_height, has_next);
        real top[PIECE_COLUMNS], bottom[PIECE_COLUMNS];
        for (u32 i = 0; i < PIECE_OUTPUTS; i++) {
            top[2 * i] = (real)0 + gradient_of(&upper, i, 4);
            top[2 * i + 1] = (real)0 + gradient_of(&upper, i, 5) + gradient_of(&upper, i + 1, 3);
            bottom[2 * i] = (real)0 + gradient_of(&upper, i, 7) + gradient_of(&lower, i, 1);
            bottom[2 * i + 1] = (real)0 + gradient_of(&upper, i, 8) + gradient_of(&upper, i + 1, 6) +
                                gradient_of(&lower, i, 2) + gradient_of(&lower, i + 1, 0);
        }
        const u64 to = ((cell.plane * height + 2 * cell.row) * columns + cell.column) * PIECE_COLUMNS;
        store_piece(dx, to, top);
        if (2 * cell.row + 1 < height) store_piece(dx, to + (u64)columns * PIECE_COLUMNS, bottom);
    }
}
#endif
