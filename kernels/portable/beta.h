// Beta(a, a) from two random words by a formula without rejection (L. Devroye, "Random variate generation in one line
// of code", WSC 1996, after R. W. Bailey, "Polar generation of random variates with the t-distribution", Mathematics of
// Computation 62, 1994): (1 + sign(cos v) sqrt(1 - q)) / 2 with q = p / (p + (1 - p) cos^2 v), p = u^(1/a), u uniform
// in (0, 1], v in [0, 2 pi). Quotient and root are integers, so that every device has the same bits.

// In units of 2^-24, from 0 to 2^24, so that a float holds the number and what is missing to 1.
DEVICE u32 symmetric_beta(u32 power_word, u32 angle_word, float inverse_alpha) {
    const float u = FMA((float)power_word, 2.3283064365386963e-10f, 1.16415321826934814e-10f);
    const float logarithm = exact_log(u) * inverse_alpha, power = exact_exp(logarithm);
    // Near 1 the difference would have lost its digits.
    const float series = FMA(logarithm, FMA(logarithm, 0.166666672f, 0.5f), 1.0f);
    const float rest = logarithm > -0.015625f ? -logarithm * series : 1.0f - power;
    float cosine, sine;
    exact_cos_sin(angle_word, &cosine, &sine);
    const float whole = FMA(rest, cosine * cosine, power);
    // Both times the power of two that brings the divisor to [1, 2).
    const float scale = AS_F32(0x7f000000u - (AS_U32(whole) & 0x7f800000u));
    const u64 divisor = (u64)(whole * scale * 2147483648.0f), dividend = (u64)(power * scale * 2147483648.0f);
    const u64 share = (dividend << 31) / divisor;
    const u32 half_root = (u32)(integer_root((2147483648u - share) << 17) + 1) >> 1;
    return cosine < 0 ? 8388608u - half_root : 8388608u + half_root;
}
