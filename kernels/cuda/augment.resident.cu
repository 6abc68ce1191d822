// Augmentation of bytes in one launch (formula and table in portable/augment_image.h): a group keeps an image in shared
// memory, so that each byte comes from global memory once, and both passes, for the mean grey that contrast needs and
// for the output, read what lies scattered from where that costs least. For lists of ops that look at single pixels,
// and images of one or three channels. Needs compute capability 8.0.
//
//   augment_resident  y, as augment_statistics, its join and augment_apply make it
//
// Sums are in the order of augment_statistics and its join: a sample has the same bits whichever way it takes.

#define HAS_BYTES 1

#include "types.h"
#include "reduce.h"
#include "augment_image.h"
#include "augment_colors.h"
#include "augment_tile.h"
#include "augment_output.h"
#include "cuda/copies.h"

// An image leaves no room for a second group, so that items may have all registers.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 1

#define TEAMS      (GROUP_SIZE / TILE_ITEMS)
#define TEAM_WARPS (TILE_ITEMS / 32)

// Parts of an image: a lane has one at the end.
#define MOST_PARTS 32

// As keep_settings does, with the means that were found.
DEVICE void keep_found(u32 codes, const float* row, const real* means, real white, real* settings) {
    const u32 i = LOCAL_ID;
    if (codes >> 4 * i % 32 == 0 || i >= MOST_COLORS) return;
    keep_setting(codes, i, row[TABLE_VALUES + i], code_of(codes, i) == COLOR_CONTRAST ? means[i] : 0, white, settings);
}

// The bytes of a sample, which are whole chunks, are on their way.
DEVICE void keep_image(uint4* resident, const u8* from, u32 bytes) {
    const u32 target = shared_address(resident);
    const u64 source = global_address((const scalar*)from);
    for (u32 at = LOCAL_ID * CHUNK_BYTES; at < bytes; at += GROUP_SIZE * CHUNK_BYTES)
        copy_chunk(target + at, source + at, 1);
    COMMIT_COPIES();
}

// The item's pixels after a list of ops.
DEVICE void colored_pixels(const augment_image* image, const image_row* own, u32 column, u32 codes,
                           const real* settings, real white, real levels, real* v) {
    read_pixels(image, own, column, 0, v);
    color_list(v, ITEM_PIXELS, codes, codes, settings, 0, image->channels, white, levels);
}

// Each warp's share of the sum of greys of each part, after a list of ops. `row_inverse` and its shift divide by the
// tiles of a row.
DEVICE void sum_greys(const augment_image* image, u32 codes, const real* settings, real white, real levels, u32 parts,
                      u32 tiles_across, u32 row_inverse, u32 row_shift, real* sums) {
    for (u32 part = LOCAL_ID / TILE_ITEMS; part < parts; part += TEAMS) {
        u32 down = quotient_31(part * PART_TILES, row_inverse, row_shift);
        u32 left = (part * PART_TILES - down * tiles_across) * TILE_SIDE;
        image_row own = image_row_of(image, down * TILE_SIDE + row_in_tile(), 0);
        real sum = 0;
        for (u32 t = 0; t < PART_TILES; t++) {
            const u32 column = left + column_in_tile();
            if (own.row < image->out_height && column < image->out_width) {
                real v[3 * ITEM_PIXELS];
                colored_pixels(image, &own, column, codes, settings, white, levels, v);
                for (u32 k = 0; k < ITEM_PIXELS; k++)
                    if (column + k < image->out_width) sum += grey_of(v + 3 * k, image->channels);
            }
            left += TILE_SIDE;
            if (left < image->out_width) continue;
            left = 0, down++;
            own = image_row_of(image, down * TILE_SIDE + row_in_tile(), 0);
        }
        sum = warp_sum(sum);
        if (LOCAL_ID % 32 == 0) sums[part * TEAM_WARPS + LOCAL_ID % TILE_ITEMS / 32] = sum;
    }
}

// The mean grey from the sums of the parts' warps, for all lanes of the first warp.
DEVICE real mean_grey(const real* sums, u32 parts, u32 pixels) {
    real sum = 0;
    if (LOCAL_ID < parts)
        for (u32 warp = 0; warp < TEAM_WARPS; warp++) sum += sums[LOCAL_ID * TEAM_WARPS + warp];
    return warp_sum(sum) / (real)pixels;
}

KERNEL void augment_resident(GLOBAL const u8* RESTRICT x, u64 x_offset, GLOBAL const float* RESTRICT table,
                             u64 table_offset, u32 table_width, GLOBAL scalar* RESTRICT y, u64 y_offset, u64 samples,
                             u32 parts, u32 y_pixel, u32 y_channel, u32 has_fours, real erased,
                             AUGMENT_IMAGE_PARAMETERS, AUGMENT_MAP_PARAMETERS, AUGMENT_COLOR_PARAMETERS,
                             NORMALIZE_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real settings[2 * MOST_COLORS], means[MOST_COLORS], sums[MOST_PARTS * TEAM_WARPS];
    const u32 tiles_across = (out_width + TILE_SIDE - 1) / TILE_SIDE;
    const u32 bytes = channels * height * width, pixels = out_height * out_width, team = LOCAL_ID / TILE_ITEMS;
    x += x_offset;
    y += y_offset;
    // Outputs of 2^32 samples are more than a device has memory for.
    for (u32 sample = (u32)GROUP_ID; sample < samples; sample += (u32)GROUP_COUNT) {
        // Nobody reads the image before any more.
        BARRIER();
        keep_image(resident, x + (u64)sample * bytes, bytes);
        GLOBAL const float* row = table + table_offset + (u64)sample * table_width;
        const augment_image image = AUGMENT_IMAGE_OF((const u8*)resident, 0, row);
        const u32 codes = codes_of(row, statistic_count);
        WAIT_COPIES(0);
        _Pragma("unroll 1") for (u32 op = 0; op < MOST_COLORS; op++) {
            if (code_of(codes, op) != COLOR_CONTRAST) continue;
            const u32 before = codes_before(codes, op);
            keep_found(before, row, means, white, settings);
            BARRIER();
            sum_greys(&image, before, settings, white, levels, parts, tiles_across, row_inverse, row_shift, sums);
            BARRIER();
            if (LOCAL_ID >= 32) continue;
            const real mean = mean_grey(sums, parts, pixels);
            if (LOCAL_ID == op) means[op] = mean;
        }
        keep_found(codes, row, means, white, settings);
        BARRIER();
        for (u32 down = 0; down * TILE_SIDE < out_height; down++) {
            const image_row own = image_row_of(&image, down * TILE_SIDE + row_in_tile(), 0);
            GLOBAL scalar* to = y + (u64)sample * channels * pixels + (u64)own.row * out_width * y_pixel;
            // Teams take tiles in turn, and begin a row in turn.
            for (u32 left = (team + down) % TEAMS * TILE_SIDE; left < out_width; left += TEAMS * TILE_SIDE) {
                const u32 column = left + column_in_tile();
                if (own.row >= out_height || column >= out_width) continue;
                real v[3 * ITEM_PIXELS];
                colored_pixels(&image, &own, column, codes, settings, white, levels, v);
                normalize_pixels(0, NORMALIZE_ARGUMENTS, v);
                if ((real)own.row >= row[TABLE_BOX] && (real)own.row < row[TABLE_BOX + 2])
                    erase_pixels(column, row[TABLE_BOX + 1], row[TABLE_BOX + 3], erased, v);
                store_pixels(to + column * y_pixel, y_pixel, y_channel, channels, out_width - column, has_fours, v);
            }
        }
    }
}
