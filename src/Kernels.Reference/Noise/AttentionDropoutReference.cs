namespace Kernels.Reference;

/// <summary>
/// Attention dropout as specified: per row of [batch, head, query], y = m * softmax(z) / q with z = scale * score + mask. A key is masked
/// when z is -infinity, when the additive mask is, or when it lies past its batch entry's length or the causal limit k &lt;= query + keys -
/// queries. A. Vaswani et al., NeurIPS 2017.
/// </summary>
/// <param name="Batch">Batch entries.</param>
/// <param name="Heads">Heads of each.</param>
/// <param name="Queries">Queries of each head.</param>
/// <param name="Keys">Keys, the dimension of the softmax.</param>
/// <param name="Scale">Factor of the scores.</param>
/// <param name="DropProbability">Probability to drop an element.</param>
/// <param name="Seed">The key's seed.</param>
/// <param name="Offset">The key's offset.</param>
public sealed record AttentionDropoutReference(
    int Batch, int Heads, int Queries, int Keys, double Scale, double DropProbability, ulong Seed, ulong Offset)
{
    /// <summary>True when query i sees only the keys up to i + keys - queries.</summary>
    public bool Causal { get; init; }

    /// <summary>Index of the first score in the whole tensor.</summary>
    public ulong GlobalStart { get; init; }

    /// <summary>Keys of each batch entry that are no padding; null for all.</summary>
    public int[]? KeyLengths { get; init; }

    /// <summary>Added to the scaled scores; null for none.</summary>
    public double[]? Mask { get; init; }

    /// <summary>Four dimensions of the mask; those of size 1 are broadcast.</summary>
    public int[] MaskShape { get; init; } = [];

    /// <summary>Dropped probabilities.</summary>
    public void Forward(ReadOnlySpan<double> scores, Span<double> y)
    {
        for (int row = 0; row < Batch * Heads * Queries; row++)
        {
            (double[] p, bool[] masked) = Softmax(row, scores);
            for (int key = 0; key < Keys; key++) y[(row * Keys) + key] = !masked[key] && Keeps(row, key) ? p[key] * KeepScale : 0;
        }
    }

    /// <summary>Gradient of the scores.</summary>
    public void Backward(ReadOnlySpan<double> scores, ReadOnlySpan<double> dy, Span<double> dScores)
    {
        for (int row = 0; row < Batch * Heads * Queries; row++)
        {
            (double[] p, bool[] masked) = Softmax(row, scores);
            double[] dp = new double[Keys];
            double mean = 0;
            for (int key = 0; key < Keys; key++)
            {
                if (masked[key]) continue;
                dp[key] = Keeps(row, key) ? dy[(row * Keys) + key] * KeepScale : 0;
                mean += p[key] * dp[key];
            }

            for (int key = 0; key < Keys; key++)
                dScores[(row * Keys) + key] = masked[key] || DropProbability == 1 ? 0 : Scale * p[key] * (dp[key] - mean);
        }
    }

    private double KeepScale => DropProbability == 1 ? 0 : 65536.0 / DropoutReference.Threshold(DropProbability);

    /// <summary>The probabilities of a row, and which keys are masked. NaN is passed over in the maximum and reaches the sum.</summary>
    private (double[] P, bool[] Masked) Softmax(int row, ReadOnlySpan<double> scores)
    {
        double[] z = Logits(row, scores);
        bool[] masked = [.. z.Select(double.IsNegativeInfinity)];
        double largest = double.NegativeInfinity, sum = 0;
        foreach (double value in z) largest = value > largest ? value : largest;
        double[] p = [.. z.Select((value, key) => masked[key] ? 0 : Math.Exp(value - largest))];
        foreach (double e in p) sum += e;
        return ([.. p.Select((e, key) => masked[key] ? 0 : e / sum)], masked);
    }

    private bool Keeps(int row, int key) =>
        DropoutReference.Keeps(DropProbability, Seed, Offset, GlobalStart + (ulong)(((long)row * Keys) + key));

    private double[] Logits(int row, ReadOnlySpan<double> scores)
    {
        (int query, int head, int batch) = (row % Queries, row / Queries % Heads, row / Queries / Heads);
        double[] z = new double[Keys];
        for (int key = 0; key < Keys; key++)
        {
            double added = Mask is null ? 0 : Mask[MaskIndex(batch, head, query, key)];
            bool hidden = (KeyLengths is not null && key >= KeyLengths[batch])
                || (Causal && key > query + Keys - Queries)
                || double.IsNegativeInfinity(added);
            z[key] = hidden ? double.NegativeInfinity : (Scale * scores[(row * Keys) + key]) + added;
        }

        return z;
    }

    private int MaskIndex(int batch, int head, int query, int key)
    {
        int index = MaskShape[0] == 1 ? 0 : batch;
        index = (index * MaskShape[1]) + (MaskShape[1] == 1 ? 0 : head);
        index = (index * MaskShape[2]) + (MaskShape[2] == 1 ? 0 : query);
        return (index * Keys) + key;
    }
}
