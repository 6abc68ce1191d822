// Count, mean and sum of squared distances from the mean of many numbers, in one pass and without a division for each.
// A group adds up distances from a number that its items share and their squares; what groups have is merged as Chan,
// Golub and LeVeque do (1979), in a fixed order. Means are relative to a number that all share, so that they keep their
// digits where the mean is far larger than the deviation. The squares are added up twice, the second time scaled down
// by a power of two: that sum stays finite where the first overflows.

#if DTYPE_F64
#define MOMENTS_DOWN 2.4099198651028841e-181 // 2^-600
#else
#define MOMENTS_DOWN 8.0779356694631609e-28f // 2^-90
#endif

typedef struct {
    real count, mean, squares, coarse;
} moments;

// Values of `moments` for each item in local memory.
#define MOMENT_FIELDS 4

// What moments are stored as: count, mean, what the rounding of the mean left, squares and coarse squares; each of them
// a row over the channels.
#define MOMENT_ROWS 5

// Sums of distances from some number and of their squares, as they are and scaled down.
typedef struct {
    real sum, squares, coarse;
    u32 count;
} distance_sums;

DEVICE void add_distances(distance_sums* sums, const real* values, real from) {
    real sum = 0, squares = 0, coarse = 0;
    for (u32 lane = 0; lane < 8; lane++) {
        const real distance = values[lane] - from, down = distance * MOMENTS_DOWN;
        sum += distance;
        squares = FMA(distance, distance, squares);
        coarse = FMA(down, down, coarse);
    }
    sums->sum += sum;
    sums->squares += squares;
    sums->coarse += coarse;
}

// The mean is relative to the number that the distances are from.
DEVICE moments moments_of(real count, real sum, real squares, real coarse) {
    moments result = {0, 0, 0, 0};
    if (count > 0) {
        const real mean = sum / count;
        result.count = count;
        result.mean = mean;
        result.squares = squares - mean * sum;
        result.coarse = coarse - mean * MOMENTS_DOWN * (sum * MOMENTS_DOWN);
        // Rounding may leave less than nothing; what is not finite stays so.
        if (result.squares < 0 && is_finite(result.squares)) result.squares = 0;
        if (result.coarse < 0) result.coarse = 0;
    }
    return result;
}

DEVICE moments merged(moments a, moments b) {
    moments both;
    both.count = a.count + b.count;
    const real share = both.count > 0 ? b.count / both.count : (real)0;
    const real apart = b.mean - a.mean, down = apart * MOMENTS_DOWN, weight = a.count * share;
    both.mean = FMA(apart, share, a.mean);
    both.squares = a.squares + b.squares + apart * apart * weight;
    both.coarse = a.coarse + b.coarse + down * down * weight;
    return both;
}

DEVICE INLINED void put_moments(LOCAL real* scratch, u32 place, moments own) {
    scratch[place] = own.count;
    scratch[GROUP_SIZE + place] = own.mean;
    scratch[2 * GROUP_SIZE + place] = own.squares;
    scratch[3 * GROUP_SIZE + place] = own.coarse;
}

DEVICE INLINED moments moments_at(LOCAL const real* scratch, u32 place) {
    const moments own = {scratch[place], scratch[GROUP_SIZE + place], scratch[2 * GROUP_SIZE + place],
                         scratch[3 * GROUP_SIZE + place]};
    return own;
}

// Of `width` items and those that lie a multiple of `width` behind each. `scratch` holds MOMENT_FIELDS * GROUP_SIZE
// values, and may be used again right after.
DEVICE INLINED moments merged_depths(moments own, u32 width, LOCAL real* scratch) {
    put_moments(scratch, LOCAL_ID, own);
    BARRIER();
    for (u32 half_size = GROUP_SIZE / 2; half_size >= width; half_size /= 2) {
        if (LOCAL_ID < half_size)
            put_moments(scratch, LOCAL_ID,
                        merged(moments_at(scratch, LOCAL_ID), moments_at(scratch, LOCAL_ID + half_size)));
        BARRIER();
    }
    own = moments_at(scratch, LOCAL_ID % width);
    BARRIER();
    return own;
}

// What rounding left of a + b (Knuth, 1969).
DEVICE real rest_of_sum(real a, real b, real sum) {
    const real back = sum - a;
    return (a - (sum - back)) + (b - back);
}

// A value that is not finite makes the moments of all NaN.
DEVICE u32 are_finite(moments own) { return is_finite(own.coarse) && is_finite(own.mean); }

// Squares that overflowed are infinite; what is not finite makes all but the count NaN.
DEVICE void store_moments(GLOBAL real* rows, u64 unit, u64 units, real reference, moments own) {
    const real mean = reference + own.mean;
    const u32 sound = are_finite(own) && is_finite(mean);
    rows[unit] = own.count;
    rows[units + unit] = sound ? mean : QUIET_NAN;
    rows[2 * units + unit] = sound ? rest_of_sum(reference, own.mean, mean) : QUIET_NAN;
    rows[3 * units + unit] = !sound ? QUIET_NAN : is_finite(own.squares) ? own.squares : -NEGATIVE_INFINITY;
    rows[4 * units + unit] = sound ? own.coarse : QUIET_NAN;
}

// The moments of part `part` of `parts`. Nothing of a part without elements is looked at but its count.
DEVICE moments load_moments(GLOBAL const real* rows, u64 unit, u64 units, real reference, u64 part, u64 parts) {
    moments own = {0, 0, 0, 0};
    if (part >= parts) return own;
    rows += part * MOMENT_ROWS * units + unit;
    const real mean = (rows[units] - reference) + rows[2 * units], squares = rows[3 * units], coarse = rows[4 * units];
    own.count = rows[0];
    own.mean = own.count == 0 ? (real)0 : mean;
    own.squares = own.count == 0 ? (real)0 : squares;
    own.coarse = own.count == 0 ? (real)0 : is_finite(own.count) ? coarse : QUIET_NAN;
    return own;
}

DEVICE real variance_of(moments own) {
    const real variance = own.squares / own.count;
    if (!are_finite(own)) return QUIET_NAN;
    return is_finite(variance) ? variance : own.coarse / own.count * (1 / MOMENTS_DOWN) * (1 / MOMENTS_DOWN);
}

DEVICE real inverse_deviation_of(moments own, real epsilon) {
    const real variance = own.squares / own.count;
    if (!are_finite(own)) return QUIET_NAN;
    return is_finite(variance) ? 1 / SQRT(variance + epsilon) : MOMENTS_DOWN / SQRT(own.coarse / own.count);
}
