namespace Kernels.Reference;

/// <summary>
/// DropConnect at inference (L. Wan et al., ICML 2013, section 3.2): the activation averaged over a normal distribution of moments matched
/// to random masks.
/// </summary>
public static class DropConnectInferenceReference
{
    /// <summary>
    /// With q the realised keep probability, s = w x + bias and v = w^2 x^2 + bias^2: u ~ N(q s, q (1 - q) v), or N(s, (1 - q)/q v) when
    /// training was
    /// <paramref name="inverted"/>; y = mean over samples of a(u). Sample k of pair b * out + o is normal number pair * samples + k. q = 0
    /// gives u = 0.
    /// </summary>
    public static void Infer(
        ReadOnlySpan<double> x, ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, Span<double> y, Span<double> mean,
        Span<double> variance, int examples, int inputs, int outputs, double dropProbability, bool inverted,
        Func<double, double> activation, int samples, ulong seed, ulong offset, ulong globalStart)
    {
        double keep = DropoutReference.Threshold(dropProbability) / 65536.0;
        for (int b = 0; b < examples; b++)
        {
            for (int o = 0; o < outputs; o++)
            {
                int index = (b * outputs) + o;
                double sum = bias.IsEmpty ? 0 : bias[o], squares = sum * sum;
                for (int i = 0; i < inputs; i++)
                {
                    double product = weight[(o * inputs) + i] * x[(b * inputs) + i];
                    sum += product;
                    squares += product * product;
                }

                mean[index] = keep == 0 ? 0 : (inverted ? 1 : keep) * sum;
                variance[index] = keep is 0 or 1 ? 0 : (inverted ? (1 - keep) / keep : keep * (1 - keep)) * squares;
                y[index] = SampleMean(activation, mean[index], Math.Sqrt(variance[index]), samples, seed, offset,
                    (globalStart * (ulong)outputs) + (ulong)index);
            }
        }
    }

    private static double SampleMean(
        Func<double, double> activation, double mean, double deviation, int samples, ulong seed, ulong offset, ulong pair)
    {
        if (deviation == 0) return activation(mean);
        double total = 0;
        for (int k = 0; k < samples; k++)
            total += activation(mean + (deviation * GaussianReference.Normal(seed, offset, (pair * (ulong)samples) + (ulong)k)));
        return total / samples;
    }
}
