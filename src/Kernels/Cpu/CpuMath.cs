using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Kernels.Cpu;

/// <summary>
/// The managed twin of <c>kernels/portable/math.h</c>, sixteen values at a time: the same operations in the same order, so the same bits.
/// Each has a scalar face for tails, which calculates a whole vector.
/// </summary>
internal static class CpuMath
{
    /// <summary>Natural logarithm of positive normal numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Log(Vector512<float> x)
    {
        Vector512<int> exponent = (x.AsInt32() - Vector512.Create(0x3f3504f3)) >> 23;
        Vector512<float> e = Vector512.ConvertToSingle(exponent);
        Vector512<float> m = (x.AsInt32() - (exponent << 23)).AsSingle() - Vector512<float>.One;
        Vector512<float> square = m * m;
        Vector512<float> p = Fma(Vector512.Create(7.0376836292e-2f), m, Vector512.Create(-1.1514610310e-1f));
        p = Fma(p, m, Vector512.Create(1.1676998740e-1f));
        p = Fma(p, m, Vector512.Create(-1.2420140846e-1f));
        p = Fma(p, m, Vector512.Create(1.4249322787e-1f));
        p = Fma(p, m, Vector512.Create(-1.6668057665e-1f));
        p = Fma(p, m, Vector512.Create(2.0000714765e-1f));
        p = Fma(p, m, Vector512.Create(-2.4999993993e-1f));
        p = Fma(p, m, Vector512.Create(3.3333331174e-1f));
        Vector512<float> tail = Fma(e, Vector512.Create(-2.12194440e-4f), p * m * square);
        tail = Fma(Vector512.Create(-0.5f), square, tail);
        return Fma(e, Vector512.Create(0.693359375f), m + tail);
    }

    /// <summary>e^x for -87 &lt;= x &lt;= 88; arguments outside are moved to the bounds, NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        Vector512<float> low = Vector512.Create(-87f), high = Vector512.Create(88f), shift = Vector512.Create(12582912f);
        x = Vector512.ConditionalSelect(Vector512.LessThan(x, low), low, x);
        x = Vector512.ConditionalSelect(Vector512.GreaterThan(x, high), high, x);
        Vector512<float> shifted = Fma(x, Vector512.Create(1.44269504088896341f), shift);
        Vector512<float> n = shifted - shift;
        Vector512<float> r = Fma(n, Vector512.Create(-0.693359375f), x);
        r = Fma(n, Vector512.Create(2.12194440e-4f), r);
        Vector512<float> p = Fma(Vector512.Create(1.9875691500e-4f), r, Vector512.Create(1.3981999507e-3f));
        p = Fma(p, r, Vector512.Create(8.3334519073e-3f));
        p = Fma(p, r, Vector512.Create(4.1665795894e-2f));
        p = Fma(p, r, Vector512.Create(1.6666665459e-1f));
        p = Fma(p, r, Vector512.Create(5.0000001201e-1f));
        Vector512<float> y = Fma(p, r * r, r) + Vector512<float>.One;

        // The low bits of the shifted sum are n; moved up to the exponent they are 2^n.
        Vector512<int> power = ((shifted.AsInt32() - shift.AsInt32()) + Vector512.Create(127)) << 23;
        return y * power.AsSingle();
    }

    /// <summary>Cosine and sine of 2 pi turn / 2^32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void CosSin(Vector512<uint> turn, out Vector512<float> cosine, out Vector512<float> sine)
    {
        // Without the upper two bits, with sign: from the middle of the quadrant, an eighth of a turn either way. These bits move out at
        // the top, and the factor is a fourth of that of a whole turn.
        Vector512<float> angle = Vector512.ConvertToSingle((turn << 2).AsInt32()) * Vector512.Create(3.6572951981678992e-10f);
        Vector512<float> square = angle * angle;
        Vector512<float> s = Fma(Vector512.Create(-1.9515295891e-4f), square, Vector512.Create(8.3321608736e-3f));
        s = Fma(s, square, Vector512.Create(-1.6666654611e-1f));
        s = Fma(s * square, angle, angle);
        Vector512<float> c = Fma(Vector512.Create(2.443315711809948e-5f), square, Vector512.Create(-1.388731625493765e-3f));
        c = Fma(c, square, Vector512.Create(4.166664568298827e-2f));
        c = Fma(c * square, square, Fma(Vector512.Create(-0.5f), square, Vector512<float>.One));

        // Odd quadrants swap the two. The quadrant is the upper two bits: the sine is negative in the second half of the turn, the cosine
        // in the half that begins a quadrant before it.
        Vector512<uint> sign = Vector512.Create(0x80000000u), quarter = Vector512.Create(0x40000000u);
        Vector512<uint> quadrant = turn + Vector512.Create(0x20000000u);
        Vector512<float> even = Vector512.Equals(quadrant & quarter, Vector512<uint>.Zero).AsSingle();
        cosine = (Vector512.ConditionalSelect(even, c, s).AsUInt32() ^ ((quadrant + quarter) & sign)).AsSingle();
        sine = (Vector512.ConditionalSelect(even, s, c).AsUInt32() ^ (quadrant & sign)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fma(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Vector512.FusedMultiplyAdd(a, b, c);
}
