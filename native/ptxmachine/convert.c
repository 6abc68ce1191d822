// cvt. The conversions that kernels use all the time have loops of their own; all others go value by value.

#include "machine.h"

#include <fenv.h>
#include <math.h>

// --- Half floats --------------------------------------------------------------------------------------------------

// The exponent is moved by a multiplication, which also makes subnormals normal.
float half_to_float(u16 bits) {
    const u32 sign = (u32)(bits & 0x8000) << 16, rest = bits & 0x7fff;
    if (rest > 0x7c00) return float_of(CANONICAL_NAN);
    if (rest == 0x7c00) return float_of(sign | 0x7f800000u);
    return float_of(sign | bits_of(float_of(rest << 13) * 0x1p112f));
}

// Rounds to `digits` bits of significand with a least exponent: to nearest even, or as asked.
static double rounded_to(double value, int digits, int least_exponent, enum rounding rounding) {
    if (value == 0 || isinf(value) || isnan(value)) return value;
    int exponent;
    frexp(value, &exponent);
    int last = exponent - digits;
    if (last < least_exponent) last = least_exponent;
    const double scaled = ldexp(value, -last);
    const double whole = rounding == NEAREST       ? nearbyint(scaled)
                         : rounding == TOWARD_ZERO ? trunc(scaled)
                         : rounding == DOWN        ? floor(scaled)
                         : rounding == AWAY        ? round(scaled)
                                                   : ceil(scaled);
    return copysign(ldexp(whole, last), value);
}

// A value beyond the largest becomes infinite, or the largest where the rounding leads back to it.
static bool overflows(double value, double largest, enum rounding rounding) {
    return fabs(value) > largest && !isinf(value) &&
           (rounding == NEAREST || rounding == AWAY || (rounding == UP && value > 0) ||
            (rounding == DOWN && value < 0));
}

u16 double_to_half(double value, enum rounding rounding) {
    if (value != value) return 0x7fff;
    const u16 sign = signbit(value) ? 0x8000 : 0;
    const double rounded = rounded_to(value, 11, -24, rounding);
    if (isinf(rounded) || overflows(rounded, 65504, rounding)) return sign | 0x7c00;
    const double size = fabs(rounded) > 65504 ? 65504 : fabs(rounded);
    if (size < 0x1p-14) return (u16)(sign | (u16)(size * 0x1p24));
    int exponent;
    const double fraction = frexp(size, &exponent);
    return (u16)(sign | (u16)(exponent + 14) << 10 | ((u16)(fraction * 2048) & 0x3ff));
}

u16 double_to_bfloat(double value, enum rounding rounding) {
    if (value != value) return 0x7fff;
    const double rounded = rounded_to(value, 8, -133, rounding);
    const double largest = 0x1.fep127;
    if (isinf(rounded) || overflows(rounded, largest, rounding)) return value < 0 ? 0xff80 : 0x7f80;
    const double size = fabs(rounded) > largest ? largest : fabs(rounded);
    return (u16)(bits_of((float)copysign(size, value)) >> 16);
}

// To nearest even, without a branch, so that lanes go side by side.
static inline u16 float_to_half(float value) {
    const u32 bits = bits_of(value), size = bits & 0x7fffffffu;
    const u32 normal = (size + 0xfffu + (size >> 13 & 1) - 0x38000000u) >> 13;
    const u32 subnormal = bits_of(float_of(size) + 0.5f) - bits_of(0.5f); // the sum's last place is a half's
    const u32 result = size > 0x7f800000u    ? 0x7fffu
                       : size >= 0x477ff000u ? 0x7c00u
                       : size < 0x38800000u  ? subnormal
                                             : normal;
    return (u16)(result | (size > 0x7f800000u ? 0 : bits >> 16 & 0x8000u));
}

static inline u16 float_to_bfloat(float value) {
    const u32 bits = bits_of(value);
    return value != value ? 0x7fff : (u16)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

// --- Loops of their own -------------------------------------------------------------------------------------------

#define CONVERSION(name, result, put, A, expression)                           \
    static void name(struct warp* w, const struct instruction* in, u32 mask) { \
        const A* a = (const A*)(const void*)(w->file + in->a);                 \
        result values[LANES];                                                  \
        for (u32 i = 0; i < LANES; i++) {                                      \
            const A x = a[i];                                                  \
            values[i] = (result)(expression);                                  \
        }                                                                      \
        put((result*)(void*)(w->file + in->d), values, mask);                  \
    }
CONVERSION(u16_u32, u32, put32, u16, x)
CONVERSION(s16_s32, u32, put32, s16, (s32)x)
CONVERSION(u16_u64, u64, put64, u16, x)
CONVERSION(s16_s64, u64, put64, s16, (s64)x)
CONVERSION(u32_u64, u64, put64, u32, x)
CONVERSION(s32_s64, u64, put64, s32, (s64)x)
CONVERSION(u32_u16, u16, put16, u32, x)
CONVERSION(u64_u16, u16, put16, u64, x)
CONVERSION(u64_u32, u32, put32, u64, x)
CONVERSION(u32_f32, float, putf, u32, x)
CONVERSION(s32_f32, float, putf, s32, x)
CONVERSION(u64_f32, float, putf, u64, x)
CONVERSION(s64_f32, float, putf, s64, x)
CONVERSION(u32_f64, double, putd, u32, x)
CONVERSION(s32_f64, double, putd, s32, x)
CONVERSION(u64_f64, double, putd, u64, x)
CONVERSION(s64_f64, double, putd, s64, x)
CONVERSION(f32_f64, double, putd, float, x)
CONVERSION(f64_f32, float, putf, double, canonical((float)x))
CONVERSION(f32_sat, float, putf, float, x > 1 ? 1.0f : x > 0 ? x : 0.0f)
CONVERSION(f16_f32, float, putf, u16, half_to_float(x))
CONVERSION(f32_f16, u16, put16, float, float_to_half(x))
CONVERSION(bf16_f32, float, putf, u16, canonical(bfloat_to_float(x)))
CONVERSION(f32_bf16, u16, put16, float, float_to_bfloat(x))
CONVERSION(f32_s32, u32, put32, float, x != x ? 0 : x >= 0x1p31f ? INT32_MAX : x <= -0x1p31f ? INT32_MIN : (s32)x)
CONVERSION(f32_u32, u32, put32, float, !(x > 0) ? 0 : x >= 0x1p32f ? UINT32_MAX : (u32)x)

static const struct {
    enum type result, source;
    enum rounding rounding;
    operation* run;
} loops[] = {
    {U32, U16, NEAREST, u16_u32},         {S32, U16, NEAREST, u16_u32},   {S32, S16, NEAREST, s16_s32},
    {U32, S16, NEAREST, s16_s32},         {U64, U16, NEAREST, u16_u64},   {S64, U16, NEAREST, u16_u64},
    {S64, S16, NEAREST, s16_s64},         {U64, S16, NEAREST, s16_s64},   {U64, U32, NEAREST, u32_u64},
    {S64, U32, NEAREST, u32_u64},         {S64, S32, NEAREST, s32_s64},   {U64, S32, NEAREST, s32_s64},
    {U16, U32, NEAREST, u32_u16},         {S16, U32, NEAREST, u32_u16},   {U16, S32, NEAREST, u32_u16},
    {S16, S32, NEAREST, u32_u16},         {U16, U64, NEAREST, u64_u16},   {S16, U64, NEAREST, u64_u16},
    {U16, S64, NEAREST, u64_u16},         {S16, S64, NEAREST, u64_u16},   {U32, U64, NEAREST, u64_u32},
    {S32, U64, NEAREST, u64_u32},         {U32, S64, NEAREST, u64_u32},   {S32, S64, NEAREST, u64_u32},
    {F32, U32, NEAREST, u32_f32},         {F32, S32, NEAREST, s32_f32},   {F32, U64, NEAREST, u64_f32},
    {F32, S64, NEAREST, s64_f32},         {F64, U32, NEAREST, u32_f64},   {F64, S32, NEAREST, s32_f64},
    {F64, U64, NEAREST, u64_f64},         {F64, S64, NEAREST, s64_f64},   {F64, F32, NEAREST, f32_f64},
    {F32, F64, NEAREST, f64_f32},         {F32, F16, NEAREST, f16_f32},   {F16, F32, NEAREST, f32_f16},
    {F32, BF16, NEAREST, bf16_f32},       {BF16, F32, NEAREST, f32_bf16}, {S32, F32, INT_TOWARD_ZERO, f32_s32},
    {U32, F32, INT_TOWARD_ZERO, f32_u32},
};

// --- All others ---------------------------------------------------------------------------------------------------

// A lane of a register as its type says; a register may be wider than the type.
static u64 lane_bits(struct warp* w, u32 slot, u32 lane, u32 register_bytes) {
    u64 bits = 0;
    memcpy(&bits, w->file + slot + lane * register_bytes, register_bytes);
    return bits;
}

static double float_value(u64 bits, enum type type) {
    switch (type) {
    case F16:
        return half_to_float((u16)bits);
    case BF16:
        return bfloat_to_float((u16)bits);
    case F32:
    case TF32:
        return float_of((u32)bits);
    default:
        return double_of(bits);
    }
}

static __int128 integer_value(u64 bits, enum type type) {
    const u32 width = 8 * type_bytes(type);
    if (width < 64) bits &= (1ull << width) - 1;
    if (!type_is_signed(type)) return bits;
    return width == 64 ? (s64)bits : (s64)(bits << (64 - width)) >> (64 - width);
}

static u64 clamped(__int128 value, enum type type) {
    const u32 width = 8 * type_bytes(type);
    const __int128 one = 1;
    const __int128 least = type_is_signed(type) ? -(one << (width - 1)) : 0;
    const __int128 most = type_is_signed(type) ? (one << (width - 1)) - 1 : (one << width) - 1;
    return (u64)(value < least ? least : value > most ? most : value);
}

static double whole(double value, enum rounding rounding) {
    switch (rounding) {
    case INT_NEAREST:
        return nearbyint(value);
    case INT_TOWARD_ZERO:
        return trunc(value);
    case INT_DOWN:
        return floor(value);
    case INT_UP:
        return ceil(value);
    default:
        return value;
    }
}

static u64 float_result(double value, enum type type, enum rounding rounding) {
    switch (type) {
    case F16:
        return double_to_half(value, rounding);
    case BF16:
        return double_to_bfloat(value, rounding);
    case TF32:
        return bits_of(canonical((float)rounded_to(value, 11, -136, rounding)));
    case F32:
        return bits_of(canonical((float)value));
    default:
        return double_bits(value);
    }
}

static u64 converted(u64 bits, const struct instruction* in) {
    const enum type result = in->type, source = in->source_type;
    if (type_is_float(source)) {
        double value = whole(float_value(bits, source), in->rounding);
        if (!type_is_float(result)) {
            if (value != value) return 0;
            const double bound = 0x1p100; // beyond every integer type, within __int128
            return clamped((__int128)(value > bound ? bound : value < -bound ? -bound : value), result);
        }
        if (in->sat) value = value > 1 ? 1 : value > 0 ? value : 0;
        return float_result(value, result, in->rounding);
    }
    const __int128 value = integer_value(bits, source);
    if (result == F32) return bits_of(type_is_signed(source) ? (float)(s64)value : (float)(u64)value);
    if (result == F64) return double_bits(type_is_signed(source) ? (double)(s64)value : (double)(u64)value);
    if (type_is_float(result)) return float_result((double)value, result, in->rounding);
    return in->sat ? clamped(value, result) : (u64)value;
}

static void one_by_one(struct warp* w, const struct instruction* in, u32 mask) {
    static const int modes[] = {
        [NEAREST] = FE_TONEAREST, [TOWARD_ZERO] = FE_TOWARDZERO, [DOWN] = FE_DOWNWARD, [UP] = FE_UPWARD};
    const bool is_rounded = in->rounding >= TOWARD_ZERO && in->rounding <= UP;
    FOR_LANES(i, mask) {
        const u64 source = lane_bits(w, in->a, i, in->width);
        if (is_rounded) fesetround(modes[in->rounding]);
        const u64 bits = converted(source, in);
        if (is_rounded) fesetround(FE_TONEAREST);
        memcpy(w->file + in->d + i * in->count, &bits, in->count);
    }
}

operation* conversion_operation(struct instruction* in, const char** reason) {
    // in->width and in->count are the bytes of the two registers, which may be wider than the types.
    const enum type result = in->type, source = in->source_type;
    const bool is_plain = in->width == type_bytes(source) && in->count == type_bytes(result);
    if (in->ftz && !is_plain) *reason = "a flushed conversion of a wider register";
    if (in->sat && result == F32 && source == F32 && in->rounding == NEAREST) return f32_sat;
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++)
        if (is_plain && !in->sat && loops[i].result == result && loops[i].source == source &&
            loops[i].rounding == in->rounding)
            return loops[i].run;
    return one_by_one;
}

// --- Pairs --------------------------------------------------------------------------------------------------------

// The first source is the high half.
static void f32_f16x2(struct warp* w, const struct instruction* in, u32 mask) {
    const float *a = REGF(w, in->a), *b = REGF(w, in->b);
    u32 values[LANES];
    for (u32 i = 0; i < LANES; i++) values[i] = (u32)float_to_half(a[i]) << 16 | float_to_half(b[i]);
    put32(REG32(w, in->d), values, mask);
}

static void f32_bf16x2(struct warp* w, const struct instruction* in, u32 mask) {
    const float *a = REGF(w, in->a), *b = REGF(w, in->b);
    u32 values[LANES];
    for (u32 i = 0; i < LANES; i++) values[i] = (u32)float_to_bfloat(a[i]) << 16 | float_to_bfloat(b[i]);
    put32(REG32(w, in->d), values, mask);
}

operation* pair_conversion_operation(enum type pair) { return pair == F16X2 ? f32_f16x2 : f32_bf16x2; }
