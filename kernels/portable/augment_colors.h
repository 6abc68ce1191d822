// Colour ops of augmentation (augment_image.h has their codes and the table) on a few pixels side by side, so that what
// an op asks of the table is asked once for all of them. v[3 k + channel] are the colours of pixel k; `pixels` is a
// constant at every call.

// NaN is black, and so is -0.
DEVICE real clamped(real value, real white) {
#if DIALECT_CUDA
    // Here 0 is more than -0, which OpenCL leaves open.
    return MIN(MAX(value, (real)0), white);
#else
    return value > 0 ? (value < white ? value : white) : 0;
#endif
}

// To [0, 1] as clamped does; on CUDA in the instruction that makes the value.
DEVICE real saturated(real value) {
#if DIALECT_CUDA && !DTYPE_F64
    return __saturatef(value);
#else
    return clamped(value, 1);
#endif
}

#define RED_SHARE   ((real)0.2989)
#define GREEN_SHARE ((real)0.587)
#define BLUE_SHARE  ((real)0.114)

DEVICE real grey_of(const real* v, u32 channels) {
    return channels < 3 ? v[0] : FMA(RED_SHARE, v[0], FMA(GREEN_SHARE, v[1], BLUE_SHARE * v[2]));
}

// The level, 0 to 255, of a value; NaN is black.
DEVICE u32 level_of(real value, real levels) { return (u32)(clamped(value * levels, (real)255) + (real)0.5); }

// A turn, in parts of a circle, without whole circles.
DEVICE real part_of_circle(real turn) { return turn > -4194304 && turn < 4194304 ? turn - nearest_of(turn) : 0; }

// By less than a circle. A pixel that is not finite stays.
DEVICE void turn_hue(real* v, real turn) {
    const real most = MAX(v[0], MAX(v[1], v[2])), least = -MAX(-v[0], MAX(-v[1], -v[2])), range = most - least;
    if (!(range > 0) || !is_finite(v[0] + v[1] + v[2])) return;
    const real inverse = 1 / range;
    real sixth = most == v[0]   ? (v[1] - v[2]) * inverse
                 : most == v[1] ? FMA(v[2] - v[0], inverse, (real)2)
                                : FMA(v[0] - v[1], inverse, (real)4);
    sixth = FMA((real)6, turn, sixth);
    for (u32 k = 0; k < 3; k++) {
        // Red, green and blue are at their most 5, 3 and 1 sixths before a full turn.
        const real from = sixth + (real)(5 - 2 * (i32)k);
        const real place = FMA((real)-6, floor_of_small(from * (real)(1.0f / 6)), from);
        const real other = 4 - place, nearer = place < other ? place : other;
        v[k] = FMA(-range, clamped(nearer, (real)1), most);
    }
}

// Away from a grey, of which there is a share, by a factor.
DEVICE void blend(real* v, real value, real share, real white) {
    for (u32 k = 0; k < 3; k++) v[k] = clamped(FMA(value, v[k], share), white);
}

// What one of the other ops makes of the pixels, but for sharpness, which needs the neighbours.
DEVICE void color_pixels(real* v, u32 pixels, u32 code, real value, GLOBAL const real* statistics, u32 channels,
                         real white, real levels) {
    if (code == COLOR_HUE) {
        if (!is_finite(value)) return;
        const real turn = part_of_circle(value);
        for (u32 i = 0; i < pixels; i++) turn_hue(v + 3 * i, turn);
    } else if (code == COLOR_POSTERIZE) {
        const u32 kept = LEVELS - (LEVELS >> (value > 1 ? (u32)(value < 8 ? value : 8) : 1));
        for (u32 i = 0; i < 3 * pixels; i++) v[i] = (real)(level_of(v[i], levels) & kept) / levels;
    } else if (code == COLOR_SOLARIZE) {
        for (u32 i = 0; i < 3 * pixels; i++) v[i] = v[i] * levels >= value ? white - v[i] : v[i];
    } else if (code == COLOR_EQUALIZE) {
        for (u32 i = 0; i < 3 * pixels; i++)
            if (i % 3 < channels) v[i] = statistics[i % 3 * LEVELS + level_of(v[i], levels)];
    } else if (code == COLOR_AUTOCONTRAST) {
        for (u32 k = 0; k < 3; k++) {
            if (k >= channels) continue;
            const real least = statistics[k * LEVELS], factor = statistics[k * LEVELS + 1];
            for (u32 i = 0; i < pixels; i++) v[3 * i + k] = clamped(factor * (v[3 * i + k] - least), white);
        }
    }
}

// A table may hold anything: what is no number of ops is 0, or the most there are, and what is no code is no op.
DEVICE u32 count_of(GLOBAL const float* row) {
    return row[6] > 0 ? (u32)(row[6] < MOST_COLORS ? row[6] : MOST_COLORS) : 0;
}

DEVICE u32 needs_statistics(u32 code) {
    return code == COLOR_CONTRAST || code == COLOR_EQUALIZE || code == COLOR_AUTOCONTRAST;
}

// The codes of a row, of four bits each, the first lowest; 0 is no op. `statistic_count` of its ops have statistics;
// further ones that need some are none.
DEVICE u32 codes_of(GLOBAL const float* row, u32 statistic_count) {
    u32 codes = 0, statistics = 0;
    for (u32 i = 0; i < count_of(row); i++) {
        const float stored = row[TABLE_CODES + i];
        const u32 code = stored >= COLOR_BRIGHTNESS && stored <= COLOR_SHARPNESS ? (u32)stored : 0;
        statistics += needs_statistics(code);
        if (!needs_statistics(code) || statistics <= statistic_count) codes |= code << (4 * i);
    }
    return codes;
}

DEVICE u32 code_of(u32 codes, u32 i) { return codes >> (4 * i) & 15; }

DEVICE u32 codes_before(u32 codes, u32 end) { return end < MOST_COLORS ? codes & ((1u << (4 * end)) - 1) : codes; }

DEVICE u32 statistics_of(u32 codes) {
    u32 count = 0;
    for (; codes != 0; codes >>= 4) count += needs_statistics(codes & 15);
    return count;
}

// The op that sharpens, or MOST_COLORS.
DEVICE u32 sharpness_of(u32 codes) {
    u32 i = 0;
    while (i < MOST_COLORS && code_of(codes, i) != COLOR_SHARPNESS) i++;
    return i;
}

// Lists of nothing but brightness, contrast and saturation, as most are: what they lead to is a share of white, which
// costs less to clamp.
DEVICE u32 is_blends(u32 codes) { return codes != 0 && (codes & 0xccccccccu) == 0; }

// What the values that a list leads to are shares of.
DEVICE real unit_of(u32 codes, real white) { return is_blends(codes) ? white : 1; }

// A list of blends, whose ops are told apart by a bit: 1 is brightness or contrast, 2 is saturation.
#define BLEND_PLAIN      1
#define BLEND_SATURATION 2
DEVICE u32 blends_of(u32 codes) { return ((codes ^ codes >> 1) & 0x11111111u) | (codes & codes << 1 & 0x22222222u); }

// What items need of an op: its value, and the share of what brightness and contrast lead away from, or of blends what
// saturation takes of each channel.
#define SETTING_LENGTH 4

// Of op `i` of a list; `mean` is that of the image for contrast. Of blends the first divides by white, and the others'
// means are shares of it.
DEVICE INLINED void keep_setting(u32 codes, u32 i, real value, real mean, u32 channels, real white,
                                 LOCAL real* settings) {
    const u32 code = code_of(codes, i), has_unit = is_blends(codes);
    const real unit = 1 / white, own = has_unit && codes_before(codes, i) == 0 ? unit : 1;
    const real share = code == COLOR_CONTRAST                 ? (1 - value) * (has_unit ? mean * unit : mean)
                       : has_unit && code == COLOR_SATURATION ? (1 - value) * own
                                                              : 0;
    const u32 is_split = code == COLOR_SATURATION && channels == 3;
    LOCAL real* setting = settings + SETTING_LENGTH * i;
    setting[0] = value * own;
    setting[1] = is_split ? RED_SHARE * share : share;
    setting[2] = is_split ? GREEN_SHARE * share : 0;
    setting[3] = is_split ? BLUE_SHARE * share : 0;
}

// The same of all ops; `statistics` are those of the sample.
DEVICE INLINED void keep_settings(u32 codes, GLOBAL const float* row, GLOBAL const real* statistics, u32 channels,
                                  real white, LOCAL real* settings) {
    const u32 i = LOCAL_ID;
    if (i >= MOST_COLORS) return;
    GLOBAL const real* own = statistics + statistics_of(codes_before(codes, i)) * STATISTICS_LENGTH;
    keep_setting(codes, i, row[TABLE_VALUES + i], code_of(codes, i) == COLOR_CONTRAST ? own[0] : 0, channels, white,
                 settings);
}

// Blends, which lead to shares of white.
DEVICE INLINED void blend_pixels(real* v, u32 pixels, u32 blends, LOCAL const real* settings) {
    for (; blends != 0; blends >>= 4, settings += SETTING_LENGTH) {
        for (; (blends & BLEND_PLAIN) != 0; blends >>= 4, settings += SETTING_LENGTH) {
            const real value = settings[0], share = settings[1];
            for (u32 k = 0; k < 3 * pixels; k++) v[k] = saturated(FMA(value, v[k], share));
        }
        if ((blends & BLEND_SATURATION) == 0) continue;
        const real value = settings[0], red = settings[1], green = settings[2], blue = settings[3];
        for (u32 k = 0; k < pixels; k++) {
            const real grey = FMA(red, v[3 * k], FMA(green, v[3 * k + 1], blue * v[3 * k + 2]));
            for (u32 c = 0; c < 3; c++) v[3 * k + c] = saturated(FMA(value, v[3 * k + c], grey));
        }
    }
}

// The ops of a list from `i` on, whose codes are left, but for sharpness. `statistics` are those of the first that has
// some.
DEVICE INLINED void color_range(real* v, u32 pixels, u32 codes, u32 i, LOCAL const real* settings,
                                GLOBAL const real* statistics, u32 channels, real white, real levels) {
    for (;; codes >>= 4, i++) {
        // Most lists have nothing else.
        for (; (codes & 15) - 1 < COLOR_SATURATION; codes >>= 4, i++) {
            const real value = settings[SETTING_LENGTH * i], share = settings[SETTING_LENGTH * i + 1];
            if ((codes & 15) == COLOR_SATURATION)
                for (u32 k = 0; k < pixels; k++)
                    blend(v + 3 * k, value, (1 - value) * grey_of(v + 3 * k, channels), white);
            else
                for (u32 k = 0; k < pixels; k++) blend(v + 3 * k, value, share, white);
            if ((codes & 15) == COLOR_CONTRAST) statistics += STATISTICS_LENGTH;
        }
        if (codes == 0) return;
        color_pixels(v, pixels, codes & 15, settings[SETTING_LENGTH * i], statistics, channels, white, levels);
        if (needs_statistics(codes & 15)) statistics += STATISTICS_LENGTH;
    }
}

// All ops of a list, or `before`, those in front of its sharpness; what they lead to are shares of unit_of the list.
DEVICE INLINED void color_list(real* v, u32 pixels, u32 codes, u32 before, LOCAL const real* settings,
                               GLOBAL const real* statistics, u32 channels, real white, real levels) {
    if (is_blends(codes))
        blend_pixels(v, pixels, blends_of(codes), settings);
    else
        color_range(v, pixels, before, 0, settings, statistics, channels, white, levels);
}
