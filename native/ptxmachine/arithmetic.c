// Integer and floating-point arithmetic. Each operation calculates all lanes, which vectors of the host do at once, and
// writes those of the mask. What is calculated in vain must not trap: integer division looks at its divisor.

#include "machine.h"

#include <math.h>

#define BINARY(name, T, put, expression) OPERATION(name, T, put, T, T, T, expression)

#define WORDS(name, expression)         BINARY(name, u32, put32, expression)
#define LONGS(name, expression)         BINARY(name, u64, put64, expression)
#define HALVES(name, expression)        BINARY(name, u16, put16, expression)
#define SIGNED_WORDS(name, expression)  OPERATION(name, u32, put32, s32, s32, s32, expression)
#define SIGNED_LONGS(name, expression)  OPERATION(name, u64, put64, s64, s64, s64, expression)
#define SIGNED_HALVES(name, expression) OPERATION(name, u16, put16, s16, s16, s16, expression)

// --- Integers -----------------------------------------------------------------------------------------------------

HALVES(add_16, x + y)
WORDS(add_32, x + y)
LONGS(add_64, x + y)
HALVES(sub_16, x - y)
WORDS(sub_32, x - y)
LONGS(sub_64, x - y)
SIGNED_WORDS(add_sat_s32, (s64)x + y > INT32_MAX ? INT32_MAX : (s64)x + y < INT32_MIN ? INT32_MIN : (s64)x + y)
SIGNED_WORDS(sub_sat_s32, (s64)x - y > INT32_MAX ? INT32_MAX : (s64)x - y < INT32_MIN ? INT32_MIN : (s64)x - y)
HALVES(mul_lo_16, (u32)x* y)
WORDS(mul_lo_32, x* y)
LONGS(mul_lo_64, x* y)
WORDS(mul_hi_u32, (u64)x* y >> 32)
SIGNED_WORDS(mul_hi_s32, (s64)x* y >> 32)
LONGS(mul_hi_u64, (unsigned __int128)x* y >> 64)
SIGNED_LONGS(mul_hi_s64, (__int128)x* y >> 64)
HALVES(mul_hi_u16, (u32)x* y >> 16)
SIGNED_HALVES(mul_hi_s16, (s32)x* y >> 16)
OPERATION(mul_wide_u16, u32, put32, u16, u16, u16, (u32)x* y)
OPERATION(mul_wide_s16, u32, put32, s16, s16, s16, (s32)x* y)
OPERATION(mul_wide_u32, u64, put64, u32, u32, u32, (u64)x* y)
OPERATION(mul_wide_s32, u64, put64, s32, s32, s32, (s64)x* y)
HALVES(mad_lo_16, (u32)x* y + z)
WORDS(mad_lo_32, x* y + z)
LONGS(mad_lo_64, x* y + z)
WORDS(mad_hi_u32, ((u64)x * y >> 32) + z)
SIGNED_WORDS(mad_hi_s32, (u32)((s64)x* y >> 32) + (u32)z)
LONGS(mad_hi_u64, (u64)((unsigned __int128)x* y >> 64) + z)
SIGNED_LONGS(mad_hi_s64, (u64)((__int128)x* y >> 64) + (u64)z)
OPERATION(mad_wide_u16, u32, put32, u16, u16, u32, (u32)x* y + z)
OPERATION(mad_wide_s16, u32, put32, s16, s16, u32, (u32)((s32)x* y) + z)
OPERATION(mad_wide_u32, u64, put64, u32, u32, u64, (u64)x* y + z)
OPERATION(mad_wide_s32, u64, put64, s32, s32, u64, (u64)((s64)x* y) + z)
WORDS(mul24_lo_u32, (u64)(x & 0xffffff) * (y & 0xffffff))
WORDS(dp2a_lo_u32, z + (x & 0xffff) * (y & 0xff) + (x >> 16) * (y >> 8 & 0xff))
WORDS(dp2a_hi_u32, z + (x & 0xffff) * (y >> 16 & 0xff) + (x >> 16) * (y >> 24))
WORDS(sad_u32, z + (x > y ? x - y : y - x))
SIGNED_WORDS(sad_s32, (u32)z + (x > y ? (u32)x - (u32)y : (u32)y - (u32)x))

// What a division by zero gives is not defined; GPUs give all ones, and the dividend as its rest.
HALVES(div_u16, y == 0 ? 0xffff : x / y)
WORDS(div_u32, y == 0 ? ~0u : x / y)
LONGS(div_u64, y == 0 ? ~0ull : x / y)
SIGNED_HALVES(div_s16, y == 0 ? -1 : x / y)
SIGNED_WORDS(div_s32, y == 0 ? ~0u : y == -1 ? 0u - (u32)x : (u32)(x / y))
SIGNED_LONGS(div_s64, y == 0 ? ~0ull : y == -1 ? 0ull - (u64)x : (u64)(x / y))
HALVES(rem_u16, y == 0 ? x : x % y)
WORDS(rem_u32, y == 0 ? x : x % y)
LONGS(rem_u64, y == 0 ? x : x % y)
SIGNED_HALVES(rem_s16, y == 0 ? x : x % y)
SIGNED_WORDS(rem_s32, y == 0 ? x : y == -1 ? 0 : x % y)
SIGNED_LONGS(rem_s64, y == 0 ? x : y == -1 ? 0 : x % y)

#define LESSER(x, y)  ((x) < (y) ? (x) : (y))
#define GREATER(x, y) ((x) > (y) ? (x) : (y))
HALVES(min_u16, LESSER(x, y))
SIGNED_HALVES(min_s16, LESSER(x, y))
WORDS(min_u32, LESSER(x, y))
SIGNED_WORDS(min_s32, LESSER(x, y))
LONGS(min_u64, LESSER(x, y))
SIGNED_LONGS(min_s64, LESSER(x, y))
HALVES(max_u16, GREATER(x, y))
SIGNED_HALVES(max_s16, GREATER(x, y))
WORDS(max_u32, GREATER(x, y))
SIGNED_WORDS(max_s32, GREATER(x, y))
LONGS(max_u64, GREATER(x, y))
SIGNED_LONGS(max_s64, GREATER(x, y))
SIGNED_HALVES(neg_s16, -x)
WORDS(neg_s32, 0u - x)
LONGS(neg_s64, 0ull - x)
SIGNED_HALVES(abs_s16, x < 0 ? -x : x)
SIGNED_WORDS(abs_s32, x < 0 ? 0u - (u32)x : (u32)x)
SIGNED_LONGS(abs_s64, x < 0 ? 0ull - (u64)x : (u64)x)

// The carry is a mask of lanes. `expression` is the exact result in twice the width, `carry` what was carried in.
#define CARRYING(name, T, wide, put, bits, reads, writes, expression)                           \
    static void name(struct warp* w, const struct instruction* in, u32 mask) {                  \
        const T* a = (const T*)(const void*)(w->file + in->a);                                  \
        const T* b = (const T*)(const void*)(w->file + in->b);                                  \
        const T* c = (const T*)(const void*)(w->file + in->c);                                  \
        T values[LANES];                                                                        \
        u32 carries = 0;                                                                        \
        for (u32 i = 0; i < LANES; i++) {                                                       \
            const wide x = a[i], y = b[i], z = c[i], carry = reads ? has_lane(w->carry, i) : 0; \
            (void)z, (void)carry;                                                               \
            const wide exact = expression;                                                      \
            values[i] = (T)exact;                                                               \
            carries |= (u32)(exact >> bits & 1) << i;                                           \
        }                                                                                       \
        put((T*)(void*)(w->file + in->d), values, mask);                                        \
        if (writes) w->carry = (w->carry & ~mask) | (carries & mask);                           \
    }
#define CARRYING_BOTH(name, reads, writes, expression)                  \
    CARRYING(name##_32, u32, u64, put32, 32, reads, writes, expression) \
    CARRYING(name##_64, u64, unsigned __int128, put64, 64, reads, writes, expression)
CARRYING_BOTH(add_cc, false, true, x + y)
CARRYING_BOTH(addc, true, false, x + y + carry)
CARRYING_BOTH(addc_cc, true, true, x + y + carry)
CARRYING_BOTH(sub_cc, false, true, x - y)
CARRYING_BOTH(subc, true, false, x - y - carry)
CARRYING_BOTH(subc_cc, true, true, x - y - carry)
#define LOW(T, x) ((T)(x))
CARRYING(mad_lo_cc_32, u32, u64, put32, 32, false, true, LOW(u32, x* y) + z)
CARRYING(mad_hi_cc_32, u32, u64, put32, 32, false, true, (x * y >> 32) + z)
CARRYING(madc_lo_32, u32, u64, put32, 32, true, false, LOW(u32, x* y) + z + carry)
CARRYING(madc_hi_32, u32, u64, put32, 32, true, false, (x * y >> 32) + z + carry)
CARRYING(madc_lo_cc_32, u32, u64, put32, 32, true, true, (u64)LOW(u32, x* y) + z + carry)
CARRYING(madc_hi_cc_32, u32, u64, put32, 32, true, true, (x * y >> 32) + z + carry)
CARRYING(mad_lo_cc_64, u64, unsigned __int128, put64, 64, false, true, LOW(u64, x* y) + z)
CARRYING(mad_hi_cc_64, u64, unsigned __int128, put64, 64, false, true, (x * y >> 64) + z)
CARRYING(madc_lo_64, u64, unsigned __int128, put64, 64, true, false, LOW(u64, x* y) + z + carry)
CARRYING(madc_hi_64, u64, unsigned __int128, put64, 64, true, false, (x * y >> 64) + z + carry)
CARRYING(madc_lo_cc_64, u64, unsigned __int128, put64, 64, true, true, LOW(u64, x* y) + z + carry)
CARRYING(madc_hi_cc_64, u64, unsigned __int128, put64, 64, true, true, (x * y >> 64) + z + carry)

// --- Floating point -----------------------------------------------------------------------------------------------

// In single precision every NaN that is calculated is the canonical one; in double precision payloads pass.
#define FLOATS(name, expression)  BINARY(name, float, putf, canonical(expression))
#define DOUBLES(name, expression) BINARY(name, double, putd, expression)

FLOATS(add_f32, x + y)
FLOATS(sub_f32, x - y)
FLOATS(mul_f32, x* y)
FLOATS(fma_f32, fmaf(x, y, z))
FLOATS(div_f32, x / y)
DOUBLES(add_f64, x + y)
DOUBLES(sub_f64, x - y)
DOUBLES(mul_f64, x* y)
DOUBLES(fma_f64, fma(x, y, z))
DOUBLES(div_f64, x / y)

// Of a number and NaN the number; -0 is less than +0.
static inline float lesser_f32(float x, float y) {
    if (x == y) return float_of(bits_of(x) | bits_of(y));
    return x < y || y != y ? x : y;
}

static inline float greater_f32(float x, float y) {
    if (x == y) return float_of(bits_of(x) & bits_of(y));
    return x > y || y != y ? x : y;
}

static inline double lesser_f64(double x, double y) {
    if (x == y) return double_of(double_bits(x) | double_bits(y));
    return x < y || y != y ? x : y;
}

static inline double greater_f64(double x, double y) {
    if (x == y) return double_of(double_bits(x) & double_bits(y));
    return x > y || y != y ? x : y;
}

FLOATS(min_f32, lesser_f32(x, y))
FLOATS(max_f32, greater_f32(x, y))
DOUBLES(min_f64, lesser_f64(x, y))
DOUBLES(max_f64, greater_f64(x, y))
FLOATS(min_nan_f32, x != x || y != y ? NAN : lesser_f32(x, y))
FLOATS(max_nan_f32, x != x || y != y ? NAN : greater_f32(x, y))
WORDS(neg_f32, x ^ 0x80000000u)
WORDS(abs_f32, x & 0x7fffffffu)
LONGS(neg_f64, x ^ 0x8000000000000000ull)
LONGS(abs_f64, x & 0x7fffffffffffffffull)
WORDS(copysign_f32, (x & 0x80000000u) | (y & 0x7fffffffu))
LONGS(copysign_f64, (x & 0x8000000000000000ull) | (y & 0x7fffffffffffffffull))

const struct row arithmetic_rows[] = {
#define BOTH(name, size, operands, function) \
    {name ".u" #size, operands, function, PTX_INTEGER}, {name ".s" #size, operands, function, PTX_INTEGER},
#define EACH(name, size, operands, function)                      \
    {name ".u" #size, operands, function##_u##size, PTX_INTEGER}, \
        {name ".s" #size, operands, function##_s##size, PTX_INTEGER},
    BOTH("add", 16, "hhh", add_16) BOTH("add", 32, "www", add_32) BOTH("add", 64, "qqq", add_64)
        BOTH("sub", 16, "hhh", sub_16) BOTH("sub", 32, "www", sub_32) BOTH("sub", 64, "qqq", sub_64) BOTH(
            "mul.lo", 16, "hhh", mul_lo_16) BOTH("mul.lo", 32, "www", mul_lo_32) BOTH("mul.lo", 64, "qqq", mul_lo_64)
            EACH("mul.hi", 16, "hhh", mul_hi) EACH("mul.hi", 32, "www", mul_hi) EACH("mul.hi", 64, "qqq", mul_hi)
                EACH("mul.wide", 16, "whh", mul_wide) EACH("mul.wide", 32, "qww", mul_wide)
                    BOTH("mad.lo", 16, "hhhh", mad_lo_16) BOTH("mad.lo", 32, "wwww", mad_lo_32) BOTH(
                        "mad.lo", 64, "qqqq", mad_lo_64) EACH("mad.hi", 32, "wwww", mad_hi)
                        EACH("mad.hi", 64, "qqqq", mad_hi) EACH("mad.wide", 16, "whhw", mad_wide) EACH(
                            "mad.wide", 32, "qwwq", mad_wide) EACH("sad", 32, "wwww", sad) EACH("div", 16, "hhh", div)
                            EACH("div", 32, "www", div) EACH("div", 64, "qqq", div) EACH("rem", 16, "hhh", rem)
                                EACH("rem", 32, "www", rem) EACH("rem", 64, "qqq", rem) EACH("min", 16, "hhh", min)
                                    EACH("min", 32, "www", min) EACH("min", 64, "qqq", min) EACH("max", 16, "hhh", max)
                                        EACH("max", 32, "www", max) EACH("max", 64, "qqq", max) BOTH(
                                            "add.cc", 32, "www", add_cc_32) BOTH("add.cc", 64, "qqq", add_cc_64)
                                            BOTH("addc", 32, "www", addc_32) BOTH("addc", 64, "qqq", addc_64) BOTH(
                                                "addc.cc", 32, "www", addc_cc_32) BOTH("addc.cc", 64, "qqq", addc_cc_64)
                                                BOTH("sub.cc", 32, "www", sub_cc_32) BOTH("sub.cc", 64, "qqq",
                                                                                          sub_cc_64)
                                                    BOTH("subc", 32, "www", subc_32) BOTH("subc", 64, "qqq", subc_64)
                                                        BOTH("subc.cc", 32, "www", subc_cc_32) BOTH("subc.cc", 64,
                                                                                                    "qqq", subc_cc_64)
                                                            BOTH("mad.lo.cc", 32, "wwww", mad_lo_cc_32) BOTH(
                                                                "mad.lo.cc", 64, "qqqq",
                                                                mad_lo_cc_64) BOTH("madc.lo", 32, "wwww", madc_lo_32)
                                                                BOTH("madc.lo", 64, "qqqq", madc_lo_64)
                                                                    BOTH("madc.lo.cc", 32, "wwww", madc_lo_cc_32)
                                                                        BOTH("madc.lo.cc", 64, "qqqq",
                                                                             madc_lo_cc_64){"mad.hi.cc.u32", "wwww",
                                                                                            mad_hi_cc_32, PTX_INTEGER},
    {"mad.hi.cc.u64", "qqqq", mad_hi_cc_64, PTX_INTEGER},
    {"madc.hi.u32", "wwww", madc_hi_32, PTX_INTEGER},
    {"madc.hi.u64", "qqqq", madc_hi_64, PTX_INTEGER},
    {"madc.hi.cc.u32", "wwww", madc_hi_cc_32, PTX_INTEGER},
    {"madc.hi.cc.u64", "qqqq", madc_hi_cc_64, PTX_INTEGER},
    {"add.sat.s32", "www", add_sat_s32, PTX_INTEGER},
    {"sub.sat.s32", "www", sub_sat_s32, PTX_INTEGER},
    {"mul24.lo.u32", "www", mul24_lo_u32, PTX_INTEGER},
    {"dp2a.lo.u32.u32", "wwww", dp2a_lo_u32, PTX_INTEGER},
    {"dp2a.hi.u32.u32", "wwww", dp2a_hi_u32, PTX_INTEGER},
    {"neg.s16", "hh", neg_s16, PTX_INTEGER},
    {"neg.s32", "ww", neg_s32, PTX_INTEGER},
    {"neg.s64", "qq", neg_s64, PTX_INTEGER},
    {"abs.s16", "hh", abs_s16, PTX_INTEGER},
    {"abs.s32", "ww", abs_s32, PTX_INTEGER},
    {"abs.s64", "qq", abs_s64, PTX_INTEGER},

    {"add.f32", "www", add_f32, PTX_FP32},
    {"add.f64", "qqq", add_f64, PTX_FP64},
    {"sub.f32", "www", sub_f32, PTX_FP32},
    {"sub.f64", "qqq", sub_f64, PTX_FP64},
    {"mul.f32", "www", mul_f32, PTX_FP32},
    {"mul.f64", "qqq", mul_f64, PTX_FP64},
    {"fma.f32", "wwww", fma_f32, PTX_FP32},
    {"fma.f64", "qqqq", fma_f64, PTX_FP64},
    {"mad.f32", "wwww", fma_f32, PTX_FP32},
    {"mad.f64", "qqqq", fma_f64, PTX_FP64},
    {"div.f32", "www", div_f32, PTX_SPECIAL},
    {"div.f64", "qqq", div_f64, PTX_FP64},
    {"min.f32", "www", min_f32, PTX_FP32},
    {"min.f64", "qqq", min_f64, PTX_FP64},
    {"max.f32", "www", max_f32, PTX_FP32},
    {"max.f64", "qqq", max_f64, PTX_FP64},
    {"min.NaN.f32", "www", min_nan_f32, PTX_FP32},
    {"max.NaN.f32", "www", max_nan_f32, PTX_FP32},
    {"neg.f32", "ww", neg_f32, PTX_FP32},
    {"neg.f64", "qq", neg_f64, PTX_FP64},
    {"abs.f32", "ww", abs_f32, PTX_FP32},
    {"abs.f64", "qq", abs_f64, PTX_FP64},
    {"copysign.f32", "www", copysign_f32, PTX_FP32},
    {"copysign.f64", "qqq", copysign_f64, PTX_FP64},
    {0},
};
