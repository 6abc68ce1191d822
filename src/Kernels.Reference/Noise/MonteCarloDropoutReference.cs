namespace Kernels.Reference;

/// <summary>Monte-Carlo dropout: passes under consecutive offsets, and their mean and variance.</summary>
public static class MonteCarloDropoutReference
{
    /// <summary>y[t] = dropout of x under (seed, offset + t).</summary>
    public static void Forward(ReadOnlySpan<double> x, Span<double> y, double dropProbability, ulong seed, ulong offset)
    {
        int passes = x.Length == 0 ? 0 : y.Length / x.Length;
        for (int pass = 0; pass < passes; pass++)
            DropoutReference.Apply(x, y.Slice(pass * x.Length, x.Length), dropProbability, seed, offset + (ulong)pass);
    }

    /// <summary>mean = sum of y[t] / T; variance = sum of (y[t] - mean)^2 / (T - 1).</summary>
    public static void Statistics(ReadOnlySpan<double> y, Span<double> mean, Span<double> variance, int passes)
    {
        for (int i = 0; i < mean.Length; i++)
        {
            double sum = 0;
            for (int pass = 0; pass < passes; pass++) sum += y[(pass * mean.Length) + i];
            mean[i] = sum / passes;
            double squares = 0;
            for (int pass = 0; pass < passes; pass++)
            {
                double difference = y[(pass * mean.Length) + i] - mean[i];
                squares += difference * difference;
            }

            variance[i] = squares / (passes - 1);
        }
    }
}
