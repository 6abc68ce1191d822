// Depthwise convolution as most networks have it: [batch, channels, ...], one channel a group, 3 x 3 taps side by side,
// stride 1 (Howard et al., "MobileNets", arXiv:1704.04861, 2017). Memory sets the time, so an item makes eight rows of
// four columns: it loads each row once, and what it has to find out first serves 32 results.
//
//   conv2d_depthwise_gather  y from x, or with `backward` dx from dy. With WIDE rows lie on 16 bytes, or 8 for the half
//                            types, and a result has its own column of the image in the middle of its taps: all that
//                            an item needs of a row is its own four and their two neighbours

#define CHANNELS_LAST 0

#include "types.h"
#include "im2col.h"

#define ROWS    8
#define COLUMNS 4
#define SIDE    3

// What is on its way from memory for one group leaves time to the others.
#if WIDE && !DTYPE_F64
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 3
#endif

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
        real weights[SIDE * SIDE];
        for (u32 i = 0; i < SIDE * SIDE; i++)
            weights[i] = load(filter, channel * (SIDE * SIDE) + (backward ? SIDE * SIDE - 1 - i : i));
        GLOBAL const scalar* source =
            image + at.high * image_height * image_width + (u64)((i64)lowest * image_width + leftmost);
        real sums[ROWS * COLUMNS] = {0};
        for (u32 i = 0; i < ROWS + SIDE - 1; i++, source += image_width) {
            const u32 is_row = (u32)(lowest + (i32)i) < image_height;
            real values[COLUMNS + SIDE - 1] = {0};
#if WIDE
            if (is_row) load4(source, 1, values + 1);
            if (is_row && first_column > 0) values[0] = load(source, 0);
            if (is_row && first_column + COLUMNS < width) values[COLUMNS + 1] = load(source, COLUMNS + 1);
#else
            for (u32 j = 0; j < COLUMNS + SIDE - 1; j++)
                if (is_row && (u32)(leftmost + (i32)j) < image_width) values[j] = load(source, j);
#endif
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
