// Tiles of what augmentation makes of an image: 32 rows of 32 columns for a group of 256 items, each of which takes
// four pixels of a column, eight rows apart. The pixels of an item share what follows from its column and from the
// table, and their loads are on their way together. Two rows of 16 columns are neighbours in a warp, so that what it
// reads lies close together however the image is turned.

#define TILE_SIDE   32
#define ITEM_PIXELS 4
#define ITEM_STEP   8

#if DTYPE_F64
#define ELEMENT_ORIGIN 0u
#else
#define ELEMENT_ORIGIN 0x4b400000u // the bits of NEAREST_SHIFT
#endif

// Whether a group may leave a turn of a loop before its barriers where all items do; PoCL's may not.
#define SKIPS_BARRIERS DIALECT_CUDA

// The tile with the columns and rows of its frame, for what looks at neighbours.
#define STAGED_SIDE   (TILE_SIDE + 2)
#define STAGED_LENGTH (3 * STAGED_SIDE * STAGED_SIDE)

DEVICE u32 column_in_tile(void) { return LOCAL_ID % 16 + LOCAL_ID / 128 * 16; }

DEVICE u32 row_in_tile(void) { return LOCAL_ID / 16 % 8; }

// The element whose place is the last one before a place inside of an image, or the nearest, halves to even ones: as a
// number, and counted from ELEMENT_ORIGIN.
DEVICE u32 element_of(real place, u32 is_nearest, real* element) {
#if DTYPE_F64
    *element = is_nearest ? nearest_of(place) : floor_of(place);
    return (u32)(i32)*element;
#else
    *element = is_nearest ? (place + NEAREST_SHIFT) - NEAREST_SHIFT : floor_of_small(place);
    return AS_U32(*element + NEAREST_SHIFT);
#endif
}

// The elements around a place, for each channel upper left, upper right, lower left, lower right.
DEVICE void load_taps(const augment_image* image, u32 input_type, u32 at, u32 x_pixel, u32 x_channel, u32 count,
                      real* taps) {
    u64 upper = at, lower = upper + image->width * x_pixel;
    for (u32 k = 0; k < 3; k++) {
        if (k >= count) continue;
        taps[4 * k] = stored_value(image->x, input_type, upper);
        taps[4 * k + 1] = stored_value(image->x, input_type, upper + x_pixel);
        taps[4 * k + 2] = stored_value(image->x, input_type, lower);
        taps[4 * k + 3] = stored_value(image->x, input_type, lower + x_pixel);
        upper += x_channel, lower += x_channel;
    }
}

// What is read at a place between pixels that all lie in the image; 0 for channels that it does not have.
DEVICE void weighed(const augment_image* image, u32 at, u32 x_pixel, u32 x_channel, u32 count, real across, real down,
                    real* values) {
    real taps[12];
#if HAS_BYTES
    load_taps(image, STORED_U8, at, x_pixel, x_channel, count, taps);
#else
    if (image->input_type == STORED_F32)
        load_taps(image, STORED_F32, at, x_pixel, x_channel, count, taps);
    else if (image->input_type == STORED_F16)
        load_taps(image, STORED_F16, at, x_pixel, x_channel, count, taps);
    else if (image->input_type == STORED_BF16)
        load_taps(image, STORED_BF16, at, x_pixel, x_channel, count, taps);
    else
        load_taps(image, STORED_F64, at, x_pixel, x_channel, count, taps);
#endif
    for (u32 k = 0; k < 3; k++) {
        values[k] = 0;
        if (k >= count) continue;
        const real* own = taps + 4 * k;
#if HAS_BYTES
        // Bytes are finite, so that weights of 0 are weights like others.
        const real above = FMA(1 - across, own[0], across * own[1]);
        const real below = FMA(1 - across, own[2], across * own[3]);
        values[k] = FMA(1 - down, above, down * below);
#else
        const real above = across == 0 ? own[0] : FMA(across, own[1], (1 - across) * own[0]);
        const real below = across == 0 ? own[2] : FMA(across, own[3], (1 - across) * own[2]);
        values[k] = down == 0 ? above : FMA(down, below, (1 - down) * above);
#endif
    }
}

// The item's pixels from (row, column) on: channels from `first` on, three at most. Below the image the last row stands
// again. Places along a column lie along a line, and rounding keeps their order: where the first and the last lie
// inside of the image, all do.
DEVICE void read_pixels(const augment_image* image, u32 row, u32 column, u32 first, real* v) {
    const u32 count = image->channels - first, x_pixel = image->x_pixel, stride = image->width * x_pixel;
    const u32 origin = first * image->x_channel - ELEMENT_ORIGIN * (stride + x_pixel);
    const real last_x = image->border == BORDER_REFLECT ? -1 : (real)(image->width - 1);
    const real last_y = (real)(image->height - 1), last_v = image->out_middle_y;
    const real u = (real)column - image->out_middle_x, first_v = (real)row - image->out_middle_y;
    u32 at[ITEM_PIXELS], is_inside = 1;
    real across[ITEM_PIXELS], down[ITEM_PIXELS];
    UNROLL
    for (u32 k = 0; k < ITEM_PIXELS; k++) {
        real x, y, left, top;
        mapped_place(image, u, -MAX(-(first_v + (real)(k * ITEM_STEP)), -last_v), &x, &y);
        if (k == 0 || k + 1 == ITEM_PIXELS) is_inside = is_inside && x >= 0 && y >= 0 && x < last_x && y < last_y;
        const u32 x0 = element_of(x, image->is_nearest, &left), y0 = element_of(y, image->is_nearest, &top);
        at[k] = y0 * stride + (x0 * x_pixel + origin);
        across[k] = image->is_nearest ? 0 : x - left;
        down[k] = image->is_nearest ? 0 : y - top;
    }
#if HAS_BYTES
    // Three channels, a plane each or side by side, and one are what is usual; others are read one by one.
    is_inside = is_inside && (x_pixel == 1 ? count != 2 : x_pixel == 3);
#endif
    if (!is_inside) {
        for (u32 k = 0; k < ITEM_PIXELS; k++) {
            for (u32 i = 0; i < 3 * ITEM_PIXELS - 3; i++) v[i] = v[i + 3];
            if (row + k * ITEM_STEP < image->out_height)
                sampled(image, row + k * ITEM_STEP, column, first, v + 3 * ITEM_PIXELS - 3);
        }
        return;
    }
    // Whole pixels are moved, as all are where the nearest is taken: their neighbours may lie outside.
    real parts = 0;
    for (u32 k = 0; k < ITEM_PIXELS; k++) parts += across[k] + down[k];
    if (parts == 0) {
        UNROLL
        for (u32 i = 0; i < 3 * ITEM_PIXELS; i++)
            v[i] = i % 3 < count ? stored_value(image->x, image->input_type, (u64)at[i / 3] + i % 3 * image->x_channel)
                                 : 0;
        return;
    }
#if HAS_BYTES
    if (x_pixel == 1 && count >= 3) {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++)
            weighed(image, at[k], 1, image->x_channel, 3, across[k], down[k], v + 3 * k);
    } else if (x_pixel == 3) {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++) weighed(image, at[k], 3, 1, 3, across[k], down[k], v + 3 * k);
    } else {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++) weighed(image, at[k], 1, 1, 1, across[k], down[k], v + 3 * k);
    }
#else
    UNROLL
    for (u32 k = 0; k < ITEM_PIXELS; k++)
        weighed(image, at[k], x_pixel, image->x_channel, count, across[k], down[k], v + 3 * k);
#endif
}

// Keeps the item's pixels after the ops before sharpness for its neighbours, and makes those around the tile.
DEVICE INLINED void stage_tile(const augment_image* image, GLOBAL const float* row, u32 sharp, u32 top, u32 left,
                               GLOBAL const real* statistics, real white, real levels, u32 statistic_count,
                               u32 is_inside, const real* v, LOCAL real* staged) {
    for (u32 i = 0; is_inside && i < 3 * ITEM_PIXELS; i++) {
        const u32 r = 1 + row_in_tile() + i / 3 * ITEM_STEP;
        staged[(i % 3 * STAGED_SIDE + r) * STAGED_SIDE + 1 + column_in_tile()] = v[i];
    }
    if (LOCAL_ID >= 4 * TILE_SIDE + 4) return;
    const u32 is_side = LOCAL_ID >= 2 * STAGED_SIDE, i = is_side ? LOCAL_ID - 2 * STAGED_SIDE : LOCAL_ID;
    const u32 length = is_side ? TILE_SIDE : STAGED_SIDE, far = i >= length, along = i - far * length;
    const u32 r = is_side ? 1 + along : far * (STAGED_SIDE - 1), c = is_side ? far * (STAGED_SIDE - 1) : along;
    // Before the first row and column come the largest numbers.
    if (top + r - 1 >= image->out_height || left + c - 1 >= image->out_width) return;
    real near[3];
    sampled(image, top + r - 1, left + c - 1, 0, near);
    color_range(near, 1, row, 0, sharp, 0, statistics, image->channels, white, levels, statistic_count);
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

// The item's pixels of the tile from (top, left) on after the first `end` colour ops, channels from `first` on; nothing
// of a tile that lies outside. Sharpness leaves the frame of the image as it is.
DEVICE INLINED void color_tile(const augment_image* image, GLOBAL const float* row, u32 end, u32 top, u32 left,
                               u32 first, GLOBAL const real* statistics, real white, real levels, u32 statistic_count,
                               LOCAL real* staged, real* v) {
    const u32 sharp = sharpness_of(row, end), r = top + row_in_tile(), column = left + column_in_tile();
    const u32 is_inside = r < image->out_height && column < image->out_width;
    if (is_inside) {
        read_pixels(image, r, column, first, v);
        color_range(v, ITEM_PIXELS, row, 0, sharp, 0, statistics, image->channels, white, levels, statistic_count);
    }
    if (sharp < end && top < image->out_height)
        stage_tile(image, row, sharp, top, left, statistics, white, levels, statistic_count, is_inside, v, staged);
    BARRIER();
    if (is_inside && sharp < end) {
        UNROLL
        for (u32 k = 0; k < ITEM_PIXELS; k++) {
            const u32 own = r + k * ITEM_STEP;
            if (own > 0 && column > 0 && own + 1 < image->out_height && column + 1 < image->out_width)
                sharpen(staged, row_in_tile() + k * ITEM_STEP, column_in_tile(), row[TABLE_VALUES + sharp], white,
                        v + 3 * k);
        }
        color_range(v, ITEM_PIXELS, row, sharp + 1, end, statistics_before(row, sharp), statistics, image->channels,
                    white, levels, statistic_count);
    }
    BARRIER();
}
