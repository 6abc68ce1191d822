using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Devices.Cpu;

namespace Kernels.Cpu;

/// <summary>
/// Storage type to arithmetic type and back on the CPU device: what LOAD and STORE are to the kernels. The type tests are constants to the
/// JIT, so each instantiation keeps one branch. Stores round to nearest, ties to even.
/// </summary>
internal static unsafe class CpuElement
{
    /// <summary>Elements in one vector of floats.</summary>
    public const int Width = 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToSingle<T>(T value)
        where T : unmanaged
    {
        if (typeof(T) == typeof(float)) return Unsafe.BitCast<T, float>(value);
        if (typeof(T) == typeof(Half)) return (float)Unsafe.BitCast<T, Half>(value);
        if (typeof(T) == typeof(BFloat16)) return Unsafe.BitCast<T, BFloat16>(value);
        if (typeof(T) == typeof(double)) return (float)Unsafe.BitCast<T, double>(value);
        throw new NotSupportedException();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T FromSingle<T>(float value)
        where T : unmanaged
    {
        if (typeof(T) == typeof(float)) return Unsafe.BitCast<float, T>(value);
        if (typeof(T) == typeof(Half)) return Unsafe.BitCast<Half, T>((Half)value);
        if (typeof(T) == typeof(BFloat16)) return Unsafe.BitCast<BFloat16, T>((BFloat16)value);
        if (typeof(T) == typeof(double)) return Unsafe.BitCast<double, T>(value);
        throw new NotSupportedException();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double ToDouble<T>(T value)
        where T : unmanaged =>
        typeof(T) == typeof(double) ? Unsafe.BitCast<T, double>(value) : ToSingle(value);

    /// <summary>Rounds once when <typeparamref name="T"/> is double, else through float, as the kernels do.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T FromDouble<T>(double value)
        where T : unmanaged =>
        typeof(T) == typeof(double) ? Unsafe.BitCast<double, T>(value) : FromSingle<T>((float)value);

    /// <summary>Sixteen elements as float; not for double.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load<T>(T* source)
        where T : unmanaged
    {
        return typeof(T) == typeof(float) ? Vector512.Load((float*)source) : Widen<T>(Vector256.Load((ushort*)source));
    }

    /// <summary>Sixteen elements in double.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512<double> Low, Vector512<double> High) LoadDoubles<T>(T* source)
        where T : unmanaged
    {
        if (typeof(T) == typeof(double)) return (Vector512.Load((double*)source), Vector512.Load((double*)source + (Width / 2)));
        Vector512<float> values = Load(source);
        return (Vector512.WidenLower(values), Vector512.WidenUpper(values));
    }

    /// <summary>Sixteen elements of a 16-bit type as float.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Widen<T>(Vector256<ushort> stored)
        where T : unmanaged
    {
        Vector512<uint> bits = Vector512.Create(Vector256.WidenLower(stored), Vector256.WidenUpper(stored));
        if (typeof(T) == typeof(BFloat16)) return (bits << 16).AsSingle();
        if (typeof(T) == typeof(Half)) return HalfToSingle(bits);
        throw new NotSupportedException();
    }

    /// <summary>Stores sixteen elements; not for double.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T>(T* destination, Vector512<float> value)
        where T : unmanaged
    {
        if (typeof(T) == typeof(float))
            value.Store((float*)destination);
        else
            Vector256.Store(NarrowToStored<T>(value), (ushort*)destination);
    }

    /// <summary>Stores 32 elements the way <typeparamref name="TStore"/> does; not for double.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store32<T, TStore>(T* destination, Vector512<float> low, Vector512<float> high)
        where T : unmanaged
        where TStore : struct, IVectorStore
    {
        if (typeof(T) == typeof(float))
        {
            TStore.Store((byte*)destination, low.AsByte());
            TStore.Store((byte*)(destination + Width), high.AsByte());
        }
        else
        {
            TStore.Store((byte*)destination, Vector512.Create(NarrowToStored<T>(low), NarrowToStored<T>(high)).AsByte());
        }
    }

    /// <summary>
    /// The first <paramref name="count"/> of sixteen elements, the others 0, so that a tail takes the same path as the rest.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load<T>(T* source, int count)
        where T : unmanaged
    {
        if (count == Width) return Load(source);
        if (typeof(T) == typeof(float) && Avx512F.IsSupported) return Avx512F.MaskLoad((float*)source, First(count), Vector512<float>.Zero);
        if (typeof(T) != typeof(double) && Avx512BW.VL.IsSupported)
        {
            Vector256<ushort> first = Vector256.LessThan(Vector256<ushort>.Indices, Vector256.Create((ushort)count));
            return Widen<T>(Avx512BW.VL.MaskLoad((ushort*)source, first, Vector256<ushort>.Zero));
        }

        return LoadPart(source, count);
    }

    /// <summary>Stores the first <paramref name="count"/> of sixteen elements.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T>(T* destination, Vector512<float> value, int count)
        where T : unmanaged
    {
        if (count == Width)
        {
            Store(destination, value);
            return;
        }

        if (typeof(T) == typeof(float) && Avx512F.IsSupported)
        {
            Avx512F.MaskStore((float*)destination, First(count), value);
            return;
        }

        if (typeof(T) != typeof(double) && Avx512BW.VL.IsSupported)
        {
            Vector256<ushort> first = Vector256.LessThan(Vector256<ushort>.Indices, Vector256.Create((ushort)count));
            Avx512BW.VL.MaskStore((ushort*)destination, first, NarrowToStored<T>(value));
            return;
        }

        StorePart(destination, value, count);
    }

    /// <summary>Sixteen floats rounded to a 16-bit type.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> NarrowToStored<T>(Vector512<float> value)
        where T : unmanaged
    {
        if (typeof(T) != typeof(Half) && typeof(T) != typeof(BFloat16)) throw new NotSupportedException();
        Vector512<uint> bits = typeof(T) == typeof(Half) ? SingleToHalf(value) : SingleToBFloat16(value);
        return Vector256.Narrow(bits.GetLower(), bits.GetUpper());
    }

    /// <summary>All ones in the first <paramref name="count"/> lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> First(int count) =>
        Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count)).AsSingle();

    // Out of line: memory taken from the stack inside a caller's loop would add up.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<float> LoadPart<T>(T* source, int count)
        where T : unmanaged
    {
        T* part = stackalloc T[Width];
        new Span<T>(part, Width).Clear();
        new ReadOnlySpan<T>(source, count).CopyTo(new Span<T>(part, Width));
        return Load(part);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void StorePart<T>(T* destination, Vector512<float> value, int count)
        where T : unmanaged
    {
        T* part = stackalloc T[Width];
        Store(part, value);
        new ReadOnlySpan<T>(part, count).CopyTo(new Span<T>(destination, count));
    }

    private static Vector512<uint> SingleToBFloat16(Vector512<float> value)
    {
        Vector512<uint> bits = value.AsUInt32();
        Vector512<uint> rounded = (bits + Vector512.Create(0x7fffu) + ((bits >>> 16) & Vector512<uint>.One)) >>> 16;
        Vector512<uint> quiet = (bits >>> 16) | Vector512.Create(0x40u);
        return Vector512.ConditionalSelect(Vector512.Equals(value, value).AsUInt32(), rounded, quiet);
    }

    /// <summary>
    /// Multiplying by 2^112 moves the exponent's bias and makes subnormals normal, both exactly; Inf and NaN need their exponent filled.
    /// </summary>
    private static Vector512<float> HalfToSingle(Vector512<uint> half)
    {
        Vector512<uint> magnitude = half & Vector512.Create(0x7fffu);
        Vector512<uint> sign = (half ^ magnitude) << 16;
        Vector512<uint> scaled = ((magnitude << 13).AsSingle() * Vector512.Create(5.192296858534828e33f)).AsUInt32();
        Vector512<uint> special = Vector512.GreaterThan(magnitude, Vector512.Create(0x7bffu)) & Vector512.Create(0x7f800000u);
        return (scaled | special | sign).AsSingle();
    }

    /// <summary>
    /// Normal results round by adding half a unit and the last kept bit; subnormal ones by adding 0.5, whose last bit has their weight.
    /// </summary>
    private static Vector512<uint> SingleToHalf(Vector512<float> value)
    {
        Vector512<uint> bits = value.AsUInt32();
        Vector512<uint> magnitude = bits & Vector512.Create(0x7fffffffu);
        Vector512<uint> sign = (bits ^ magnitude) >>> 16;
        Vector512<uint> normal = (magnitude + Vector512.Create(0xc8000fffu) + ((magnitude >>> 13) & Vector512<uint>.One)) >>> 13;
        Vector512<uint> subnormal = (magnitude.AsSingle() + Vector512.Create(0.5f)).AsUInt32() - Vector512.Create(0x3f000000u);
        Vector512<uint> finite = Vector512.ConditionalSelect(
            Vector512.LessThan(magnitude, Vector512.Create(0x38800000u)), subnormal, normal);
        Vector512<uint> special = Vector512.ConditionalSelect(
            Vector512.GreaterThan(magnitude, Vector512.Create(0x7f800000u)), Vector512.Create(0x7e00u), Vector512.Create(0x7c00u));
        return sign | Vector512.ConditionalSelect(Vector512.LessThan(magnitude, Vector512.Create(0x47800000u)), finite, special);
    }
}
