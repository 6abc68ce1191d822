namespace Kernels.Study;

/// <summary>Widths from the input to the classes, and whether hidden layers that keep the width are residual blocks.</summary>
internal sealed record NetworkShape(IReadOnlyList<int> Widths, bool IsResidual)
{
    /// <summary>Number of residual blocks.</summary>
    public int Blocks => Enumerable.Range(0, Widths.Count - 1).Count(IsBlock);

    /// <summary>True when this layer, the last one aside, is the branch of a residual block: y = ReLU(x + w x + b).</summary>
    public bool IsBlock(int layer) => IsResidual && layer < Widths.Count - 2 && Widths[layer] == Widths[layer + 1];

    /// <summary>The number of a layer's block, from 0.</summary>
    public int BlockOf(int layer) => Enumerable.Range(0, layer).Count(IsBlock);

    public override string ToString() => string.Join('-', Widths);
}
