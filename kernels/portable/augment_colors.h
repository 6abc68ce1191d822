// Colour ops of augmentation (augment_image.h has their codes and the table) on a few pixels side by side, so that what
// an op asks of the table is asked once for all of them. v[3 k + channel] are the colours of pixel k; `pixels` is a
// constant at every call.

// NaN is black, and so is -0.
DEVICE real clamped(real value, real white) {
#if DIALECT_CUDA
    // Here 0 is more than -0, which OpenCL leaves open.
    return -MAX(-MAX(value, (real)0), -white);
#else
    return value > 0 ? (value < white ? value : white) : 0;
#endif
}

DEVICE real grey_of(const real* v, u32 channels) {
    return channels < 3 ? v[0] : FMA((real)0.2989, v[0], FMA((real)0.587, v[1], (real)0.114 * v[2]));
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

// Away from a grey, black, the pixel's own or the image's, by a factor.
DEVICE void blend(real* v, u32 code, real value, real mean, u32 channels, real white) {
    const real other = code == COLOR_CONTRAST ? mean : code == COLOR_SATURATION ? grey_of(v, channels) : 0;
    const real share = (1 - value) * other;
    for (u32 k = 0; k < 3; k++) v[k] = clamped(FMA(value, v[k], share), white);
}

// What one op makes of the pixels. Sharpness, which needs the neighbours, is none of these.
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
    } else {
        const real mean = code == COLOR_CONTRAST ? statistics[0] : 0;
        for (u32 i = 0; i < pixels; i++) blend(v + 3 * i, code, value, mean, channels, white);
    }
}

// A table may hold anything: what is no number of ops is 0, or the most there are, and what is no code is no op.
DEVICE u32 count_of(GLOBAL const float* row) {
    return row[6] > 0 ? (u32)(row[6] < MOST_COLORS ? row[6] : MOST_COLORS) : 0;
}

DEVICE u32 code_of(GLOBAL const float* row, u32 i) {
    const float code = row[TABLE_CODES + i];
    return code >= COLOR_BRIGHTNESS && code <= COLOR_SHARPNESS ? (u32)code : 0;
}

DEVICE u32 needs_statistics(u32 code) {
    return code == COLOR_CONTRAST || code == COLOR_EQUALIZE || code == COLOR_AUTOCONTRAST;
}

// The ops of a sample from `first` to `end` - 1, but for sharpness. `statistics` are those of the sample;
// `statistic_count` of its ops have some.
DEVICE void color_range(real* v, u32 pixels, GLOBAL const float* row, u32 first, u32 end, u32 statistic,
                        GLOBAL const real* statistics, u32 channels, real white, real levels, u32 statistic_count) {
    for (u32 i = first; i < end; i++) {
        const u32 code = code_of(row, i), needs = needs_statistics(code);
        if (code == COLOR_SHARPNESS || code == 0 || (needs && statistic >= statistic_count)) continue;
        color_pixels(v, pixels, code, row[TABLE_VALUES + i], statistics + statistic * STATISTICS_LENGTH, channels,
                     white, levels);
        statistic += needs;
    }
}

// Op that sharpens among the first `end`, or `end`.
DEVICE u32 sharpness_of(GLOBAL const float* row, u32 end) {
    for (u32 i = 0; i < end; i++)
        if (code_of(row, i) == COLOR_SHARPNESS) return i;
    return end;
}

DEVICE u32 statistics_before(GLOBAL const float* row, u32 end) {
    u32 count = 0;
    for (u32 i = 0; i < end; i++) count += needs_statistics(code_of(row, i));
    return count;
}
