// Tiles of what augmentation makes of an image: 32 rows of 32 columns for a group of 256 items, each of which takes
// four pixels of a row, side by side. The pixels of an item share what follows from its row and from the table, their
// loads are on their way together, and they are stored as one. A warp takes four rows, so that what it reads lies close
// together however the image is turned.

#define TILE_SIDE   32
#define ITEM_PIXELS 4
#define TILE_ITEMS  (TILE_SIDE * TILE_SIDE / ITEM_PIXELS)

// Tiles of a part of an image, of which statistics are taken part by part.
#define PART_TILES 4

// Whether a group may leave a turn of a loop before its barriers where all items do; PoCL's may not.
#define SKIPS_BARRIERS DIALECT_CUDA

// The tile with the columns and rows of its frame, for what looks at neighbours.
#define STAGED_SIDE   (TILE_SIDE + 2)
#define STAGED_LENGTH (3 * STAGED_SIDE * STAGED_SIDE)

DEVICE u32 column_in_tile(void) { return LOCAL_ID % (TILE_SIDE / ITEM_PIXELS) * ITEM_PIXELS; }

DEVICE u32 row_in_tile(void) { return LOCAL_ID % TILE_ITEMS / (TILE_SIDE / ITEM_PIXELS); }

// What the pixels of a row of the output have in common: where its middle is read; whether they are all whole pixels
// where one is; whether an item may read its pixels together; what is added to numbers as element_before has them.
typedef struct {
    real x, y;
    u32 row, is_whole, is_usual, origin;
} image_row;

DEVICE u32 is_whole(real x) { return nearest_of_small(x) == x; }

// Of the channels from `first` on.
DEVICE image_row image_row_of(const augment_image* image, u32 row, u32 first) {
    const real v = (real)row - image->out_middle_y;
    image_row own;
    own.row = row;
    own.x = FMA(image->b, v, image->c) + image->middle_x;
    own.y = FMA(image->e, v, image->f) + image->middle_y;
    // Then nothing is rounded on the way to a place inside.
    own.is_whole = is_whole(image->a) && is_whole(image->d) && is_whole(2 * own.x) && is_whole(2 * own.y);
    own.origin = settled(0 - ELEMENT_ORIGIN * (image->width + 1));
    // Mirrored places are rounded on the way.
    u32 is_usual = image->border != BORDER_REFLECT;
#if HAS_BYTES
    // Three channels, a plane each or side by side, and one are what is usual; others are read one by one.
    is_usual = is_usual && (image->x_channel > 1 ? image->channels - first != 2 : (image->x_pixel | 2) == 3);
#endif
    own.is_usual = settled(is_usual);
    return own;
}

// The element before a place inside of an image, counted from ELEMENT_ORIGIN; what is left of the place is how far
// behind that it lies.
DEVICE u32 element_before(real* place) {
#if DTYPE_F64
    const real whole = floor_of(*place);
    *place -= whole;
    return (u32)(i32)whole;
#else
    const real shifted = sum_rounded_down(*place, NEAREST_SHIFT);
    *place -= shifted - NEAREST_SHIFT;
    return AS_U32(shifted);
#endif
}

// The pixels at elements `at`, whole.
DEVICE void move_pixels(const augment_image* image, GLOBAL const u8* from, const u32* at, u32 count, real* v) {
    UNROLL
    for (u32 i = 0; i < 3 * ITEM_PIXELS; i++) {
        const u64 element = (u64)at[i / 3] * image->x_pixel + i % 3 * image->x_channel;
        v[i] = i % 3 < count ? stored_value(from, image->input_type, element) : 0;
    }
}

#if HAS_BYTES
// What is read at a place between pixels that all lie in the image, of three channels or of one: `step` is 3 where
// those of a pixel are neighbours, else 1. Bytes are finite, so that weights of 0 are weights like others.
DEVICE void weighed(const augment_image* image, GLOBAL const u8* from, u32 at, u32 step, u32 count, real across,
                    real down, real* values) {
    GLOBAL const u8* upper = from + (u64)at * step;
    UNROLL
    for (u32 k = 0; k < 3; k++) {
        GLOBAL const u8* lower = upper + image->width * step;
        if (k >= count) continue;
        const real first = u8_to_f32(upper[0]), second = u8_to_f32(upper[step]);
        const real third = u8_to_f32(lower[0]), fourth = u8_to_f32(lower[step]);
        const real above = FMA(across, second - first, first), below = FMA(across, fourth - third, third);
        values[k] = FMA(down, below - above, above);
        upper += step == 3 ? 1 : image->x_channel;
    }
}
#else
DEVICE real weighed_pair(real first, real second, real share) {
    // What weighs nothing may be no number.
    return share == 0 ? first : FMA(share, second, (1 - share) * first);
}

// The same of images of any type and number of channels.
DEVICE void weighed(const augment_image* image, GLOBAL const u8* from, u32 input_type, u32 at, u32 count, real across,
                    real down, real* values) {
    u64 upper = (u64)at * image->x_pixel, lower = (u64)(at + image->width) * image->x_pixel;
    UNROLL
    for (u32 k = 0; k < 3; k++) {
        if (k >= count) continue;
        const real above = weighed_pair(stored_value(from, input_type, upper),
                                        stored_value(from, input_type, upper + image->x_pixel), across);
        const real below = weighed_pair(stored_value(from, input_type, lower),
                                        stored_value(from, input_type, lower + image->x_pixel), across);
        values[k] = weighed_pair(above, below, down);
        upper += image->x_channel, lower += image->x_channel;
    }
}
#endif

// Where a row's pixel at a column is read.
DEVICE void place_in_row(const augment_image* image, const image_row* own, real column, real* x, real* y) {
    *x = FMA(image->a, column, own->x);
    *y = FMA(image->d, column, own->y);
}

#if HAS_BYTES
// The item's pixels where some are read outside of the image, and one value is there; `u` is the first's column from
// the middle. One after the other: they are few, and side by side they would need most registers of all.
DEVICE void edge_pixels(const augment_image* image, const image_row* own, real u, u32 first, real* v) {
    for (u32 i = 0; i < 3 * ITEM_PIXELS; i++) v[i] = 0;
    for (u32 k = 0; k < ITEM_PIXELS; k++) {
        real x, y;
        place_in_row(image, own, u + (real)k, &x, &y);
        x = within_reach(x), y = within_reach(y);
        const i32 x0 = (i32)(element_before(&x) - ELEMENT_ORIGIN), y0 = (i32)(element_before(&y) - ELEMENT_ORIGIN);
        for (u32 i = 0; i < 3 * ITEM_PIXELS - 3; i++) v[i] = v[i + 3];
        weighed_bytes(image, x0, y0, x, y, first, v + 3 * ITEM_PIXELS - 3);
    }
}

// Whether all of the item's pixels are read outside, given where the first and the last are.
DEVICE u32 is_beside(const augment_image* image, const real* x, const real* y) {
    const real last_x = x[ITEM_PIXELS - 1], last_y = y[ITEM_PIXELS - 1];
    return MAX(x[0], last_x) <= -1 || MAX(y[0], last_y) <= -1 || MAX(-x[0], -last_x) <= -(real)image->width ||
           MAX(-y[0], -last_y) <= -(real)image->height;
}
#endif

// Where the item's pixels from a column of a row on are read, and whether they may be together: where all lie inside of
// the image. Places along a row lie along a line, and rounding keeps their order: where the first and the last lie
// inside, all do.
DEVICE u32 item_places(const augment_image* image, const image_row* own, u32 column, real* x, real* y) {
    const real end_x = (real)(image->width - 1), end_y = (real)(image->height - 1);
    const real u = (real)column - image->out_middle_x;
    UNROLL
    for (u32 k = 0; k < ITEM_PIXELS; k++) {
        place_in_row(image, own, k > 0 ? u + (real)k : u, x + k, y + k);
    }
    // All are compared: to leave earlier would take more.
    u32 is_inside = (own->is_usual != 0) & (x[0] >= 0) & (x[0] < end_x) & (y[0] >= 0) & (y[0] < end_y);
    is_inside &= (x[ITEM_PIXELS - 1] >= 0) & (x[ITEM_PIXELS - 1] < end_x);
    return is_inside & (y[ITEM_PIXELS - 1] >= 0) & (y[ITEM_PIXELS - 1] < end_y);
}

// The item's pixels from a column of a row on: channels from `first` on, three at most; 0 for those that are none.
DEVICE void read_pixels(const augment_image* image, const image_row* own, u32 column, u32 first, real* v) {
    const u32 count = image->channels - first, width = image->width;
    real x[ITEM_PIXELS], y[ITEM_PIXELS];
    const u32 is_inside = item_places(image, own, column, x, y);
#if HAS_BYTES
    if (!is_inside && image->border == BORDER_CONSTANT && !image->is_nearest) {
        if (is_beside(image, x, y))
            for (u32 i = 0; i < 3 * ITEM_PIXELS; i++) v[i] = image->fill;
        else
            edge_pixels(image, own, (real)column - image->out_middle_x, first, v);
        return;
    }
#endif
    if (!is_inside) {
        for (u32 i = 0; i < 3 * ITEM_PIXELS; i++) v[i] = 0;
        for (u32 k = 0; k < ITEM_PIXELS; k++) {
            for (u32 i = 0; i < 3 * ITEM_PIXELS - 3; i++) v[i] = v[i + 3];
            if (column + k < image->out_width) sampled(image, own->row, column + k, first, v + 3 * ITEM_PIXELS - 3);
        }
        return;
    }
    GLOBAL const u8* from = image->x + (u64)first * image->x_channel * stored_bytes(image->input_type);
    u32 at[ITEM_PIXELS];
    if (image->is_nearest) {
        for (u32 k = 0; k < ITEM_PIXELS; k++) {
            x[k] = nearest_of_small(x[k]), y[k] = nearest_of_small(y[k]);
            const u32 x0 = element_before(x + k), y0 = element_before(y + k);
            at[k] = y0 * width + x0 + own->origin;
        }
        move_pixels(image, from, at, count, v);
        return;
    }
    UNROLL
    for (u32 k = 0; k < ITEM_PIXELS; k++) {
        const u32 x0 = element_before(x + k), y0 = element_before(y + k);
        at[k] = y0 * width + x0 + own->origin;
    }
    // Whole pixels are moved, not weighed.
    if (own->is_whole && x[0] == 0 && y[0] == 0) {
        move_pixels(image, from, at, count, v);
        return;
    }
#if HAS_BYTES
    for (u32 i = 0; i < 3 * ITEM_PIXELS; i++) v[i] = 0;
    if (image->x_channel > 1 && count >= 3) {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++) weighed(image, from, at[k], 1, 3, x[k], y[k], v + 3 * k);
    } else if (image->x_pixel == 3) {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++) weighed(image, from, at[k], 3, 3, x[k], y[k], v + 3 * k);
    } else {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++) weighed(image, from, at[k], 1, 1, x[k], y[k], v + 3 * k);
    }
#else
    UNROLL
    for (u32 k = 0; k < ITEM_PIXELS; k++) {
        real* values = v + 3 * k;
        for (u32 i = 0; i < 3; i++) values[i] = 0;
        if (image->input_type == STORED_F32)
            weighed(image, from, STORED_F32, at[k], count, x[k], y[k], values);
        else if (image->input_type == STORED_F16)
            weighed(image, from, STORED_F16, at[k], count, x[k], y[k], values);
        else if (image->input_type == STORED_BF16)
            weighed(image, from, STORED_BF16, at[k], count, x[k], y[k], values);
        else
            weighed(image, from, STORED_F64, at[k], count, x[k], y[k], values);
    }
#endif
}

// Means take what is read between bytes of a row from shares that are whole numbers of 2^-15, so that two products are
// one instruction where pixels are words (cuda/words.h): each value is off by at most 2^-16 of its slope, one way as
// often as the other. Values are kept as 2^23 + 2^15 v, of which a float has whole numbers.
#define HAS_FIXED_SHARES (HAS_BYTES && !DTYPE_F64)

#if HAS_FIXED_SHARES
#define FIXED_SHIFT  384.0f // 1.5 * 2^8: the last bits of a sum with it count 2^-15
#define FIXED_ORIGIN 0x43c00000u
#define FIXED_ONE    32768u
#define FIXED_ZERO   8388608.0f // and its bits
#define FIXED_BITS   0x4b000000u

DEVICE u32 fixed_share(real share) { return AS_U32(share + FIXED_SHIFT) - FIXED_ORIGIN; }

// As weighed, kept so.
DEVICE void weighed_fixed(const augment_image* image, u32 at, u32 step, u32 count, u32 across, real down,
                          real* values) {
    GLOBAL const u8* upper = image->x + (u64)at * step;
    UNROLL
    for (u32 k = 0; k < 3; k++) {
        GLOBAL const u8* lower = upper + image->width * step;
        if (k >= count) continue;
        const u32 first = upper[0], second = upper[step], third = lower[0], fourth = lower[step];
        const real above = AS_F32((second - first) * across + (first * FIXED_ONE + FIXED_BITS));
        const real below = AS_F32((fourth - third) * across + (third * FIXED_ONE + FIXED_BITS));
        values[k] = FMA(down, below - above, above);
        upper += step == 3 ? 1 : image->x_channel;
    }
}

// The item's pixels, kept so, where they are read together and none is beyond the row; else 0.
DEVICE u32 fixed_pixels(const augment_image* image, const image_row* own, u32 column, real* v) {
    real x[ITEM_PIXELS], y[ITEM_PIXELS];
    u32 at[ITEM_PIXELS], across[ITEM_PIXELS];
    if (image->is_nearest || column + ITEM_PIXELS > image->out_width) return 0;
    if (!item_places(image, own, column, x, y)) return 0;
    UNROLL
    for (u32 k = 0; k < ITEM_PIXELS; k++) {
        const u32 x0 = element_before(x + k), y0 = element_before(y + k);
        at[k] = y0 * image->width + x0 + own->origin, across[k] = fixed_share(x[k]);
    }
    for (u32 i = 0; i < 3 * ITEM_PIXELS; i++) v[i] = 0;
    if (image->x_channel > 1 && image->channels >= 3) {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++) weighed_fixed(image, at[k], 1, 3, across[k], y[k], v + 3 * k);
    } else if (image->x_pixel == 3) {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++) weighed_fixed(image, at[k], 3, 3, across[k], y[k], v + 3 * k);
    } else {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++) weighed_fixed(image, at[k], 1, 1, across[k], y[k], v + 3 * k);
    }
    return 1;
}

// The greys of pixels that are kept so, after a list of blends, or none, added to a sum.
DEVICE INLINED real add_fixed_greys(real* v, u32 pixels, u32 blends, LOCAL const real* settings, u32 channels,
                                    real sum) {
    const real unit = (real)1 / FIXED_ONE, zero = FIXED_ZERO / FIXED_ONE;
    if ((blends & BLEND_PLAIN) != 0) {
        const real scale = unit * settings[0], shift = FMA(-zero, settings[0], settings[1]);
        for (u32 k = 0; k < 3 * pixels; k++) v[k] = saturated(FMA(scale, v[k], shift));
        blends >>= 4, settings += SETTING_LENGTH;
    } else {
        for (u32 k = 0; k < 3 * pixels; k++) v[k] = FMA(unit, v[k], -zero);
    }
    blend_pixels(v, pixels, blends, settings);
    for (u32 k = 0; k < pixels; k++) sum += grey_of(v + 3 * k, channels);
    return sum;
}
#endif

// The item's greys after a list of ops, none of which is sharpness, added to a sum.
DEVICE INLINED real add_greys(const augment_image* image, const image_row* own, u32 column, u32 codes,
                              LOCAL const real* settings, GLOBAL const real* statistics, real white, real levels,
                              real sum) {
    real v[3 * ITEM_PIXELS];
    if (own->row >= image->out_height || column >= image->out_width) return sum;
#if HAS_FIXED_SHARES
    if ((codes == 0 || is_blends(codes)) && fixed_pixels(image, own, column, v))
        return add_fixed_greys(v, ITEM_PIXELS, blends_of(codes), settings, image->channels, sum);
#endif
    read_pixels(image, own, column, 0, v);
    color_list(v, ITEM_PIXELS, codes, codes, settings, statistics, image->channels, white, levels);
    for (u32 k = 0; k < ITEM_PIXELS; k++)
        if (column + k < image->out_width) sum += grey_of(v + 3 * k, image->channels);
    return sum;
}

// Keeps the item's pixels after the ops before sharpness for its neighbours, and makes those around the tile.
DEVICE INLINED void stage_tile(const augment_image* image, u32 codes, u32 top, u32 left, LOCAL const real* settings,
                               GLOBAL const real* statistics, real white, real levels, u32 is_inside, const real* v,
                               LOCAL real* staged) {
    for (u32 i = 0; is_inside && i < 3 * ITEM_PIXELS; i++) {
        const u32 r = 1 + row_in_tile(), c = 1 + column_in_tile() + i / 3;
        staged[(i % 3 * STAGED_SIDE + r) * STAGED_SIDE + c] = v[i];
    }
    if (LOCAL_ID >= 4 * TILE_SIDE + 4) return;
    const u32 is_side = LOCAL_ID >= 2 * STAGED_SIDE, i = is_side ? LOCAL_ID - 2 * STAGED_SIDE : LOCAL_ID;
    const u32 length = is_side ? TILE_SIDE : STAGED_SIDE, far = i >= length, along = i - far * length;
    const u32 r = is_side ? 1 + along : far * (STAGED_SIDE - 1), c = is_side ? far * (STAGED_SIDE - 1) : along;
    // Before the first row and column come the largest numbers.
    if (top + r - 1 >= image->out_height || left + c - 1 >= image->out_width) return;
    real near[3];
    sampled(image, top + r - 1, left + c - 1, 0, near);
    color_range(near, 1, codes, 0, settings, statistics, image->channels, white, levels);
    for (u32 k = 0; k < 3; k++) staged[(k * STAGED_SIDE + r) * STAGED_SIDE + c] = near[k];
}

// The mean of a pixel with its eight neighbours, 5 to 1 each, is what sharpness leads away from.
DEVICE INLINED void sharpen(LOCAL const real* staged, u32 r, u32 c, real value, real white, real* v) {
    for (u32 k = 0; k < 3; k++) {
        real sum = 4 * v[k];
        for (u32 i = 0; i < 9; i++) sum += staged[(k * STAGED_SIDE + r + i / 3) * STAGED_SIDE + c + i % 3];
        v[k] = clamped(FMA(value, v[k], (1 - value) * (sum * (real)(1.0 / 13))), white);
    }
}

// The item's pixels of the tile from a column on after the ops of a list, as shares of unit_of it, channels from
// `first` on; nothing of a tile that lies outside. `own` is the item's row, and `settings` are the group's. Sharpness
// leaves the frame of the image as it is.
DEVICE INLINED void color_tile(const augment_image* image, const image_row* own, u32 codes, u32 left, u32 first,
                               LOCAL const real* settings, GLOBAL const real* statistics, real white, real levels,
                               LOCAL real* staged, real* v) {
    const u32 sharp = sharpness_of(codes), before = codes_before(codes, sharp);
    const u32 column = left + column_in_tile(), top = own->row - row_in_tile();
    const u32 is_inside = own->row < image->out_height && column < image->out_width;
    if (is_inside) {
        read_pixels(image, own, column, first, v);
        color_list(v, ITEM_PIXELS, codes, before, settings, statistics, image->channels, white, levels);
    } else {
        for (u32 i = 0; i < 3 * ITEM_PIXELS; i++) v[i] = 0;
    }
#if SKIPS_BARRIERS
    if (sharp == MOST_COLORS) return;
#endif
    GLOBAL const real* later = statistics + statistics_of(before) * STATISTICS_LENGTH;
    if (sharp < MOST_COLORS && top < image->out_height)
        stage_tile(image, before, top, left, settings, statistics, white, levels, is_inside, v, staged);
    BARRIER();
    if (is_inside && sharp < MOST_COLORS) {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++) {
            const u32 c = column + k;
            if (own->row > 0 && c > 0 && own->row + 1 < image->out_height && c + 1 < image->out_width)
                sharpen(staged, row_in_tile(), column_in_tile() + k, settings[SETTING_LENGTH * sharp], white,
                        v + 3 * k);
        }
    }
    const u32 after = sharp < MOST_COLORS ? codes >> (4 * sharp) >> 4 : 0;
    color_range(v, ITEM_PIXELS, after, sharp + 1, settings, later, image->channels, white, levels);
    BARRIER();
}
