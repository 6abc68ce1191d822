// Augmentation of bytes in one launch (formula and table in portable/augment_image.h): a group keeps an image in shared
// memory, so that each byte comes from global memory once, and both passes, for the mean grey that contrast needs and
// for the output, read what lies scattered from where that costs least. For lists of ops that look at single pixels,
// and images of one or three channels. Needs compute capability 8.0.
//
//   augment_resident  y, as augment_statistics, its join and augment_apply make it; HAS_WORDS of three channels where a
//                     word for each pixel fits, without of the bytes as they are
//
// Sums are in the order of augment_statistics and its join, and places are weighed as in augment_tile.h: a sample has
// the same bits whichever way it takes.

#define HAS_BYTES 1

#include "types.h"
#include "reduce.h"
#include "augment_image.h"
#include "augment_colors.h"
#include "augment_tile.h"
#include "augment_output.h"
#include "cuda/copies.h"
#include "cuda/words.h"

// An image leaves no room for a second group, so that items may have all registers.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 1

// Channels, a constant where that spares questions; fours of pixels, in tiles side by side, that an item takes at once.
#if HAS_WORDS
#define CHANNELS 3
#define FOURS    2
#else
#define CHANNELS channels
#define FOURS    1
#endif

// From the first of an item's pixels to the last.
#define FOUR_COLUMNS ((FOURS - 1) * TILE_SIDE + ITEM_PIXELS)

#define TEAMS      (GROUP_SIZE / TILE_ITEMS)
#define TEAM_WARPS (TILE_ITEMS / 32)

// Fours of pixels that an item brings at once.
#define MOST_FOURS 8

// Parts of an image: a lane has one at the end.
#define MOST_PARTS 32

// As keep_settings does, with the means that were found.
DEVICE void keep_found(u32 codes, const float* row, const real* means, u32 channels, real white, real* settings) {
    const u32 i = LOCAL_ID;
    if (codes >> 4 * i % 32 == 0 || i >= MOST_COLORS) return;
    keep_setting(codes, i, row[TABLE_VALUES + i], code_of(codes, i) == COLOR_CONTRAST ? means[i] : 0, channels, white,
                 settings);
}

#if HAS_WORDS
// `count` fours of pixels from an item's next one on, brought at once, as words; `next` moves on.
DEVICE void keep_fours(uint4* resident, const u32* from, u32 fours, u32 x_pixel, u32 count, u32* next) {
    uint4 words[MOST_FOURS];
    UNROLL
    for (u32 k = 0; k < count; k++) {
        const u32 i = *next + k * GROUP_SIZE;
        words[k] = x_pixel == 1 ? words_of_planes(from[i], from[fours + i], from[2 * fours + i])
                                : words_of_bytes(from[3 * i], from[3 * i + 1], from[3 * i + 2]);
    }
    UNROLL
    for (u32 k = 0; k < count; k++) resident[*next + k * GROUP_SIZE] = words[k];
    *next += count * GROUP_SIZE;
}

// The image as words, many fours at a time, as each time waits for memory.
DEVICE void keep_image(uint4* resident, const u8* from, u32 pixels, u32 x_pixel) {
    const u32* words = (const u32*)from;
    const u32 fours = pixels / 4;
    u32 next = LOCAL_ID;
    while (next + (MOST_FOURS - 1) * GROUP_SIZE < fours) keep_fours(resident, words, fours, x_pixel, MOST_FOURS, &next);
    while (next + 2 * GROUP_SIZE < fours) keep_fours(resident, words, fours, x_pixel, 3, &next);
    while (next < fours) keep_fours(resident, words, fours, x_pixel, 1, &next);
}

// The words around a place, of which its shares are left.
DEVICE void words_around(const augment_image* image, u32 words, real* x, real* y, u32* around) {
    const u32 stride = 4 * image->width;
    const real column = floorf(*x), row = floorf(*y);
    const u32 upper = word_address(words, stride, row, column), lower = upper + stride;
    *x -= column, *y -= row;
    around[0] = word_at(upper), around[1] = word_behind(upper);
    around[2] = word_at(lower), around[3] = word_behind(lower);
}

// Rows of which an item reads its pixels together where they lie inside of the image.
DEVICE image_row item_row(const augment_image* image, u32 row, u32 is_usual) {
    image_row own = image_row_of(image, row, 0);
    own.is_usual =
        settled(is_usual && image->border != BORDER_REFLECT && image->is_nearest == 0 && row < image->out_height);
    return own;
}

// Whether what lies between two columns of a row is read together. All is compared: to leave earlier would take more.
DEVICE u32 is_together(const augment_image* image, const image_row* own, u32 first, u32 last) {
    const real end_x = (real)(image->width - 1), end_y = (real)(image->height - 1);
    real x, y, last_x, last_y;
    place_in_row(image, own, (real)first - image->out_middle_x, &x, &y);
    place_in_row(image, own, (real)last - image->out_middle_x, &last_x, &last_y);
    const u32 is_inside = (own->is_usual != 0) & (x >= 0) & (x < end_x) & (y >= 0) & (y < end_y);
    return is_inside & (last_x >= 0) & (last_x < end_x) & (last_y >= 0) & (last_y < end_y);
}

// Pixels from a column on that are read together, as weighed has them; `words` is where the image lies, and `origin`
// are the bits of BYTE_ORIGIN.
DEVICE void weigh_words(const augment_image* image, u32 words, u32 origin, const image_row* own, u32 column, real* v) {
    UNROLL
    for (u32 k = 0; k < ITEM_PIXELS; k++) {
        real x, y;
        u32 around[4];
        place_in_row(image, own, (real)column - image->out_middle_x + (real)k, &x, &y);
        words_around(image, words, &x, &y, around);
        for (u32 i = 0; i < 3; i++) {
            const real first = above_origin(around[0], i, origin), second = above_origin(around[1], i, origin);
            const real third = above_origin(around[2], i, origin), fourth = above_origin(around[3], i, origin);
            const real above = FMA(x, second - first, first - BYTE_ORIGIN);
            const real below = FMA(x, fourth - third, third - BYTE_ORIGIN);
            v[3 * k + i] = FMA(y, below - above, above);
        }
    }
}

// The same as weighed_fixed has them.
DEVICE void weigh_fixed_words(const augment_image* image, u32 words, u32 origin, const image_row* own, u32 column,
                              real* v) {
    UNROLL
    for (u32 k = 0; k < ITEM_PIXELS; k++) {
        real x, y;
        u32 around[4];
        place_in_row(image, own, (real)column - image->out_middle_x + (real)k, &x, &y);
        words_around(image, words, &x, &y, around);
        // The share of the right column above that of the left one, which make FIXED_ONE together.
        const u32 shares = fixed_share(x) * 65535u + FIXED_ONE;
        const u32 upper = __byte_perm(around[0], around[1], 0x5140),
                  upper_blue = __byte_perm(around[0], around[1], 0x62);
        const u32 lower = __byte_perm(around[2], around[3], 0x5140),
                  lower_blue = __byte_perm(around[2], around[3], 0x62);
        const u32 above[3] = {add_low_products(shares, upper, origin), add_high_products(shares, upper, origin),
                              add_low_products(shares, upper_blue, origin)};
        const u32 below[3] = {add_low_products(shares, lower, origin), add_high_products(shares, lower, origin),
                              add_low_products(shares, lower_blue, origin)};
        for (u32 i = 0; i < 3; i++) v[3 * k + i] = FMA(y, AS_F32(below[i]) - AS_F32(above[i]), AS_F32(above[i]));
    }
}

// As read_pixels does, which does not know words: what is not read together it takes pixel by pixel.
DEVICE void item_pixels(const augment_image* image, const image_row* own, u32 column, u32 words, u32 origin, real* v) {
    image_row others = *own;
    others.is_usual = 0;
    if (is_together(image, own, column, column + ITEM_PIXELS - 1))
        weigh_words(image, words, origin, own, column, v);
    else
        read_pixels(image, &others, column, 0, v);
}

// As add_greys does.
DEVICE real add_item_greys(const augment_image* image, const image_row* own, u32 column, u32 codes, u32 words,
                           u32 origin, const real* settings, real white, real levels, real sum) {
    real v[3 * ITEM_PIXELS];
    const u32 last = column + ITEM_PIXELS - 1;
    if ((last < image->out_width) & is_together(image, own, column, last)) {
        weigh_fixed_words(image, words, origin, own, column, v);
        return add_fixed_greys(v, ITEM_PIXELS, blends_of(codes), settings, 3, sum);
    }
    image_row others = *own;
    others.is_usual = 0;
    return add_greys(image, &others, column, codes, settings, 0, white, levels, sum);
}

// As normalize_pixels and store_pixels do where fours of a row lie together, each channel on its own.
DEVICE void store_planes(scalar* to, u32 y_channel, real unit, NORMALIZE_PARAMETERS, const real* v) {
    UNROLL
    for (u32 i = 0; i < 3; i++) {
        UNROLL
        for (u32 four = 0; four < FOURS; four++) {
            real own[ITEM_PIXELS];
            for (u32 k = 0; k < ITEM_PIXELS; k++)
                own[k] = normalized(v[3 * (ITEM_PIXELS * four + k) + i], i, unit, NORMALIZE_ARGUMENTS);
            store4(to, four * TILE_SIDE, own);
        }
        to += y_channel;
    }
}
#else
// The bytes of a sample, which are whole chunks, are on their way.
DEVICE void keep_image(uint4* resident, const u8* from, u32 bytes) {
    const u32 target = shared_address(resident);
    const u64 source = global_address((const scalar*)from);
    for (u32 at = LOCAL_ID * CHUNK_BYTES; at < bytes; at += GROUP_SIZE * CHUNK_BYTES)
        copy_chunk(target + at, source + at, 1);
    COMMIT_COPIES();
    WAIT_COPIES(0);
}

DEVICE image_row item_row(const augment_image* image, u32 row, u32 is_usual) { return image_row_of(image, row, 0); }

DEVICE void item_pixels(const augment_image* image, const image_row* own, u32 column, u32 words, u32 origin, real* v) {
    read_pixels(image, own, column, 0, v);
}

DEVICE real add_item_greys(const augment_image* image, const image_row* own, u32 column, u32 codes, u32 words,
                           u32 origin, const real* settings, real white, real levels, real sum) {
    return add_greys(image, own, column, codes, settings, 0, white, levels, sum);
}
#endif

// On to the tile that comes so many later, which begins a row behind the last of one.
DEVICE void pass_tiles(const augment_image* image, u32 count, u32 is_usual, u32* left, u32* down, image_row* own) {
    *left += count * TILE_SIDE;
    if (*left < image->out_width) return;
    *left = 0, *down += 1;
    *own = item_row(image, *down * TILE_SIDE + row_in_tile(), is_usual);
}

// Each warp's share of the sum of greys of each part, after a list of ops. `row_inverse` and its shift divide by the
// tiles of a row.
DEVICE void sum_greys(const augment_image* image, u32 codes, u32 words, u32 origin, const real* settings, real white,
                      real levels, u32 parts, u32 tiles_across, u32 row_inverse, u32 row_shift, real* sums) {
    const u32 is_simple = codes == 0 || is_blends(codes);
    for (u32 part = LOCAL_ID / TILE_ITEMS; part < parts; part += TEAMS) {
        u32 down = quotient_31(part * PART_TILES, row_inverse, row_shift);
        u32 left = (part * PART_TILES - down * tiles_across) * TILE_SIDE;
        image_row own = item_row(image, down * TILE_SIDE + row_in_tile(), is_simple);
        real sum = 0;
        for (u32 t = 0; t < PART_TILES; t += FOURS) {
#if HAS_WORDS
            const u32 column = left + column_in_tile(), last = column + FOUR_COLUMNS - 1;
            if ((last < image->out_width) & is_together(image, &own, column, last)) {
                real v[3 * FOURS * ITEM_PIXELS];
                for (u32 four = 0; four < FOURS; four++)
                    weigh_fixed_words(image, words, origin, &own, column + four * TILE_SIDE,
                                      v + 3 * ITEM_PIXELS * four);
                sum = add_fixed_greys(v, FOURS * ITEM_PIXELS, blends_of(codes), settings, 3, sum);
                pass_tiles(image, FOURS, is_simple, &left, &down, &own);
                continue;
            }
#endif
            _Pragma("unroll 1") for (u32 four = 0; four < FOURS; four++) {
                sum = add_item_greys(image, &own, left + column_in_tile(), codes, words, origin, settings, white,
                                     levels, sum);
                pass_tiles(image, 1, is_simple, &left, &down, &own);
            }
        }
        sum = warp_sum(sum);
        if (LOCAL_ID % 32 == 0) sums[part * TEAM_WARPS + LOCAL_ID % TILE_ITEMS / 32] = sum;
    }
}

// The mean grey from the sums of the parts' warps, which are of shares of `unit`, for all lanes of the first warp.
DEVICE real mean_grey(const real* sums, u32 parts, u32 pixels, real unit) {
    real sum = 0;
    if (LOCAL_ID < parts)
        for (u32 warp = 0; warp < TEAM_WARPS; warp++) sum += sums[LOCAL_ID * TEAM_WARPS + warp];
    return unit * (warp_sum(sum) / (real)pixels);
}

KERNEL void augment_resident(GLOBAL const u8* RESTRICT x, u64 x_offset, GLOBAL const float* RESTRICT table,
                             u64 table_offset, u32 table_width, GLOBAL scalar* RESTRICT y, u64 y_offset, u64 samples,
                             u32 parts, u32 y_pixel, u32 y_channel, u32 has_fours, real erased,
                             AUGMENT_IMAGE_PARAMETERS, AUGMENT_MAP_PARAMETERS, AUGMENT_COLOR_PARAMETERS,
                             NORMALIZE_PARAMETERS) {
    extern SHARED uint4 resident[];
    SHARED real settings[SETTING_LENGTH * MOST_COLORS], means[MOST_COLORS], sums[MOST_PARTS * TEAM_WARPS];
    const u32 tiles_across = (out_width + TILE_SIDE - 1) / TILE_SIDE, origin = byte_origin_bits(white);
    const u32 words = settled(shared_address(resident));
    const u32 bytes = CHANNELS * height * width, pixels = out_height * out_width, team = LOCAL_ID / TILE_ITEMS;
    x += x_offset;
    y += y_offset;
    // Outputs of 2^32 samples are more than a device has memory for.
    for (u32 sample = (u32)GROUP_ID; sample < samples; sample += (u32)GROUP_COUNT) {
        // Nobody reads the image before any more.
        BARRIER();
        GLOBAL const float* row = table + table_offset + (u64)sample * table_width;
        augment_image image = AUGMENT_IMAGE_OF((const u8*)resident, 0, row);
#if HAS_WORDS
        keep_image(resident, x + (u64)sample * bytes, height * width, x_pixel);
        image.channels = CHANNELS, image.x_pixel = 4, image.x_channel = 1;
#else
        keep_image(resident, x + (u64)sample * bytes, bytes);
#endif
        const u32 codes = codes_of(row, statistic_count);
        const real unit = unit_of(codes, white);
#if HAS_WORDS
        const u32 has_planes = has_fours && y_pixel == 1 && (codes == 0 || is_blends(codes));
#endif
        _Pragma("unroll 1") for (u32 op = 0; op < MOST_COLORS; op++) {
            if (code_of(codes, op) != COLOR_CONTRAST) continue;
            const u32 before = codes_before(codes, op);
            keep_found(before, row, means, CHANNELS, white, settings);
            BARRIER();
            sum_greys(&image, before, words, origin, settings, white, levels, parts, tiles_across, row_inverse,
                      row_shift, sums);
            BARRIER();
            if (LOCAL_ID >= 32) continue;
            const real mean = mean_grey(sums, parts, pixels, unit_of(before, white));
            if (LOCAL_ID == op) means[op] = mean;
        }
        keep_found(codes, row, means, CHANNELS, white, settings);
        BARRIER();
        for (u32 down = 0; down * TILE_SIDE < out_height; down++) {
            const image_row own = item_row(&image, down * TILE_SIDE + row_in_tile(), 1);
            if (own.row >= out_height) continue;
            scalar* to =
                (scalar*)settled_64((u64)(y + (u64)sample * CHANNELS * pixels + (u64)own.row * out_width * y_pixel));
            const u32 meets_box = (real)own.row >= row[TABLE_BOX] && (real)own.row < row[TABLE_BOX + 2];
            const real box_left = row[TABLE_BOX + 1], box_right = meets_box ? row[TABLE_BOX + 3] : 0;
            // Teams take the tiles of a turn one after the other, and begin a row in turn.
            u32 column = (team + down) % TEAMS * (FOURS * TILE_SIDE) + column_in_tile();
            for (; column < out_width; column += TEAMS * FOURS * TILE_SIDE) {
#if HAS_WORDS
                const u32 last = column + FOUR_COLUMNS - 1;
                if (has_planes & (last < out_width) & !is_erased(column, FOUR_COLUMNS, box_left, box_right) &
                    is_together(&image, &own, column, last)) {
                    real v[3 * FOURS * ITEM_PIXELS];
                    for (u32 four = 0; four < FOURS; four++)
                        weigh_words(&image, words, origin, &own, column + four * TILE_SIDE, v + 3 * ITEM_PIXELS * four);
                    blend_pixels(v, FOURS * ITEM_PIXELS, blends_of(codes), settings);
                    store_planes(to + column, y_channel, unit, NORMALIZE_ARGUMENTS, v);
                    continue;
                }
#endif
                const u32 end = column + FOURS * TILE_SIDE < out_width ? column + FOURS * TILE_SIDE : out_width;
                _Pragma("unroll 1") for (u32 first = column; first < end; first += TILE_SIDE) {
                    real v[3 * ITEM_PIXELS];
                    item_pixels(&image, &own, first, words, origin, v);
                    color_list(v, ITEM_PIXELS, codes, codes, settings, 0, CHANNELS, white, levels);
                    normalize_pixels(0, unit, NORMALIZE_ARGUMENTS, v);
                    erase_pixels(first, box_left, box_right, erased, v);
                    store_pixels(to + first * y_pixel, y_pixel, y_channel, CHANNELS, out_width - first, has_fours, v);
                }
            }
        }
    }
}
