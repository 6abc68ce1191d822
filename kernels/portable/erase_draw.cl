// Boxes to erase from images.
//
//   cutout_draw  squares about uniform centres, clipped at the borders (DeVries and Taylor, "Improved regularization of
//                convolutional neural networks with cutout", 2017)

#include "types.h"
#include "philox.h"
#include "augment_key.h"

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
