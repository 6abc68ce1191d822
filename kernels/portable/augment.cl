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
#include "augment_output.h"

// With more of them the loads of an item wait for each other, as there are registers for a few at a time.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 2

// Tiles of a band side by side, which a group takes one after the other.
#define BAND_TILES 4

// A job is a band, of which a sample has `sample_jobs`, first those of its first three channels; the row of bands that
// one is in is quotient_31 of its number.
KERNEL void augment_apply(GLOBAL const u8* RESTRICT x, u64 x_offset, GLOBAL const float* RESTRICT table,
                          u64 table_offset, u32 table_width, GLOBAL const real* RESTRICT statistics,
                          u64 statistics_offset, GLOBAL scalar* RESTRICT y, u64 y_offset, u64 jobs, u64 sample_inverse,
                          u32 sample_shift, u32 sample_jobs, u32 y_pixel, u32 y_channel, u32 has_fours, real erased,
                          AUGMENT_IMAGE_PARAMETERS, AUGMENT_MAP_PARAMETERS, AUGMENT_COLOR_PARAMETERS,
                          NORMALIZE_PARAMETERS) {
#if HAS_COLORS
    // Settings of two jobs in turn: what an item still reads no other writes.
    SHARED real staged[STAGED_LENGTH], settings[2][SETTING_LENGTH * MOST_COLORS];
    u32 turn = 0;
#endif
    x += x_offset;
    y += y_offset;
    const u32 bands_across = (out_width + BAND_TILES * TILE_SIDE - 1) / (BAND_TILES * TILE_SIDE);
    const u32 plane_bands = (out_height + TILE_SIDE - 1) / TILE_SIDE * bands_across;
    for (u64 job = GROUP_ID; job < jobs; job += GROUP_COUNT) {
        const u64 sample = quotient(job, sample_inverse, sample_shift);
        u32 band = (u32)(job - sample * sample_jobs), channel = 0;
        for (; band >= plane_bands; band -= plane_bands) channel += 3;
        const u32 down = quotient_31(band, row_inverse, row_shift), count = channels - channel;
        const u32 first = (band - down * bands_across) * (BAND_TILES * TILE_SIDE);
        const u32 end = out_width - first < BAND_TILES * TILE_SIDE ? out_width : first + BAND_TILES * TILE_SIDE;
        GLOBAL const float* row = table + table_offset + sample * table_width;
        const augment_image image = AUGMENT_IMAGE_OF(x, sample, row);
        const image_row own = image_row_of(&image, down * TILE_SIDE + row_in_tile(), channel);
        const u64 to = settled_64(sample * channels * ((u64)out_height * out_width) + (u64)channel * y_channel +
                                  (u64)own.row * out_width * y_pixel);
#if HAS_COLORS
        GLOBAL const real* kept = statistics + statistics_offset + sample * statistic_count * STATISTICS_LENGTH;
        const u32 codes = channels == 1 || channels == 3 ? codes_of(row, statistic_count) : 0;
        const real unit = unit_of(codes, white);
        turn ^= 1;
        keep_settings(codes, row, kept, channels, white, settings[turn]);
        BARRIER();
        const u32 meets_box = (real)own.row >= row[TABLE_BOX] && (real)own.row < row[TABLE_BOX + 2];
        const real box_left = row[TABLE_BOX + 1], box_right = meets_box ? row[TABLE_BOX + 3] : 0;
#endif
        for (u32 left = first; left < end; left += TILE_SIDE) {
            const u32 column = left + column_in_tile();
            const u32 is_inside = own.row < out_height && column < out_width;
            real v[3 * ITEM_PIXELS];
#if HAS_COLORS
            color_tile(&image, &own, codes, left, channel, settings[turn], kept, white, levels, staged, v);
#else
            if (is_inside) read_pixels(&image, &own, column, channel, v);
#endif
            if (!is_inside) continue;
#if HAS_COLORS
            normalize_pixels(channel, unit, NORMALIZE_ARGUMENTS, v);
            erase_pixels(column, box_left, box_right, erased, v);
#else
            normalize_pixels(channel, 1, NORMALIZE_ARGUMENTS, v);
#endif
            store_pixels(y + to + column * y_pixel, y_pixel, y_channel, count, out_width - column, has_fours, v);
        }
    }
}
