using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Kernels.Cpu;

/// <summary>A norm is length / scale; the scale is 1, or less where squares overflow: <c>scaled_norm</c> in <c>squares.h</c>.</summary>
internal readonly record struct ScaledNorm(double Length, double Scale);

/// <summary>
/// Three sums of squares, of values scaled down, of values as they are and of values scaled up, of which one tells the norm:
/// <c>squares.h</c>. Vectors add up in the arithmetic type over a block, blocks in double.
/// </summary>
internal struct CpuSquares<TReal>
    where TReal : unmanaged
{
    public const int SumCount = 3;

    private const int BlockLength = 4096;

    private Vector512<TReal> _down;
    private Vector512<TReal> _plain;
    private Vector512<TReal> _up;
    private int _vectors;
    private double _downTotal;
    private double _plainTotal;
    private double _upTotal;

    private static double Down => typeof(TReal) == typeof(double) ? 2.4099198651028841e-181 : 8.0779356694631609e-28; // 2^-600, 2^-90

    private static double Up => typeof(TReal) == typeof(double) ? 8.4527124981706436e270 : 1.2676506002282294e30; // 2^900, 2^100

    /// <summary>A smaller plain sum may have lost terms to underflow.</summary>
    private static double Low => typeof(TReal) == typeof(double) ? 1.1830521861667747e-271 : 8.2718061255302767e-25; // 2^-900, 2^-80

    /// <summary>Squares of smaller values do not matter where the plain sum overflows.</summary>
    private static double High => typeof(TReal) == typeof(double) ? 1.2676506002282294e30 : 1073741824; // 2^100, 2^30

    /// <summary>The norm that sums over all values tell.</summary>
    public static ScaledNorm Norm(double down, double plain, double up)
    {
        if (plain < Low) return new ScaledNorm(Math.Sqrt(up) / Up, 1);
        return double.IsPositiveInfinity(plain) ? new ScaledNorm(Math.Sqrt(down), Down) : new ScaledNorm(Math.Sqrt(plain), 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(Vector512<TReal> values)
    {
        Vector512<TReal> isSmall = Vector512.LessThan(Vector512.Abs(values), Vector512.Create(Real(High)));
        Vector512<TReal> low = Vector512.AndNot(values, isSmall) * Vector512.Create(Real(Down));
        Vector512<TReal> high = values * Vector512.Create(Real(Up));
        _down += low * low;
        _plain += values * values;
        _up += high * high;
        if (++_vectors == BlockLength / Vector512<TReal>.Count) EndBlock();
    }

    /// <summary>The three sums over all values that were added.</summary>
    public (double Down, double Plain, double Up) Sums()
    {
        EndBlock();
        return (_downTotal, _plainTotal, _upTotal);
    }

    private void EndBlock()
    {
        _downTotal += CpuElement.ToDouble(Vector512.Sum(_down));
        _plainTotal += CpuElement.ToDouble(Vector512.Sum(_plain));
        _upTotal += CpuElement.ToDouble(Vector512.Sum(_up));
        (_down, _plain, _up, _vectors) = (Vector512<TReal>.Zero, Vector512<TReal>.Zero, Vector512<TReal>.Zero, 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TReal Real(double value) => CpuElement.FromDouble<TReal>(value);
}
