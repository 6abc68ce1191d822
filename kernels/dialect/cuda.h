// The dialect for CUDA C++ as NVRTC compiles it: no headers, so half floats are converted by PTX. Defines the same
// names as dialect/opencl.h; kernels/README.md says what each one means.

#define DIALECT_CUDA   1
#define DIALECT_OPENCL 0

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;

#define KERNEL extern "C" __global__ __launch_bounds__(GROUP_SIZE, RESIDENT_GROUPS)
#define DEVICE static __device__ __forceinline__
#define INLINED
#define CONSTANT static __constant__ const
#define GLOBAL
#define LOCAL
#define SHARED   __shared__
#define RESTRICT __restrict__
#define UNROLL   _Pragma("unroll")

#define RESIDENT_GROUPS 0

#define LOCAL_ID                   (threadIdx.x)
#define GROUP_ID                   ((u64)blockIdx.x)
#define GROUP_COUNT                ((u64)gridDim.x)
#define GLOBAL_ID                  ((u64)blockIdx.x * GROUP_SIZE + threadIdx.x)
#define GLOBAL_SIZE                ((u64)gridDim.x * GROUP_SIZE)
#define BARRIER()                  __syncthreads()
#define ATOMIC_ADD(pointer, value) atomicAdd(pointer, value)
#define ATOMIC_MIN(pointer, value) atomicMin(pointer, value)

#define MUL_HI(a, b)      __umulhi(a, b)
#define MUL_HI_64(a, b)   __umul64hi(a, b)
#define COUNT_ONES(bits)  ((u32)__popcll(bits))
#define AS_U32(x)         __float_as_uint(x)
#define AS_F32(x)         __uint_as_float(x)
#define FMA(a, b, c)      fma(a, b, c)
#define EXP(x)            exp(x)
#define LOG(x)            log(x)
#define SQRT(x)           sqrt(x)
#define MAX(a, b)         fmax(a, b)
#define MIN(a, b)         fmin(a, b)
#define QUOTIENT(a, b)    ((a) * (1 / (real)(b)))
#define QUIET_NAN         ((real)__int_as_float(0x7fc00000))
#define NEGATIVE_INFINITY ((real)__int_as_float(0xff800000))

// How the compiler itself makes roots and quotients of numbers of usual size, rounded as sqrt and / do, but without its
// branches and calls for others, which keep neighbours from being calculated side by side.
DEVICE float usual_sqrt(float x) {
    float inverse;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(fmax(x, 1e-30f)));
    const float root = x * inverse;
    return fma(fma(-root, root, x), 0.5f * inverse, root);
}

DEVICE float usual_quotient(float a, float b) {
    float inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(b));
    inverse = fma(inverse, fma(-b, inverse, 1.0f), inverse);
    const float quotient = a * inverse;
    return fma(inverse, fma(-b, quotient, a), quotient);
}

DEVICE float f16_to_f32(u16 bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

DEVICE u16 f32_to_f16(float value) {
    u16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

DEVICE u16 f32_to_bf16(float value) {
#if __CUDA_ARCH__ >= 800
    u16 bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    const u32 bits = AS_U32(value);
    if (value != value) return (u16)0x7fffu;
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#endif
}

// For what is made once ahead of a loop: the compiler is not to make it again in each turn.
DEVICE u32 settled(u32 x) {
    asm volatile("" : "+r"(x));
    return x;
}

DEVICE u64 settled_64(u64 x) {
    asm volatile("" : "+l"(x));
    return x;
}

// a + b, where b is 1.5 * 2^23 and the sum in its binade: the next step down, so that the last bits are a floor.
DEVICE float sum_rounded_down(float a, float b) { return __fadd_rd(a, b); }

// What the compiler knows to be a byte it converts where special functions are made, four times slower than a word.
DEVICE float u8_to_f32(u8 stored) {
    u32 word = stored;
    asm("" : "+r"(word));
    return (float)word;
}

// What the compiler makes of 1 / x, without the branch for the ends of the range.
DEVICE float reciprocal_f32(float x) {
    float guess;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(guess) : "f"(x));
    return FMA(guess, FMA(-x, guess, 1.0f), guess);
}

DEVICE u32 pair_f16(float low, float high) {
#if __CUDA_ARCH__ >= 800
    u32 bits;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
#else
    return f32_to_f16(low) | (u32)f32_to_f16(high) << 16;
#endif
}

DEVICE u32 pair_bf16(float low, float high) {
#if __CUDA_ARCH__ >= 800
    u32 bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
#else
    return f32_to_bf16(low) | (u32)f32_to_bf16(high) << 16;
#endif
}

// Consecutive elements in 16-byte accesses; the host picks VEC = 8 only for addresses on 16 bytes. Stores are spelled
// out: the compiler splits one whose parts it has put together by selections.
DEVICE void load4_f32(const float* source, float* values) {
    const float4 a = *(const float4*)source;
    values[0] = a.x, values[1] = a.y, values[2] = a.z, values[3] = a.w;
}

DEVICE void store4_f32(float* target, const float* values) {
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(target)), "f"(values[0]),
                 "f"(values[1]), "f"(values[2]), "f"(values[3])
                 : "memory");
}

DEVICE void load8_f32(const float* source, float* values) {
    load4_f32(source, values);
    load4_f32(source + 4, values + 4);
}

DEVICE void store8_f32(float* target, const float* values) {
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};\n\tst.global.v4.f32 [%0+16], {%5, %6, %7, %8};" ::"l"(
                     __cvta_generic_to_global(target)),
                 "f"(values[0]), "f"(values[1]), "f"(values[2]), "f"(values[3]), "f"(values[4]), "f"(values[5]),
                 "f"(values[6]), "f"(values[7])
                 : "memory");
}

DEVICE void load8_u16(const u16* source, u32* pairs) {
    const uint4 a = *(const uint4*)source;
    pairs[0] = a.x, pairs[1] = a.y, pairs[2] = a.z, pairs[3] = a.w;
}

DEVICE void store8_u16(u16* target, const u32* pairs) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(target)), "r"(pairs[0]),
                 "r"(pairs[1]), "r"(pairs[2]), "r"(pairs[3])
                 : "memory");
}

DEVICE void load4_u16(const u16* source, u32* pairs) {
    const uint2 a = *(const uint2*)source;
    pairs[0] = a.x, pairs[1] = a.y;
}

DEVICE void store4_u16(u16* target, const u32* pairs) {
    asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(target)), "r"(pairs[0]),
                 "r"(pairs[1])
                 : "memory");
}

#if DTYPE_F64
DEVICE void load4_f64(const double* source, double* values) {
    for (int i = 0; i < 2; i++) {
        const double2 pair = ((const double2*)source)[i];
        values[2 * i] = pair.x, values[2 * i + 1] = pair.y;
    }
}

DEVICE void store4_f64(double* target, const double* values) {
    for (int i = 0; i < 2; i++)
        asm volatile("st.global.v2.f64 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(target + 2 * i)),
                     "d"(values[2 * i]), "d"(values[2 * i + 1])
                     : "memory");
}

DEVICE void load8_f64(const double* source, double* values) {
    load4_f64(source, values);
    load4_f64(source + 4, values + 4);
}

DEVICE void store8_f64(double* target, const double* values) {
    store4_f64(target, values);
    store4_f64(target + 4, values + 4);
}
#endif
