namespace Kernels.Reference;

/// <summary>
/// What follows batch normalization in the same pass: y = m * max(0, z + residual) / q for normalized values z. Element i takes the
/// decision of <see cref="DropoutReference"/> at start + i. NaN passes the ReLU and its gradient; what is dropped is 0. DropBlock may drop
/// besides, and multiplies what it keeps by a scale of its own.
/// </summary>
/// <param name="DropProbability">Probability to drop an element.</param>
/// <param name="Start">Index of the first element in the whole tensor.</param>
/// <param name="Seed">The key's seed.</param>
/// <param name="Offset">The key's offset.</param>
public sealed record BatchNormReluReference(double DropProbability, ulong Start, ulong Seed, ulong Offset)
{
    /// <summary>What <see cref="DropBlockReference"/> keeps, in the order of memory; empty where it drops nothing.</summary>
    public IReadOnlyList<bool> Kept { get; init; } = [];

    /// <summary>Cells over kept cells.</summary>
    public double BlockScale { get; init; } = 1;

    private double Scale => BlockScale * 65536.0 / DropoutReference.Threshold(DropProbability);

    /// <summary>The output; the residual may be empty: 0.</summary>
    public void Forward(ReadOnlySpan<double> z, ReadOnlySpan<double> residual, Span<double> y)
    {
        for (int i = 0; i < z.Length; i++)
        {
            double sum = residual.IsEmpty ? z[i] : z[i] + residual[i];
            y[i] = !Keeps(i) || sum <= 0 ? 0 : sum * Scale;
        }
    }

    /// <summary>The gradient of z, by z.</summary>
    public void Backward(ReadOnlySpan<double> z, ReadOnlySpan<double> dy, Span<double> g)
    {
        for (int i = 0; i < z.Length; i++) g[i] = !Keeps(i) || z[i] <= 0 ? 0 : dy[i] * Scale;
    }

    /// <summary>The gradient of z and residual, by the output: it is 0 where an element was rectified or dropped.</summary>
    public void BackwardByOutput(ReadOnlySpan<double> y, ReadOnlySpan<double> dy, Span<double> g)
    {
        double scale = DropProbability == 1 ? BlockScale : Scale;
        for (int i = 0; i < y.Length; i++) g[i] = y[i] <= 0 ? 0 : dy[i] * scale;
    }

    private bool Keeps(int i) => (Kept.Count == 0 || Kept[i]) && DropoutReference.Keeps(DropProbability, Seed, Offset, Start + (ulong)i);
}
