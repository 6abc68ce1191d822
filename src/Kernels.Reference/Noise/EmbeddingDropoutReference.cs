namespace Kernels.Reference;

/// <summary>
/// Embedding dropout: a gather whose rows are dropped by units. <c>units[n]</c> is the unit of position n: its id, or what the scope says.
/// </summary>
public static class EmbeddingDropoutReference
{
    /// <summary>y[n] = keep(units[n]) ? table[ids[n]] * 65536/T : 0.</summary>
    public static void Forward(
        ReadOnlySpan<int> ids, ReadOnlySpan<ulong> units, ReadOnlySpan<double> table, Span<double> y, int width, double dropProbability,
        ulong seed, ulong offset)
    {
        for (int n = 0; n < ids.Length; n++)
        {
            bool keep = DropoutReference.Keeps(dropProbability, seed, offset, units[n]);
            for (int i = 0; i < width; i++) y[(n * width) + i] = keep ? Scale(dropProbability) * table[(ids[n] * width) + i] : 0;
        }
    }

    /// <summary>dtable[ids[n]] += keep(units[n]) ? dy[n] * 65536/T : 0, except for the padding index.</summary>
    public static void Backward(
        ReadOnlySpan<int> ids, ReadOnlySpan<ulong> units, ReadOnlySpan<double> dy, Span<double> dTable, int width, int? padding,
        double dropProbability, ulong seed, ulong offset)
    {
        for (int n = 0; n < ids.Length; n++)
        {
            if (ids[n] == padding || !DropoutReference.Keeps(dropProbability, seed, offset, units[n])) continue;
            for (int i = 0; i < width; i++) dTable[(ids[n] * width) + i] += Scale(dropProbability) * dy[(n * width) + i];
        }
    }

    private static double Scale(double dropProbability) => 65536.0 / DropoutReference.Threshold(dropProbability);
}
