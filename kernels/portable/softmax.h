// Softmax of a row in one pass over its logits (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018), shared among the items of a team.
// A logit of -inf is a masked class: probability 0, and 0 * log 0 = 0.

// The items of a team take a row in stretches of 8 * team classes, of which there are fewer than 2^31. Wide accesses need eight neighbours; without them neighbours go to neighbours.
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

// Sums over the logits so far, relative to the largest of them.
typedef struct {
    real largest;
    real sum;    // of exp(z - largest)
    real moment; // of exp(z - largest) * (z - largest)
} softmax_sums;

// Moves the sums to a new largest logit; returns by how much everything relative to it falls. NaN moves nothing, it reaches the result through the sum.
DEVICE real softmax_raise(softmax_sums* sums, real largest) {
    if (!(largest > sums->largest)) return 0;
    const real change = sums->largest == NEGATIVE_INFINITY ? (real)0 : sums->largest - largest;
    const real factor = EXP(change);
    sums->moment = factor * FMA(sums->sum, change, sums->moment);
    sums->sum *= factor;
    sums->largest = largest;
    return change;
}

DEVICE real largest_of_8(const real* z) {
    real largest = z[0];
    for (u32 i = 1; i < 8; i++) largest = MAX(largest, z[i]);
    return largest;
}

// Adds a logit that is no larger than the largest and not masked.
DEVICE void softmax_add(softmax_sums* sums, real z) {
    const real e = EXP(z - sums->largest);
    sums->sum += e;
    sums->moment = FMA(e, z - sums->largest, sums->moment);
}
