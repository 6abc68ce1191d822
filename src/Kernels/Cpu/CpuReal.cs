using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Kernels.Cpu;

/// <summary>
/// Vectors of the arithmetic type, loaded from and stored to any stored type; a part of a vector takes the same path as a whole one.
/// </summary>
internal static unsafe class CpuReal
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> Load<T, TReal>(T* source, int count)
        where T : unmanaged
        where TReal : unmanaged =>
        typeof(TReal) == typeof(double)
            ? LoadDoubles((double*)source, count).As<double, TReal>()
            : CpuElement.Load(source, count).As<float, TReal>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> Load<TReal>(TReal* source, int count)
        where TReal : unmanaged => Load<TReal, TReal>(source, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T, TReal>(T* destination, Vector512<TReal> value, int count)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (typeof(TReal) == typeof(double))
            StoreDoubles((double*)destination, value.As<TReal, double>(), count);
        else
            CpuElement.Store(destination, value.As<TReal, float>(), count);
    }

    /// <summary>
    /// The same, whole vectors past the caches where <paramref name="streams"/> says so: vectors that follow each other from a cache line's
    /// start.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T, TReal>(T* destination, Vector512<TReal> value, int count, bool streams)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (!streams || count < Vector512<TReal>.Count)
            Store(destination, value, count);
        else if (sizeof(T) == 2)
            CpuElement.NarrowToStored<T>(value.As<TReal, float>()).StoreAlignedNonTemporal((ushort*)destination);
        else
            value.AsByte().StoreAlignedNonTemporal((byte*)destination);
    }

    /// <summary>a * b + c, rounded once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> FusedMultiplyAdd<TReal>(Vector512<TReal> a, Vector512<TReal> b, Vector512<TReal> c)
        where TReal : unmanaged =>
        typeof(TReal) == typeof(double)
            ? Vector512.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, TReal>()
            : Vector512.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, TReal>();

    /// <summary>-1, 0 or 1; NaN for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> SignOf<TReal>(Vector512<TReal> x)
        where TReal : unmanaged
    {
        Vector512<TReal> negative = Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512<TReal>.Zero), -Vector512<TReal>.One, x);
        return Vector512.ConditionalSelect(Vector512.GreaterThan(x, Vector512<TReal>.Zero), Vector512<TReal>.One, negative);
    }

    /// <summary>All ones where a number is neither NaN nor infinite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> IsFinite<TReal>(Vector512<TReal> x)
        where TReal : unmanaged => Vector512.Equals(x - x, Vector512<TReal>.Zero);

    /// <summary>Whether there is neither NaN nor an infinity.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool AreFinite<TReal>(TReal* values, long count)
        where TReal : unmanaged
    {
        Vector512<TReal> finite = Vector512<TReal>.AllBitsSet;
        for (long i = 0; i < count; i += Vector512<TReal>.Count)
            finite &= IsFinite(Load(values + i, (int)Math.Min(Vector512<TReal>.Count, count - i)));
        return finite.AsByte() == Vector512<byte>.AllBitsSet;
    }

    /// <summary>What is left of the values after they were stored.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> Round<T, TReal>(Vector512<TReal> value)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (typeof(T) == typeof(TReal)) return value;
        Vector256<ushort> stored = CpuElement.NarrowToStored<T>(value.As<TReal, float>());
        return CpuElement.Load((T*)&stored).As<float, TReal>();
    }

    // As CpuElement does with float: without a call, at which a caller's loop would put its vectors on the stack.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<double> LoadDoubles(double* source, int count)
    {
        if (count == Vector512<double>.Count) return Vector512.Load(source);
        return Avx512F.IsSupported ? Avx512F.MaskLoad(source, First(count), Vector512<double>.Zero) : LoadPart(source, count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreDoubles(double* destination, Vector512<double> value, int count)
    {
        if (count == Vector512<double>.Count)
            value.Store(destination);
        else if (Avx512F.IsSupported)
            Avx512F.MaskStore(destination, First(count), value);
        else
            StorePart(destination, value, count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<double> First(int count) =>
        Vector512.LessThan(Vector512<long>.Indices, Vector512.Create((long)count)).AsDouble();

    // Out of line: memory taken from the stack inside a caller's loop would add up.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<double> LoadPart(double* source, int count)
    {
        Vector512<double> part = default;
        Unsafe.CopyBlockUnaligned(&part, source, (uint)(count * sizeof(double)));
        return part;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void StorePart(double* destination, Vector512<double> value, int count) =>
        Unsafe.CopyBlockUnaligned(destination, &value, (uint)(count * sizeof(double)));
}
