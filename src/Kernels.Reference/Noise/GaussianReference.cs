namespace Kernels.Reference;

/// <summary>
/// Gaussian noise, additive and multiplicative, with normal numbers by Box and Muller (Annals of Mathematical Statistics 29, 1958).
/// </summary>
public static class GaussianReference
{
    private const double TwoTo32 = 4294967296.0;

    /// <summary>Standard normal number of an element: number index mod 4 of block index / 4.</summary>
    public static double Normal(ulong seed, ulong offset, ulong index)
    {
        uint[] words = PhiloxReference.Block(seed, offset, index / 4);
        int pair = (int)(index % 4 / 2);
        // u is a float by definition: where it is close to 1, its rounding decides the first digits of the radius.
        float u = (float)(((double)(float)words[2 * pair] / TwoTo32) + (0.5 / TwoTo32));
        double radius = Math.Sqrt(-2 * Math.Log(u));
        double angle = 2 * Math.PI * words[(2 * pair) + 1] / TwoTo32;
        return index % 2 == 0 ? radius * Math.Cos(angle) : radius * Math.Sin(angle);
    }

    /// <summary>y = x + sigma * z.</summary>
    public static void Add(ReadOnlySpan<double> x, Span<double> y, double sigma, ulong seed, ulong offset, ulong globalStart)
    {
        for (int i = 0; i < x.Length; i++) y[i] = x[i] + (sigma == 0 ? 0 : sigma * Normal(seed, offset, globalStart + (ulong)i));
    }

    /// <summary>y = x * (1 + sigma * z); backward is the same map of dy.</summary>
    public static void Multiply(ReadOnlySpan<double> x, Span<double> y, double sigma, ulong seed, ulong offset, ulong globalStart)
    {
        Factors(y, sigma, seed, offset, globalStart);
        Scale(x, y, y);
    }

    /// <summary>factor = 1 + sigma * z.</summary>
    public static void Factors(Span<double> factors, double sigma, ulong seed, ulong offset, ulong globalStart)
    {
        for (int i = 0; i < factors.Length; i++) factors[i] = 1 + (sigma == 0 ? 0 : sigma * Normal(seed, offset, globalStart + (ulong)i));
    }

    /// <summary>y = x * factor.</summary>
    public static void Scale(ReadOnlySpan<double> x, ReadOnlySpan<double> factors, Span<double> y)
    {
        for (int i = 0; i < x.Length; i++) y[i] = x[i] * factors[i];
    }
}
