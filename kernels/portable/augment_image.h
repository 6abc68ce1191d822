// Images as augmentation reads them, through an affine map: bytes where HAS_BYTES says so, else any stored type, told
// at run time. A sample is a row of a table:
//
//   0 to 5    a b c d e f: the pixel at (column u, row v) from the middle of the output is read at (a u + b v + c,
//             d u + e v + f) from the middle of the input
//   6         the number of colour ops
//   7 to 14   their codes, in order
//   15 to 22  their values
//   23 to 26  top, left, bottom, right of the box that is erased

#define TABLE_CODES  7
#define TABLE_VALUES 15
#define TABLE_BOX    23
#define MOST_COLORS  8

#define COLOR_BRIGHTNESS   1 // v * value
#define COLOR_CONTRAST     2 // away from the image's mean grey, which is needed first
#define COLOR_SATURATION   3 // away from the pixel's grey
#define COLOR_HUE          4 // turned by `value` of a circle
#define COLOR_POSTERIZE    5 // the upper `value` bits of eight
#define COLOR_SOLARIZE     6 // white - v from level `value` of 255 on
#define COLOR_EQUALIZE     7 // through a curve, which is needed first
#define COLOR_AUTOCONTRAST 8 // stretched from the channel's least and largest, which are needed first
#define COLOR_SHARPNESS    9 // away from the mean of the neighbours

// Reals that a colour op may keep of an image: a curve of 256 levels for each of three channels.
#define STATISTICS_LENGTH 768
#define LEVELS            256

#define BORDER_CONSTANT 0
#define BORDER_EDGE     1
#define BORDER_REFLECT  2

#define STORED_U8   0
#define STORED_F16  1
#define STORED_BF16 2
#define STORED_F32  3
#define STORED_F64  4

// Pixels of x are x_pixel elements apart, its channels x_channel. `units` turn what a row says into pixels: all 1, or
// what normalized coordinates make of them. Reflection is about `low` and span + low.
#define AUGMENT_IMAGE_PARAMETERS                                                                                    \
    u32 input_type, u32 channels, u32 height, u32 width, u32 out_height, u32 out_width, u32 x_pixel, u32 x_channel, \
        u32 row_inverse, u32 row_shift
#define AUGMENT_MAP_PARAMETERS                                                                                \
    real unit_a, real unit_b, real unit_c, real unit_d, real unit_e, real unit_f, u32 is_nearest, u32 border, \
        real reflect_low, real span_x, real span_y, real fill
#define AUGMENT_COLOR_PARAMETERS real white, real levels, u32 statistic_count

#define NORMALIZE_PARAMETERS \
    real scale0, real scale1, real scale2, real scale3, real shift0, real shift1, real shift2, real shift3

#define NORMALIZE_ARGUMENTS scale0, scale1, scale2, scale3, shift0, shift1, shift2, shift3

DEVICE real of_channel(u32 channel, real v0, real v1, real v2, real v3) {
    return channel == 0 ? v0 : channel == 1 ? v1 : channel == 2 ? v2 : v3;
}

typedef struct {
    GLOBAL const u8* x; // the sample's first element
    u32 input_type, channels, height, width, out_height, out_width, x_pixel, x_channel;
    u32 is_nearest, border;
    real low, span_x, span_y, fill;
    real a, b, c, d, e, f;
    real middle_x, middle_y, out_middle_x, out_middle_y;
} augment_image;

// n / divisor for n below 2^31, as divisor.h has it in 64 bits.
DEVICE u32 quotient_31(u32 n, u32 inverse, u32 shift) { return MUL_HI(2 * n, inverse) >> shift; }

DEVICE real stored_value(GLOBAL const u8* x, u32 input_type, u64 index) {
#if HAS_BYTES
    return u8_to_f32(x[index]);
#else
    if (input_type == STORED_U8) return u8_to_f32(x[index]);
    if (input_type < STORED_F32) {
        const u16 bits = ((GLOBAL const u16*)x)[index];
        return input_type == STORED_F16 ? f16_to_f32(bits) : bf16_to_f32(bits);
    }
#if DTYPE_F64
    if (input_type == STORED_F64) return ((GLOBAL const double*)x)[index];
#endif
    return ((GLOBAL const float*)x)[index];
#endif
}

DEVICE u32 stored_bytes(u32 input_type) {
#if HAS_BYTES
    return 1;
#else
    return input_type == STORED_U8 ? 1 : input_type < STORED_F32 ? 2 : input_type == STORED_F32 ? 4 : 8;
#endif
}

// The image of a sample and its map. `row` are its numbers in the table.
#define AUGMENT_IMAGE_OF(x_base, sample, row)                                                                          \
    {                                                                                                                  \
        (x_base) + (sample) * ((u64)channels * height * width) * stored_bytes(input_type), input_type, channels,       \
            height, width, out_height, out_width, x_pixel, x_channel, is_nearest, border, reflect_low, span_x, span_y, \
            fill, (row)[0] * unit_a, (row)[1] * unit_b, (row)[2] * unit_c, (row)[3] * unit_d, (row)[4] * unit_e,       \
            (row)[5] * unit_f, (real)0.5 * (real)(width - 1), (real)0.5 * (real)(height - 1),                          \
            (real)0.5 * (real)(out_width - 1), (real)0.5 * (real)(out_height - 1)                                      \
    }

// Far outside of any image, where neighbours are still apart; NaN goes to the lower end.
DEVICE real within_reach(real x) { return -MAX(-MAX(x, (real)-4194304), (real)-4194304); }

DEVICE real floor_of(real x) {
    const real whole = (real)(i32)x;
    return whole > x ? whole - 1 : whole;
}

// 1.5 * 2^23, or 2^52: the last bits of a sum with it are the nearest integer, ties to even, of numbers up to 2^22.
#if DTYPE_F64
#define NEAREST_SHIFT  6755399441055744.0
#define ELEMENT_ORIGIN 0u
#else
#define NEAREST_SHIFT  12582912.0f
#define ELEMENT_ORIGIN 0x4b400000u // its bits, from which elements count
#endif

DEVICE real nearest_of_small(real x) { return (x + NEAREST_SHIFT) - NEAREST_SHIFT; }

// The same of numbers up to 2^22, where conversions would be the slower way.
DEVICE real floor_of_small(real x) {
#if DTYPE_F64
    return floor_of(x);
#else
    return sum_rounded_down(x, NEAREST_SHIFT) - NEAREST_SHIFT;
#endif
}

// To the nearest integer, ties to even, of numbers within reach.
DEVICE real nearest_of(real x) {
    const real below = floor_of(x), above = x - below;
    const i32 is_odd = (i32)below & 1;
    return above > (real)0.5 || (above == (real)0.5 && is_odd) ? below + 1 : below;
}

// The coordinate that is read for one outside of the image.
DEVICE real bordered(real x, u32 border, real low, real span, u32 size) {
    if (border == BORDER_REFLECT) {
        const real from = x - low, distance = from < 0 ? -from : from;
        real turns = span > 0 ? floor_of(distance / span) : 0;
        real rest = span > 0 ? FMA(-turns, span, distance) : 0;
        // The quotient may have been rounded up to the next whole turn.
        if (rest < 0) rest += span, turns -= 1;
        x = ((i32)turns & 1 ? span - rest : rest) + low;
    }
    if (border != BORDER_CONSTANT) x = -MAX(-MAX(x, (real)0), -(real)(size - 1));
    return x;
}

// Where the map takes what lies at column u and row v from the middle of the output, however far that is.
DEVICE void mapped_place(const augment_image* image, real u, real v, real* x, real* y) {
    *x = FMA(image->a, u, FMA(image->b, v, image->c) + image->middle_x);
    *y = FMA(image->d, u, FMA(image->e, v, image->f) + image->middle_y);
}

// Where a pixel of the output is read, before what lies outside is dealt with.
DEVICE void place_of(const augment_image* image, u32 row, u32 column, real* x, real* y) {
    mapped_place(image, (real)column - image->out_middle_x, (real)row - image->out_middle_y, x, y);
    *x = within_reach(*x);
    *y = within_reach(*y);
}

#if HAS_BYTES
// What is read between (x0, y0) and the pixel below and to the right of it, of which some may lie outside: bytes are
// finite, so that those are read elsewhere and weigh nothing. Channels from `first` on, three at most.
DEVICE void weighed_bytes(const augment_image* image, i32 x0, i32 y0, real across, real down, u32 first, real* values) {
    const u32 has_left = (u32)x0 < image->width, has_top = (u32)y0 < image->height;
    const u32 has_right = (u32)(x0 + 1) < image->width, has_bottom = (u32)(y0 + 1) < image->height;
    const real left_weight = has_left ? 1 - across : 0, right_weight = has_right ? across : 0;
    const real top_weight = has_top ? 1 - down : 0, bottom_weight = has_bottom ? down : 0;
    const real inside = (left_weight + right_weight) * (top_weight + bottom_weight);
    const u32 is_inside = has_left && has_right && has_top && has_bottom;
    const real beside = is_inside ? 0 : image->fill * (1 - inside);
    const u32 stride = image->width * image->x_pixel, count = image->channels - first;
    const u32 x_left = has_left ? (u32)x0 * image->x_pixel : 0;
    const u32 x_right = has_right ? (u32)(x0 + 1) * image->x_pixel : 0;
    const u32 upper = (has_top ? (u32)y0 * stride : 0) + first * image->x_channel;
    const u32 lower = (has_bottom ? (u32)(y0 + 1) * stride : 0) + first * image->x_channel;
    u32 places[4] = {upper + x_left, upper + x_right, lower + x_left, lower + x_right};
    for (u32 k = 0; k < 3; k++) {
        values[k] = image->fill;
        if (k >= count) continue;
        real taps[4];
        for (u32 tap = 0; tap < 4; tap++) {
            taps[tap] = u8_to_f32(image->x[places[tap]]);
            places[tap] += image->x_channel;
        }
        const real above = FMA(left_weight, taps[0], right_weight * taps[1]);
        const real below = FMA(left_weight, taps[2], right_weight * taps[3]);
        values[k] = FMA(top_weight, above, FMA(bottom_weight, below, beside));
    }
}
#endif

// The channels from `first` on, three at most, of the image at a pixel of the output.
DEVICE void sampled(const augment_image* image, u32 row, u32 column, u32 first, real* values) {
    real x, y;
    place_of(image, row, column, &x, &y);
    x = bordered(x, image->border, image->low, image->span_x, image->width);
    y = bordered(y, image->border, image->low, image->span_y, image->height);
    const real left = image->is_nearest ? nearest_of(x) : floor_of(x);
    const real top = image->is_nearest ? nearest_of(y) : floor_of(y);
    const real across = image->is_nearest ? 0 : x - left, down = image->is_nearest ? 0 : y - top;
    const i32 x0 = (i32)left, y0 = (i32)top;
#if HAS_BYTES
    weighed_bytes(image, x0, y0, across, down, first, values);
#else
    const u32 has_left = (u32)x0 < image->width, has_top = (u32)y0 < image->height;
    const u32 has_right = (u32)(x0 + 1) < image->width, has_bottom = (u32)(y0 + 1) < image->height;
    const u32 stride = image->width * image->x_pixel, count = image->channels - first;
    u32 at = first * image->x_channel + (u32)y0 * stride + (u32)x0 * image->x_pixel;
    for (u32 k = 0; k < 3; k++) values[k] = image->fill;
    // Whole pixels are moved, not weighed, so that their bits stay.
    if (across == 0 && down == 0) {
        for (u32 k = 0; k < 3; k++)
            if (k < count && has_left && has_top)
                values[k] = stored_value(image->x, image->input_type, at + k * image->x_channel);
        return;
    }
    for (u32 k = 0; k < 3; k++) {
        if (k >= count) continue;
        real taps[4];
        for (u32 tap = 0; tap < 4; tap++) taps[tap] = image->fill;
        if (has_top && has_left) taps[0] = stored_value(image->x, image->input_type, at);
        if (has_top && has_right) taps[1] = stored_value(image->x, image->input_type, at + image->x_pixel);
        if (has_bottom && has_left) taps[2] = stored_value(image->x, image->input_type, at + stride);
        if (has_bottom && has_right) taps[3] = stored_value(image->x, image->input_type, at + stride + image->x_pixel);
        const real upper = across == 0 ? taps[0] : FMA(across, taps[1], (1 - across) * taps[0]);
        const real lower = across == 0 ? taps[2] : FMA(across, taps[3], (1 - across) * taps[2]);
        values[k] = down == 0 ? upper : FMA(down, lower, (1 - down) * upper);
        at += image->x_channel;
    }
#endif
}
