namespace Kernels.Study;

/// <summary>
/// An autoencoder of small grey images, in whose latent space images of a class are mixed (DeVries and Taylor, 2017): what is between two
/// of them there is an image again, where a mean of their pixels is two at once. Black is -1 and white 1.
/// </summary>
internal sealed record AutoencoderPlan
{
    /// <summary>Numbers that stand for an image.</summary>
    public int Latents { get; init; } = 32;

    /// <summary>Maps of the encoder's two convolutions.</summary>
    public (int First, int Second) EncoderMaps { get; init; } = (16, 32);

    /// <summary>Maps of the decoder at a quarter of an image's side; half as many at half of it, a quarter at all.</summary>
    public int DecoderMaps { get; init; } = 48;

    /// <summary>Passes over the training images; what does not fill a batch is left out.</summary>
    public int Epochs { get; init; } = 60;

    public int BatchSize { get; init; } = 50;

    public double Rate { get; init; } = 2e-3;

    public string Description =>
        $"An autoencoder of the same training images: two convolutions of 3 × 3 ({EncoderMaps.First} and {EncoderMaps.Second} maps) with " +
        $"ReLU and max pooling and a linear layer to {Latents} numbers; a decoder of a linear layer, two transposed convolutions with " +
        $"batch normalization and ReLU and a convolution. Mean squared error, Adam with rate {Rate:0.####}, {Epochs} epochs. A new image " +
        "is what the decoder makes of λ·z + (1 − λ)·z′, z and z′ the numbers of two images of a class, λ uniform.";

    public int EpochsOf(StudySettings settings) => settings.Epochs ?? Epochs;

    /// <summary>From an image to latent numbers.</summary>
    public IReadOnlyList<Layer> Encoder() =>
    [
        new ConvLayer(EncoderMaps.First, hasBias: true, hasRelu: true), new MaxPoolLayer(),
        new ConvLayer(EncoderMaps.Second, hasBias: true, hasRelu: true), new MaxPoolLayer(),
        new RowsLayer(),
        new LinearLayer(Latents),
    ];

    /// <summary>From latent numbers to an image.</summary>
    public IReadOnlyList<Layer> Decoder(int height, int width) => ImageLayers.FromNumbers(DecoderMaps, height, width);
}

/// <summary>Layers that networks which make images have in common.</summary>
internal static class ImageLayers
{
    /// <summary>What these networks work on, from levels, black being 0 and white 1.</summary>
    public static float[] FromLevels(IEnumerable<float> levels) => [.. levels.Select(level => (2 * level) - 1)];

    public static float[] ToLevels(IEnumerable<float> values) => [.. values.Select(value => (value + 1) / 2)];

    /// <summary>
    /// From numbers to an image: a linear layer to maps of a quarter of the side, two transposed convolutions that halve the number of
    /// maps, each behind batch normalization and ReLU, a convolution and a hyperbolic tangent.
    /// </summary>
    public static IReadOnlyList<Layer> FromNumbers(int maps, int height, int width)
    {
        (int halfHeight, int halfWidth) = (Half(height), Half(width));
        (int quarterHeight, int quarterWidth) = (Half(halfHeight), Half(halfWidth));
        return
        [
            new LinearLayer(maps * quarterHeight * quarterWidth),
            new MapsLayer(maps, quarterHeight, quarterWidth),
            new BatchNormLayer(hasRelu: true),
            new TransposedConvLayer(maps / 2, halfHeight, halfWidth),
            new BatchNormLayer(hasRelu: true),
            new TransposedConvLayer(maps / 4, height, width),
            new BatchNormLayer(hasRelu: true),
            new ConvLayer(1, hasBias: true, hasRelu: false),
            new TanhLayer(),
        ];

        static int Half(int side) => (side + 1) / 2;
    }
}
