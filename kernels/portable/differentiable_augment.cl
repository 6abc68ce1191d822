// Differentiable augmentation: brightness, saturation, contrast, translation and cutout of each image, drawn by sample,
// and their gradient (Zhao, Liu, Lin, Zhu and Han, "Differentiable augmentation for data-efficient GAN training",
// NeurIPS 2020). The colour ops together are y = own x + pixel (mean of the pixel's channels) + image (mean of the
// image) + added, so that an image is read once more than copied where its contrast changes, and no more where not.
//
//   differentiable_augment_draw   the table: each image's weights, shift and hole, and its mean where one is needed
//   differentiable_augment_apply  the images; with `backward` their gradient: the means are those of what was taken

#include "types.h"
#include "reduce.h"
#include "parts.h"
#include "divisor.h"
#include "philox.h"
#include "augment_key.h"

// A row of the table: weights, what is added, the shift in pixels, the hole (top, left, bottom, right), and behind them
// the parts of the mean.
#define ROW_OWN    0
#define ROW_PIXEL  1
#define ROW_IMAGE  2
#define ROW_ADDED  3
#define ROW_SHIFT  4
#define ROW_HOLE   6
#define ROW_DRAWN  10
#define ROW_LENGTH 18

// Elements of a plane that a group takes for itself.
#define TILE (32 * GROUP_SIZE)

#define ALL_LANES ((1u << PART_LANES) - 1)

// `planes` planes of `height` rows, with `pixel` channels side by side.
#define SHIFTED_IMAGE_PARAMETERS                                                                                \
    u64 plane, u32 planes, u32 height, u32 width, u32 row_length, u64 row_length_inverse, u32 row_length_shift, \
        u32 pixel, u64 pixel_inverse, u32 pixel_shift

// How much a transform may do.
#define TRANSFORM_PARAMETERS                                                                                 \
    real brightness_low, real brightness_high, real saturation_low, real saturation_high, real contrast_low, \
        real contrast_high, u32 most_rows, u32 most_columns, u32 hole_height, u32 hole_width

// `rows` rows from `top` on, and `columns` elements of each from `left` on; neither need begin in the image.
typedef struct {
    i32 top, left;
    u32 rows, columns;
} region;

DEVICE u32 is_in(region box, u32 row, u32 column) {
    return row - (u32)box.top < box.rows && column - (u32)box.left < box.columns;
}

DEVICE u32 length_below(i32 side, i32 shift) { return (u32)(side - (shift < 0 ? -shift : shift)); }

// Where an image shifted by so many pixels has something to show; or, with `moved`, what of it is shown.
DEVICE region shown(i32 rows, i32 columns, u32 height, u32 width, u32 pixel, u32 moved) {
    region box;
    box.top = (rows < 0) == !moved ? (rows < 0 ? -rows : rows) : 0;
    box.left = ((columns < 0) == !moved ? (columns < 0 ? -columns : columns) : 0) * (i32)pixel;
    box.rows = length_below((i32)height, rows);
    box.columns = length_below((i32)width, columns) * pixel;
    return box;
}

// The hole, or, with `moved`, what it takes of the image that is shifted by so many pixels.
DEVICE region hole_of(i32 top, i32 left, i32 bottom, i32 right, i32 rows, i32 columns, u32 pixel, u32 moved) {
    const region box = {top + (moved ? rows : 0), (left + (moved ? columns : 0)) * (i32)pixel, (u32)(bottom - top),
                        (u32)(right - left) * pixel};
    return box;
}

// Bit i is set where the i-th element from `index` on is in the plane.
DEVICE u32 lanes_of(u64 index, u64 plane) {
    if (index + PART_LANES <= plane) return ALL_LANES;
    return index < plane ? (1u << (u32)(plane - index)) - 1 : 0;
}

// Bit i is set where the i-th element from `index` on is in one region and not in the other.
DEVICE u32 taken_lanes(region kept, region hole, u64 index, u32 row_length, u64 row_length_inverse,
                       u32 row_length_shift) {
    u32 row = (u32)quotient(index, row_length_inverse, row_length_shift), column = (u32)(index - (u64)row * row_length);
    u32 bits = 0;
    for (u32 lane = 0; lane < PART_LANES; lane++) {
        bits |= (is_in(kept, row, column) && !is_in(hole, row, column) ? 1u : 0u) << lane;
        const u32 last = ++column == row_length;
        column = last ? 0 : column;
        row += last;
    }
    return bits;
}

// The elements whose bits are set; the others are 0. `index` may have wrapped below 0 where the first is not taken.
DEVICE void load_lanes(GLOBAL const scalar* source, u64 index, u32 bits, u32 aligned, real* values) {
    if (VEC == 8 && aligned && bits == ALL_LANES) {
        load_part(source, index, values);
        return;
    }
    for (u32 lane = 0; lane < PART_LANES; lane++)
        values[lane] = bits >> lane & 1u ? load(source, index + lane) : (real)0;
}

// A transform fires where its sixteen bits are below the probability.
DEVICE u32 fires(philox_block drawn, u32 lane, float chance) {
    return (float)philox_lane(drawn, lane) < 65536.0f * chance;
}

// A whole number from -most to most.
DEVICE i32 shift_of(u32 word, u32 most) { return (i32)MUL_HI(word, 2 * most + 1) - (i32)most; }

DEVICE i32 clipped(i32 edge, u32 side) { return edge < 0 ? 0 : edge > (i32)side ? (i32)side : edge; }

// The hole's first row or column. One of an even size may lie about any edge between pixels, and one of an odd size
// about any pixel.
DEVICE i32 start_of(u32 word, u32 side, u32 size) { return (i32)MUL_HI(word, side + 1 - size % 2) - (i32)(size / 2); }

DEVICE INLINED void draw_row(random_key owner, u32 op, float chance, u32 height, u32 width, TRANSFORM_PARAMETERS,
                             LOCAL real* row) {
    const philox_block colors = augment_draw(owner, op, 0), places = augment_draw(owner, op, 1),
                       decisions = augment_draw(owner, op, 2);
    const float bright = between(unit_of(colors.words[0]), (float)brightness_low, (float)brightness_high);
    const float colorful = between(unit_of(colors.words[1]), (float)saturation_low, (float)saturation_high);
    const float steep = between(unit_of(colors.words[2]), (float)contrast_low, (float)contrast_high);
    const real saturation = fires(decisions, 1, chance) ? colorful : 1.0f;
    const real contrast = fires(decisions, 2, chance) ? steep : 1.0f;
    const u32 shifts = fires(decisions, 3, chance), cuts = fires(decisions, 4, chance) && hole_height * hole_width > 0;
    const i32 top = start_of(places.words[2], height, hole_height);
    const i32 left = start_of(places.words[3], width, hole_width);
    row[ROW_OWN] = contrast * saturation;
    row[ROW_PIXEL] = contrast * (1 - saturation);
    row[ROW_IMAGE] = 1 - contrast;
    row[ROW_ADDED] = fires(decisions, 0, chance) ? bright : 0.0f;
    row[ROW_SHIFT] = shifts ? (real)shift_of(places.words[0], most_rows) : (real)0;
    row[ROW_SHIFT + 1] = shifts ? (real)shift_of(places.words[1], most_columns) : (real)0;
    row[ROW_HOLE] = cuts ? (real)clipped(top, height) : (real)0;
    row[ROW_HOLE + 1] = cuts ? (real)clipped(left, width) : (real)0;
    row[ROW_HOLE + 2] = cuts ? (real)clipped(top + (i32)hole_height, height) : (real)0;
    row[ROW_HOLE + 3] = cuts ? (real)clipped(left + (i32)hole_width, width) : (real)0;
}

// A group takes one of `parts` parts of an image, `part_length` elements of each plane. `weight` is 1 over the elements
// of an image: terms that are scaled before they are added up cannot overflow. `chance` is the probability where memory
// has none.
KERNEL void differentiable_augment_draw(GLOBAL const scalar* RESTRICT x, u64 x_offset,
                                        GLOBAL const u64* RESTRICT sample_ids, u64 sample_ids_offset,
                                        GLOBAL const float* RESTRICT probability, u64 probability_offset,
                                        GLOBAL real* RESTRICT rows, u64 rows_offset, u64 groups, u64 parts,
                                        u64 parts_inverse, u32 parts_shift, u64 part_length, real weight,
                                        u64 first_sample, u32 op, u32 backward, real chance, SHIFTED_IMAGE_PARAMETERS,
                                        TRANSFORM_PARAMETERS, KEY_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    SHARED real row[ROW_DRAWN];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const float fired = probability != 0 ? probability[probability_offset] : (float)chance;
    if (sample_ids != 0) sample_ids += sample_ids_offset;
    for (u64 group = GROUP_ID; group < groups; group += GROUP_COUNT) {
        const u64 sample = quotient(group, parts_inverse, parts_shift), part = group - sample * parts;
        GLOBAL real* own = rows + rows_offset + sample * ROW_LENGTH;
        if (LOCAL_ID == 0)
            draw_row(sample_key(resolved, id_of(sample_ids, first_sample, sample)), op, fired, height, width,
                     brightness_low, brightness_high, saturation_low, saturation_high, contrast_low, contrast_high,
                     most_rows, most_columns, hole_height, hole_width, row);
        BARRIER();
        if (part == 0 && LOCAL_ID < ROW_DRAWN) own[LOCAL_ID] = row[LOCAL_ID];
        const i32 down = (i32)row[ROW_SHIFT], across = (i32)row[ROW_SHIFT + 1];
        const region kept = shown(down, across, height, width, pixel, 0);
        const region hole = hole_of((i32)row[ROW_HOLE], (i32)row[ROW_HOLE + 1], (i32)row[ROW_HOLE + 2],
                                    (i32)row[ROW_HOLE + 3], down, across, pixel, 0);
        real sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        const u64 last = (part + 1) * part_length, end = row[ROW_IMAGE] == 0 ? 0 : last < plane ? last : plane;
        for (u64 index = part * part_length + PART_LANES * LOCAL_ID; index < end; index += PART_LANES * GROUP_SIZE) {
            u32 bits = lanes_of(index, plane);
            if (backward) bits &= taken_lanes(kept, hole, index, row_length, row_length_inverse, row_length_shift);
            GLOBAL const scalar* source = x + x_offset + sample * planes * plane;
            for (u32 channel = 0; channel < planes; channel++, source += plane) {
                real values[PART_LANES];
                load_lanes(source, index, bits, 1, values);
                for (u32 lane = 0; lane < PART_LANES; lane++) sums[lane] = FMA(values[lane], weight, sums[lane]);
            }
        }
        for (u32 half_size = 4; half_size > 0; half_size /= 2)
            for (u32 lane = 0; lane < half_size; lane++) sums[lane] += sums[lane + half_size];
        const real sum = group_sum(sums[0], scratch);
        if (LOCAL_ID == 0) own[ROW_DRAWN + part] = sum;
    }
}

// Images in tiles. With VEC = 8 planes are whole octets.
KERNEL void differentiable_augment_apply(GLOBAL const scalar* RESTRICT x, u64 x_offset,
                                         GLOBAL const real* RESTRICT rows, u64 rows_offset, GLOBAL scalar* RESTRICT y,
                                         u64 y_offset, u64 tiles, u64 sample_tiles, u64 sample_inverse,
                                         u32 sample_shift, u32 parts, real channel_weight, u32 backward,
                                         SHIFTED_IMAGE_PARAMETERS) {
    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 sample = quotient(tile, sample_inverse, sample_shift);
        GLOBAL const real* row = rows + rows_offset + sample * ROW_LENGTH;
        const real own = row[ROW_OWN], of_pixel = row[ROW_PIXEL], of_image = row[ROW_IMAGE];
        real rest = backward ? (real)0 : row[ROW_ADDED], mean = 0;
        for (u32 part = 0; part < parts; part++) mean += row[ROW_DRAWN + part];
        if (of_image != 0) rest = FMA(of_image, mean, rest);
        const u32 plain = own == 1 && of_pixel == 0 && rest == 0;
        const i32 down = (i32)row[ROW_SHIFT], across = (i32)row[ROW_SHIFT + 1];
        const region kept = shown(down, across, height, width, pixel, backward);
        const region hole = hole_of((i32)row[ROW_HOLE], (i32)row[ROW_HOLE + 1], (i32)row[ROW_HOLE + 2],
                                    (i32)row[ROW_HOLE + 3], down, across, pixel, backward);
        const u32 whole = kept.rows == height && kept.columns == row_length && hole.rows == 0;
        const i64 ahead = (i64)down * row_length + (i64)across * pixel;
        const u64 shift = (u64)(backward ? -ahead : ahead);
        const u32 aligned = shift % PART_LANES == 0;
        const u64 first = TILE * (tile - sample * sample_tiles), stop = first + TILE, end = stop < plane ? stop : plane;
        for (u64 start = first + PART_LANES * LOCAL_ID; start < end; start += 8 * GROUP_SIZE) {
            u32 bits[PARTS], lanes[PARTS];
            real means[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            for (u32 part = 0; part < PARTS; part++) {
                const u64 index = start + part * PART_LANES * GROUP_SIZE;
                lanes[part] = lanes_of(index, plane);
                bits[part] = lanes[part];
                if (!whole && lanes[part] != 0)
                    bits[part] &= taken_lanes(kept, hole, index, row_length, row_length_inverse, row_length_shift);
            }
            GLOBAL const scalar* image = x + x_offset + sample * planes * plane;
            if (of_pixel != 0) {
                for (u32 part = 0; part < PARTS; part++) {
                    const u64 index = start + part * PART_LANES * GROUP_SIZE;
                    real* own_means = means + part * PART_LANES;
                    if (pixel > 1) {
                        u32 channel = (u32)(index - quotient(index, pixel_inverse, pixel_shift) * pixel);
                        for (u32 lane = 0; lane < PART_LANES; lane++) {
                            for (u32 other = 0; bits[part] >> lane & 1u && other < pixel; other++)
                                own_means[lane] = FMA(load(image, index + shift + lane - channel + other),
                                                      channel_weight, own_means[lane]);
                            channel = channel + 1 == pixel ? 0 : channel + 1;
                        }
                    }
                    for (u32 channel = 0; pixel == 1 && channel < planes; channel++) {
                        real values[PART_LANES];
                        load_lanes(image + channel * plane, index + shift, bits[part], aligned, values);
                        for (u32 lane = 0; lane < PART_LANES; lane++)
                            own_means[lane] = FMA(values[lane], channel_weight, own_means[lane]);
                    }
                }
            }
            GLOBAL scalar* target = y + y_offset + sample * planes * plane;
            for (u32 channel = 0; channel < planes; channel++, image += plane, target += plane) {
                real values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
                for (u32 part = 0; part < PARTS; part++) {
                    const u64 index = start + part * PART_LANES * GROUP_SIZE + shift;
                    load_lanes(image, index, bits[part], aligned, values + part * PART_LANES);
                }
                for (u32 lane = 0; lane < 8; lane++) {
                    const u32 taken = backward || bits[lane / PART_LANES] >> lane % PART_LANES & 1u;
                    const real colored = FMA(own, values[lane], FMA(of_pixel, means[lane], rest));
                    values[lane] = !taken ? (real)0 : plain ? values[lane] : colored;
                }
                for (u32 part = 0; part < PARTS; part++) {
                    const u64 index = start + part * PART_LANES * GROUP_SIZE;
                    if (VEC == 8 && lanes[part] != 0) store_part(target, index, values + part * PART_LANES);
                    for (u32 lane = 0; VEC == 1 && lane < PART_LANES; lane++)
                        if (lanes[part] >> lane & 1u) store(target, index + lane, values[part * PART_LANES + lane]);
                }
            }
        }
    }
}
