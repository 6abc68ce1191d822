// Depthwise convolution as most networks have it: [batch, channels, ...], one channel a group, 3 x 3 taps side by side,
// stride 1 (Howard et al., "MobileNets", arXiv:1704.04861, 2017). Memory sets the time, so an item makes eight rows of
// four columns: it loads each row once, and what it has to find out first serves 32 results.
//
//   conv2d_depthwise_gather  y from x, or with `backward` dx from dy. With WIDE rows lie on 16 bytes, or 8 for the half
//                            types, and a result has its own column of the image in the middle of its taps: all that
//                            an item needs of a row is its own four and their two neighbours
//   conv2d_depthwise_filter  dw from x and dy, and the bias' gradient; with more than one split to rows of `partial`,
//                            for partial_sums.cl to add

#define CHANNELS_LAST 0

#include "types.h"
#include "im2col.h"

#define ROWS    8
#define COLUMNS 4
#define SIDE    3
#define TAPS    (SIDE * SIDE)
// Of the image, for a row of results.
#define ROW_ELEMENTS (COLUMNS + SIDE - 1)

// What is on its way from memory for one group leaves time to the others.
#if WIDE && DTYPE_F32
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 3
#endif

// What the taps of four neighbours in a row see of the image: zeros outside.
DEVICE void load_row(GLOBAL const scalar* row, u32 is_row, i32 leftmost, u32 width, real* values) {
    for (u32 j = 0; j < ROW_ELEMENTS; j++) values[j] = 0;
#if WIDE
    if (is_row) load4(row, 1, values + 1);
    if (is_row && leftmost >= 0) values[0] = load(row, 0);
    if (is_row && leftmost + COLUMNS + 1 < (i32)width) values[COLUMNS + 1] = load(row, COLUMNS + 1);
#else
    for (u32 j = 0; j < ROW_ELEMENTS; j++)
        if (is_row && (u32)(leftmost + (i32)j) < width) values[j] = load(row, j);
#endif
}

KERNEL void conv2d_depthwise_gather(CONV2D_GATHER_PARAMETERS) {
    const u32 image_height = backward ? y_height : x_height, image_width = backward ? y_width : x_width;
    const u32 height = backward ? x_height : y_height, width = backward ? x_width : y_width;
    // The gradient is gathered by the filter turned around.
    const i32 above = backward ? SIDE - 1 - (i32)padding_top : (i32)padding_top;
    const i32 before = backward ? SIDE - 1 - (i32)padding_left : (i32)padding_left;
    const u32 column_blocks = (width + COLUMNS - 1) / COLUMNS, row_blocks = (height + ROWS - 1) / ROWS;
    const u64 count = batch * groups * row_blocks * column_blocks;
    image += image_offset;
    filter += filter_offset;
    bias += bias_offset;
    result += result_offset;

    for (u64 item = GLOBAL_ID; item < count; item += GLOBAL_SIZE) {
        const digits at = digits_of(item, column_blocks, row_blocks);
        const u64 channel = at.high % groups;
        const u32 first_row = ROWS * at.middle, first_column = COLUMNS * at.low;
        const i32 lowest = (i32)first_row - above, leftmost = (i32)first_column - before;
        real weights[TAPS];
        for (u32 i = 0; i < TAPS; i++) weights[i] = load(filter, channel * TAPS + (backward ? TAPS - 1 - i : i));
        GLOBAL const scalar* source =
            image + at.high * image_height * image_width + (u64)((i64)lowest * image_width + leftmost);
        real sums[ROWS * COLUMNS] = {0};
        for (u32 i = 0; i < ROWS + SIDE - 1; i++, source += image_width) {
            const u32 is_row = (u32)(lowest + (i32)i) < image_height;
            real values[ROW_ELEMENTS];
            load_row(source, is_row, leftmost, image_width, values);
            for (u32 r = 0; r < SIDE; r++) {
                if (i < r || i - r >= ROWS) continue;
                for (u32 s = 0; s < SIDE; s++)
                    for (u32 j = 0; j < COLUMNS; j++) {
                        const u32 sum = (i - r) * COLUMNS + j;
                        sums[sum] = FMA(weights[r * SIDE + s], values[j + s], sums[sum]);
                    }
            }
        }
        const real added = has_bias ? load(bias, channel) : (real)0;
        GLOBAL scalar* target = result + (at.high * height + first_row) * width + first_column;
        for (u32 e = 0; e < ROWS; e++, target += width) {
            for (u32 j = 0; j < COLUMNS; j++) {
                real* value = sums + e * COLUMNS + j;
                if (has_bias) *value += added;
                if (has_relu && *value <= 0) *value = 0;
#if !WIDE
                if (first_row + e < height && first_column + j < width) store(target, j, *value);
#endif
            }
#if WIDE
            if (first_row + e < height) store4(target, 0, sums + e * COLUMNS);
#endif
        }
    }
}

// A group takes a channel and what a split has of it: blocks of pixels, one an item at a time, which slides down them.
KERNEL void conv2d_depthwise_filter(CONV2D_BACKWARD_FILTER_PARAMETERS) {
    SHARED real scratch[(TAPS + 1) * GROUP_SIZE];
    const u32 column_blocks = (y_width + COLUMNS - 1) / COLUMNS, row_blocks = (y_height + ROWS - 1) / ROWS;
    const u64 blocks = batch * row_blocks * column_blocks, blocks_per_split = pixels_per_split / (ROWS * COLUMNS);
    x += x_offset;
    dy += dy_offset;

    for (u64 job = GROUP_ID; job < groups * splits; job += GROUP_COUNT) {
        const u64 split = job / groups, channel = job - split * groups;
        const u64 first_block = split * blocks_per_split, last_block = first_block + blocks_per_split;
        const u64 end_block = last_block < blocks ? last_block : blocks;
        real sums[TAPS + 1] = {0};
        for (u64 block = first_block + LOCAL_ID; block < end_block; block += GROUP_SIZE) {
            const digits at = digits_of(block, column_blocks, row_blocks);
            const u64 plane = at.high * groups + channel;
            const u32 first_row = ROWS * at.middle, first_column = COLUMNS * at.low;
            const i32 lowest = (i32)first_row - (i32)padding_top, leftmost = (i32)first_column - (i32)padding_left;
            GLOBAL const scalar* source = x + plane * x_height * x_width + (u64)((i64)lowest * x_width + leftmost);
            GLOBAL const scalar* gradient = dy + (plane * y_height + first_row) * y_width + first_column;
            real rows[SIDE][ROW_ELEMENTS];
            UNROLL
            for (u32 i = 0; i < ROWS + SIDE - 1; i++, source += x_width) {
                load_row(source, (u32)(lowest + (i32)i) < x_height, leftmost, x_width, rows[i % SIDE]);
                if (i < SIDE - 1) continue;
                // Beyond the last row and column there is no product, not even with 0.
                if (first_row + (i - (SIDE - 1)) < y_height) {
                    real values[COLUMNS];
#if WIDE
                    load4(gradient, 0, values);
#endif
                    for (u32 j = 0; j < COLUMNS; j++) {
#if !WIDE
                        if (first_column + j >= y_width) continue;
                        values[j] = load(gradient, j);
#endif
                        for (u32 tap = 0; tap < TAPS; tap++) {
                            const real seen = rows[(i + 1 + tap / SIDE) % SIDE][j + tap % SIDE];
                            sums[tap] = FMA(values[j], seen, sums[tap]);
                        }
                        sums[TAPS] += values[j];
                    }
                }
                gradient += y_width;
            }
        }
        for (u32 i = 0; i <= TAPS; i++) scratch[i * GROUP_SIZE + LOCAL_ID] = sums[i];
        BARRIER();
        for (u32 half_size = GROUP_SIZE / 2; half_size >= 1; half_size /= 2) {
            if (LOCAL_ID < half_size)
                for (u32 i = 0; i <= TAPS; i++)
                    scratch[i * GROUP_SIZE + LOCAL_ID] += scratch[i * GROUP_SIZE + LOCAL_ID + half_size];
            BARRIER();
        }
        // The next turn writes what only this item reads here.
        if (LOCAL_ID == 0) {
            for (u32 tap = 0; tap < TAPS; tap++) {
                const u64 index = channel * TAPS + tap;
                const real sum = scratch[tap * GROUP_SIZE];
                if (splits == 1) store(dfilter, dfilter_offset + index, sum);
                if (splits > 1) partial[partial_offset + split * groups * TAPS + index] = sum;
            }
            const real sum = scratch[TAPS * GROUP_SIZE];
            if (has_bias && splits == 1) store(dbias, dbias_offset + channel, sum);
            if (has_bias && splits > 1) bias_partial[bias_partial_offset + split * groups + channel] = sum;
        }
    }
}
