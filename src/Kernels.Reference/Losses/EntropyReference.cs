namespace Kernels.Reference;

/// <summary>Entropy of softmax rows.</summary>
public static class EntropyReference
{
    /// <summary>
    /// H[r] = -sum over k of p log p, p = softmax over the classes whose mask is not 0 and whose logit is not -infinity; 0 where there is
    /// none.
    /// </summary>
    public static void Forward(ReadOnlySpan<double> logits, ReadOnlySpan<int> mask, Span<double> entropies, int classes)
    {
        for (int row = 0; row < entropies.Length; row++)
            entropies[row] = Row(logits, mask, row, classes, new double[classes], new bool[classes]);
    }

    /// <summary>dz[r, k] = scale * dH[r] * -p (log p + H); 0 for other classes, and where dH is 0. A single dH is for all rows.</summary>
    public static void Backward(
        ReadOnlySpan<double> logits, ReadOnlySpan<int> mask, ReadOnlySpan<double> dEntropies, Span<double> dLogits, int classes,
        double scale)
    {
        for (int row = 0; row < dLogits.Length / classes; row++)
        {
            double[] logP = new double[classes];
            bool[] seen = new bool[classes];
            double entropy = Row(logits, mask, row, classes, logP, seen), slope = dEntropies.Length == 1 ? dEntropies[0] : dEntropies[row];
            if (!double.IsFinite(slope)) slope = double.NaN;
            for (int k = 0; k < classes; k++)
                dLogits[(row * classes) + k] = seen[k] && slope != 0 ? scale * slope * -Times(Math.Exp(logP[k]), logP[k] + entropy) : 0;
        }
    }

    /// <summary>p log p, which tends to 0: finite logits may differ by more than the largest number, so that log p is -infinity.</summary>
    private static double Times(double p, double logP) => p == 0 ? 0 : p * logP;

    private static double Row(ReadOnlySpan<double> logits, ReadOnlySpan<int> mask, int row, int classes, double[] logP, bool[] seen)
    {
        double largest = double.NegativeInfinity, sum = 0, entropy = 0;
        for (int k = 0; k < classes; k++)
        {
            double z = logits[(row * classes) + k];
            seen[k] = !double.IsNegativeInfinity(z) && (mask.IsEmpty || mask[(row * classes) + k] != 0);
            if (seen[k] && z > largest) largest = z;
        }

        for (int k = 0; k < classes; k++) sum += seen[k] ? Math.Exp(logits[(row * classes) + k] - largest) : 0;
        for (int k = 0; k < classes; k++)
        {
            if (!seen[k]) continue;
            logP[k] = logits[(row * classes) + k] - largest - Math.Log(sum);
            entropy -= Times(Math.Exp(logP[k]), logP[k]);
        }

        return entropy;
    }
}
