// The table of a batch for augment_apply (augment_image.h), a row drawn for each sample from the key of (seed, epoch,
// sample, op). A map goes from the output to the input: back through the ops of a policy, the last first, then through
// rotation, scale, shear and translation, then through the flips, then into the crop.
//
//   augment_table  the table

#include "types.h"
#include "philox.h"
#include "augment_key.h"
#include "augment_image.h"
#include "math.h"

#define TABLE_WIDTH 27

// As AugmentKey.cs numbers the ops.
#define DRAWS_OF_FLIP         1
#define DRAWS_OF_CROP         2
#define DRAWS_OF_TRANSLATE    3
#define DRAWS_OF_ROTATE       4
#define DRAWS_OF_AFFINE       5
#define DRAWS_OF_COLOR_JITTER 6
#define DRAWS_OF_AUTO_AUGMENT 7
#define DRAWS_OF_CUTOUT       8
#define DRAWS_OF_POSTERIZE    16
#define DRAWS_OF_SOLARIZE     17
#define DRAWS_OF_EQUALIZE     18
#define DRAWS_OF_AUTOCONTRAST 19
#define DRAWS_OF_SHARPNESS    20

#define CROP_WINDOW  1 // at one of crop_rows times crop_columns places, the first of them (crop_left, crop_top)
#define CROP_RESIZED 2

#define JITTER_SHUFFLED 16 // beside a bit for each of brightness, contrast, saturation, hue

#define AUTO_NONE    0
#define AUTO_RANDOM  1 // auto_count ops at one magnitude
#define AUTO_TRIVIAL 2 // each at a magnitude of its own

// The ops of a policy; auto_ops has a bit for each that may be drawn.
#define AUTO_SHEAR_X      1
#define AUTO_SHEAR_Y      2
#define AUTO_TRANSLATE_X  3
#define AUTO_TRANSLATE_Y  4
#define AUTO_ROTATE       5
#define AUTO_POSTERIZE    10
#define AUTO_SOLARIZE     11
#define AUTO_AUTOCONTRAST 12

// The colour ops of 6 to 13: brightness, colour, contrast, sharpness, posterize, solarize, autocontrast, equalize.
#define AUTO_CODES 0x78659231000000ul

// Probabilities are thresholds of 2^32, angles parts of a circle, shifts pixels of the output.
#define DRAW_CROP_PARAMETERS                                                                                 \
    u32 crop, u32 crop_rows, u32 crop_columns, real crop_top, real crop_left, real area_low, real area_high, \
        real aspect_low, real aspect_high
#define DRAW_CROP_ARGUMENTS \
    crop, crop_rows, crop_columns, crop_top, crop_left, area_low, area_high, aspect_low, aspect_high
#define DRAW_AFFINE_PARAMETERS                                                                                   \
    real shift_x_low, real shift_x_high, real shift_y_low, real shift_y_high, u32 whole_shifts, real angle_low,  \
        real angle_high, real scale_low, real scale_high, real shear_x_low, real shear_x_high, real shear_y_low, \
        real shear_y_high
#define DRAW_AFFINE_ARGUMENTS                                                                                         \
    shift_x_low, shift_x_high, shift_y_low, shift_y_high, whole_shifts, angle_low, angle_high, scale_low, scale_high, \
        shear_x_low, shear_x_high, shear_y_low, shear_y_high
#define DRAW_AUTO_PARAMETERS                                                                                         \
    u32 automatic, u32 auto_ops, u32 auto_count, u32 magnitude, u32 bins, real most_shear, real most_x, real most_y, \
        real most_angle, real most_factor, real most_bits
#define DRAW_AUTO_ARGUMENTS \
    automatic, auto_ops, auto_count, magnitude, bins, most_shear, most_x, most_y, most_angle, most_factor, most_bits
#define DRAW_COLOR_PARAMETERS                                                                                          \
    u32 jitter, real brightness_low, real brightness_high, real contrast_low, real contrast_high, real saturation_low, \
        real saturation_high, real hue_low, real hue_high, u64 posterize, real bits, u64 solarize, real threshold,     \
        u64 sharpness, real sharpness_low, real sharpness_high, u64 autocontrast, u64 equalize
#define DRAW_COLOR_ARGUMENTS                                                                                        \
    jitter, brightness_low, brightness_high, contrast_low, contrast_high, saturation_low, saturation_high, hue_low, \
        hue_high, posterize, bits, solarize, threshold, sharpness, sharpness_low, sharpness_high, autocontrast,     \
        equalize
#define DRAW_BOX_PARAMETERS u64 cutout, u32 cutout_height, u32 cutout_width

// From the output to the input, both seen from their middles: x = a u + b v + c, y = d u + e v + f.
typedef struct {
    float a, b, c, d, e, f;
} affine_map;

// An integer from 0 to count - 1.
DEVICE u32 one_of(u32 word, u32 count) { return MUL_HI(word, count); }

// True with probability threshold / 2^32.
DEVICE u32 happens(u32 word, u64 threshold) { return word < threshold; }

// First the map of the numbers, then m.
DEVICE affine_map after(affine_map m, float a, float b, float c, float d, float e, float f) {
    const affine_map both = {FMA(m.a, a, m.b * d), FMA(m.a, b, m.b * e), FMA(m.a, c, FMA(m.b, f, m.c)),
                             FMA(m.d, a, m.e * d), FMA(m.d, b, m.e * e), FMA(m.d, c, FMA(m.e, f, m.f))};
    return both;
}

DEVICE void append(GLOBAL float* row, u32 code, float value) {
    const u32 count = (u32)row[6];
    if (code == 0 || count >= MOST_COLORS) return;
    row[TABLE_CODES + count] = (float)code;
    row[TABLE_VALUES + count] = value;
    row[6] = (float)(count + 1);
}

// Part of a circle, of 2^32; quarters and the like are exact.
DEVICE u32 turn_of(float circle) {
    const float part = circle - floor_of(circle);
    return part < 1 ? (u32)(part * 4294967296.0f) : 0;
}

DEVICE float whole(float value) { return floor_of(value + 0.5f); }

DEVICE float toward_zero(float value) { return (float)(i32)value; }

// A window of random area and aspect inside of the input, stretched to the output; after ten tries in vain the largest
// in the middle. `aspect_low` and `aspect_high` are logarithms.
DEVICE affine_map resized_window(random_key sample, DRAW_CROP_PARAMETERS, u32 height, u32 width, u32 out_height,
                                 u32 out_width) {
    const float rows = (float)height, columns = (float)width, aspect = exact_log(columns / rows);
    float h = rows, w = columns;
    if (aspect < aspect_low) h = whole(columns * exact_exp(-aspect_low));
    if (aspect > aspect_high) w = whole(rows * exact_exp(aspect_high));
    float top = whole(0.5f * (rows - h)), left = whole(0.5f * (columns - w));
    for (u32 attempt = 0, fits = 0; attempt < 10 && !fits; attempt++) {
        const philox_block drawn = augment_draw(sample, DRAWS_OF_CROP, attempt);
        const float area = exact_log(rows * columns * between(unit_of(drawn.words[0]), area_low, area_high));
        const float tried = between(unit_of(drawn.words[1]), aspect_low, aspect_high);
        const float tried_w = whole(exact_exp(0.5f * (area + tried)));
        const float tried_h = whole(exact_exp(0.5f * (area - tried)));
        fits = tried_w >= 1 && tried_w <= columns && tried_h >= 1 && tried_h <= rows;
        if (!fits) continue;
        w = tried_w, h = tried_h;
        top = (float)one_of(drawn.words[2], height - (u32)h + 1);
        left = (float)one_of(drawn.words[3], width - (u32)w + 1);
    }
    const affine_map m = {w / (float)out_width,    0, FMA(0.5f, w - columns, left), 0, h / (float)out_height,
                          FMA(0.5f, h - rows, top)};
    return m;
}

// Back through translation, rotation, scale and shear about the middle, as torchvision composes them.
DEVICE affine_map affine_of(random_key sample, DRAW_AFFINE_PARAMETERS) {
    const philox_block shift = augment_draw(sample, DRAWS_OF_TRANSLATE, 0);
    const philox_block turn = augment_draw(sample, DRAWS_OF_ROTATE, 0);
    const philox_block other = augment_draw(sample, DRAWS_OF_AFFINE, 0);
    float x = between(unit_of(shift.words[0]), shift_x_low, shift_x_high);
    float y = between(unit_of(shift.words[1]), shift_y_low, shift_y_high);
    if (whole_shifts) {
        x = shift_x_low + (float)one_of(shift.words[0], (u32)(shift_x_high - shift_x_low) + 1);
        y = shift_y_low + (float)one_of(shift.words[1], (u32)(shift_y_high - shift_y_low) + 1);
    }
    const u32 angle = 0u - turn_of(between(unit_of(turn.words[0]), angle_low, angle_high));
    const u32 shear_x = turn_of(between(unit_of(other.words[1]), shear_x_low, shear_x_high));
    const u32 shear_y = turn_of(between(unit_of(other.words[2]), shear_y_low, shear_y_high));
    float c, s, c_less, s_less, c_x, s_x, c_y, s_y;
    exact_cos_sin(angle, &c, &s);
    exact_cos_sin(angle - shear_y, &c_less, &s_less);
    exact_cos_sin(shear_x, &c_x, &s_x);
    exact_cos_sin(shear_y, &c_y, &s_y);
    const float scale = between(unit_of(other.words[0]), scale_low, scale_high), tangent = s_x / c_x;
    const float a = c_less / c_y, d = s_less / c_y;
    affine_map m = {FMA(-d, tangent, c) / scale, FMA(a, tangent, s) / scale, 0, -d / scale, a / scale, 0};
    m.c = -FMA(m.a, x, m.b * y);
    m.f = -FMA(m.d, x, m.e * y);
    return m;
}

// One op of a policy, as torchvision numbers them; colours are appended to the row.
DEVICE affine_map automatic_op(random_key sample, affine_map m, GLOBAL float* row, u32 number, DRAW_AUTO_PARAMETERS,
                               u32 height, u32 width) {
    const philox_block drawn = augment_draw(sample, DRAWS_OF_AUTO_AUGMENT, number);
    u32 op = 0, left = one_of(drawn.words[0], (u32)COUNT_ONES((u64)auto_ops));
    while (op < 31 && !(auto_ops >> op & 1)) op++;
    for (; left > 0; left--)
        for (op++; op < 31 && !(auto_ops >> op & 1);) op++;
    const u32 bin = automatic == AUTO_TRIVIAL ? one_of(drawn.words[1], bins) : magnitude;
    const float strength = bins > 1 ? (float)bin / (float)(bins - 1) : 0;
    const float sign = drawn.words[2] >> 31 ? -1.0f : 1.0f;
    const float middle_x = 0.5f * (float)width, middle_y = 0.5f * (float)height;
    const float shear = sign * strength * most_shear;
    const float shear_x = op == AUTO_SHEAR_X ? shear : 0, shear_y = op == AUTO_SHEAR_Y ? shear : 0;
    const float x = op == AUTO_TRANSLATE_X ? sign * toward_zero(strength * most_x) : 0;
    const float y = op == AUTO_TRANSLATE_Y ? sign * toward_zero(strength * most_y) : 0;
    float c, s;
    exact_cos_sin(0u - turn_of(op == AUTO_ROTATE ? sign * strength * most_angle : 0), &c, &s);
    // A nibble for each op; maps have none.
    append(row, (u32)((u64)AUTO_CODES >> 4 * op) & 15u,
           op == AUTO_POSTERIZE      ? 8 - whole(strength * most_bits)
           : op == AUTO_SOLARIZE     ? 255 * (1 - strength)
           : op >= AUTO_AUTOCONTRAST ? 0
                                     : FMA(sign * strength, most_factor, 1.0f));
    // Shears are about the upper left corner.
    return after(m, c, s + shear_x, FMA(shear_x, middle_y, -x), shear_y - s, c, FMA(shear_y, middle_x, -y));
}

DEVICE void jitter_colors(random_key sample, GLOBAL float* row, DRAW_COLOR_PARAMETERS) {
    const philox_block drawn = augment_draw(sample, DRAWS_OF_COLOR_JITTER, 0);
    // Four bits a place: a swap of random places from the last down (Fisher and Yates) is two shifts.
    u32 places = 0x3210u;
    if (jitter & JITTER_SHUFFLED) {
        const philox_block order = augment_draw(sample, DRAWS_OF_COLOR_JITTER, 1);
        for (u32 last = 3; last > 0; last--) {
            const u32 other = 4 * one_of(order.words[last], last + 1);
            const u32 differs = (places >> 4 * last ^ places >> other) & 15u;
            places ^= differs << 4 * last | differs << other;
        }
    }
    for (u32 place = 0; place < 4; place++) {
        const u32 op = places >> 4 * place & 15u;
        if (!(jitter >> op & 1)) continue;
        const float low = op == 0 ? brightness_low : op == 1 ? contrast_low : op == 2 ? saturation_low : hue_low;
        const float high = op == 0 ? brightness_high : op == 1 ? contrast_high : op == 2 ? saturation_high : hue_high;
        const u32 even = op & 2 ? drawn.words[2] : drawn.words[0], odd = op & 2 ? drawn.words[3] : drawn.words[1];
        append(row, COLOR_BRIGHTNESS + op, between(unit_of(op & 1 ? odd : even), low, high));
    }
}

// Whether an op happens that draws nothing else; one that never does draws nothing.
DEVICE u32 op_happens(random_key sample, u32 op, u64 probability) {
    return probability != 0 && happens(augment_draw(sample, op, 0).words[0], probability);
}

KERNEL void augment_table(GLOBAL const u64* sample_ids, u64 sample_ids_offset, u64 first_sample, KEY_PARAMETERS,
                          GLOBAL float* table, u64 table_offset, u64 samples, u32 height, u32 width, u32 out_height,
                          u32 out_width, u64 flip_horizontal, u64 flip_vertical, DRAW_CROP_PARAMETERS,
                          DRAW_AFFINE_PARAMETERS, DRAW_AUTO_PARAMETERS, DRAW_COLOR_PARAMETERS, DRAW_BOX_PARAMETERS) {
    const random_key call = resolve_key(key, key_offset, seed, offset);
    GLOBAL const u64* ids = sample_ids != 0 ? sample_ids + sample_ids_offset : 0;
    for (u64 i = GLOBAL_ID; i < samples; i += GLOBAL_SIZE) {
        const random_key sample = sample_key(call, id_of(ids, first_sample, i));
        GLOBAL float* row = table + table_offset + i * TABLE_WIDTH;
        for (u32 k = 6; k < TABLE_WIDTH; k++) row[k] = 0;
        affine_map m = {1, 0, 0, 0, 1, 0};
        if (crop == CROP_WINDOW) {
            const philox_block drawn = augment_draw(sample, DRAWS_OF_CROP, 0);
            m.f = (float)one_of(drawn.words[0], crop_rows) + crop_top;
            m.c = (float)one_of(drawn.words[1], crop_columns) + crop_left;
        } else if (crop == CROP_RESIZED) {
            m = resized_window(sample, DRAW_CROP_ARGUMENTS, height, width, out_height, out_width);
        }
        if ((flip_horizontal | flip_vertical) != 0) {
            const philox_block flip = augment_draw(sample, DRAWS_OF_FLIP, 0);
            const float across = happens(flip.words[0], flip_horizontal) ? -1.0f : 1.0f;
            m = after(m, across, 0, 0, 0, happens(flip.words[1], flip_vertical) ? -1.0f : 1.0f, 0);
        }
        const affine_map turned = affine_of(sample, DRAW_AFFINE_ARGUMENTS);
        m = after(m, turned.a, turned.b, turned.c, turned.d, turned.e, turned.f);
        for (u32 k = 0; automatic != AUTO_NONE && k < auto_count; k++)
            m = automatic_op(sample, m, row, k, DRAW_AUTO_ARGUMENTS, out_height, out_width);
        row[0] = m.a, row[1] = m.b, row[2] = m.c, row[3] = m.d, row[4] = m.e, row[5] = m.f;
        if (jitter != 0) jitter_colors(sample, row, DRAW_COLOR_ARGUMENTS);
        if (op_happens(sample, DRAWS_OF_POSTERIZE, posterize)) append(row, COLOR_POSTERIZE, bits);
        if (op_happens(sample, DRAWS_OF_SOLARIZE, solarize)) append(row, COLOR_SOLARIZE, threshold);
        if (sharpness != 0) {
            const philox_block sharp = augment_draw(sample, DRAWS_OF_SHARPNESS, 0);
            if (happens(sharp.words[0], sharpness))
                append(row, COLOR_SHARPNESS, between(unit_of(sharp.words[1]), sharpness_low, sharpness_high));
        }
        if (op_happens(sample, DRAWS_OF_AUTOCONTRAST, autocontrast)) append(row, COLOR_AUTOCONTRAST, 0);
        if (op_happens(sample, DRAWS_OF_EQUALIZE, equalize)) append(row, COLOR_EQUALIZE, 0);
        const philox_block box = augment_draw(sample, DRAWS_OF_CUTOUT, 0);
        if (happens(box.words[2], cutout)) {
            const i32 top = (i32)one_of(box.words[0], out_height) - (i32)(cutout_height / 2);
            const i32 left = (i32)one_of(box.words[1], out_width) - (i32)(cutout_width / 2);
            const i32 bottom = top + (i32)cutout_height, right = left + (i32)cutout_width;
            row[TABLE_BOX] = (float)(top > 0 ? top : 0);
            row[TABLE_BOX + 1] = (float)(left > 0 ? left : 0);
            row[TABLE_BOX + 2] = (float)(bottom < (i32)out_height ? bottom : (i32)out_height);
            row[TABLE_BOX + 3] = (float)(right < (i32)out_width ? right : (i32)out_width);
        }
    }
}
