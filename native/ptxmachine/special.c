// Roots, reciprocals and the approximations. What a GPU approximates (.approx, .full) is calculated here in double
// precision and rounded once: within the error that NVIDIA documents, but not bit for bit what a GPU gives.

#include "machine.h"

#include <math.h>

#define FLOATS(name, expression)                                               \
    static void name(struct warp* w, const struct instruction* in, u32 mask) { \
        const float *a = REGF(w, in->a), *b = REGF(w, in->b);                  \
        float values[LANES];                                                   \
        for (u32 i = 0; i < LANES; i++) {                                      \
            const float x = a[i], y = b[i];                                    \
            (void)y;                                                           \
            values[i] = canonical((float)(expression));                        \
        }                                                                      \
        putf(REGF(w, in->d), values, mask);                                    \
    }
#define DOUBLES(name, expression)                                              \
    static void name(struct warp* w, const struct instruction* in, u32 mask) { \
        const double* a = REGD(w, in->a);                                      \
        double values[LANES];                                                  \
        for (u32 i = 0; i < LANES; i++) {                                      \
            const double x = a[i];                                             \
            values[i] = expression;                                            \
        }                                                                      \
        putd(REGD(w, in->d), values, mask);                                    \
    }

FLOATS(sqrt_f32, sqrtf(x))
FLOATS(rcp_f32, 1.0f / x)
DOUBLES(sqrt_f64, sqrt(x))
DOUBLES(rcp_f64, 1.0 / x)
FLOATS(rsqrt_approx_f32, 1.0 / sqrt((double)x))
DOUBLES(rsqrt_approx_f64, 1.0 / sqrt(x))

// Documented to lose divisors beyond 2^126: their reciprocals are subnormal.
FLOATS(div_approx_f32,
       fabsf(y) > 0x1p126f && fabsf(y) < INFINITY && fabsf(x) < INFINITY ? copysignf(0, x) * copysignf(1, y) : x / y)
FLOATS(div_full_f32, x / y)

// The high word of a double's reciprocal: the low word is zero, as it serves to start an iteration.
DOUBLES(rcp_approx_f64, double_of(double_bits(1.0 / x) & 0xffffffff00000000ull))

// 2^x by a polynomial in double precision, of 2^f with |f| <= 1/2 (Taylor, relative error below 2^-40).
static inline double power_of_two(double x) {
    x = x < -1000 ? -1000 : x > 1000 ? 1000 : x;
    const double n = rint(x), f = (x - n) * 0.69314718055994530942;
    double p = 1.0 / 3628800;
    p = p * f + 1.0 / 362880;
    p = p * f + 1.0 / 40320;
    p = p * f + 1.0 / 5040;
    p = p * f + 1.0 / 720;
    p = p * f + 1.0 / 120;
    p = p * f + 1.0 / 24;
    p = p * f + 1.0 / 6;
    p = p * f + 0.5;
    p = p * f + 1.0;
    p = p * f + 1.0;
    return p * double_of((u64)((s64)n + 1023) << 52);
}

FLOATS(ex2_approx_f32, x != x ? NAN : power_of_two(x))
FLOATS(lg2_approx_f32, log2((double)x))
FLOATS(sin_approx_f32, sin((double)x))
FLOATS(cos_approx_f32, cos((double)x))
FLOATS(tanh_approx_f32, tanh((double)x))

// --- Pairs and halves ---------------------------------------------------------------------------------------------

// Halves are calculated in double precision, where a product of two is exact and a sum of three rounds far below a
// half's last place.
static inline double half_value(u16 bits) { return half_to_float(bits); }
static inline double bfloat_value(u16 bits) { return bfloat_to_float(bits); }

#define HALF_LANES(name, value, rounded, expression)                                                      \
    static inline u16 name##_value(u16 p, u16 q, u16 r) {                                                 \
        const double x = value(p), y = value(q), z = value(r);                                            \
        (void)y, (void)z;                                                                                 \
        return rounded(expression, NEAREST);                                                              \
    }                                                                                                     \
    static void name(struct warp* w, const struct instruction* in, u32 mask) {                            \
        const u16 *a = REG16(w, in->a), *b = REG16(w, in->b), *c = REG16(w, in->c);                       \
        u16 values[LANES];                                                                                \
        for (u32 i = 0; i < LANES; i++) values[i] = name##_value(a[i], b[i], c[i]);                       \
        put16(REG16(w, in->d), values, mask);                                                             \
    }                                                                                                     \
    static void name##x2(struct warp* w, const struct instruction* in, u32 mask) {                        \
        const u32 *a = REG32(w, in->a), *b = REG32(w, in->b), *c = REG32(w, in->c);                       \
        u32 values[LANES];                                                                                \
        for (u32 i = 0; i < LANES; i++)                                                                   \
            values[i] = name##_value((u16)a[i], (u16)b[i], (u16)c[i]) |                                   \
                        (u32)name##_value((u16)(a[i] >> 16), (u16)(b[i] >> 16), (u16)(c[i] >> 16)) << 16; \
        put32(REG32(w, in->d), values, mask);                                                             \
    }
#define HALF_TYPES(operation, expression)                               \
    HALF_LANES(operation##_f16, half_value, double_to_half, expression) \
    HALF_LANES(operation##_bf16, bfloat_value, double_to_bfloat, expression)
HALF_TYPES(add, x + y)
HALF_TYPES(sub, x - y)
HALF_TYPES(mul, x* y)
HALF_TYPES(fma, x* y + z)
HALF_TYPES(fma_relu, x* y + z > 0 ? x * y + z : x * y + z != x * y + z ? NAN : 0)
HALF_TYPES(min, x != x ? y : y != y ? x : x == y ? (signbit(x) ? x : y) : x < y ? x : y)
HALF_TYPES(max, x != x ? y : y != y ? x : x == y ? (signbit(x) ? y : x) : x > y ? x : y)
HALF_TYPES(neg, -x)
HALF_TYPES(abs, fabs(x))

const struct row special_rows[] = {
    {"sqrt.f32", "ww", sqrt_f32, PTX_SPECIAL},
    {"sqrt.f64", "qq", sqrt_f64, PTX_FP64},
    {"sqrt.approx.f32", "ww", sqrt_f32, PTX_SPECIAL},
    {"rcp.f32", "ww", rcp_f32, PTX_SPECIAL},
    {"rcp.f64", "qq", rcp_f64, PTX_FP64},
    {"rcp.approx.f32", "ww", rcp_f32, PTX_SPECIAL},
    {"rcp.approx.f64", "qq", rcp_approx_f64, PTX_SPECIAL},
    {"rsqrt.approx.f32", "ww", rsqrt_approx_f32, PTX_SPECIAL},
    {"rsqrt.approx.f64", "qq", rsqrt_approx_f64, PTX_SPECIAL},
    {"div.approx.f32", "www", div_approx_f32, PTX_SPECIAL},
    {"div.full.f32", "www", div_full_f32, PTX_SPECIAL},
    {"ex2.approx.f32", "ww", ex2_approx_f32, PTX_SPECIAL},
    {"lg2.approx.f32", "ww", lg2_approx_f32, PTX_SPECIAL},
    {"sin.approx.f32", "ww", sin_approx_f32, PTX_SPECIAL},
    {"cos.approx.f32", "ww", cos_approx_f32, PTX_SPECIAL},
    {"tanh.approx.f32", "ww", tanh_approx_f32, PTX_SPECIAL},
    {0},
};

const struct row half_rows[] = {
#define HALF(name, function, operands16, operands32)                                                              \
    {name ".f16", operands16, function##_f16, PTX_FP32}, {name ".f16x2", operands32, function##_f16x2, PTX_FP32}, \
        {name ".bf16", operands16, function##_bf16, PTX_FP32},                                                    \
        {name ".bf16x2", operands32, function##_bf16x2, PTX_FP32},
    HALF("add", add, "hhh", "www") HALF("sub", sub, "hhh", "www") HALF("mul", mul, "hhh", "www")
        HALF("fma", fma, "hhhh", "wwww") HALF("fma.relu", fma_relu, "hhhh", "wwww") HALF("min", min, "hhh", "www")
            HALF("max", max, "hhh", "www") HALF("neg", neg, "hh", "ww") HALF("abs", abs, "hh", "ww"){0},
};
