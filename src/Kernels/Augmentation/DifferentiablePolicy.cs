using Kernels.Devices;

namespace Kernels;

/// <summary>
/// What <see cref="DifferentiableAugment"/> draws for each sample, in the order in which an image sees it; by default nothing.
/// </summary>
public sealed record DifferentiablePolicy
{
    /// <summary>DiffAugment's: brightness, saturation, contrast, translation and cutout of every image, for values in [-1, 1].</summary>
    public static DifferentiablePolicy DiffAugment { get; } = new()
    {
        Brightness = (-0.5, 0.5),
        Saturation = (0, 2),
        Contrast = (0.5, 1.5),
        Translation = 0.125,
        Cutout = 0.5,
    };

    /// <summary>What is added to an image.</summary>
    public AugmentRange Brightness { get; init; } = 0;

    /// <summary>
    /// The factor of the distances from the mean of a pixel's channels. One channel is its own mean: it is left as it is.
    /// </summary>
    public AugmentRange Saturation { get; init; } = 1;

    /// <summary>The factor of the distances from the image's mean.</summary>
    public AugmentRange Contrast { get; init; } = 1;

    /// <summary>
    /// The share of height and width by which an image is shifted at most, to whole pixels: up to floor(side * share + 1/2) either way,
    /// with zeros behind it.
    /// </summary>
    public double Translation { get; init; }

    /// <summary>
    /// The share of height and width of a box that becomes 0: floor(side * share + 1/2) pixels, about a uniform pixel (or, where that is
    /// even, a uniform edge of a pixel or of the image), clipped at the borders.
    /// </summary>
    public double Cutout { get; init; }

    /// <summary>The probability that a transform takes place, of each transform and sample on its own; ADA's p.</summary>
    public double Probability { get; init; } = 1;

    internal void Validate(string op)
    {
        AugmentChecks.Range(op, Brightness, nameof(Brightness));
        AugmentChecks.Range(op, Saturation, nameof(Saturation));
        AugmentChecks.Range(op, Contrast, nameof(Contrast));
        Check.Probability(op, Translation, nameof(Translation));
        Check.Probability(op, Cutout, nameof(Cutout));
        Check.Probability(op, Probability, nameof(Probability));
    }

    /// <summary>The draws for images of these sides, as the kernel takes them.</summary>
    internal TransformArguments Transforms(in ImageShape image) => new()
    {
        BrightnessLow = Brightness.Low,
        BrightnessHigh = Brightness.High,
        SaturationLow = image.Channels == 1 ? 1 : Saturation.Low,
        SaturationHigh = image.Channels == 1 ? 1 : Saturation.High,
        ContrastLow = Contrast.Low,
        ContrastHigh = Contrast.High,
        MostRows = Pixels(image.Height, Translation),
        MostColumns = Pixels(image.Width, Translation),
        HoleHeight = Pixels(image.Height, Cutout),
        HoleWidth = Pixels(image.Width, Cutout),
    };

    private static uint Pixels(long side, double share) => (uint)Math.Floor((side * share) + 0.5);
}
