namespace Kernels;

/// <summary>In images, left and right change places with one probability, top and bottom with another.</summary>
/// <remarks>
/// One case of <see cref="Augment"/>, which says how images are read, drawn for and refused. L. Taylor and G. Nitschke, "Improving deep
/// learning with generic data augmentation", SSCI 2018.
/// </remarks>
public static class Flip
{
    /// <summary>Draws for each sample and applies it.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="sampleIds">The samples' numbers, [batch]; null to count from <see cref="AugmentOptions.FirstSample"/>.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>.</param>
    /// <param name="horizontalProbability">Probability that left and right change places.</param>
    /// <param name="verticalProbability">Probability that top and bottom change places.</param>
    /// <param name="key">Seed and epoch.</param>
    /// <param name="options">Reading, normalization, layout.</param>
    public static void Forward<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<TOut> y, double horizontalProbability,
        double verticalProbability, RandomKeySource key,
        AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged => Augment.Forward(
        "Flip.Forward", stream, x, sampleIds, y,
        new AugmentPolicy { HorizontalFlip = horizontalProbability, VerticalFlip = verticalProbability }, key, options);
}
