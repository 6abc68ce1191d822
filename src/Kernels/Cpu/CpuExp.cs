using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Kernels.Cpu;

/// <summary>
/// e^x of x that are not positive, or hardly, sixteen values at a time, for results that are held against a tolerance: what softmax and
/// sigmoid need.
/// <see cref="CpuMath"/> has the one that gives the same bits on every device, over a smaller range.
/// </summary>
internal static class CpuExp
{
    /// <summary>For x up to 88. Error below 1 unit in the last place; subnormal results and 0 below -87, 1 for 0, NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        // At the bound the result is 0 already. NaN passes: it compares false, and the instruction gives its second operand.
        Vector512<float> low = Vector512.Create(-104f), shift = Vector512.Create(12582912f);
        x = Avx512F.IsSupported ? Avx512F.Max(low, x) : Vector512.ConditionalSelect(Vector512.LessThan(x, low), low, x);

        // x = n * ln 2 + r with |r| <= ln 2 / 2: adding 1.5 * 2^23 leaves the nearest integer in the low bits.
        Vector512<float> shifted = Fma(x, Vector512.Create(1.44269504088896341f), shift);
        Vector512<float> n = shifted - shift;
        Vector512<float> r = Fma(n, Vector512.Create(-0.693359375f), x);
        r = Fma(n, Vector512.Create(2.12194440e-4f), r);

        // 1 + r + r^2 * q(r), q of degree 4 with the least relative error of the whole, 3.1e-9.
        Vector512<float> p = Fma(Vector512.Create(0.0013814539f), r, Vector512.Create(0.008368745f));
        p = Fma(p, r, Vector512.Create(0.04166839f));
        p = Fma(p, r, Vector512.Create(0.16666521f));
        p = Fma(p, r, Vector512.Create(0.49999994f));
        p = Fma(p, r, Vector512<float>.One);
        p = Fma(p, r, Vector512<float>.One);
        if (Avx512F.IsSupported) return Avx512F.Scale(p, n);

        // 2^n in two factors: one alone would leave the range of normal numbers.
        Vector512<int> power = shifted.AsInt32() - shift.AsInt32(), half = power >> 1, bias = Vector512.Create(127);
        return p * ((half + bias) << 23).AsSingle() * ((power - half + bias) << 23).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fma(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Vector512.FusedMultiplyAdd(a, b, c);
}
