namespace Kernels.Reference;

/// <summary>Softmax cross-entropy with hard labels.</summary>
public static class CrossEntropyReference
{
    /// <summary>loss[r] = log(sum over k of exp z[r, k]) - z[r, label[r]]; NaN for a label outside [0, classes).</summary>
    public static void Forward(ReadOnlySpan<double> logits, ReadOnlySpan<int> labels, Span<double> losses, int classes)
    {
        for (int row = 0; row < labels.Length; row++)
        {
            ReadOnlySpan<double> z = logits.Slice(row * classes, classes);
            losses[row] = IsValid(labels[row], classes) ? LogSum(z, out double largest) - (z[labels[row]] - largest) : double.NaN;
        }
    }

    /// <summary>dz[r, k] = scale * (softmax(z[r])[k] - [k = label[r]]); 0 for a label outside [0, classes).</summary>
    public static void Backward(ReadOnlySpan<double> logits, ReadOnlySpan<int> labels, Span<double> dLogits, int classes, double scale)
    {
        for (int row = 0; row < labels.Length; row++)
        {
            ReadOnlySpan<double> z = logits.Slice(row * classes, classes);
            double logSum = LogSum(z, out double largest);
            for (int k = 0; k < classes; k++)
            {
                double expected = k == labels[row] ? 1 : 0;
                dLogits[(row * classes) + k] = IsValid(labels[row], classes) ? scale * (Math.Exp(z[k] - largest - logSum) - expected) : 0;
            }
        }
    }

    private static bool IsValid(int label, int classes) => label >= 0 && label < classes;

    /// <summary>
    /// log of the sum of exp(z[k] - largest). The largest logit is kept apart: beside a logit of 10^30 the logarithm would vanish in a sum of both.
    /// </summary>
    private static double LogSum(ReadOnlySpan<double> z, out double largest)
    {
        largest = double.NegativeInfinity;
        foreach (double value in z) largest = Math.Max(largest, value);
        double sum = 0;
        foreach (double value in z) sum += Math.Exp(value - largest);
        return Math.Log(sum);
    }
}
