namespace Kernels.Reference;

/// <summary>The list of kept rows, and the way of their elements to a compact tensor and back.</summary>
public static class KeptRowsReference
{
    /// <summary>The kept rows in ascending order, then -1.</summary>
    public static int[] List(int rows, double dropProbability, ulong seed, ulong offset, ulong globalStart, out int kept)
    {
        int[] list = new int[rows];
        Array.Fill(list, -1);
        kept = 0;
        for (int row = 0; row < rows; row++)
        {
            if (DropoutReference.Keeps(dropProbability, seed, offset, globalStart + (ulong)row)) list[kept++] = row;
        }

        return list;
    }

    /// <summary>result[i] = scale * source[rows[i]], zeros for -1.</summary>
    public static void Gather(ReadOnlySpan<double> source, ReadOnlySpan<int> rows, Span<double> result, int run, double scale)
    {
        for (int i = 0; i < result.Length; i++)
        {
            int row = rows[i / run];
            result[i] = row == -1 ? 0 : scale * source[(row * run) + (i % run)];
        }
    }

    /// <summary>y = x, then y[rows[i]] += scale * f[i].</summary>
    public static void ScatterAdd(
        ReadOnlySpan<double> x, ReadOnlySpan<double> f, ReadOnlySpan<int> rows, Span<double> y, int run, double scale)
    {
        y.Clear();
        x.CopyTo(y);
        for (int i = 0; i < f.Length; i++)
        {
            int row = rows[i / run];
            if (row != -1) y[(row * run) + (i % run)] += scale * f[i];
        }
    }
}
