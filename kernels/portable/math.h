// Elementary functions in float that give the same bits on every device: polynomials (coefficients from S. L. Moshier's
// Cephes) in explicit FMA, so that no compiler contracts or reorders anything. Accurate to about 1 unit in the last
// place over the stated range.

// Natural logarithm of a positive normal number.
DEVICE float exact_log(float x) {
    const i32 exponent = (i32)(AS_U32(x) - 0x3f3504f3u) >> 23; // x = 2^exponent * m with m in [sqrt(1/2), sqrt(2))
    const float e = (float)exponent;
    const float m = AS_F32(AS_U32(x) - ((u32)exponent << 23)) - 1.0f;
    const float square = m * m;
    float p = FMA(7.0376836292e-2f, m, -1.1514610310e-1f);
    p = FMA(p, m, 1.1676998740e-1f);
    p = FMA(p, m, -1.2420140846e-1f);
    p = FMA(p, m, 1.4249322787e-1f);
    p = FMA(p, m, -1.6668057665e-1f);
    p = FMA(p, m, 2.0000714765e-1f);
    p = FMA(p, m, -2.4999993993e-1f);
    p = FMA(p, m, 3.3333331174e-1f);
    float tail = FMA(e, -2.12194440e-4f, (p * m) * square);
    tail = FMA(-0.5f, square, tail);
    return FMA(e, 0.693359375f, m + tail);
}

// e^x for -87 <= x <= 88; arguments outside are moved to the bounds, and NaN to the upper one.
DEVICE float exact_exp(float x) {
    x = MAX(-MAX(-x, -88.0f), -87.0f);
    const float shifted =
        FMA(x, 1.44269504088896341f, 12582912.0f); // 1.5 * 2^23: the sum's last bits are the nearest integer
    const float n = shifted - 12582912.0f;
    float r = FMA(n, -0.693359375f, x);
    r = FMA(n, 2.12194440e-4f, r);
    float p = FMA(1.9875691500e-4f, r, 1.3981999507e-3f);
    p = FMA(p, r, 8.3334519073e-3f);
    p = FMA(p, r, 4.1665795894e-2f);
    p = FMA(p, r, 1.6666665459e-1f);
    p = FMA(p, r, 5.0000001201e-1f);
    const float y = FMA(p, r * r, r) + 1.0f;
    return AS_F32(AS_U32(y) + (AS_U32(shifted) << 23)); // y * 2^n, which is a normal number
}

// Cosine and sine of 2 pi turn / 2^32. The integer's lower 30 bits, with a sign, are the angle from the middle of a
// quadrant, so the reduction is exact; the quadrant decides by its bits who is who and the signs.
DEVICE void exact_cos_sin(u32 turn, float* cosine, float* sine) {
    const u32 shifted = turn + 0x20000000u; // the quadrant is its upper two bits
    const float angle = (float)(i32)(turn << 2) * 3.6572951981678992e-10f;
    const float square = angle * angle;
    float s = FMA(-1.9515295891e-4f, square, 8.3321608736e-3f);
    s = FMA(s, square, -1.6666654611e-1f);
    s = FMA(s * square, angle, angle);
    float c = FMA(2.443315711809948e-5f, square, -1.388731625493765e-3f);
    c = FMA(c, square, 4.166664568298827e-2f);
    c = FMA(c * square, square, FMA(-0.5f, square, 1.0f));
    const u32 is_odd = shifted & 0x40000000u;
    const float swapped_c = is_odd ? s : c, swapped_s = is_odd ? c : s;
    *cosine = AS_F32(AS_U32(swapped_c) ^ (shifted + 0x40000000u & 0x80000000u));
    *sine = AS_F32(AS_U32(swapped_s) ^ (shifted & 0x80000000u));
}
