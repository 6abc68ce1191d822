// Softmax of a row in one pass over its logits (Milakov and Gimelshein, "Online normalizer calculation for softmax",
// 2018), shared among the items of a team. A logit of -inf is a masked class: probability 0, and 0 * log 0 = 0.

// The items of a team take a row in stretches of 8 * team classes, of which there are fewer than 2^31. Wide accesses
// need eight neighbours; without them neighbours go to neighbours.
DEVICE u32 stretch_column(u32 stretch, u32 lane, u32 team, u32 i) {
#if VEC == 8
    return stretch + 8 * lane + i;
#else
    return stretch + lane + team * i;
#endif
}

// This item's eight logits of a stretch, -inf past the end of the row.
DEVICE void load_stretch(GLOBAL const scalar* row, u32 classes, u32 stretch, u32 lane, u32 team, real* z) {
#if VEC == 8
    for (u32 i = 0; i < 8; i++) z[i] = NEGATIVE_INFINITY;
    if (stretch + 8 * lane < classes) load8(row, stretch + 8 * lane, z);
#else
    for (u32 i = 0; i < 8; i++) {
        const u32 k = stretch_column(stretch, lane, team, i);
        z[i] = k < classes ? load(row, k) : NEGATIVE_INFINITY;
    }
#endif
}

DEVICE void store_stretch(GLOBAL scalar* row, u32 classes, u32 stretch, u32 lane, u32 team, const real* values) {
#if VEC == 8
    if (stretch + 8 * lane < classes) store8(row, stretch + 8 * lane, values);
#else
    for (u32 i = 0; i < 8; i++) {
        const u32 k = stretch_column(stretch, lane, team, i);
        if (k < classes) store(row, k, values[i]);
    }
#endif
}

// z - largest for an exponential and for what is multiplied by it. Below -1024 the exponential is 0 in every type, and
// its product with a difference that overflows must be 0 too. NaN stays NaN.
DEVICE real softmax_exponent(real z, real largest) {
    const real x = z - largest;
    return x < -1024 ? (real)-1024 : x;
}

// Sums over the logits so far, relative to the largest of them.
typedef struct {
    real largest;
    real sum;    // of exp(z - largest)
    real moment; // of exp(z - largest) * (z - largest)
} softmax_sums;

// Moves the sums to a new largest logit. NaN moves nothing, it reaches the result through the sum.
DEVICE void softmax_raise(softmax_sums* sums, real largest) {
    if (!(largest > sums->largest)) return;
    const real change = sums->largest == NEGATIVE_INFINITY ? (real)0 : softmax_exponent(sums->largest, largest);
    const real factor = EXP(change);
    sums->moment = factor * FMA(sums->sum, change, sums->moment);
    sums->sum *= factor;
    sums->largest = largest;
}

DEVICE real largest_of_8(const real* z) {
    real largest = z[0];
    for (u32 i = 1; i < 8; i++) largest = MAX(largest, z[i]);
    return largest;
}

// Adds a logit that is no larger than the largest and not masked.
DEVICE void softmax_add(softmax_sums* sums, real z) {
    const real x = softmax_exponent(z, sums->largest), e = EXP(x);
    sums->sum += e;
    sums->moment = FMA(e, x, sums->moment);
}

// Sums of weights and of weights times z - largest. Differences of finite logits reach twice the largest number, and
// their sum over a row 2^24 times that: what lies beyond 2^64 is summed apart, in units of 2^32.
typedef struct {
    real weight;
    real sum;
    real beyond;
} weighted_differences;

#define DIFFERENCE_UNIT     ((real)4294967296.0f)
#define PER_DIFFERENCE_UNIT ((real)2.3283064365386963e-10f)
#define FARTHEST_DIFFERENCE ((real)-18446744073709551616.0f)

// Adds weight * (z - largest); the weight itself is added by the caller.
DEVICE void add_difference(weighted_differences* differences, real weight, real z, real largest) {
    real x = z - largest;
    if (x < FARTHEST_DIFFERENCE) {
        const real units = FMA(z, PER_DIFFERENCE_UNIT, -(largest * PER_DIFFERENCE_UNIT));
        differences->beyond = FMA(weight, units - FARTHEST_DIFFERENCE * PER_DIFFERENCE_UNIT, differences->beyond);
        x = FARTHEST_DIFFERENCE;
    }
    differences->sum = FMA(weight, x, differences->sum);
}

// Moves what was summed to a new largest logit.
DEVICE void raise_differences(weighted_differences* differences, real before, real largest) {
    if (before != NEGATIVE_INFINITY) add_difference(differences, differences->weight, before, largest);
}
