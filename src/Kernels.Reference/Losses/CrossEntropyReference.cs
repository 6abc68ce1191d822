namespace Kernels.Reference;

/// <summary>Softmax cross-entropy of rows with everything the op can add to it.</summary>
/// <param name="rows">Rows.</param>
/// <param name="classes">Classes of a row.</param>
public sealed class CrossEntropyReference(int rows, int classes)
{
    /// <summary>Labels, or null with probabilities of which no row is ignored.</summary>
    public int[]? Labels { get; init; }

    /// <summary>Second labels, or null.</summary>
    public int[]? OtherLabels { get; init; }

    /// <summary>The share of the first labels.</summary>
    public double[]? Shares { get; init; }

    /// <summary>Probabilities [rows, classes] instead of labels, or null.</summary>
    public double[]? Probabilities { get; init; }

    /// <summary>A weight for each class, or null for ones.</summary>
    public double[]? ClassWeights { get; init; }

    /// <summary>The label of rows that do not count, or null.</summary>
    public int? IgnoreIndex { get; init; }

    /// <summary>Epsilon of label smoothing.</summary>
    public double Smoothing { get; init; }

    /// <summary>True when epsilon goes to the classes other than the label (epsilon / (K - 1)) or to all (epsilon / K).</summary>
    public bool OthersOnly { get; init; }

    /// <summary>alpha: alpha * lse^2 is added.</summary>
    public double ZLoss { get; init; }

    /// <summary>beta: -beta * H is added, or beta * max(0, Gamma - H).</summary>
    public double ConfidencePenalty { get; init; }

    /// <summary>Gamma, or null.</summary>
    public double? EntropyThreshold { get; init; }

    /// <summary>The mean of nothing.</summary>
    public double EmptyMean { get; init; }

    /// <summary>
    /// The divisor of a mean. A row whose weight is unknown, because its label is no class or its share or weight is not finite, counts
    /// once.
    /// </summary>
    public double Normalizer()
    {
        double sum = 0;
        for (int row = 0; row < rows; row++)
        {
            double weight = IsIgnored(row) ? 0 : 1;
            bool rowsAreAlike = Probabilities is not null || (ClassWeights is null && IgnoreIndex is null);
            if (!rowsAreAlike && !IsInvalid(row)) weight = Parts(row).Sum(part => part.Share * Weight(part.Label));
            sum += double.IsFinite(weight) ? weight : 1;
        }

        return sum;
    }

    /// <summary>The loss of each row.</summary>
    public double[] Losses(double[] logits)
    {
        double[] losses = new double[rows];
        for (int row = 0; row < rows; row++) losses[row] = Row(logits.AsSpan(row * classes, classes), row, new double[classes]);
        return losses;
    }

    /// <summary>A sum over the normalizer.</summary>
    public double Mean(double sum)
    {
        double normalizer = Normalizer();
        return sum * (normalizer == 0 ? EmptyMean : 1 / normalizer);
    }

    /// <summary>
    /// The gradient of each row's loss, times the scale, and times the loss's gradient if there is one (of one element, or of one a row);
    /// over the normalizer for a mean.
    /// </summary>
    public void Backward(double[] logits, Span<double> dLogits, double scale, double[]? lossGradient, bool isMean)
    {
        double divided = isMean ? Mean(1) : 1;
        for (int row = 0; row < rows; row++)
        {
            Span<double> dz = dLogits.Slice(row * classes, classes);
            Row(logits.AsSpan(row * classes, classes), row, dz);
            double factor = scale * divided * (lossGradient is null ? 1 : FiniteOrNaN(lossGradient[lossGradient.Length == 1 ? 0 : row]));
            for (int k = 0; k < classes; k++)
            {
                bool isSkipped = IsIgnored(row) || IsInvalid(row) || double.IsNegativeInfinity(logits[(row * classes) + k]);
                dz[k] = isSkipped ? 0 : factor * dz[k];
            }
        }
    }

    /// <summary>p log p, which tends to 0: log p is -infinity where finite logits differ by more than the largest number.</summary>
    private static double Times(double p, double logP) => p == 0 ? 0 : p * logP;

    /// <summary>The loss; its slopes to <paramref name="dz"/>, which has zeros and keeps them for masked classes.</summary>
    private double Row(ReadOnlySpan<double> z, int row, Span<double> dz)
    {
        if (IsInvalid(row)) return double.NaN;
        if (IsIgnored(row)) return 0;

        double largest = double.NegativeInfinity, sum = 0, moment = 0;
        int unmasked = 0;
        foreach (double value in z) largest = value > largest ? value : largest;
        foreach (double value in z)
        {
            if (double.IsNegativeInfinity(value)) continue;
            sum += Math.Exp(value - largest);
            moment += Times(Math.Exp(value - largest), value - largest);
            unmasked++;
        }

        if (unmasked == 0) return double.NaN;

        // The largest logit is kept apart: beside a logit of 10^30 the logarithm would vanish in a sum of both.
        double logSum = Math.Log(sum), entropy = logSum - (moment / sum);
        double loss = 0, total = 0, targetWeight = 0;
        double[] c = new double[classes];
        double epsilon = !OthersOnly ? Smoothing : unmasked == 1 ? 0 : Smoothing * unmasked / (unmasked - 1);
        double share = Probabilities is not null ? 1 : Parts(row).Sum(part => part.Share);
        for (int k = 0; k < classes; k++)
        {
            bool isMasked = double.IsNegativeInfinity(z[k]);
            double q = Target(row, k);
            double target = (epsilon == 1 ? 0 : (1 - epsilon) * q) + (isMasked || epsilon == 0 ? 0 : epsilon * share / unmasked);
            c[k] = target == 0 ? 0 : Weight(k) * target;
            if (q != 0) targetWeight += Weight(k) * q;
            if (c[k] == 0) continue;
            // In halves: the difference of finite logits may be above the largest number, and its part of the loss below.
            loss += 2 * (c[k] * ((logSum / 2) - ((z[k] / 2) - (largest / 2))));
            total += c[k];
        }

        double rowWeight = Probabilities is not null ? 1 : targetWeight, push = 0;
        if (ZLoss != 0) loss += rowWeight * ZLoss * (largest + logSum) * (largest + logSum);
        if (ConfidencePenalty != 0 && EntropyThreshold is null)
        {
            loss -= rowWeight * ConfidencePenalty * entropy;
            push = rowWeight * ConfidencePenalty;
        }
        else if (ConfidencePenalty != 0 && !(entropy >= EntropyThreshold))
        {
            loss += rowWeight * ConfidencePenalty * (EntropyThreshold!.Value - entropy);
            push = rowWeight * ConfidencePenalty;
        }

        for (int k = 0; k < classes; k++)
        {
            if (double.IsNegativeInfinity(z[k])) continue;
            double p = Math.Exp(z[k] - largest) / sum, logP = z[k] - largest - logSum;
            double slope = total + (ZLoss == 0 ? 0 : rowWeight * 2 * ZLoss * (largest + logSum));
            dz[k] = (p * slope) + (push == 0 ? 0 : push * Times(p, logP + entropy)) - c[k];
        }

        return loss;
    }

    private double Target(int row, int k) => Probabilities is not null
        ? FiniteOrNaN(Probabilities[(row * classes) + k])
        : Parts(row).Where(part => part.Label == k).Sum(part => part.Share);

    /// <summary>The labels that count, with their shares.</summary>
    private IEnumerable<(int Label, double Share)> Parts(int row)
    {
        double share = Shares is null ? 1 : FiniteOrNaN(Shares[row]);
        if (Labels![row] != IgnoreIndex) yield return (Labels[row], share);
        if (OtherLabels is not null && OtherLabels[row] != IgnoreIndex) yield return (OtherLabels[row], 1 - share);
    }

    private bool IsIgnored(int row) => Probabilities is not null ? Labels is not null && Labels[row] == IgnoreIndex : !Parts(row).Any();

    private bool IsInvalid(int row) => Probabilities is null && Parts(row).Any(part => part.Label < 0 || part.Label >= classes);

    private double Weight(int k) => ClassWeights is null ? 1 : FiniteOrNaN(ClassWeights[k]);

    private static double FiniteOrNaN(double value) => double.IsFinite(value) ? value : double.NaN;
}
