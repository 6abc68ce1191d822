// Noise in feature space: y = x + gamma sigma z, with z standard normal and sigma the standard deviation of the feature
// within the row's class, or over all rows (DeVries and Taylor, "Dataset augmentation in feature space", ICLR workshop
// 2017).
//
//   feature_deviations  sigma for each class and feature, by Welford's update in the order of the rows
//   feature_noise       an item takes four features of a row, which a Philox block of the row's sample serves

#include "types.h"
#include "divisor.h"
#include "philox.h"
#include "math.h"
#include "normal.h"
#include "augment_key.h"
#include "errors.h"

#define NOISE_BLOCKS 0x10000u

// The compiler's own choice spills.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 4

// Without labels there is one class. A class of less than two rows has 0.
KERNEL void feature_deviations(GLOBAL const scalar* RESTRICT features, u64 features_offset,
                               GLOBAL const i32* RESTRICT labels, u64 labels_offset, GLOBAL real* RESTRICT deviations,
                               u64 deviations_offset, u64 rows, u64 run, u64 classes) {
    features += features_offset;
    if (labels != 0) labels += labels_offset;
    for (u64 i = GLOBAL_ID; i < classes * run; i += GLOBAL_SIZE) {
        const u64 own = i / run, feature = i - own * run;
        real count = 0, mean = 0, squares = 0;
        for (u64 row = 0; row < rows; row++) {
            if (labels != 0 && (i64)labels[row] != (i64)own) continue;
            const real value = load(features, row * run + feature);
            count += 1;
            const real difference = value - mean;
            mean += difference / count;
            squares = FMA(difference, value - mean, squares);
        }
        deviations[deviations_offset + i] = count < 2 ? (real)0 : SQRT(squares / count);
    }
}

// Fours of a row that an item takes, so that it makes the key of the row's sample once for all.
#define ITEM_FOURS 4

// x and noise of one four. VEC = 8 needs rows of whole fours on 16 bytes, and deviations too.
DEVICE void add_noise(GLOBAL const scalar* x, GLOBAL const real* deviations, GLOBAL scalar* y, u64 first, u32 lanes,
                      u32 exists, real factor, philox_block drawn) {
    float normals[4];
    real values[4] = {0, 0, 0, 0}, deviation[4] = {0, 0, 0, 0};
#if VEC == 8
    load4(x, first, values);
    if (exists) load4_real(deviations, deviation);
#else
    for (u32 lane = 0; lane < 4; lane++) {
        if (lane >= lanes) continue;
        values[lane] = load(x, first + lane);
        if (exists) deviation[lane] = deviations[lane];
    }
#endif
    normals_of(drawn, normals);
    for (u32 lane = 0; lane < 4; lane++) {
        const real scaled = factor * deviation[lane];
        values[lane] = scaled != 0 ? FMA(scaled, (real)normals[lane], values[lane]) : values[lane];
    }
#if VEC == 8
    store4(y, first, values);
#else
    for (u32 lane = 0; lane < 4; lane++)
        if (lane < lanes) store(y, first + lane, values[lane]);
#endif
}

// Rows of `fours` times four features, the last of which may not exist; an item's are `items` apart, which are those of
// a row. Without labels all rows have the deviations of class 0; a label outside the classes is reported and its row
// copied.
KERNEL void feature_noise(GLOBAL const scalar* x, u64 x_offset, GLOBAL const u64* RESTRICT sample_ids,
                          u64 sample_ids_offset, GLOBAL const i32* RESTRICT labels, u64 labels_offset,
                          GLOBAL const real* RESTRICT deviations, u64 deviations_offset, GLOBAL scalar* y, u64 y_offset,
                          GLOBAL u32* RESTRICT error, u64 error_offset, u64 rows, u64 run, u64 items, u64 items_inverse,
                          u32 items_shift, u64 classes, u64 first_sample, u32 op, real factor, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 fours = (run + 3) / 4;
    if (sample_ids != 0) sample_ids += sample_ids_offset;
    x += x_offset;
    deviations += deviations_offset;
    y += y_offset;
    for (u64 i = GLOBAL_ID; i < rows * items; i += GLOBAL_SIZE) {
        const u64 row = quotient(i, items_inverse, items_shift), item = i - row * items;
        const i32 label = labels != 0 ? labels[labels_offset + row] : 0;
        const u32 exists = label >= 0 && (u64)label < classes;
        if (!exists && item == 0) report_error(error, error_offset, row);
        const random_key owner = sample_key(resolved, id_of(sample_ids, first_sample, row));
        UNROLL
        for (u32 turn = 0; turn < ITEM_FOURS; turn++) {
            const u64 four = item + turn * items;
            if (four < fours)
                add_noise(x, deviations + (u64)label * run + 4 * four, y, row * run + 4 * four,
                          run - 4 * four < 4 ? (u32)(run - 4 * four) : 4u, exists, factor,
                          philox(owner, ((u64)op << 32 | NOISE_BLOCKS) + four));
        }
    }
}
