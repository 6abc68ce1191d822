// The stored type (scalar), the type of arithmetic (real), and the way from one to the other. Half types travel as
// 16-bit integers and are calculated with in float; double only meets double.

#if DTYPE_F64
typedef double scalar;
typedef double real;
#elif DTYPE_F32
typedef float scalar;
typedef float real;
#else
typedef u16 scalar;
typedef float real;
#endif

// In float CUDA's neighbours take two fours each of the sixteen elements that are theirs together, first one and then
// the other of a pair, so that every access fills whole sectors of memory (blocks.h).
#define PAIRED (DIALECT_CUDA && DTYPE_F32)

DEVICE float bf16_to_f32(u16 bits) { return AS_F32((u32)bits << 16); }

DEVICE real to_real(scalar stored) {
#if DTYPE_F16
    return f16_to_f32(stored);
#elif DTYPE_BF16
    return bf16_to_f32(stored);
#else
    return stored;
#endif
}

DEVICE scalar to_scalar(real value) {
#if DTYPE_F16
    return f32_to_f16(value);
#elif DTYPE_BF16
    return f32_to_bf16(value);
#else
    return value;
#endif
}

// Two values as they are stored side by side, the lower in the low half.
#if DTYPE_F16 || DTYPE_BF16
DEVICE u32 to_pair(real low, real high) {
#if DTYPE_F16
    return pair_f16(low, high);
#else
    return pair_bf16(low, high);
#endif
}
#endif

DEVICE real load(GLOBAL const scalar* source, u64 index) { return to_real(source[index]); }

DEVICE void store(GLOBAL scalar* target, u64 index, real value) { target[index] = to_scalar(value); }

// 1 / x, rounded as a quotient, of a number that is far from the ends of the range.
DEVICE real reciprocal(real x) {
#if DTYPE_F64
    return 1 / x;
#else
    return reciprocal_f32(x);
#endif
}

// Neither NaN nor an infinity.
DEVICE u32 is_finite(real x) { return x - x == 0; }

// Eight values as they are stored. What is loaded and not yet made into numbers is not waited for.
typedef struct {
#if DTYPE_F16 || DTYPE_BF16
    u32 pairs[4];
#else
    scalar values[8];
#endif
} stored8;

DEVICE void widen8(stored8 stored, real* values) {
#if DTYPE_F16 || DTYPE_BF16
    for (int i = 0; i < 4; i++) {
        values[2 * i] = to_real((u16)stored.pairs[i]);
        values[2 * i + 1] = to_real((u16)(stored.pairs[i] >> 16));
    }
#else
    for (int i = 0; i < 8; i++) values[i] = stored.values[i];
#endif
}

// Elements index to index + 7 in wide accesses; only where the host chose VEC = 8.
DEVICE stored8 load8_stored(GLOBAL const scalar* source, u64 index) {
    stored8 stored;
#if DTYPE_F64
    load8_f64(source + index, stored.values);
#elif DTYPE_F32
    load8_f32(source + index, stored.values);
#else
    load8_u16(source + index, stored.pairs);
#endif
    return stored;
}

DEVICE void load8(GLOBAL const scalar* source, u64 index, real* values) { widen8(load8_stored(source, index), values); }

DEVICE void store8(GLOBAL scalar* target, u64 index, const real* values) {
#if DTYPE_F64
    store8_f64(target + index, values);
#elif DTYPE_F32
    store8_f32(target + index, values);
#else
    u32 pairs[4];
    for (int i = 0; i < 4; i++) pairs[i] = to_pair(values[2 * i], values[2 * i + 1]);
    store8_u16(target + index, pairs);
#endif
}

// Four of them, with the address on 16 bytes, or 8 for the half types.
DEVICE void load4(GLOBAL const scalar* source, u64 index, real* values) {
#if DTYPE_F64
    load4_f64(source + index, values);
#elif DTYPE_F32
    load4_f32(source + index, values);
#else
    u32 pairs[2];
    load4_u16(source + index, pairs);
    for (int i = 0; i < 2; i++) {
        values[2 * i] = to_real((u16)pairs[i]);
        values[2 * i + 1] = to_real((u16)(pairs[i] >> 16));
    }
#endif
}

DEVICE void store4(GLOBAL scalar* target, u64 index, const real* values) {
#if DTYPE_F64
    store4_f64(target + index, values);
#elif DTYPE_F32
    store4_f32(target + index, values);
#else
    u32 pairs[2];
    for (int i = 0; i < 2; i++) pairs[i] = to_pair(values[2 * i], values[2 * i + 1]);
    store4_u16(target + index, pairs);
#endif
}

// Four values that are kept in the arithmetic type, such as the state of an optimizer.
DEVICE void load4_real(GLOBAL const real* source, real* values) {
#if DTYPE_F64
    load4_f64(source, values);
#else
    load4_f32(source, values);
#endif
}

DEVICE void store4_real(GLOBAL real* target, const real* values) {
#if DTYPE_F64
    store4_f64(target, values);
#else
    store4_f32(target, values);
#endif
}
