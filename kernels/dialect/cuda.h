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

#define KERNEL   extern "C" __global__ __launch_bounds__(GROUP_SIZE)
#define DEVICE   static __device__ __forceinline__
#define CONSTANT static __constant__ const
#define GLOBAL
#define LOCAL
#define SHARED   __shared__
#define RESTRICT __restrict__

#define LOCAL_ID                   (threadIdx.x)
#define GROUP_ID                   ((u64)blockIdx.x)
#define GROUP_COUNT                ((u64)gridDim.x)
#define GLOBAL_ID                  ((u64)blockIdx.x * GROUP_SIZE + threadIdx.x)
#define GLOBAL_SIZE                ((u64)gridDim.x * GROUP_SIZE)
#define BARRIER()                  __syncthreads()
#define ATOMIC_ADD(pointer, value) atomicAdd(pointer, value)
#define ATOMIC_MIN(pointer, value) atomicMin(pointer, value)

#define MUL_HI(a, b)      __umulhi(a, b)
#define AS_U32(x)         __float_as_uint(x)
#define AS_F32(x)         __uint_as_float(x)
#define FMA(a, b, c)      fma(a, b, c)
#define EXP(x)            exp(x)
#define LOG(x)            log(x)
#define SQRT(x)           sqrt(x)
#define MAX(a, b)         fmax(a, b)
#define QUIET_NAN         ((real)__int_as_float(0x7fc00000))
#define NEGATIVE_INFINITY ((real)__int_as_float(0xff800000))

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

// Eight consecutive elements in 16-byte accesses; the host picks VEC = 8 only for addresses on 16 bytes.
DEVICE void load8_f32(const float* source, float* values) {
    const float4 a = ((const float4*)source)[0];
    const float4 b = ((const float4*)source)[1];
    values[0] = a.x, values[1] = a.y, values[2] = a.z, values[3] = a.w;
    values[4] = b.x, values[5] = b.y, values[6] = b.z, values[7] = b.w;
}

DEVICE void store8_f32(float* target, const float* values) {
    ((float4*)target)[0] = make_float4(values[0], values[1], values[2], values[3]);
    ((float4*)target)[1] = make_float4(values[4], values[5], values[6], values[7]);
}

DEVICE void load8_u16(const u16* source, u16* values) {
    const uint4 a = *(const uint4*)source;
    values[0] = (u16)a.x, values[1] = (u16)(a.x >> 16), values[2] = (u16)a.y, values[3] = (u16)(a.y >> 16);
    values[4] = (u16)a.z, values[5] = (u16)(a.z >> 16), values[6] = (u16)a.w, values[7] = (u16)(a.w >> 16);
}

DEVICE void store8_u16(u16* target, const u16* values) {
    *(uint4*)target = make_uint4(values[0] | (u32)values[1] << 16, values[2] | (u32)values[3] << 16,
                                 values[4] | (u32)values[5] << 16, values[6] | (u32)values[7] << 16);
}

#if DTYPE_F64
DEVICE void load8_f64(const double* source, double* values) {
    for (int i = 0; i < 4; i++) {
        const double2 pair = ((const double2*)source)[i];
        values[2 * i] = pair.x, values[2 * i + 1] = pair.y;
    }
}

DEVICE void store8_f64(double* target, const double* values) {
    for (int i = 0; i < 4; i++) ((double2*)target)[i] = make_double2(values[2 * i], values[2 * i + 1]);
}
#endif
