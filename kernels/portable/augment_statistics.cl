// What one op of each image's list of colour ops needs of the whole image, as it is after the ops before
// (augment_image.h): the mean grey for contrast, extremes for autocontrast, a curve from the histogram for equalize.
// An image is cut into parts by its size alone, so that what is found of it does not depend on the batch.
//
//   augment_statistics       a group takes a part; HAS_BYTES of bytes, without of floating-point images
//   augment_statistics_join  a group takes what was found of all parts of an image, in their order

#include "types.h"
#include "reduce.h"
#include "divisor.h"
#include "augment_image.h"
#include "augment_colors.h"
#include "augment_tile.h"

// The compiler's own choice spills.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 2

// Of a part are kept: counts of levels, or a sum of greys, the largest values and the largest of their negatives.
#define PART_MOST  1
#define PART_LEAST 4

// Number of the op whose statistics are the `statistic`-th of a list, or MOST_COLORS of one with fewer.
DEVICE u32 op_of(u32 codes, u32 statistic) {
    u32 i = 0;
    for (; i < MOST_COLORS; i++)
        if (needs_statistics(code_of(codes, i)) && statistics_of(codes_before(codes, i)) == statistic) break;
    return i;
}

// What is kept of a part. The histogram is complete behind the first barrier in here, and read before the last.
DEVICE INLINED void keep(u32 code, real sum, real* most, LOCAL const u32* histogram, LOCAL real* scratch,
                         GLOBAL real* part) {
    const u32 level = LOCAL_ID;
    sum = group_sum(sum, scratch);
    for (u32 k = 0; code == COLOR_EQUALIZE && k < 3; k++)
        part[k * LEVELS + level] = (real)histogram[k * LEVELS + level];
    for (u32 k = 0; k < 6; k++) most[k] = team_max(most[k], GROUP_SIZE, scratch);
    if (level != 0) return;
    if (code == COLOR_CONTRAST) part[0] = sum;
    for (u32 k = 0; code == COLOR_AUTOCONTRAST && k < 3; k++)
        part[PART_MOST + k] = most[k], part[PART_LEAST + k] = most[3 + k];
}

// What an op keeps, from what the group found of the whole image; greys are shares of `unit`. All items call, whatever
// the op is; an item is a level. The histogram is as above.
DEVICE INLINED void finish(u32 code, u32 channels, u32 pixels, real unit, real white, real levels, real sum, real* most,
                           LOCAL const u32* histogram, LOCAL real* scratch, LOCAL u64* counts, GLOBAL real* own) {
    const u32 level = LOCAL_ID;
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
    for (u32 k = 0; k < 6; k++) most[k] = team_max(most[k], GROUP_SIZE, scratch);
    for (u32 k = 0; k < 3; k++) {
        if (code != COLOR_AUTOCONTRAST || k >= channels || level != 0) continue;
        const real least = -most[3 + k], range = most[k] - least;
        own[k * LEVELS] = range > 0 ? least : 0;
        own[k * LEVELS + 1] = range > 0 ? white / range : 1;
    }
    if (code == COLOR_CONTRAST && level == 0) own[0] = unit * (sum / (real)pixels);
}

// `statistic` counts the ops of a list that have some; of one with fewer nothing is left. Jobs are the parts of all
// images.
KERNEL void augment_statistics(GLOBAL const u8* RESTRICT x, u64 x_offset, GLOBAL const float* RESTRICT table,
                               u64 table_offset, u32 table_width, GLOBAL const real* RESTRICT statistics,
                               u64 statistics_offset, GLOBAL real* RESTRICT parts, u64 parts_offset, u64 jobs,
                               u64 sample_inverse, u32 sample_shift, u32 sample_parts, u32 statistic,
                               AUGMENT_IMAGE_PARAMETERS, AUGMENT_MAP_PARAMETERS, AUGMENT_COLOR_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    SHARED u32 histogram[3 * LEVELS];
    SHARED real staged[STAGED_LENGTH], settings[SETTING_LENGTH * MOST_COLORS];
    x += x_offset;
    table += table_offset;
    statistics += statistics_offset;
    const u32 tiles_across = (out_width + TILE_SIDE - 1) / TILE_SIDE;
    for (u64 job = GROUP_ID; job < jobs; job += GROUP_COUNT) {
        const u64 sample = quotient(job, sample_inverse, sample_shift);
        const u32 first_tile = (u32)(job - sample * sample_parts) * PART_TILES;
        GLOBAL const float* row = table + sample * table_width;
        GLOBAL const real* known = statistics + sample * statistic_count * STATISTICS_LENGTH;
        const augment_image image = AUGMENT_IMAGE_OF(x, sample, row);
        const u32 codes = codes_of(row, statistic_count), op = op_of(codes, statistic);
        const u32 code = op < MOST_COLORS ? code_of(codes, op) : 0, before = code == 0 ? 0 : codes_before(codes, op);
        const u32 is_grey = code == COLOR_CONTRAST && sharpness_of(before) == MOST_COLORS;
        const real unit = unit_of(before, white);
#if SKIPS_BARRIERS
        if (code == 0) continue;
#endif
        keep_settings(before, row, known, channels, white, settings);
        for (u32 k = 0; k < 3; k++) histogram[k * LEVELS + LOCAL_ID] = 0;
        BARRIER();
        real sum = 0, most[6];
        for (u32 k = 0; k < 6; k++) most[k] = NEGATIVE_INFINITY;
        for (u32 t = 0; t < PART_TILES; t++) {
            const u32 tile = first_tile + t, down = quotient_31(tile, row_inverse, row_shift);
            const u32 left = (tile - down * tiles_across) * TILE_SIDE;
            if (is_grey) {
                const image_row own = image_row_of(&image, down * TILE_SIDE + row_in_tile(), 0);
                sum = add_greys(&image, &own, left + column_in_tile(), before, settings, known, white, levels, sum);
            }
#if SKIPS_BARRIERS
            if (is_grey) continue;
#endif
            const u32 top = code == 0 || is_grey ? out_height : down * TILE_SIDE;
            const image_row place = image_row_of(&image, top + row_in_tile(), 0);
            real v[3 * ITEM_PIXELS];
            color_tile(&image, &place, before, left, 0, settings, known, white, levels, staged, v);
            for (u32 i = 0; i < ITEM_PIXELS; i++) {
                if (place.row >= out_height || left + column_in_tile() + i >= out_width) continue;
                const real* own = v + 3 * i;
                if (code == COLOR_CONTRAST) sum += grey_of(own, channels);
                for (u32 k = 0; k < 3; k++) {
                    if (code == COLOR_CONTRAST || k >= channels) continue;
                    const real value = unit * own[k];
                    if (code == COLOR_EQUALIZE) ATOMIC_ADD(&histogram[k * LEVELS + level_of(value, levels)], 1u);
                    if (code != COLOR_AUTOCONTRAST) continue;
                    most[k] = MAX(most[k], value);
                    most[3 + k] = MAX(most[3 + k], -value);
                }
            }
        }
        keep(code, sum, most, histogram, scratch, parts + parts_offset + job * STATISTICS_LENGTH);
    }
}

KERNEL void augment_statistics_join(GLOBAL const real* RESTRICT parts, u64 parts_offset,
                                    GLOBAL const float* RESTRICT table, u64 table_offset, u32 table_width,
                                    GLOBAL real* RESTRICT statistics, u64 statistics_offset, u64 samples,
                                    u32 sample_parts, u32 statistic, u32 channels, u32 pixels,
                                    AUGMENT_COLOR_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    SHARED u64 counts[GROUP_SIZE];
    SHARED u32 histogram[3 * LEVELS];
    for (u64 sample = GROUP_ID; sample < samples; sample += GROUP_COUNT) {
        GLOBAL const float* row = table + table_offset + sample * table_width;
        GLOBAL const real* own = parts + parts_offset + sample * sample_parts * STATISTICS_LENGTH;
        const u32 codes = codes_of(row, statistic_count), op = op_of(codes, statistic);
        const u32 code = op < MOST_COLORS ? code_of(codes, op) : 0;
#if SKIPS_BARRIERS
        if (code == 0) continue;
#endif
        for (u32 k = 0; k < 3; k++) {
            u32 count = 0;
            for (u32 part = 0; code == COLOR_EQUALIZE && part < sample_parts; part++)
                count += (u32)own[(u64)part * STATISTICS_LENGTH + k * LEVELS + LOCAL_ID];
            histogram[k * LEVELS + LOCAL_ID] = count;
        }
        real sum = 0, most[6];
        for (u32 k = 0; k < 6; k++) most[k] = NEGATIVE_INFINITY;
        for (u32 part = LOCAL_ID; part < sample_parts; part += GROUP_SIZE) {
            GLOBAL const real* found = own + (u64)part * STATISTICS_LENGTH;
            if (code == COLOR_CONTRAST) sum += found[0];
            for (u32 k = 0; code == COLOR_AUTOCONTRAST && k < 3; k++) {
                most[k] = MAX(most[k], found[PART_MOST + k]);
                most[3 + k] = MAX(most[3 + k], found[PART_LEAST + k]);
            }
        }
        finish(code, channels, pixels, unit_of(codes_before(codes, op), white), white, levels, sum, most, histogram,
               scratch, counts,
               statistics + statistics_offset + (sample * statistic_count + statistic) * STATISTICS_LENGTH);
    }
}
