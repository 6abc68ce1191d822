// Norms that are right wherever a norm can be stored, in one pass and without a division: three sums of squares, of
// values scaled down, of values as they are and of values scaled up. The scales are powers of two, so the sums are one
// number in three ranges, and the one that neither overflowed nor lost terms to underflow tells the norm. The first sum
// takes large values only, as processors are slow where products underflow; it is finite iff all values are.

#define SQUARE_SUMS 3

#if DTYPE_F64
#define SQUARES_DOWN 2.4099198651028841e-181 // 2^-600
#define SQUARES_UP   8.4527124981706436e270  // 2^900
#define SQUARES_LOW  1.1830521861667747e-271 // 2^-900: a smaller sum may have lost terms
#define SQUARES_HIGH 1.2676506002282294e30   // 2^100: squares of smaller values do not matter where a sum overflows
#else
#define SQUARES_DOWN 8.0779356694631609e-28f // 2^-90
#define SQUARES_UP   1.2676506002282294e30f  // 2^100
#define SQUARES_LOW  8.2718061255302767e-25f // 2^-80
#define SQUARES_HIGH 1073741824.0f           // 2^30
#endif

// A sum over any number of terms: what an addition rounds away is carried to the next (Kahan, 1965). An infinity
// carries nothing.
typedef struct {
    real sum, lost;
} long_sum;

DEVICE void add_long(long_sum* total, real value) {
    const real term = value - total->lost;
    const real sum = total->sum + term;
    total->lost = is_finite(sum) ? (sum - total->sum) - term : (real)0;
    total->sum = sum;
}

// Adds the squares of `count` values, a constant.
DEVICE void add_squares(long_sum* totals, const real* values, u32 count) {
    real down = 0, plain = 0, up = 0;
    for (u32 k = 0; k < count; k++) {
        const real value = values[k];
        const u32 is_small = value > -SQUARES_HIGH && value < SQUARES_HIGH;
        const real low = (is_small ? (real)0 : value) * SQUARES_DOWN, high = value * SQUARES_UP;
        down += low * low;
        plain += value * value;
        up += high * high;
    }
    add_long(&totals[0], down);
    add_long(&totals[1], plain);
    add_long(&totals[2], up);
}

// The sums of the whole group. `scratch` holds SQUARE_SUMS * GROUP_SIZE values.
DEVICE INLINED void group_squares(const long_sum* totals, real* sums, LOCAL real* scratch) {
    for (u32 s = 0; s < SQUARE_SUMS; s++) sums[s] = totals[s].sum;
    team_sums(sums, SQUARE_SUMS, GROUP_SIZE, scratch);
}

// A norm is length / scale. The scale is 1, or less where squares overflow: there the norm itself may.
typedef struct {
    real length, scale;
} scaled_norm;

DEVICE scaled_norm norm_of(const real* sums) {
    scaled_norm norm = {SQRT(sums[1]), 1};
    if (sums[1] < SQUARES_LOW) norm.length = SQRT(sums[2]) * (1 / SQUARES_UP);
    if (sums[1] == -NEGATIVE_INFINITY) {
        norm.length = SQRT(sums[0]);
        norm.scale = SQUARES_DOWN;
    }
    return norm;
}
