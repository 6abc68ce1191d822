// Augmentation of a batch of images in one pass: y = (colors(x at the mapped place) - mean) / deviation, where each
// image has its own affine map, its own list of colour ops and its own box that is erased (augment_image.h). Rotation,
// crop and flips are one interpolation, and type and layout become what a network takes.
//
//   augment_apply  y; HAS_COLORS with colour ops, for one or three channels, and boxes; HAS_BYTES of bytes, without of
//                  floating-point images

#include "types.h"
#include "divisor.h"
#include "augment_image.h"
#include "augment_colors.h"
#include "augment_tile.h"

// The compiler's own choice spills.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS (HAS_BYTES ? 3 : 2)

// Stores the item's pixels as far as the image goes, `step` elements apart, and their channels `plane`; in the box,
// which is counted from the item's first row, what has been erased.
DEVICE void store_pixels(GLOBAL scalar* to, u64 step, u64 plane, u32 count, u32 rows, const real* v, const real* scales,
                         const real* shifts, real box_top, real box_bottom, real erased) {
    UNROLL
    for (u32 k = 0; k < ITEM_PIXELS; k++) {
        const u32 r = k * ITEM_STEP, is_erased = (real)r >= box_top && (real)r < box_bottom;
        for (u32 i = 0; i < 3; i++) {
            const real value = FMA(v[3 * k + i], scales[i], shifts[i]);
            if (r < rows && i < count) store(to, i * plane, is_erased ? erased : value);
        }
        to += step;
    }
}

// A sample has `sample_tiles` tiles, first those of its first three channels; the row of tiles that one is in is
// quotient_31 of its number.
KERNEL void augment_apply(GLOBAL const u8* RESTRICT x, u64 x_offset, GLOBAL const float* RESTRICT table,
                          u64 table_offset, u32 table_width, GLOBAL const real* RESTRICT statistics,
                          u64 statistics_offset, GLOBAL scalar* RESTRICT y, u64 y_offset, u64 tiles, u64 sample_inverse,
                          u32 sample_shift, u32 sample_tiles, u32 y_pixel, u32 y_channel, real erased,
                          AUGMENT_IMAGE_PARAMETERS, AUGMENT_MAP_PARAMETERS, AUGMENT_COLOR_PARAMETERS,
                          NORMALIZE_PARAMETERS) {
#if HAS_COLORS
    SHARED real staged[STAGED_LENGTH];
#endif
    x += x_offset;
    y += y_offset;
    const u32 tiles_across = (out_width + TILE_SIDE - 1) / TILE_SIDE;
    const u32 plane_tiles = (out_height + TILE_SIDE - 1) / TILE_SIDE * tiles_across;
    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 sample = quotient(tile, sample_inverse, sample_shift);
        u32 own = (u32)(tile - sample * sample_tiles), channel = 0;
        for (; own >= plane_tiles; own -= plane_tiles) channel += 3;
        const u32 down = quotient_31(own, row_inverse, row_shift), top = down * TILE_SIDE;
        const u32 left = (own - down * tiles_across) * TILE_SIDE;
        const u32 first_row = top + row_in_tile(), column = left + column_in_tile();
        const u32 is_inside = first_row < out_height && column < out_width;
        GLOBAL const float* row = table + table_offset + sample * table_width;
        const augment_image image = AUGMENT_IMAGE_OF(x, sample, row);
        real v[3 * ITEM_PIXELS], scales[3], shifts[3], box_top = 0, box_bottom = 0;
#if HAS_COLORS
        GLOBAL const real* kept = statistics + statistics_offset + sample * statistic_count * STATISTICS_LENGTH;
        const u32 colors = channels == 1 || channels == 3 ? count_of(row) : 0;
        color_tile(&image, row, colors, top, left, channel, kept, white, levels, statistic_count, staged, v);
        if ((real)column >= row[TABLE_BOX + 1] && (real)column < row[TABLE_BOX + 3]) {
            box_top = row[TABLE_BOX] - (real)first_row;
            box_bottom = row[TABLE_BOX + 2] - (real)first_row;
        }
#else
        if (is_inside) read_pixels(&image, first_row, column, channel, v);
#endif
        for (u32 i = 0; i < 3; i++) {
            scales[i] = channel > 0 ? scale3 : of_channel(i, scale0, scale1, scale2, scale3);
            shifts[i] = channel > 0 ? shift3 : of_channel(i, shift0, shift1, shift2, shift3);
        }
        GLOBAL scalar* to = y + sample * channels * ((u64)out_height * out_width) +
                            (u64)(first_row * out_width + column) * y_pixel + (u64)channel * y_channel;
        const u64 step = (u64)(ITEM_STEP * out_width) * y_pixel;
        const u32 count = channels - channel, rows = is_inside ? out_height - first_row : 0;
        if (count >= 3)
            store_pixels(to, step, y_channel, 3, rows, v, scales, shifts, box_top, box_bottom, erased);
        else
            store_pixels(to, step, y_channel, count, rows, v, scales, shifts, box_top, box_bottom, erased);
    }
}
