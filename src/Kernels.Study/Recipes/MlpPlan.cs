namespace Kernels.Study;

/// <summary>
/// A multilayer perceptron: linear layers with ReLU between them, and in a residual network a skip connection around each hidden layer
/// that keeps the width. Branches of residual blocks start smaller, so that their sum does not grow with the depth.
/// </summary>
internal sealed record MlpPlan : NetworkPlan
{
    /// <summary>Widths of the hidden layers, where not those of the settings.</summary>
    public IReadOnlyList<int>? Hidden { get; init; }

    public bool IsResidual { get; init; }

    public override string? Description(StudySettings settings) => Hidden is null
        ? null
        : $"Network {string.Join('-', Widths(settings))}" + (IsResidual
            ? ", each hidden layer after the first a residual block y = ReLU(x + f(x)), f(x) = wx + b, whose weights start smaller by " +
                "the number of blocks."
            : ".");

    public override IReadOnlyList<Layer> Layers(StudySettings settings)
    {
        int[] widths = Widths(settings);
        int last = widths.Length - 2;
        int[] blocks = [.. Enumerable.Range(0, last).Where(place => IsResidual && widths[place] == widths[place + 1])];
        return [.. Enumerable.Range(0, last + 1).SelectMany(LayersAt)];

        IEnumerable<Layer> LayersAt(int place)
        {
            int width = widths[place + 1];
            if (Method?.Before(place) is { } noise) yield return noise;
            if (Array.IndexOf(blocks, place) is >= 0 and int block)
            {
                double drop = Method is null ? 0 : Method.BranchDrop(block, blocks.Length);
                yield return new ResidualLayer([new LinearLayer(width, initialScale: 1.0 / blocks.Length)], drop, place);
                yield break;
            }

            yield return Method?.Linear(place, width) ?? new LinearLayer(width);
            if (place < last) yield return new ActivationLayer();
        }
    }

    private int[] Widths(StudySettings settings) =>
        Hidden is null ? [.. settings.Widths] : [settings.Widths[0], .. Hidden, settings.Widths[^1]];
}
