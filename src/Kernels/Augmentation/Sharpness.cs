namespace Kernels;

/// <summary>In images, with some probability the distance from the mean of the neighbours is changed.</summary>
/// <remarks>
/// One case of <see cref="Augment"/>, which says how images are read, drawn for and refused. E. Cubuk, B. Zoph, D. Mane, V. Vasudevan
/// and Q. Le, "AutoAugment: learning augmentation strategies from data", CVPR 2019.
/// </remarks>
public static class Sharpness
{
    /// <summary>Draws for each sample and applies it.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="sampleIds">The samples' numbers, [batch]; null to count from <see cref="AugmentOptions.FirstSample"/>.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>.</param>
    /// <param name="factor">Bounds of the factor: 0 blurs, 1 leaves, 2 sharpens.</param>
    /// <param name="probability">Probability of a sample.</param>
    /// <param name="key">Seed and epoch.</param>
    /// <param name="options">Reading, normalization, layout.</param>
    public static void Forward<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<TOut> y, AugmentRange factor,
        double probability, RandomKeySource key,
        AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged => Augment.Forward(
        "Sharpness.Forward", stream, x, sampleIds, y,
        new AugmentPolicy { SharpnessFactor = factor, Sharpness = probability }, key, options);
}
