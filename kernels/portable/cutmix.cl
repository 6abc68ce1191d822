// CutMix: a box of each image comes from another image (Yun, Han, Oh, Chun, Choe and Yoo, "CutMix: regularization
// strategy to train strong classifiers with localizable features", ICCV 2019); boxes and partners are those of
// mixup_draw.cl.
//
//   cutmix_apply  forward: x outside of the image's box, the partner inside. Backward: dy outside of the image's box,
//                 plus dy of the image whose partner it is inside of that one's box.

#include "types.h"
#include "blocks.h"
#include "parts.h"
#include "divisor.h"
#include "errors.h"
#include "boxes.h"

typedef struct {
    u64 from; // where the other image begins
    u32 exists;
    GLOBAL const i32 *own_box, *other_box;
} image_pair;

DEVICE image_pair pair_of(GLOBAL const i32* pairs, GLOBAL const i32* boxes, GLOBAL u32* error, u64 error_offset,
                          image_place place, u64 run, u64 pool_rows, u32 backward) {
    const i32 other = pairs[2 * place.image + backward];
    image_pair pair = {0, other >= 0 && (u64)other < pool_rows, boxes + 4 * place.image, boxes + 4 * place.image};
    if (!pair.exists && other != -1 && place.in_image == 0) report_error(error, error_offset, place.image);
    if (pair.exists) {
        pair.from = (u64)other * run;
        if (backward) pair.other_box = boxes + 4 * (u64)other;
    }
    return pair;
}

// An element of which a part comes from its own image, a part from the other, or neither.
DEVICE real pasted(u32 kept, real own, u32 taken, real other) {
    return kept ? (taken ? own + other : own) : (taken ? other : (real)0);
}

// With VEC = 8 images are whole octets and rows have at least eight elements.
KERNEL void cutmix_apply(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL const scalar* RESTRICT pool,
                         u64 pool_offset, GLOBAL const i32* RESTRICT pairs, u64 pairs_offset,
                         GLOBAL const i32* RESTRICT boxes, u64 boxes_offset, GLOBAL scalar* RESTRICT y, u64 y_offset,
                         GLOBAL u32* RESTRICT error, u64 error_offset, u64 count, IMAGE_PARAMETERS, u64 pool_rows,
                         u32 backward) {
    const image_shape shape = IMAGE_SHAPE;
    const block_range blocks = blocks_of(0, count);
    x += x_offset;
    pool += pool_offset;
    pairs += pairs_offset;
    boxes += boxes_offset;
    y += y_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        real values[8] = {0, 0, 0, 0, 0, 0, 0, 0}, others[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        u32 kept = 0, taken = 0;
        for (u32 part = 0; part < PARTS; part++) {
            const u64 index = part_index(block, part);
            const image_place place = place_of(&shape, index);
            const image_pair pair = pair_of(pairs, boxes, error, error_offset, place, run, pool_rows, backward);
            const u32 outside = ~box_bits(&shape, pair.own_box, place) & ((1u << PART_LANES) - 1);
            u32 inside = outside ^ ((1u << PART_LANES) - 1);
            if (backward) inside = box_bits(&shape, pair.other_box, place);
            if (!pair.exists) inside = 0;
            kept |= outside << PART_LANES * part;
            taken |= inside << PART_LANES * part;
            if (outside != 0) load_part(x, index, values + PART_LANES * part);
            if (inside != 0) load_part(pool, pair.from + place.in_image, others + PART_LANES * part);
        }
        for (u32 lane = 0; lane < 8; lane++)
            values[lane] = pasted(kept >> lane & 1u, values[lane], taken >> lane & 1u, others[lane]);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        image_place place = place_of(&shape, 8 * block);
        for (u64 i = 8 * block; i < 8 * block + 8 && i < count; i++) {
            const image_pair pair = pair_of(pairs, boxes, error, error_offset, place, run, pool_rows, backward);
            const u32 keeps = !is_in_box(&shape, pair.own_box, place);
            const u32 takes = pair.exists && is_in_box(&shape, pair.other_box, place);
            const real own = keeps ? load(x, i) : (real)0,
                       other = takes ? load(pool, pair.from + place.in_image) : (real)0;
            store(y, i, pasted(keeps, own, takes, other));
            step(&shape, &place);
        }
    }
}
