using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Kernels.Devices.Cpu;

/// <summary>
/// e^x over the whole range of float, sixteen values at a time, for results that are held against a tolerance. <see cref="CpuMath"/> has the one that gives the same
/// bits on every device, over a smaller range.
/// </summary>
internal static class CpuExp
{
    /// <summary>Error below 2 units in the last place; subnormal results and 0 below, infinity above, NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        // Beyond the bounds the result is 0 or infinity, at them already; in between no power overflows an integer. NaN passes: it
        // compares false, and the instructions give their second operand.
        Vector512<float> low = Vector512.Create(-104f), high = Vector512.Create(89f), shift = Vector512.Create(12582912f);
        x = Avx512F.IsSupported
            ? Avx512F.Min(high, Avx512F.Max(low, x))
            : Vector512.ConditionalSelect(Vector512.LessThan(x, low), low, Vector512.ConditionalSelect(Vector512.GreaterThan(x, high), high, x));

        // x = n * ln 2 + r with |r| <= ln 2 / 2: adding 1.5 * 2^23 leaves the nearest integer in the low bits.
        Vector512<float> shifted = Fma(x, Vector512.Create(1.44269504088896341f), shift);
        Vector512<float> n = shifted - shift;
        Vector512<float> r = Fma(n, Vector512.Create(-0.693359375f), x);
        r = Fma(n, Vector512.Create(2.12194440e-4f), r);
        Vector512<float> p = Fma(Vector512.Create(1.9875691500e-4f), r, Vector512.Create(1.3981999507e-3f));
        p = Fma(p, r, Vector512.Create(8.3334519073e-3f));
        p = Fma(p, r, Vector512.Create(4.1665795894e-2f));
        p = Fma(p, r, Vector512.Create(1.6666665459e-1f));
        p = Fma(p, r, Vector512.Create(5.0000001201e-1f));
        p = Fma(p, r * r, r) + Vector512<float>.One;
        if (Avx512F.IsSupported) return Avx512F.Scale(p, n);

        // 2^n in two factors: one alone would leave the range of normal numbers.
        Vector512<int> power = shifted.AsInt32() - shift.AsInt32(), half = power >> 1, bias = Vector512.Create(127);
        return p * ((half + bias) << 23).AsSingle() * ((power - half + bias) << 23).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fma(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Vector512.FusedMultiplyAdd(a, b, c);
}
