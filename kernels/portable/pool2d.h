// Windows that slide over the rows and columns of maps. A tensor is [planes, height, width, inner]: channels first, a
// plane is one channel of one example and inner is 1; channels last, a plane is an example and inner its channels. Tap
// (r, s) of the window of (row, column) lies on (row * stride_y - pad_top + r * dilation_y,
// column * stride_x - pad_left + s * dilation_x), and takes part where that is in the map.

// All are below 2^31, and so is every place of a tap.
#define POOL_WINDOW_PARAMETERS                                                                               \
    u32 height, u32 width, u32 out_height, u32 out_width, u32 window_height, u32 window_width, u32 stride_y, \
        u32 stride_x, u32 pad_top, u32 pad_left, u32 dilation_y, u32 dilation_x

// How the number of a job is taken apart into [plane, row, column], see divisor.h.
#define POOL_LINES_PARAMETERS \
    u32 columns, u64 columns_inverse, u32 columns_shift, u32 rows, u64 rows_inverse, u32 rows_shift

// The same with chunks of VEC neighbours of inner, of which a cell has so many.
#define POOL_CHUNKS_PARAMETERS POOL_LINES_PARAMETERS, u32 chunks, u64 chunks_inverse, u32 chunks_shift

typedef struct {
    u64 line, plane; // line = plane * rows + row
    u32 row, column;
} pool_cell;

DEVICE pool_cell pool_cell_of(u64 job, POOL_LINES_PARAMETERS) {
    pool_cell cell;
    cell.line = quotient(job, columns_inverse, columns_shift);
    cell.plane = quotient(cell.line, rows_inverse, rows_shift);
    cell.column = (u32)(job - cell.line * columns);
    cell.row = (u32)(cell.line - cell.plane * rows);
    return cell;
}

#define POOL_CELL(job) pool_cell_of(job, columns, columns_inverse, columns_shift, rows, rows_inverse, rows_shift)

// The taps of a window along one axis that lie in the map: the first, its place, and the end of their places. The host
// makes sure that there is one.
typedef struct {
    u32 tap, place, end;
} pool_start;

DEVICE pool_start pool_start_of(u32 output, u32 stride, u32 pad, u32 dilation, u32 taps, u32 size) {
    const i32 start = (i32)(output * stride) - (i32)pad;
    i32 place = start;
    pool_start result;
    result.tap = 0;
    for (; place < 0; place += (i32)dilation) result.tap++;
    result.place = (u32)place;
    const u32 end = (u32)start + (taps - 1) * dilation + 1;
    result.end = end < size ? end : size;
    return result;
}

// The windows that an element of x is in along one axis, `first` to `last`, and its place with the padding before it.
// Where taps are dilated they are only the windows that reach over it.
typedef struct {
    u32 place, first, last;
} pool_range;

// How strides are divided by, see divisor.h.
#define POOL_STRIDE_PARAMETERS u64 stride_y_inverse, u32 stride_y_shift, u64 stride_x_inverse, u32 stride_x_shift

DEVICE pool_range pool_range_of(u32 element, u32 pad, u32 reach, u32 outputs, u32 stride, u64 inverse, u32 shift) {
    pool_range range;
    range.place = element + pad;
    const u32 last = (u32)quotient(range.place, inverse, shift);
    range.last = last < outputs ? last : outputs - 1;
    range.first = range.place <= reach ? 0 : (u32)quotient(range.place - reach + stride - 1, inverse, shift);
    return range;
}

#define POOL_ROWS_OF(h) \
    pool_range_of(h, pad_top, (window_height - 1) * dilation_y, out_height, stride_y, stride_y_inverse, stride_y_shift)
#define POOL_COLUMNS_OF(w) \
    pool_range_of(w, pad_left, (window_width - 1) * dilation_x, out_width, stride_x, stride_x_inverse, stride_x_shift)

// Whether there is a tap so far from the start of a window, and which.
DEVICE u32 find_tap(u32 distance, u32 dilation, u32* tap) {
    *tap = distance;
    if (dilation == 1) return 1;
    *tap = distance / dilation;
    return *tap * dilation == distance;
}

// VEC neighbours of inner.
DEVICE void load_chunk(GLOBAL const scalar* source, u64 first, real* values) {
#if VEC == 8
    load8(source, first, values);
#else
    values[0] = load(source, first);
#endif
}

DEVICE void store_chunk(GLOBAL scalar* target, u64 first, const real* values) {
#if VEC == 8
    store8(target, first, values);
#else
    store(target, first, values[0]);
#endif
}

// Where two columns of x belong to one of y, an item has 16 bytes of two rows of x, 32 of double, and half as many
// columns of a row of y.
#define PIECE_COLUMNS (DTYPE_F16 || DTYPE_BF16 ? 8 : 4)
#define PIECE_OUTPUTS (PIECE_COLUMNS / 2)

DEVICE void store_piece(GLOBAL scalar* target, u64 first, const real* values) {
#if DTYPE_F16 || DTYPE_BF16
    store8(target, first, values);
#else
    store4(target, first, values);
#endif
}

DEVICE void load_half_piece(GLOBAL const scalar* source, u64 first, real* values) {
#if DTYPE_F16 || DTYPE_BF16
    load4(source, first, values);
#else
    values[0] = load(source, first), values[1] = load(source, first + 1);
#endif
}
