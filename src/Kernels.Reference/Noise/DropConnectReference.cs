namespace Kernels.Reference;

/// <summary>
/// DropConnect (L. Wan et al., ICML 2013): x [examples, in], w [out, in], bias [out], y [examples, out]. With pair = (globalStart +
/// b) * out + o, weight i of a pair has the mask index pair * in + i, its bias 2^63 + pair.
/// </summary>
public static class DropConnectReference
{
    /// <summary>
    /// y[b, o] = s * (sum over i of m[b, o, i] w[o, i] x[b, i] + m'[b, o] bias[o]), s = 65536/T when <paramref name="inverted"/>, else 1.
    /// An empty bias is none.
    /// </summary>
    public static void Forward(
        ReadOnlySpan<double> x, ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, Span<double> y, int examples, int inputs,
        int outputs, double dropProbability, ulong seed, ulong offset, ulong globalStart, bool inverted)
    {
        double scale = Scale(dropProbability, inverted);
        for (int b = 0; b < examples; b++)
        {
            for (int o = 0; o < outputs; o++)
            {
                ulong pair = Pair(globalStart, b, o, outputs);
                double sum = !bias.IsEmpty && KeepsBias(dropProbability, seed, offset, pair) ? bias[o] : 0;
                for (int i = 0; i < inputs; i++)
                {
                    if (KeepsWeight(dropProbability, seed, offset, pair, i, inputs)) sum += weight[(o * inputs) + i] * x[(b * inputs) + i];
                }

                y[(b * outputs) + o] = scale * sum;
            }
        }
    }

    /// <summary>
    /// dx[b, i] = s * sum over o of m w dy, dw[o, i] = s * sum over b of m dy x, dbias[o] = s * sum over b of m' dy.
    /// </summary>
    public static void Backward(
        ReadOnlySpan<double> x, ReadOnlySpan<double> weight, ReadOnlySpan<double> dy, Span<double> dx, Span<double> dWeight,
        Span<double> dBias, int examples, int inputs, int outputs, double dropProbability, ulong seed, ulong offset, ulong globalStart,
        bool inverted)
    {
        double scale = Scale(dropProbability, inverted);
        dx.Clear();
        dWeight.Clear();
        dBias.Clear();
        for (int b = 0; b < examples; b++)
        {
            for (int o = 0; o < outputs; o++)
            {
                ulong pair = Pair(globalStart, b, o, outputs);
                double gradient = dy[(b * outputs) + o];
                if (KeepsBias(dropProbability, seed, offset, pair)) dBias[o] += scale * gradient;
                for (int i = 0; i < inputs; i++)
                {
                    if (!KeepsWeight(dropProbability, seed, offset, pair, i, inputs)) continue;
                    dx[(b * inputs) + i] += scale * gradient * weight[(o * inputs) + i];
                    dWeight[(o * inputs) + i] += scale * gradient * x[(b * inputs) + i];
                }
            }
        }
    }

    private static double Scale(double dropProbability, bool inverted)
    {
        int threshold = DropoutReference.Threshold(dropProbability);
        return threshold == 0 ? 0 : inverted ? 65536.0 / threshold : 1;
    }

    private static ulong Pair(ulong globalStart, int b, int o, int outputs) => ((globalStart + (ulong)b) * (ulong)outputs) + (ulong)o;

    private static bool KeepsWeight(double dropProbability, ulong seed, ulong offset, ulong pair, int i, int inputs) =>
        DropoutReference.Keeps(dropProbability, seed, offset, (pair * (ulong)inputs) + (ulong)i);

    private static bool KeepsBias(double dropProbability, ulong seed, ulong offset, ulong pair) =>
        DropoutReference.Keeps(dropProbability, seed, offset, (1UL << 63) + pair);
}
