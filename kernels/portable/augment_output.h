// What becomes of an item's pixels (augment_tile.h) in the output.

// Values that are shares of `unit`; what has a channel before it has no colours, and is no share. Numbers of the launch
// are read as they are needed, where those that are chosen would take registers.
DEVICE real normalized(real value, u32 channel, real unit, NORMALIZE_PARAMETERS) {
    return FMA(value, unit * of_channel(channel, scale0, scale1, scale2, scale3),
               of_channel(channel, shift0, shift1, shift2, shift3));
}

DEVICE void normalize_pixels(u32 first, real unit, NORMALIZE_PARAMETERS, real* v) {
    if (first == 0)
        for (u32 i = 0; i < 3 * ITEM_PIXELS; i++) v[i] = normalized(v[i], i % 3, unit, NORMALIZE_ARGUMENTS);
    else
        for (u32 i = 0; i < 3 * ITEM_PIXELS; i++) v[i] = FMA(v[i], scale3, shift3);
}

// Whether the box has some of the columns from one on, in a row that it meets; of another it has none.
DEVICE u32 is_erased(u32 column, u32 columns, real box_left, real box_right) {
    return (real)column < box_right && (real)column >= box_left - (real)(columns - 1);
}

DEVICE void erase_pixels(u32 column, real box_left, real box_right, real erased, real* v) {
    if (!is_erased(column, ITEM_PIXELS, box_left, box_right)) return;
    for (u32 k = 0; k < ITEM_PIXELS; k++) {
        const real place = (real)(column + k);
        for (u32 i = 0; i < 3; i++)
            if (place >= box_left && place < box_right) v[3 * k + i] = erased;
    }
}

// Stores the item's pixels from `to` on, as far as the image goes; their channels are `plane` elements apart. Where
// rows are whole fours on addresses for that, they are stored as fours.
DEVICE void store_pixels(GLOBAL scalar* to, u32 y_pixel, u64 plane, u32 count, u32 columns, u32 has_fours,
                         const real* v) {
    if (has_fours && y_pixel == 1) {
        UNROLL
        for (u32 i = 0; i < 3; i++) {
            const real own[ITEM_PIXELS] = {v[i], v[i + 3], v[i + 6], v[i + 9]};
            store4(to, i * plane, own);
            if (i + 1 == count) return;
        }
        return;
    }
    if (has_fours && y_pixel == 3) {
        UNROLL
        for (u32 i = 0; i < 3; i++) store4(to, 4 * i, v + 4 * i);
        return;
    }
    UNROLL
    for (u32 k = 0; k < ITEM_PIXELS; k++)
        for (u32 i = 0; i < 3; i++)
            if (k < columns && i < count) store(to, (u64)k * y_pixel + i * plane, v[3 * k + i]);
}
