namespace Kernels.Study;

/// <summary>What makes one image of two of a class.</summary>
internal enum Merger
{
    /// <summary>A network that learns from the classifier too.</summary>
    Network,

    /// <summary>The same network, which the classifier's gradient does not reach.</summary>
    DetachedNetwork,

    /// <summary>The plain average.</summary>
    Mean,

    /// <summary>A weighted mean, whose weight is uniform.</summary>
    Mixup,
}

/// <summary>
/// Smart Augmentation (Lemley, Bazrafkan and Corcoran, 2017) and what it has to be better than: in each step the classifier B trains on a
/// batch of images and on as many that were made of two further images of the same class each.
/// </summary>
internal sealed record MergingPlan(Merger Merger)
{
    /// <summary>Maps of each convolution of network A but the last, which gives the image.</summary>
    public IReadOnlyList<int> Maps { get; init; } = [16, 16, 16];

    public double Rate { get; init; } = 1e-3;

    /// <summary>Share of the mean squared error to a third image of the class in the loss of network A.</summary>
    public double ErrorShare { get; init; } = 0.3;

    /// <summary>Share of the classifier's loss in it.</summary>
    public double ClassifierShare { get; init; } = 0.7;

    public bool IsNetwork => Merger is Merger.Network or Merger.DetachedNetwork;

    public string Description
    {
        get
        {
            const string Common = "In each step the classifier B sees a batch of images, and as many that were made of two further " +
                "images of the same class each; its loss is the mean over both.";
            string network = $"Network A makes them: {Maps.Count + 1} convolutions of 3 × 3 ({string.Join(", ", Maps)} maps and the " +
                "image) with ReLU between them, of both images as two channels.";
            return Common + " " + Merger switch
            {
                Merger.Network =>
                    $"Smart Augmentation (Lemley et al., 2017). {network} It minimizes {ErrorShare:0.##}·L_A + " +
                    $"{ClassifierShare:0.##}·L_B, L_A the mean squared error to the third image and L_B the loss of B, " +
                    $"whose gradient goes through the image into A; Adam, rate {Rate:0.####}.",
                Merger.DetachedNetwork =>
                    $"{network} It minimizes L_A, the mean squared error to the third image, alone: the gradient of B does not reach it.",
                Merger.Mean => "They are plain averages of the two.",
                _ => "They are λ·x + (1 − λ)·x′ of the two, λ uniform: mixup within the class.",
            };
        }
    }

    /// <summary>From two images as channels to one.</summary>
    public IReadOnlyList<Layer> Layers() =>
    [
        .. Maps.Select(maps => new ConvLayer(maps, hasBias: true, hasRelu: true)),
        new ConvLayer(1, hasBias: true, hasRelu: false),
    ];
}

/// <summary>
/// What a network makes of fixed pairs, one of each class, as training goes on. Levels: a row of first images, one of second ones, and for
/// each of these epochs one of what it made of them.
/// </summary>
/// <param name="Epochs">After which the images were made.</param>
/// <param name="Errors">The mean squared error to the third image in each of them, in standardised levels.</param>
/// <param name="Levels">Rows of images, an image after the other.</param>
internal sealed record MergingSheet(int[] Epochs, double[] Errors, byte[] Levels);
