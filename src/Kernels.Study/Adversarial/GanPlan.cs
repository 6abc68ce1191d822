namespace Kernels.Study;

/// <summary>
/// A generative adversarial network of the size of DCGAN (Radford, Metz and Chintala, 2016) for small grey images of a class, and how it is
/// trained. Black is -1 and white 1.
/// </summary>
internal sealed record GanPlan
{
    /// <summary>Numbers that an image is made from, besides its class.</summary>
    public int Latents { get; init; } = 64;

    /// <summary>Maps of the generator at a quarter of an image's side; half as many at half of it, a quarter at all.</summary>
    public int GeneratorMaps { get; init; } = 96;

    /// <summary>Maps of the discriminator's first layer; each of the next two has twice as many.</summary>
    public int DiscriminatorMaps { get; init; } = 32;

    /// <summary>Units of the discriminator's linear layer.</summary>
    public int Hidden { get; init; } = 256;

    /// <summary>Passes over the training images; what does not fill a batch is left out.</summary>
    public int Epochs { get; init; } = 130;

    public int BatchSize { get; init; } = 64;

    public double GeneratorRate { get; init; } = 1e-3;

    public double DiscriminatorRate { get; init; } = 1e-3;

    public double Beta1 { get; init; } = 0.5;

    public double Beta2 { get; init; } = 0.99;

    /// <summary>What a moving average of the generator's weights keeps of itself in a step.</summary>
    public double AverageDecay { get; init; } = 0.995;

    /// <summary>
    /// How much the class counts in the generator's loss, in the end; in the discriminator's it counts in full. The less, the more the
    /// images of a class differ.
    /// </summary>
    public double GeneratorClassShare { get; init; } = 0.5;

    public GanLossForm Loss { get; init; } = GanLossForm.Hinge;

    public double NegativeSlope { get; init; } = 0.2;

    /// <summary>
    /// What real and generated images go through in front of the discriminator, each change with a probability that is adapted. Nothing
    /// that would leak: shifts and a mild brightness.
    /// </summary>
    public DifferentiablePolicy Augmentation { get; init; } = new() { Translation = 0.125, Brightness = (-0.2, 0.2) };

    /// <summary>
    /// The probability rises where the mean sign of the scores of real images is above this, and falls below (Karras et al., 2020).
    /// </summary>
    public double TargetSign { get; init; } = 0.6;

    /// <summary>Real images in which the probability rises by 1.</summary>
    public double AdaptationImages { get; init; } = 60_000;

    /// <summary>Above it, generated images begin to look augmented.</summary>
    public double HighestProbability { get; init; } = 0.8;

    /// <summary>Images of a class in the sheets that show training.</summary>
    public int SheetColumns { get; init; } = 12;

    /// <summary>Sheets of a training.</summary>
    public int Sheets { get; init; } = 6;

    public int EpochsOf(StudySettings settings) => settings.Epochs ?? Epochs;

    /// <summary>
    /// How much the class counts: not at all in the first third, then more from epoch to epoch, all in the last (Shahbazi et al., 2022).
    /// </summary>
    public static double ConditionAt(double shareOfTraining) => Math.Clamp((3 * shareOfTraining) - 1, 0, 1);

    /// <summary>From latent numbers and a class, as one number for each class, to an image.</summary>
    public IReadOnlyList<Layer> Generator(int height, int width) => ImageLayers.FromNumbers(GeneratorMaps, height, width);

    /// <summary>From an image to a score; the last layer has logits of the classes too.</summary>
    public IReadOnlyList<Layer> Discriminator(ScoreAndClassLayer last) =>
    [
        new SpectralConvLayer(DiscriminatorMaps), new LeakyReluLayer(NegativeSlope),
        new SpectralConvLayer(2 * DiscriminatorMaps), new LeakyReluLayer(NegativeSlope),
        new SpectralConvLayer(4 * DiscriminatorMaps), new LeakyReluLayer(NegativeSlope),
        new MinibatchDeviationLayer(BatchSize),
        new SpectralLinearLayer(Hidden), new LeakyReluLayer(NegativeSlope),
        last,
    ];

    public string Description =>
        $"A class-conditional GAN. Generator: {Latents} uniform numbers and the class through a linear layer to {GeneratorMaps} maps " +
        $"at a quarter of the side, two transposed convolutions to {GeneratorMaps / 2} and {GeneratorMaps / 4} maps, each after batch " +
        "normalization and ReLU, a convolution of 3 × 3 and tanh. Discriminator: three convolutions of 4 × 4 and stride 2 " +
        $"({DiscriminatorMaps}, {2 * DiscriminatorMaps}, {4 * DiscriminatorMaps} maps), minibatch deviation, {Hidden} units, leaky ReLU " +
        $"with slope {NegativeSlope:0.##}; its weights are divided by their spectral norm. It gives a score, for the " +
        (Loss == GanLossForm.Hinge ? "hinge" : "non-saturating") +
        " loss, and the class, for cross-entropy on real images; the generator wants its images to be scored as real and taken for the " +
        $"class asked for, which counts {GeneratorClassShare:0.##} times. Adam (β₁ = {Beta1:0.##}, β₂ = {Beta2:0.###}), rates " +
        $"{GeneratorRate:0.#####} and {DiscriminatorRate:0.#####}, batches of {BatchSize}. The class counts nothing in the first third " +
        "of training and rises to its weight in the second. Real and generated images are shifted by up to an eighth of the side and " +
        "made brighter or darker in front of the discriminator, in its step and in the generator's, with gradients through it; the " +
        "probability follows the sign of the scores of real images " +
        $"and is at most {HighestProbability:0.##}. Images are made by moving averages of the generator's weights " +
        $"(decay {AverageDecay:0.####}), with batch statistics measured anew for them.";
}
