// Boxes of images are filled with a number or with noise; their gradient is 0. cutout and random-erase draw the boxes
// (erase_draw.cl).
//
//   cutout_fill  y = x outside of the boxes; inside a number, or with NOISE normal numbers times a factor. Where y is x
//                what lies outside is left as it is.

#include "types.h"
#include "blocks.h"
#include "parts.h"
#include "divisor.h"
#include "philox.h"
#include "math.h"
#include "normal.h"
#include "augment_key.h"
#include "boxes.h"

#define NOISE_BLOCKS 0x10000u // from there on: a Philox block for four elements of a sample

// Which of a part's neighbours are in one of an image's boxes.
DEVICE u32 erased_bits(const image_shape* shape, GLOBAL const i32* boxes, u32 holes, image_place place) {
    u32 bits = 0;
    for (u32 hole = 0; hole < holes; hole++) bits |= box_bits(shape, boxes + 4 * (place.image * holes + hole), place);
    return bits;
}

// What fills an element of a sample: its own normal number, or the same for all.
DEVICE real filling(random_key owner, u32 op, u64 in_image, real value) {
#if NOISE
    float normals[4];
    normals_of(philox(owner, ((u64)op << 32 | NOISE_BLOCKS) + in_image / 4), normals);
    const float pair =
        in_image & 2 ? (in_image & 1 ? normals[3] : normals[2]) : (in_image & 1 ? normals[1] : normals[0]);
    return value * (real)pair;
#else
    return value;
#endif
}

// With VEC = 8 images are whole octets and rows have at least eight elements. `value` is the number, or what normal
// numbers are multiplied by.
KERNEL void cutout_fill(GLOBAL const scalar* x, u64 x_offset, GLOBAL const i32* RESTRICT boxes, u64 boxes_offset,
                        GLOBAL const u64* RESTRICT sample_ids, u64 sample_ids_offset, GLOBAL scalar* y, u64 y_offset,
                        u64 count, IMAGE_PARAMETERS, u32 holes, u64 first_sample, u32 op, real value, KEY_PARAMETERS) {
    const image_shape shape = IMAGE_SHAPE;
    const block_range blocks = blocks_of(0, count);
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    if (sample_ids != 0) sample_ids += sample_ids_offset;
    x += x_offset;
    boxes += boxes_offset;
    y += y_offset;
    const u32 in_place = x == y;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        real values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (u32 part = 0; part < PARTS; part++) {
            const u64 index = part_index(block, part);
            const image_place place = place_of(&shape, index);
            const u32 erased = erased_bits(&shape, boxes, holes, place);
            if (in_place && erased == 0) continue;
            real* own = values + PART_LANES * part;
            if (erased != (1u << PART_LANES) - 1) load_part(x, index, own);
#if NOISE
            if (erased != 0) {
                const random_key owner = sample_key(resolved, id_of(sample_ids, first_sample, place.image));
                for (u32 four = 0; four < PART_LANES; four += 4) {
                    float normals[4];
                    const u64 first = ((u64)op << 32 | NOISE_BLOCKS) + (place.in_image + four) / 4;
                    normals_of(philox(owner, first), normals);
                    for (u32 i = 0; i < 4; i++)
                        if (erased >> (four + i) & 1u) own[four + i] = value * (real)normals[i];
                }
            }
#else
            for (u32 i = 0; i < PART_LANES; i++) own[i] = erased >> i & 1u ? value : own[i];
#endif
            store_part(y, index, own);
        }
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        image_place place = place_of(&shape, 8 * block);
        for (u64 i = 8 * block; i < 8 * block + 8 && i < count; i++) {
            u32 erased = 0;
            for (u32 hole = 0; hole < holes; hole++)
                erased |= is_in_box(&shape, boxes + 4 * (place.image * holes + hole), place);
            if (erased) {
                const random_key owner = sample_key(resolved, id_of(sample_ids, first_sample, place.image));
                store(y, i, filling(owner, op, place.in_image, value));
            } else if (!in_place) {
                store(y, i, load(x, i));
            }
            step(&shape, &place);
        }
    }
}
