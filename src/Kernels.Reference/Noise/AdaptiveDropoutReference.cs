namespace Kernels.Reference;

/// <summary>
/// Adaptive dropout (J. Ba and B. Frey, NeurIPS 2013): an element is kept iff (lane + 1/2) (1 + e^-z) &lt; 65536, z = alpha * pre + beta,
/// that is with the probability pi = sigmoid(z). z is a float by definition where a decision is made of it. A NaN keeps nothing.
/// </summary>
public static class AdaptiveDropoutReference
{
    /// <summary>True when element <paramref name="index"/> of the whole tensor is kept.</summary>
    public static bool Keeps(double pre, double alpha, double beta, ulong seed, ulong offset, ulong index)
    {
        float z = (float)((alpha * pre) + beta);
        return (PhiloxReference.Lane(seed, offset, index) + 0.5) * (1 + Math.Exp(-z)) < 65536;
    }

    /// <summary>y = keep ? x : 0.</summary>
    public static void Forward(
        ReadOnlySpan<double> x, ReadOnlySpan<double> pre, Span<double> y, double alpha, double beta, ulong seed, ulong offset,
        ulong globalStart)
    {
        for (int i = 0; i < x.Length; i++) y[i] = Keeps(pre[i], alpha, beta, seed, offset, globalStart + (ulong)i) ? x[i] : 0;
    }

    /// <summary>y = pi * x.</summary>
    public static void Infer(ReadOnlySpan<double> x, ReadOnlySpan<double> pre, Span<double> y, double alpha, double beta)
    {
        for (int i = 0; i < x.Length; i++) y[i] = x[i] * Probability(pre[i], alpha, beta);
    }

    /// <summary>dx = keep ? dy : 0, dpre = 0.</summary>
    public static void BackwardMaskConstant(
        ReadOnlySpan<double> pre, ReadOnlySpan<double> dy, Span<double> dx, Span<double> dPre, double alpha, double beta, ulong seed,
        ulong offset, ulong globalStart)
    {
        Forward(dy, pre, dx, alpha, beta, seed, offset, globalStart);
        dPre.Clear();
    }

    /// <summary>dx = keep ? dy : 0, dpre = alpha * pi * (1 - pi) * x * dy.</summary>
    public static void BackwardStraightThrough(
        ReadOnlySpan<double> x, ReadOnlySpan<double> pre, ReadOnlySpan<double> dy, Span<double> dx, Span<double> dPre, double alpha,
        double beta, ulong seed, ulong offset, ulong globalStart)
    {
        Forward(dy, pre, dx, alpha, beta, seed, offset, globalStart);
        Slopes(x, pre, dy, dPre, alpha, beta);
    }

    /// <summary>dx = pi * dy, dpre = alpha * pi * (1 - pi) * x * dy.</summary>
    public static void BackwardExpectation(
        ReadOnlySpan<double> x, ReadOnlySpan<double> pre, ReadOnlySpan<double> dy, Span<double> dx, Span<double> dPre, double alpha,
        double beta)
    {
        Infer(dy, pre, dx, alpha, beta);
        Slopes(x, pre, dy, dPre, alpha, beta);
    }

    /// <summary>
    /// y = lane &lt; T ? x : 0 with T = round(65536 p) of each element's own p, clamped to [1, 65535] for 0 &lt; p &lt; 1; times 65536/T
    /// when inverted.
    /// </summary>
    public static void PerElement(
        ReadOnlySpan<double> x, ReadOnlySpan<double> keepProbabilities, Span<double> y, bool inverted, ulong seed, ulong offset,
        ulong globalStart)
    {
        for (int i = 0; i < x.Length; i++)
        {
            double p = keepProbabilities[i];
            int threshold = p >= 1 ? 65536 : p > 0 ? Math.Clamp((int)Math.Floor((p * 65536) + 0.5), 1, 65535) : 0;
            bool keep = PhiloxReference.Lane(seed, offset, globalStart + (ulong)i) < threshold;
            y[i] = keep ? x[i] * (inverted ? 65536.0 / threshold : 1) : 0;
        }
    }

    private static double Probability(double pre, double alpha, double beta) => 1 / (1 + Math.Exp(-((alpha * pre) + beta)));

    /// <summary>e^-|z| / (1 + e^-|z|)^2 is pi * (1 - pi) where 1 - pi would cancel.</summary>
    private static void Slopes(
        ReadOnlySpan<double> x, ReadOnlySpan<double> pre, ReadOnlySpan<double> dy, Span<double> dPre, double alpha, double beta)
    {
        for (int i = 0; i < x.Length; i++)
        {
            double t = Math.Exp(-Math.Abs((alpha * pre[i]) + beta));
            dPre[i] = alpha * (t / ((1 + t) * (1 + t))) * x[i] * dy[i];
        }
    }
}
