// Tiles of the matrix product that a convolution is. The matrix of the image has a column for each pixel of the result
// and a row for each tap, a channel and a place of the filter; it is never made: where an element lies is the sum of a
// part that goes with the pixel and a part that goes with the tap, and both parts stand in tables in local memory.

#define TILE_ROWS    64
#define TILE_COLUMNS 128
#define TILE_DEPTH   16

// Four more than the tile: rows stay on 16 bytes, and neighbours in depth are on different banks.
#define ROW_PITCH    (TILE_ROWS + 4)
#define COLUMN_PITCH (TILE_COLUMNS + 4)

// Elements of a slice that a work item loads, and results that are its own: 4 rows of 4 + 4 columns.
#define ITEM_COLUMNS (TILE_COLUMNS * TILE_DEPTH / GROUP_SIZE)
#define ITEM_ROWS    (TILE_ROWS * TILE_DEPTH / GROUP_SIZE)

// Two groups hide each other's barriers and loads.
#if !DTYPE_F64
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 2
#endif

#define IS_BEFORE_AMPERE (DIALECT_CUDA && __CUDA_ARCH__ < 800)

// A coordinate that is outside of any image, whatever is added to it: sizes are below 2^29.
#define OUTSIDE (-(1 << 30))

// What convolutions have in common. Channels are those of one group; x is convolved to y.
#define CONV2D_SHAPE_PARAMETERS                                                                                  \
    u64 batch, u64 groups, u32 x_channels, u32 x_height, u32 x_width, u32 y_channels, u32 y_height, u32 y_width, \
        u32 filter_height, u32 filter_width, u32 stride_y, u32 stride_x, u32 dilation_y, u32 dilation_x,         \
        u32 padding_top, u32 padding_left

// y from x, or dx from dy.
#define CONV2D_GATHER_PARAMETERS                                                                                    \
    GLOBAL const scalar *RESTRICT image, u64 image_offset, GLOBAL const scalar *RESTRICT filter, u64 filter_offset, \
        GLOBAL const scalar *RESTRICT bias, u64 bias_offset, GLOBAL scalar *RESTRICT result, u64 result_offset,     \
        CONV2D_SHAPE_PARAMETERS, u32 backward, u32 has_bias, u32 has_relu

// dw and db, or their parts.
#define CONV2D_BACKWARD_FILTER_PARAMETERS                                                                     \
    GLOBAL const scalar *RESTRICT x, u64 x_offset, GLOBAL const scalar *RESTRICT dy, u64 dy_offset,           \
        GLOBAL scalar *RESTRICT dfilter, u64 dfilter_offset, GLOBAL scalar *RESTRICT dbias, u64 dbias_offset, \
        GLOBAL real *RESTRICT partial, u64 partial_offset, GLOBAL real *RESTRICT bias_partial,                \
        u64 bias_partial_offset, CONV2D_SHAPE_PARAMETERS, u32 has_bias, u64 splits, u64 pixels_per_split

// Distances between the neighbours of an element along each axis of a tensor of maps: NCHW, or with CHANNELS_LAST NHWC.
typedef struct {
    u64 batch, channel, row, column;
} map_strides;

DEVICE map_strides strides_of(u64 channels, u32 height, u32 width) {
    map_strides strides;
    strides.channel = CHANNELS_LAST ? 1 : (u64)height * width;
    strides.column = CHANNELS_LAST ? channels : 1;
    strides.row = strides.column * width;
    strides.batch = channels * height * width;
    return strides;
}

// One axis of a gather. Result i of those that are taken together meets tap t of those that it can meet at i * step +
// first + t * tap_step of the image. They are number result_first + i * result_step of the results, and number
// filter_first + t * filter_step of the filter.
typedef struct {
    i32 first, step, tap_step;
    u32 taps, filter_first, filter_step;
    u32 results, result_first, result_step;
} gather_axis;

DEVICE gather_axis forward_axis(u32 y_size, u32 filter_size, u32 stride, u32 dilation, u32 padding) {
    gather_axis axis;
    axis.first = -(i32)padding, axis.step = (i32)stride, axis.tap_step = (i32)dilation;
    axis.taps = filter_size, axis.filter_first = 0, axis.filter_step = 1;
    axis.results = y_size, axis.result_first = 0, axis.result_step = 1;
    return axis;
}

// x at phase, phase + stride, ... got to y by the same taps: those for which x + padding - tap * dilation is a multiple
// of the stride. They are as far apart as it takes a multiple of the dilation to be one of the stride.
DEVICE gather_axis backward_axis(u32 x_size, u32 filter_size, u32 stride, u32 dilation, u32 padding, u32 phase) {
    gather_axis axis;
    const u32 wanted = (phase + padding) % stride, part = dilation % stride;
    u32 rest = 0, tap = 0;
    for (; tap < filter_size && rest != wanted; tap++)
        rest = rest + part >= stride ? rest + part - stride : rest + part;
    axis.filter_first = tap;
    u32 apart = 1;
    for (rest = part; rest != 0; apart++) rest = rest + part >= stride ? rest + part - stride : rest + part;
    axis.filter_step = apart;
    axis.taps = tap < filter_size ? (filter_size - tap + apart - 1) / apart : 0;
    axis.first = tap < filter_size ? ((i32)(phase + padding) - (i32)(tap * dilation)) / (i32)stride : 0;
    axis.step = 1, axis.tap_step = tap + apart < filter_size ? -(i32)(apart * dilation / stride) : 0;
    axis.results = phase < x_size ? (x_size - phase + stride - 1) / stride : 0;
    axis.result_first = phase, axis.result_step = stride;
    return axis;
}

// A number in three digits, the lowest first, with the counts of the lower two as bases.
typedef struct {
    u32 low, middle;
    u64 high;
} digits;

DEVICE digits digits_of(u64 number, u32 low_count, u32 middle_count) {
    digits result;
    const u64 rest = number / low_count;
    result.low = (u32)(number - rest * low_count);
    result.high = rest / middle_count;
    result.middle = (u32)(rest - result.high * middle_count);
    return result;
}

// The digits of the sum: numbers that go on by a constant need no division.
DEVICE digits sum_of(digits a, digits b, u32 low_count, u32 middle_count) {
    digits sum;
    const u64 low = (u64)a.low + b.low;
    const u32 low_carry = low >= low_count;
    sum.low = (u32)(low_carry ? low - low_count : low);
    const u64 middle = (u64)a.middle + b.middle + low_carry;
    const u32 middle_carry = middle >= middle_count;
    sum.middle = (u32)(middle_carry ? middle - middle_count : middle);
    sum.high = a.high + b.high + middle_carry;
    return sum;
}

// The part of an element's address and of its coordinates that goes with a pixel, or with a tap.
typedef struct {
    u64 offset;
    i32 y, x;
} place;

DEVICE place place_of(map_strides strides, u64 offset, i32 y, i32 x) {
    place result;
    result.offset = offset + (u64)(i64)y * strides.row + (u64)(i64)x * strides.column;
    result.y = y, result.x = x;
    return result;
}

DEVICE place no_place(void) {
    place result;
    result.offset = 0, result.y = OUTSIDE, result.x = 0;
    return result;
}

// A slice on its way from memory to the tiles: of the image's matrix, and of the other one, `matrix`. Neighbouring work
// items take neighbours along the axis that lies closer together in memory.
typedef struct {
    u32 columns_fast, rows_fast;
    u32 height, width;
    u64 rows_left, row_stride;
} slice_way;

DEVICE u32 column_of(slice_way way, u32 item) { return way.columns_fast ? item % TILE_COLUMNS : item / TILE_DEPTH; }

DEVICE u32 row_of(slice_way way, u32 item) { return way.rows_fast ? item % TILE_ROWS : item / TILE_DEPTH; }

DEVICE INLINED void load_tile_im2col(GLOBAL const scalar* image, LOCAL const place* columns, LOCAL const place* depths,
                                     slice_way way, real* values) {
    for (u32 i = 0; i < ITEM_COLUMNS; i++) {
        const u32 item = LOCAL_ID + GROUP_SIZE * i;
        const place column = columns[column_of(way, item)];
        const place depth = depths[way.columns_fast ? item / TILE_COLUMNS : item % TILE_DEPTH];
        const u32 inside = (u32)(column.y + depth.y) < way.height && (u32)(column.x + depth.x) < way.width;
        values[i] = inside ? load(image, column.offset + depth.offset) : (real)0;
    }
}

DEVICE INLINED void load_tile_matrix(GLOBAL const scalar* matrix, LOCAL const place* depths,
                                     LOCAL const u64* depth_offsets, slice_way way, real* values) {
    for (u32 i = 0; i < ITEM_ROWS; i++) {
        const u32 item = LOCAL_ID + GROUP_SIZE * i, row = row_of(way, item);
        const u32 depth = way.rows_fast ? item / TILE_ROWS : item % TILE_DEPTH;
        const u32 inside = row < way.rows_left && depths[depth].y != OUTSIDE;
        values[i] = inside ? load(matrix, row * way.row_stride + depth_offsets[depth]) : (real)0;
    }
}

DEVICE INLINED void store_tiles(slice_way way, const real* column_values, const real* row_values,
                                LOCAL real* column_tile, LOCAL real* row_tile) {
    for (u32 i = 0; i < ITEM_COLUMNS; i++) {
        const u32 item = LOCAL_ID + GROUP_SIZE * i;
        const u32 depth = way.columns_fast ? item / TILE_COLUMNS : item % TILE_DEPTH;
        column_tile[depth * COLUMN_PITCH + column_of(way, item)] = column_values[i];
    }
    for (u32 i = 0; i < ITEM_ROWS; i++) {
        const u32 item = LOCAL_ID + GROUP_SIZE * i;
        const u32 depth = way.rows_fast ? item / TILE_ROWS : item % TILE_DEPTH;
        row_tile[depth * ROW_PITCH + row_of(way, item)] = row_values[i];
    }
}

// sums[4][8] += rows by columns of a slice, in order of depth. The columns of an item are two fours, half a tile apart,
// so that neighbouring items read neighbouring fours.
DEVICE INLINED void multiply_tiles(LOCAL const real* row_tile, LOCAL const real* column_tile, u32 first_row,
                                   u32 first_column, real* sums) {
    for (u32 depth = 0; depth < TILE_DEPTH; depth++) {
        real rows[4], columns[8];
        for (u32 i = 0; i < 4; i++) rows[i] = row_tile[depth * ROW_PITCH + first_row + i];
        for (u32 j = 0; j < 4; j++) {
            columns[j] = column_tile[depth * COLUMN_PITCH + first_column + j];
            columns[4 + j] = column_tile[depth * COLUMN_PITCH + TILE_COLUMNS / 2 + first_column + j];
        }
        for (u32 i = 0; i < 4; i++)
            for (u32 j = 0; j < 8; j++) sums[8 * i + j] = FMA(rows[i], columns[j], sums[8 * i + j]);
    }
}

DEVICE u32 tile_column(u32 first_column, u32 j) { return first_column + j % 4 + j / 4 * (TILE_COLUMNS / 2); }
