namespace Kernels.Study;

/// <summary>
/// A small convolutional network: six layers of 3 x 3 with ReLU, a max pooling after each of the first two pairs, the mean of each map,
/// and a linear layer. In a residual network there is a skip connection around the second layer of each pair, which keeps the width;
/// these branches start smaller, so that their sum does not grow with the depth.
/// </summary>
internal sealed record CnnPlan : NetworkPlan
{
    private static readonly int[] Widths = [16, 16, 32, 32, 64, 64];

    /// <summary>The place of the linear layer.</summary>
    public static int LastPlace => Widths.Length;

    public bool HasBatchNorm { get; init; }

    public bool IsResidual { get; init; }

    public override string Description(StudySettings settings) =>
        $"Network of six convolutions with filters of 3 × 3, of {string.Join('-', Widths)} maps, each followed by " +
        (HasBatchNorm ? "batch normalization (Ioffe and Szegedy, 2015) and " : "") +
        "ReLU; max pooling of 2 × 2 after the second and the fourth; the mean of each map; a linear layer." +
        (IsResidual ? " Every second convolution f is in a residual block y = ReLU(x + f(x))." : "");

    public override IReadOnlyList<Layer> Layers(StudySettings settings)
    {
        return
        [
            new ImageLayer(settings.ImageHeight),
            .. Enumerable.Range(0, Widths.Length).SelectMany(LayersAt),
            new GlobalAverageLayer(),
            .. Noise(Widths.Length),
            new LinearLayer(settings.Widths[^1]),
        ];

        IEnumerable<Layer> LayersAt(int place)
        {
            bool isSecond = place % 2 == 1;
            (int block, int blocks) = (place / 2, Widths.Length / 2);
            return
            [
                .. Noise(place),
                .. IsResidual && isSecond
                    ? [new ResidualLayer(
                        [.. Convolution(place, hasRelu: false, 1.0 / blocks)], Method?.BranchDrop(block, blocks) ?? 0, place)]
                    : Convolution(place, hasRelu: true, scale: 1),
                .. isSecond && place < Widths.Length - 1 ? (Layer[])[new MaxPoolLayer()] : [],
            ];
        }

        IEnumerable<Layer> Convolution(int place, bool hasRelu, double scale) => HasBatchNorm
            ? [new ConvLayer(Widths[place], hasBias: false, hasRelu: false, scale), new BatchNormLayer(hasRelu)]
            : [new ConvLayer(Widths[place], hasBias: true, hasRelu, scale)];

        IEnumerable<Layer> Noise(int place) => Method?.Before(place) is { } noise ? [noise] : [];
    }
}
