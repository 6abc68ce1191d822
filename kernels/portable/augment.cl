// Augmentation of a batch of images in one pass: y = (colors(x at the mapped place) - mean) / deviation, where each
// image has its own affine map, its own list of colour ops (augment_image.h) and its own box that is erased. Rotation,
// crop and flips are one interpolation, and type and layout become what a network takes.
//
//   augment_apply       y; HAS_COLORS for up to three channels, with colour ops and boxes
//   augment_statistics  what one op of each image's list needs of the whole image: a mean, extremes or a histogram

#include "types.h"
#include "reduce.h"
#include "divisor.h"
#include "augment_image.h"

// The compiler's own choice spills.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 4

// Pixels of a tile: four for each item of a group.
#define TILE_PIXELS (4 * GROUP_SIZE)

KERNEL void augment_apply(GLOBAL const u8* RESTRICT x, u64 x_offset, GLOBAL const float* RESTRICT table,
                          u64 table_offset, u32 table_width, GLOBAL const real* RESTRICT statistics,
                          u64 statistics_offset, GLOBAL scalar* RESTRICT y, u64 y_offset, u64 tiles, u64 sample_inverse,
                          u32 sample_shift, u32 sample_tiles, u32 y_pixel, u32 y_channel, real erased,
                          AUGMENT_IMAGE_PARAMETERS, AUGMENT_MAP_PARAMETERS, AUGMENT_COLOR_PARAMETERS,
                          NORMALIZE_PARAMETERS) {
    x += x_offset;
    y += y_offset;
    const u32 pixels = out_height * out_width;
    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 sample = quotient(tile, sample_inverse, sample_shift);
        GLOBAL const float* row = table + table_offset + sample * table_width;
        const augment_image image = AUGMENT_IMAGE_OF(x, sample, row);
        GLOBAL scalar* target = y + sample * channels * pixels;
#if HAS_COLORS
        const u32 colors = count_of(row), sharp = sharpness_of(row, colors);
        GLOBAL const real* kept = statistics + statistics_offset + sample * statistic_count * STATISTICS_LENGTH;
#endif
        const u32 start = (u32)(tile - sample * sample_tiles) * TILE_PIXELS + LOCAL_ID;
        for (u32 k = 0; k < 4; k++) {
            const u32 pixel = start + k * GROUP_SIZE;
            if (pixel >= pixels) continue;
            const u32 r = quotient_31(pixel, row_inverse, row_shift), column = pixel - r * out_width;
            for (u32 channel = 0; channel < channels; channel += 3) {
                real v[3];
#if HAS_COLORS
                colored(&image, row, colors, sharp, r, column, kept, white, levels, statistic_count, v);
                const u32 is_erased = (real)r >= row[TABLE_BOX] && (real)column >= row[TABLE_BOX + 1] &&
                                      (real)r < row[TABLE_BOX + 2] && (real)column < row[TABLE_BOX + 3];
#else
                sampled(&image, r, column, channel, v);
                const u32 is_erased = 0;
#endif
                for (u32 i = 0; i < 3; i++) {
                    if (channel + i >= channels) continue;
                    const u32 c = channel + i;
                    const real value = channel > 0 ? FMA(v[i], scale3, shift3)
                                                   : FMA(v[i], of_channel(i, scale0, scale1, scale2, scale3),
                                                         of_channel(i, shift0, shift1, shift2, shift3));
                    store(target, pixel * y_pixel + c * y_channel, is_erased ? erased : value);
                }
            }
        }
    }
}

// One group takes one image. `statistic` counts the ops of a list that have some; of one with fewer nothing is left.
KERNEL void augment_statistics(GLOBAL const u8* RESTRICT x, u64 x_offset, GLOBAL const float* RESTRICT table,
                               u64 table_offset, u32 table_width, GLOBAL real* statistics, u64 statistics_offset,
                               u64 samples, u32 statistic, AUGMENT_IMAGE_PARAMETERS, AUGMENT_MAP_PARAMETERS,
                               AUGMENT_COLOR_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    SHARED u64 counts[GROUP_SIZE];
    SHARED u32 histogram[3 * LEVELS];
    x += x_offset;
    table += table_offset;
    statistics += statistics_offset;
    const u32 pixels = out_height * out_width, level = LOCAL_ID;
    for (u64 sample = GROUP_ID; sample < samples; sample += GROUP_COUNT) {
        GLOBAL const float* row = table + sample * table_width;
        GLOBAL real* all = statistics + sample * statistic_count * STATISTICS_LENGTH;
        GLOBAL real* own = all + statistic * STATISTICS_LENGTH;
        const augment_image image = AUGMENT_IMAGE_OF(x, sample, row);
        u32 code = 0, op = 0, seen = 0;
        for (u32 i = 0; i < count_of(row); i++) {
            const u32 needs = needs_statistics(code_of(row, i));
            if (needs && seen == statistic) code = code_of(row, i), op = i;
            seen += needs;
        }
        const u32 sharp = sharpness_of(row, op);
        for (u32 k = 0; k < 3; k++) histogram[k * LEVELS + level] = 0;
        BARRIER();
        real sum = 0, most[6];
        for (u32 k = 0; k < 6; k++) most[k] = NEGATIVE_INFINITY;
        for (u32 pixel = level; code != 0 && pixel < pixels; pixel += GROUP_SIZE) {
            const u32 r = quotient_31(pixel, row_inverse, row_shift);
            real v[3];
            colored(&image, row, op, sharp, r, pixel - r * out_width, all, white, levels, statistic_count, v);
            sum += grey_of(v, channels);
            for (u32 k = 0; k < 3; k++) {
                if (k >= channels) continue;
                most[k] = MAX(most[k], v[k]);
                most[3 + k] = MAX(most[3 + k], -v[k]);
                if (code == COLOR_EQUALIZE) ATOMIC_ADD(&histogram[k * LEVELS + level_of(v[k], levels)], 1u);
            }
        }
        sum = group_sum(sum, scratch);
        for (u32 k = 0; k < 3; k++) {
            const u32 count = histogram[k * LEVELS + level];
            u64 total;
            const u64 below = running_sum(count, counts, &total) - count;
            const real last = team_max(count > 0 ? (real)level : (real)0, GROUP_SIZE, scratch);
            const u64 step = (total - histogram[k * LEVELS + (u32)last]) / (LEVELS - 1);
            const u64 mapped = step == 0 ? level : (below + step / 2) / step;
            if (code == COLOR_EQUALIZE && k < channels)
                own[k * LEVELS + level] = (real)(u32)(mapped < LEVELS ? mapped : LEVELS - 1) / levels;
        }
        // After the curve: the barriers in here part its last look at the histogram from the next image's first.
        for (u32 k = 0; k < 6; k++) most[k] = team_max(most[k], GROUP_SIZE, scratch);
        for (u32 k = 0; k < 3; k++) {
            if (code != COLOR_AUTOCONTRAST || k >= channels || level != 0) continue;
            const real least = -most[3 + k], range = most[k] - least;
            own[k * LEVELS] = range > 0 ? least : 0;
            own[k * LEVELS + 1] = range > 0 ? white / range : 1;
        }
        if (code == COLOR_CONTRAST && level == 0) own[0] = sum / (real)pixels;
    }
}
