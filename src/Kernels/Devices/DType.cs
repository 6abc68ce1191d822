using System.Runtime.CompilerServices;

namespace Kernels;

/// <summary>
/// The element types a tensor can store. Arithmetic is done in float (double for <see cref="Float64"/>), whatever is stored.
/// </summary>
public enum DType
{
    /// <summary>IEEE binary32, <see cref="float"/>.</summary>
    Float32,

    /// <summary>IEEE binary16, <see cref="Half"/>.</summary>
    Float16,

    /// <summary>The upper half of a binary32, <see cref="Kernels.BFloat16"/>.</summary>
    BFloat16,

    /// <summary>IEEE binary64, <see cref="double"/>; for verification.</summary>
    Float64,

    /// <summary>Unsigned byte; images.</summary>
    UInt8,

    /// <summary>Signed 32-bit integer; labels and indices.</summary>
    Int32,

    /// <summary>Unsigned 32-bit integer; packed masks.</summary>
    UInt32,

    /// <summary>Unsigned 64-bit integer; random keys.</summary>
    UInt64,
}

/// <summary>Properties of a <see cref="DType"/>.</summary>
public static class DTypes
{
    /// <summary>The data type that stores <typeparamref name="T"/>.</summary>
    /// <exception cref="NotSupportedException"><typeparamref name="T"/> is not a tensor element type.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static DType Of<T>()
        where T : unmanaged
    {
        if (typeof(T) == typeof(float)) return DType.Float32;
        if (typeof(T) == typeof(Half)) return DType.Float16;
        if (typeof(T) == typeof(BFloat16)) return DType.BFloat16;
        if (typeof(T) == typeof(double)) return DType.Float64;
        if (typeof(T) == typeof(byte)) return DType.UInt8;
        if (typeof(T) == typeof(int)) return DType.Int32;
        if (typeof(T) == typeof(uint)) return DType.UInt32;
        if (typeof(T) == typeof(ulong)) return DType.UInt64;
        throw new NotSupportedException(
            $"{typeof(T)} is not a tensor element type; use float, Half, BFloat16, double, byte, int, uint or ulong.");
    }

    /// <summary>Size of one element in bytes.</summary>
    public static int SizeInBytes(this DType dtype) => dtype switch
    {
        DType.UInt8 => 1,
        DType.Float16 or DType.BFloat16 => 2,
        DType.Float32 or DType.Int32 or DType.UInt32 => 4,
        DType.Float64 or DType.UInt64 => 8,
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "unknown data type"),
    };

    /// <summary>True for the four floating-point types.</summary>
    public static bool IsFloat(this DType dtype) =>
        dtype is DType.Float32 or DType.Float16 or DType.BFloat16 or DType.Float64;

    /// <summary>The short name used in tables: f32, f16, bf16, f64, u8, i32, u32, u64.</summary>
    public static string ShortName(this DType dtype) => dtype switch
    {
        DType.Float32 => "f32",
        DType.Float16 => "f16",
        DType.BFloat16 => "bf16",
        DType.Float64 => "f64",
        DType.UInt8 => "u8",
        DType.Int32 => "i32",
        DType.UInt32 => "u32",
        DType.UInt64 => "u64",
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "unknown data type"),
    };
}
