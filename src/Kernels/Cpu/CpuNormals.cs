using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Kernels.Cpu;

/// <summary>
/// Standard normal numbers, two of each two random words (G. E. P. Box and M. E. Muller, "A note on the generation of random normal
/// deviates", 1958): the managed twin of <c>kernels/portable/normal.h</c>.
/// </summary>
internal static unsafe class CpuNormals
{
    /// <summary>Numbers of one draw: eight blocks of four.</summary>
    public const int Lanes = 32;

    /// <summary>The most that one call makes, three times six draws; they stay in the first-level cache.</summary>
    public const int AtOnce = 3 * LanesOfSix;

    private const int LanesOfSix = 6 * Lanes;

    private const int Width = CpuElement.Width;

    /// <summary>
    /// The numbers of the elements 4 * <paramref name="block"/> and those that follow: <paramref name="count"/>, and as many more as the
    /// last draw has.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Fill(in CpuPhilox philox, ulong block, float* normals, int count)
    {
        DrawPoints(philox, block, normals, count);
        for (int i = 0; i < count; i += Lanes)
        {
            OfPoints(normals + i, out Vector512<float> first, out Vector512<float> second);
            first.Store(normals + i);
            second.Store(normals + i + Width);
        }
    }

    /// <summary>
    /// What <see cref="OfPoints"/> makes these numbers of: points of the plane, whose two coordinates are two numbers. Of each draw the
    /// distances from 0 come first, then the directions.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void DrawPoints(in CpuPhilox philox, ulong block, float* points, int count)
    {
        // Step by step for all draws: each step alone is short enough that the processor has several in flight at once.
        uint* words = (uint*)points;
        int drawn = 0;
        for (; count - drawn > LanesOfSix - Lanes; drawn += LanesOfSix, block += LanesOfSix / 4) philox.DrawSixPairs(block, words + drawn);
        for (; drawn < count; drawn += Lanes, block += Lanes / 4) philox.DrawPairs(block, words + drawn);
        for (int i = 0; i < count; i += Lanes) Radius(Vector512.Load(words + i)).Store(points + i);
    }

    /// <summary>The numbers of one draw, in order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void OfPoints(float* points, out Vector512<float> first, out Vector512<float> second)
    {
        CpuMath.CosSin(Vector512.Load((uint*)points + Width), out Vector512<float> cosine, out Vector512<float> sine);
        Vector512<float> radius = Vector512.Load(points);
        CpuPhilox.InterleavePairs(radius * cosine, radius * sine, out first, out second);
    }

    /// <summary>Numbers as a vector of the arithmetic type.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> Load<TReal>(float* normals)
        where TReal : unmanaged
    {
        if (typeof(TReal) == typeof(float)) return Vector512.Load(normals).As<float, TReal>();
        Vector256<float> half = Vector256.Load(normals);
        return Vector512.Create(Vector256.WidenLower(half), Vector256.WidenUpper(half)).As<double, TReal>();
    }

    /// <summary>How far from 0 pairs of numbers are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Radius(Vector512<uint> words)
    {
        Vector512<float> u = Vector512.FusedMultiplyAdd(
            Vector512.ConvertToSingle(words), Vector512.Create(2.3283064365386963e-10f), Vector512.Create(1.16415321826934814e-10f));
        return Vector512.Sqrt(Vector512.Create(-2f) * CpuMath.Log(u));
    }
}
