namespace Kernels.Reference;

/// <summary>
/// Stochastic depth as specified: y = x + b f, b = scale for rows that are kept and 0 for others (G. Huang et al., ECCV 2016). Row i is
/// kept by the rule of
/// <see cref="DropoutReference"/>.
/// </summary>
public static class StochasticDepthReference
{
    /// <summary>The factor of f in each row in training.</summary>
    public static double[] Factors(
        int rows, double dropProbability, bool inverted, bool oneDecision, ulong seed, ulong offset, ulong globalStart)
    {
        int threshold = DropoutReference.Threshold(dropProbability);
        double[] factors = new double[rows];
        for (int row = 0; row < rows; row++)
        {
            bool keep = DropoutReference.Keeps(dropProbability, seed, offset, oneDecision ? 0 : globalStart + (ulong)row);
            factors[row] = !keep ? 0 : inverted ? 65536.0 / threshold : 1;
        }

        return factors;
    }

    /// <summary>y = x + b f, with <paramref name="relu"/> not below 0. A row whose factor is 0 does not see f.</summary>
    public static void Forward(ReadOnlySpan<double> x, ReadOnlySpan<double> f, Span<double> y, ReadOnlySpan<double> factors, bool relu)
    {
        int run = factors.Length == 0 ? 0 : x.Length / factors.Length;
        for (int i = 0; i < x.Length; i++)
        {
            double factor = factors[i / run];
            double sum = factor == 0 ? x[i] : x[i] + (factor * f[i]);
            y[i] = relu && sum <= 0 ? 0 : sum;
        }
    }

    /// <summary>df = b dy and dx = dy where the ReLU, if there is one, passed.</summary>
    public static void Backward(
        ReadOnlySpan<double> y, ReadOnlySpan<double> dy, Span<double> df, Span<double> dx, ReadOnlySpan<double> factors, bool relu)
    {
        int run = factors.Length == 0 ? 0 : dy.Length / factors.Length;
        for (int i = 0; i < dy.Length; i++)
        {
            double factor = factors[i / run];
            double gradient = relu && y[i] <= 0 ? 0 : dy[i];
            df[i] = factor == 0 ? 0 : factor * gradient;
            if (!dx.IsEmpty) dx[i] = gradient;
        }
    }
}
