// Boxes to erase from images.
//
//   cutout_draw        squares about uniform centres, clipped at the borders (DeVries and Taylor, "Improved
//                      regularization of convolutional neural networks with cutout", 2017)
//   random_erase_draw  rectangles of a random area and aspect that lie in the image (Zhong, Zheng, Kang, Li and Yang,
//                      "Random erasing data augmentation", AAAI 2020)

#include "types.h"
#include "philox.h"
#include "math.h"
#include "augment_key.h"
#include "integer_root.h"

#define DECISION_DRAW 0x8000u // behind those of the holes

// Whether a sample is to be changed at all.
DEVICE u32 is_chosen(random_key owner, u32 op, u32 threshold) {
    return threshold >= 65536u || philox_lane(augment_draw(owner, op, DECISION_DRAW), 0) < threshold;
}

DEVICE void write_box(GLOBAL i32* box, i32 top, i32 left, i32 bottom, i32 right, u32 height, u32 width) {
    box[0] = top < 0 ? 0 : top;
    box[1] = left < 0 ? 0 : left;
    box[2] = bottom > (i32)height ? (i32)height : bottom;
    box[3] = right > (i32)width ? (i32)width : right;
}

// `holes` boxes for each sample: top, left, bottom, right; all 0 where there is nothing to erase.
KERNEL void cutout_draw(GLOBAL const u64* RESTRICT sample_ids, u64 sample_ids_offset, GLOBAL i32* RESTRICT boxes,
                        u64 boxes_offset, u64 count, u32 holes, u64 first_sample, u32 op, u32 threshold, u32 height,
                        u32 width, u32 side, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    if (sample_ids != 0) sample_ids += sample_ids_offset;
    for (u64 i = GLOBAL_ID; i < count; i += GLOBAL_SIZE) {
        const u64 sample = i / holes;
        const random_key owner = sample_key(resolved, id_of(sample_ids, first_sample, sample));
        GLOBAL i32* box = boxes + boxes_offset + 4 * i;
        if (!is_chosen(owner, op, threshold)) {
            for (u32 edge = 0; edge < 4; edge++) box[edge] = 0;
            continue;
        }
        const philox_block drawn = augment_draw(owner, op, (u32)(i - sample * holes));
        const i32 top = (i32)MUL_HI(drawn.words[0], height) - (i32)(side / 2);
        const i32 left = (i32)MUL_HI(drawn.words[1], width) - (i32)(side / 2);
        write_box(box, top, left, top + (i32)side, left + (i32)side, height, width);
    }
}

#define TRIES          10
#define DRAWS_OF_A_BOX 16

// The root of a number below 2^42, to the nearest integer.
DEVICE u32 nearest_root(float square) { return (u32)(integer_root((u64)(4.0f * square)) + 1) >> 1; }

// `boxes_of_one` boxes for each sample. The first of ten tries whose sides are shorter than the image's is taken, none
// if there is none; with `clips` the first of all, cut to the image's size.
KERNEL void random_erase_draw(GLOBAL const u64* RESTRICT sample_ids, u64 sample_ids_offset, GLOBAL i32* RESTRICT boxes,
                              u64 boxes_offset, u64 count, u32 boxes_of_one, u64 first_sample, u32 op, u32 threshold,
                              u32 height, u32 width, u32 clips, real least_area, real most_area, real least_log_aspect,
                              real most_log_aspect, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    if (sample_ids != 0) sample_ids += sample_ids_offset;
    for (u64 i = GLOBAL_ID; i < count; i += GLOBAL_SIZE) {
        const u64 sample = i / boxes_of_one;
        const random_key owner = sample_key(resolved, id_of(sample_ids, first_sample, sample));
        const u32 tries = !is_chosen(owner, op, threshold) ? 0 : clips ? 1 : TRIES;
        i32 top = 0, left = 0, bottom = 0, right = 0;
        for (u32 attempt = 0; attempt < tries && bottom == 0; attempt++) {
            const u32 draw = DRAWS_OF_A_BOX * (u32)(i - sample * boxes_of_one) + attempt;
            const philox_block drawn = augment_draw(owner, op, draw);
            const float area = between(unit_of(drawn.words[0]), least_area, most_area) * (float)(height * width);
            const float log_aspect = between(unit_of(drawn.words[1]), least_log_aspect, most_log_aspect);
            u32 rows = nearest_root(area * exact_exp(log_aspect)),
                columns = nearest_root(area * exact_exp(-log_aspect));
            if (clips) {
                rows = rows < height ? rows : height;
                columns = columns < width ? columns : width;
            } else if (rows >= height || columns >= width) {
                continue;
            }
            top = (i32)MUL_HI(drawn.words[2], height - rows + 1);
            left = (i32)MUL_HI(drawn.words[3], width - columns + 1);
            bottom = top + (i32)rows;
            right = left + (i32)columns;
        }
        write_box(boxes + boxes_offset + 4 * i, top, left, bottom, right, height, width);
    }
}
