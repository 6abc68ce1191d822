// Average pooling: y is the sum of each window over a divisor (LeCun, Bottou, Bengio and Haffner, "Gradient-based
// learning applied to document recognition", 1998; over whole maps: Lin, Chen and Yan, "Network in network", ICLR
// 2014). The divisor is the caller's, or the number of taps in the map, or of those in the map and its padding; what
// hangs over the padding counts in neither. A window is summed row by row.
//
//   average_pool2d_forward           y: any window, in chunks of VEC neighbours of inner
//   average_pool2d_backward          dx, which each element gathers from the windows that it is in
//   average_pool2d_3x3               windows of 3x3 one apart, channels first, and their gradient, with one divisor
//   average_pool2d_forward_2x2       windows of 2x2 side by side, channels first, in rows of whole eights
//   average_pool2d_backward_2x2      its gradient
//   average_pool2d_global            one window a plane, channels first: a team of work items for each
//   average_pool2d_global_channels   the same, channels last: a group for some channels of an example
//   average_pool2d_global_backward   its gradient, channels first

#include "types.h"
#include "divisor.h"
#include "pool2d.h"
#include "reduce.h"

// The taps along one axis that a divisor counts; `after` is the padding after the map.
DEVICE u32 counted_taps(u32 output, u32 stride, u32 pad, u32 after, u32 dilation, u32 taps, u32 size,
                        u32 counts_padding) {
    const i32 start = (i32)(output * stride) - (i32)pad, end = (i32)(size + (counts_padding ? after : 0));
    const i32 least = counts_padding ? start : 0;
    if (dilation == 1) {
        const i32 stop = start + (i32)taps;
        return (u32)((stop < end ? stop : end) - (start > least ? start : least));
    }
    u32 count = 0;
    for (u32 tap = 0; tap < taps; tap++) {
        const i32 place = start + (i32)(tap * dilation);
        count += place >= least && place < end;
    }
    return count;
}

// A divisor that is the same for all windows, or 0; and what counts where it is not.
#define AVERAGE_DIVISOR_PARAMETERS real divisor, u32 counts_padding, u32 pad_bottom, u32 pad_right

DEVICE real divisor_of(u32 row, u32 column, AVERAGE_DIVISOR_PARAMETERS, POOL_WINDOW_PARAMETERS) {
    if (divisor != 0) return divisor;
    const u32 rows =
        counted_taps(row, stride_y, pad_top, pad_bottom, dilation_y, window_height, height, counts_padding);
    const u32 columns =
        counted_taps(column, stride_x, pad_left, pad_right, dilation_x, window_width, width, counts_padding);
    return (real)rows * (real)columns;
}

#define DIVISOR_OF(row, column)                                                                                   \
    divisor_of(row, column, divisor, counts_padding, pad_bottom, pad_right, height, width, out_height, out_width, \
               window_height, window_width, stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x)

KERNEL void average_pool2d_forward(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y,
                                   u64 y_offset, u64 jobs, AVERAGE_DIVISOR_PARAMETERS, POOL_WINDOW_PARAMETERS,
                                   POOL_CHUNKS_PARAMETERS) {
    x += x_offset;
    y += y_offset;
    const u64 inner = (u64)VEC * chunks;
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        const u64 number = quotient(job, chunks_inverse, chunks_shift);
        const pool_cell cell = POOL_CELL(number);
        const pool_start top = pool_start_of(cell.row, stride_y, pad_top, dilation_y, window_height, height);
        const pool_start left = pool_start_of(cell.column, stride_x, pad_left, dilation_x, window_width, width);
        const u64 plane = cell.plane * height * width * inner + VEC * (job - number * chunks);
        real sums[VEC];
        for (u32 lane = 0; lane < VEC; lane++) sums[lane] = 0;
        for (u32 h = top.place; h < top.end; h += dilation_y) {
            for (u32 w = left.place; w < left.end; w += dilation_x) {
                real values[VEC];
                load_chunk(x, plane + ((u64)h * width + w) * inner, values);
                for (u32 lane = 0; lane < VEC; lane++) sums[lane] += values[lane];
            }
        }
        const real by = DIVISOR_OF(cell.row, cell.column);
        for (u32 lane = 0; lane < VEC; lane++) sums[lane] /= by;
        store_chunk(y, VEC * job, sums);
    }
}

KERNEL void average_pool2d_backward(GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dx,
                                    u64 dx_offset, u64 jobs, AVERAGE_DIVISOR_PARAMETERS, POOL_WINDOW_PARAMETERS,
                                    POOL_STRIDE_PARAMETERS, POOL_CHUNKS_PARAMETERS) {
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
            u32 tap;
            if (!find_tap(y_rows.place - row * stride_y, dilation_y, &tap)) continue;
            for (u32 column = y_columns.first; column <= y_columns.last; column++) {
                if (!find_tap(y_columns.place - column * stride_x, dilation_x, &tap)) continue;
                real values[VEC];
                load_chunk(dy, plane + ((u64)row * out_width + column) * inner, values);
                // One divisor for all is divided by at the end.
                if (divisor == 0) {
                    const real by = DIVISOR_OF(row, column);
                    for (u32 lane = 0; lane < VEC; lane++) values[lane] /= by;
                }
                for (u32 lane = 0; lane < VEC; lane++) sums[lane] += values[lane];
            }
        }
        if (divisor != 0) {
            for (u32 lane = 0; lane < VEC; lane++) sums[lane] /= divisor;
        }
        store_chunk(dx, VEC * job, sums);
    }
}

#if VEC == 1
// The entries below do not go by VEC; so they are compiled once.

// Rows that an item makes of a column, so that what it reads and finds out first serves all of them.
#define TALL 8

// An element of dx is the sum of the dy of the windows that it is in: of 3x3 of them too, with other padding before.
// What lies outside is 0, and a sum that begins with 0 does not become -0.
KERNEL void average_pool2d_3x3(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y, u64 y_offset,
                               u64 jobs, u32 height, u32 width, u32 out_height, u32 before_y, u32 before_x,
                               real divisor, POOL_LINES_PARAMETERS) {
    x += x_offset;
    y += y_offset;
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        const pool_cell cell = POOL_CELL(job);
        const u32 first = TALL * cell.row;
        const i32 top = (i32)first - (i32)before_y, left = (i32)cell.column - (i32)before_x;
        GLOBAL const scalar* row = x + cell.plane * height * width + (u64)((i64)top * width + left);
        real sums[TALL];
        for (u32 i = 0; i < TALL; i++) sums[i] = 0;
        UNROLL
        for (u32 i = 0; i < TALL + 2; i++, row += width) {
            const u32 is_row = (u32)(top + (i32)i) < height;
            real values[3];
            for (u32 j = 0; j < 3; j++) values[j] = is_row && (u32)(left + (i32)j) < width ? load(row, j) : (real)0;
            for (u32 r = 0; r < 3; r++)
                for (u32 j = 0; j < 3; j++)
                    if (i >= r && i - r < TALL) sums[i - r] += values[j];
        }
        GLOBAL scalar* to = y + (cell.plane * out_height + first) * columns + cell.column;
        for (u32 i = 0; i < TALL; i++, to += columns)
            if (first + i < out_height) store(to, 0, sums[i] / divisor);
    }
}

// The entries below access 16 bytes at a time. An item of the first has
// eight elements of two rows of x, which are four of a row of y.

KERNEL void average_pool2d_forward_2x2(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y,
                                       u64 y_offset, u64 jobs, u32 height, real divisor, POOL_LINES_PARAMETERS) {
    x += x_offset;
    y += y_offset;
    const u64 width = 8 * (u64)columns;
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        const pool_cell cell = POOL_CELL(job);
        const u64 from = (cell.plane * height + 2 * cell.row) * width + 8 * cell.column;
        real top[8], bottom[8], results[4];
        load8(x, from, top);
        load8(x, from + width, bottom);
        for (u32 i = 0; i < 4; i++)
            results[i] = ((real)0 + top[2 * i] + top[2 * i + 1] + bottom[2 * i] + bottom[2 * i + 1]) / divisor;
        store4(y, 4 * job, results);
    }
}

KERNEL void average_pool2d_backward_2x2(GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dx,
                                        u64 dx_offset, u64 jobs, u32 height, u32 out_height, real divisor,
                                        POOL_LINES_PARAMETERS) {
    dy += dy_offset;
    dx += dx_offset;
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        const pool_cell cell = POOL_CELL(job);
        const u64 from = ((cell.plane * out_height + cell.row) * columns + cell.column) * PIECE_OUTPUTS;
        real gradients[PIECE_OUTPUTS], results[PIECE_COLUMNS];
        for (u32 i = 0; i < PIECE_OUTPUTS; i++) gradients[i] = 0;
        if (cell.row < out_height) load_half_piece(dy, from, gradients);
        for (u32 i = 0; i < PIECE_COLUMNS; i++) results[i] = ((real)0 + gradients[i / 2]) / divisor;
        const u64 to = ((cell.plane * height + 2 * cell.row) * columns + cell.column) * PIECE_COLUMNS;
        store_piece(dx, to, results);
        if (2 * cell.row + 1 < height) store_piece(dx, to + (u64)columns * PIECE_COLUMNS, results);
    }
}

// Elements of dx in pieces of 16 bytes, counted over all planes.
KERNEL void average_pool2d_global_backward(GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dx,
                                           u64 dx_offset, u64 count, u64 cells, u64 cells_inverse, u32 cells_shift,
                                           real divisor) {
    dy += dy_offset;
    dx += dx_offset;
    for (u64 first = PIECE_COLUMNS * GLOBAL_ID; first < count; first += PIECE_COLUMNS * GLOBAL_SIZE) {
        u64 plane = quotient(first, cells_inverse, cells_shift);
        real result = ((real)0 + load(dy, plane)) / divisor, results[PIECE_COLUMNS];
        for (u32 i = 0; i < PIECE_COLUMNS; i++) results[i] = result;
        // The planes that begin in the piece, few of which do.
        const u64 end = count - first < PIECE_COLUMNS ? count - first : PIECE_COLUMNS;
        for (u64 from = (plane + 1) * cells - first; from < end; from += cells) {
            result = ((real)0 + load(dy, ++plane)) / divisor;
            for (u32 i = 0; i < PIECE_COLUMNS; i++) results[i] = i >= from ? result : results[i];
        }
        if (first + PIECE_COLUMNS <= count) {
            store_piece(dx, first, results);
        } else {
            for (u32 i = 0; i < PIECE_COLUMNS; i++)
                if (first + i < count) store(dx, first + i, results[i]);
        }
    }
}
#endif

// Chunks of a plane that an item asks for at once.
#define AT_ONCE 4

// A plane has `cells` elements in chunks of VEC, and `team` items, a power of two, share them out in turns.
KERNEL void average_pool2d_global(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y,
                                  u64 y_offset, u64 planes, u64 cells, u32 team, real divisor) {
    SHARED real scratch[GROUP_SIZE];
    x += x_offset;
    y += y_offset;
    const u32 teams = GROUP_SIZE / team, place = LOCAL_ID % team;
    for (u64 first = GROUP_ID * teams; first < planes; first += GROUP_COUNT * teams) {
        const u64 plane = first + LOCAL_ID / team;
        const u64 end = plane < planes ? cells / VEC : 0;
        real sum = 0;
        for (u64 chunk = place; chunk < end; chunk += AT_ONCE * team) {
            real values[AT_ONCE][VEC];
            for (u32 k = 0; k < AT_ONCE; k++) {
                for (u32 lane = 0; lane < VEC; lane++) values[k][lane] = 0;
                if (chunk + k * team < end) load_chunk(x, plane * cells + VEC * (chunk + k * team), values[k]);
            }
            for (u32 k = 0; k < AT_ONCE; k++) {
                real part = 0;
                for (u32 lane = 0; lane < VEC; lane++) part += values[k][lane];
                sum += part;
            }
        }
        team_sums(&sum, 1, team, scratch);
        if (place == 0 && plane < planes) store(y, plane, sum / divisor);
    }
}

// Work items of a group side by side over chunks of channels: `side`, a power of two. The others are as many layers of
// cells.
KERNEL void average_pool2d_global_channels(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y,
                                           u64 y_offset, u64 tiles, u64 cells, u64 chunks, u32 side, u64 sides_of_plane,
                                           u64 sides_inverse, u32 sides_shift, real divisor) {
    SHARED real layers[VEC * GROUP_SIZE];
    x += x_offset;
    y += y_offset;
    const u32 depth = GROUP_SIZE / side, layer = LOCAL_ID / side;
    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 plane = quotient(tile, sides_inverse, sides_shift);
        const u64 chunk = (tile - plane * sides_of_plane) * side + LOCAL_ID % side;
        const u64 first = (plane * cells + layer) * chunks + chunk, step = depth * chunks;
        real sums[VEC];
        for (u32 lane = 0; lane < VEC; lane++) sums[lane] = 0;
        const u64 end = chunk < chunks ? (plane + 1) * cells * chunks : 0;
        for (u64 from = first; from < end; from += step) {
            real values[VEC];
            load_chunk(x, VEC * from, values);
            for (u32 lane = 0; lane < VEC; lane++) sums[lane] += values[lane];
        }
        for (u32 lane = 0; lane < VEC; lane++) layers[lane * GROUP_SIZE + LOCAL_ID] = sums[lane];
        BARRIER();
        for (u32 half_depth = GROUP_SIZE / 2; half_depth >= side; half_depth /= 2) {
            if (LOCAL_ID < half_depth) {
                for (u32 lane = 0; lane < VEC; lane++)
                    layers[lane * GROUP_SIZE + LOCAL_ID] += layers[lane * GROUP_SIZE + LOCAL_ID + half_depth];
            }
            BARRIER();
        }
        if (layer == 0 && chunk < chunks) {
            // Its own, which nobody else touches: the next tile may begin.
            for (u32 lane = 0; lane < VEC; lane++) sums[lane] = layers[lane * GROUP_SIZE + LOCAL_ID] / divisor;
            store_chunk(y, (plane * chunks + chunk) * VEC, sums);
        }
    }
}
