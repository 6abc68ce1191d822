namespace Kernels.Reference;

/// <summary>
/// Bias, dropout, channel scale, row drop and residual as specified: y = residual + r * channelScale * m * (x + bias) / q over [rows,
/// columns]. Element (n, d) takes lane i mod 8 of Philox block i / 8 with i = (start + n) * columns + d, row n lane (start + n) mod 8 of
/// block 2^63 + (start + n) / 8. D. Narayanan et al., SC 2021.
/// </summary>
/// <param name="Rows">Rows of this shard.</param>
/// <param name="Columns">Elements of a row.</param>
/// <param name="DropProbability">Probability to drop an element.</param>
/// <param name="RowDropProbability">Probability to drop a row.</param>
/// <param name="GlobalStart">Index of the first row in the whole tensor.</param>
/// <param name="Seed">The key's seed.</param>
/// <param name="Offset">The key's offset.</param>
public sealed record BiasDropoutResidualReference(
    int Rows, int Columns, double DropProbability, double RowDropProbability, ulong GlobalStart, ulong Seed, ulong Offset)
{
    /// <summary>The start of the rows' decisions, in elements: eight to a block.</summary>
    private const ulong RowBlocks = 1UL << 63;

    /// <summary>The output. Bias and channel scale may be empty: 0 and 1.</summary>
    public void Forward(
        ReadOnlySpan<double> x, ReadOnlySpan<double> bias, ReadOnlySpan<double> residual, ReadOnlySpan<double> channelScale, Span<double> y)
    {
        for (int n = 0; n < Rows; n++)
        {
            for (int d = 0; d < Columns; d++)
            {
                int i = (n * Columns) + d;
                double branch = (x[i] + (bias.IsEmpty ? 0 : bias[d])) * (channelScale.IsEmpty ? 1 : channelScale[d]) * Scale;
                y[i] = Keeps(n, d) ? residual[i] + branch : residual[i];
            }
        }
    }

    /// <summary>
    /// The gradients of x, bias and channel scale; the latter may be empty where they are not wanted. That of the residual is dy.
    /// </summary>
    public void Backward(
        ReadOnlySpan<double> dy, ReadOnlySpan<double> x, ReadOnlySpan<double> bias, ReadOnlySpan<double> channelScale,
        Span<double> dx, Span<double> dBias, Span<double> dChannelScale)
    {
        dBias.Clear();
        dChannelScale.Clear();
        for (int n = 0; n < Rows; n++)
        {
            for (int d = 0; d < Columns; d++)
            {
                int i = (n * Columns) + d;
                dx[i] = Keeps(n, d) ? dy[i] * Scale * (channelScale.IsEmpty ? 1 : channelScale[d]) : 0;
                if (!dBias.IsEmpty) dBias[d] += dx[i];
                if (!dChannelScale.IsEmpty && Keeps(n, d)) dChannelScale[d] += (x[i] + (bias.IsEmpty ? 0 : bias[d])) * dy[i] * Scale;
            }
        }
    }

    /// <summary>Of a kept element in a kept row: the realised reciprocals of both probabilities.</summary>
    private double Scale =>
        65536.0 / DropoutReference.Threshold(DropProbability) * (65536.0 / DropoutReference.Threshold(RowDropProbability));

    private bool Keeps(int n, int d)
    {
        ulong row = GlobalStart + (ulong)n;
        if (!DropoutReference.Keeps(DropProbability, Seed, Offset, (row * (ulong)Columns) + (ulong)d)) return false;
        uint word = PhiloxReference.Block(Seed, Offset, RowBlocks + (row / 8))[(int)(row % 8) / 2];
        return (word >> (int)(16 * (row % 2)) & 0xffff) < DropoutReference.Threshold(RowDropProbability);
    }
}
