// The dialect for OpenCL C 1.2. Defines the same names as dialect/cuda.h; kernels/README.md says what each one means.

#define DIALECT_CUDA   0
#define DIALECT_OPENCL 1

#if DTYPE_F64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

typedef uchar u8;
typedef ushort u16;
typedef uint u32;
typedef ulong u64;
typedef int i32;
typedef long i64;

#define KERNEL __kernel __attribute__((reqd_work_group_size(GROUP_SIZE, 1, 1)))
#define DEVICE static inline
// For functions that get a local array. LLVM turns one that they get in all calls into the array itself, and PoCL does
// not know it again in a function, so that all groups would share one. Oclgrind, which can do without, knows nothing of
// what inlining leaves behind, so that its build options say otherwise.
#ifndef INLINED
#define INLINED __attribute__((always_inline))
#endif
#define CONSTANT __constant
#define GLOBAL   __global
#define LOCAL    __local
#define SHARED   __local
#define RESTRICT restrict
#define UNROLL

#define RESIDENT_GROUPS 0

#define LOCAL_ID                   ((u32)get_local_id(0))
#define GROUP_ID                   ((u64)get_group_id(0))
#define GROUP_COUNT                ((u64)get_num_groups(0))
#define GLOBAL_ID                  ((u64)get_global_id(0))
#define GLOBAL_SIZE                ((u64)get_global_size(0))
#define BARRIER()                  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define ATOMIC_ADD(pointer, value) atomic_add(pointer, value)
#define ATOMIC_MIN(pointer, value) atomic_min(pointer, value)

#define MUL_HI(a, b)      mul_hi((u32)(a), (u32)(b))
#define MUL_HI_64(a, b)   mul_hi((u64)(a), (u64)(b))
#define COUNT_ONES(bits)  ((u32)popcount(bits))
#define AS_U32(x)         as_uint(x)
#define AS_F32(x)         as_float(x)
#define FMA(a, b, c)      fma(a, b, c)
#define EXP(x)            exp(x)
#define LOG(x)            log(x)
#define SQRT(x)           sqrt(x)
#define MAX(a, b)         fmax(a, b)
#define MIN(a, b)         fmin(a, b)
#define QUOTIENT(a, b)    ((a) / (b))
#define QUIET_NAN         ((real)NAN)
#define NEGATIVE_INFINITY ((real)(-INFINITY))

DEVICE float usual_sqrt(float x) { return sqrt(x); }
DEVICE float usual_quotient(float a, float b) { return a / b; }

DEVICE float f16_to_f32(u16 bits) { return vload_half(0, (const half*)&bits); }

DEVICE u16 f32_to_f16(float value) {
    u16 bits;
    vstore_half_rte(value, 0, (half*)&bits);
    return bits;
}

DEVICE u16 f32_to_bf16(float value) {
    const u32 bits = as_uint(value);
    if (value != value) return (u16)((bits >> 16) | 0x40u);
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

DEVICE u32 settled(u32 x) { return x; }
DEVICE u64 settled_64(u64 x) { return x; }
DEVICE float sum_rounded_down(float a, float b) { return floor(a) + b; }
DEVICE float u8_to_f32(u8 stored) { return stored; }
DEVICE float reciprocal_f32(float x) { return 1.0f / x; }
DEVICE u32 pair_f16(float low, float high) { return f32_to_f16(low) | (u32)f32_to_f16(high) << 16; }
DEVICE u32 pair_bf16(float low, float high) { return f32_to_bf16(low) | (u32)f32_to_bf16(high) << 16; }

// Consecutive elements. OpenCL asks for no more than the alignment of one element.
DEVICE void load4_f32(GLOBAL const float* source, float* values) { vstore4(vload4(0, source), 0, values); }
DEVICE void store4_f32(GLOBAL float* target, const float* values) { vstore4(vload4(0, values), 0, target); }
DEVICE void load8_f32(GLOBAL const float* source, float* values) { vstore8(vload8(0, source), 0, values); }
DEVICE void store8_f32(GLOBAL float* target, const float* values) { vstore8(vload8(0, values), 0, target); }
DEVICE void load8_u16(GLOBAL const u16* source, u32* pairs) { vstore4(as_uint4(vload8(0, source)), 0, pairs); }
DEVICE void store8_u16(GLOBAL u16* target, const u32* pairs) { vstore8(as_ushort8(vload4(0, pairs)), 0, target); }
DEVICE void load4_u16(GLOBAL const u16* source, u32* pairs) { vstore2(as_uint2(vload4(0, source)), 0, pairs); }
DEVICE void store4_u16(GLOBAL u16* target, const u32* pairs) { vstore4(as_ushort4(vload2(0, pairs)), 0, target); }
#if DTYPE_F64
DEVICE void load4_f64(GLOBAL const double* source, double* values) { vstore4(vload4(0, source), 0, values); }
DEVICE void store4_f64(GLOBAL double* target, const double* values) { vstore4(vload4(0, values), 0, target); }
DEVICE void load8_f64(GLOBAL const double* source, double* values) { vstore8(vload8(0, source), 0, values); }
DEVICE void store8_f64(GLOBAL double* target, const double* values) { vstore8(vload8(0, values), 0, target); }
#endif
