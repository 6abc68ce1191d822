// The nearest rows of the same class, by the squares of Euclidean distances, for augmentation in feature space (DeVries
// and Taylor, "Dataset augmentation in feature space", ICLR workshop 2017).
//
//   same_class_neighbours  a group for each row: items take the rows of its class in turn and keep their nearest, of
//                          which the group then takes the nearest one after the other
//
// A distance is a sum in the order of the features, a fused multiply-add for each, so every device finds the same rows.

#include "types.h"

#define MOST_NEIGHBOURS 16
#define NO_NEIGHBOUR    0xfffffffffffffffful

// Distances as floats, then rows, in one number. NaN is as far as infinity.
DEVICE u64 neighbour_key(real distance, u64 row) {
    const float rounded = (float)distance;
    return (u64)(rounded == rounded ? AS_U32(rounded) : 0x7f800000u) << 32 | row;
}

KERNEL void same_class_neighbours(GLOBAL const scalar* RESTRICT features, u64 features_offset,
                                  GLOBAL const i32* RESTRICT labels, u64 labels_offset, GLOBAL i32* RESTRICT neighbours,
                                  u64 neighbours_offset, u64 rows, u64 run, u32 wanted) {
    SHARED u64 keys[GROUP_SIZE];
    features += features_offset;
    labels += labels_offset;
    for (u64 row = GROUP_ID; row < rows; row += GROUP_COUNT) {
        u64 nearest[MOST_NEIGHBOURS];
        UNROLL
        for (u32 i = 0; i < MOST_NEIGHBOURS; i++) nearest[i] = NO_NEIGHBOUR;
        const i32 label = labels[row];
        for (u64 other = LOCAL_ID; other < rows; other += GROUP_SIZE) {
            if (labels[other] != label || other == row) continue;
            real distance = 0;
            for (u64 i = 0; i < run; i++) {
                const real difference = load(features, row * run + i) - load(features, other * run + i);
                distance = FMA(difference, difference, distance);
            }
            // Those that are farther move on by one.
            u64 next = neighbour_key(distance, other);
            UNROLL
            for (u32 i = 0; i < MOST_NEIGHBOURS; i++) {
                const u64 kept = nearest[i];
                nearest[i] = next < kept ? next : kept;
                next = next < kept ? kept : next;
            }
        }
        for (u32 place = 0; place < wanted; place++) {
            keys[LOCAL_ID] = nearest[0];
            BARRIER();
            for (u32 half_size = GROUP_SIZE / 2; half_size > 0; half_size /= 2) {
                if (LOCAL_ID < half_size && keys[LOCAL_ID + half_size] < keys[LOCAL_ID])
                    keys[LOCAL_ID] = keys[LOCAL_ID + half_size];
                BARRIER();
            }
            const u64 first = keys[0];
            BARRIER();
            if (LOCAL_ID == 0)
                neighbours[neighbours_offset + row * wanted + place] = first == NO_NEIGHBOUR ? -1 : (i32)(u32)first;
            const u32 is_taken = nearest[0] == first;
            UNROLL
            for (u32 i = 0; i + 1 < MOST_NEIGHBOURS; i++) nearest[i] = is_taken ? nearest[i + 1] : nearest[i];
            nearest[MOST_NEIGHBOURS - 1] = is_taken ? NO_NEIGHBOUR : nearest[MOST_NEIGHBOURS - 1];
        }
    }
}
