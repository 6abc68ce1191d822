namespace Kernels;

/// <summary>In images, brightness, contrast, saturation and hue changed at random, clamped to [0, white] after each.</summary>
/// <remarks>
/// One case of <see cref="Augment"/>, which says how images are read, drawn for and refused. A. Howard, "Some improvements on deep
/// convolutional neural network based image classification", 2013, arXiv:1312.5402.
/// </remarks>
public static class ColorJitter
{
    /// <summary>Draws for each sample and applies it.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="sampleIds">The samples' numbers, [batch]; null to count from <see cref="AugmentOptions.FirstSample"/>.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>.</param>
    /// <param name="brightness">Bounds of the factor of brightness.</param>
    /// <param name="contrast">Bounds of the factor of the distance from the mean grey of the image.</param>
    /// <param name="saturation">Bounds of the factor of the distance from the grey of the pixel.</param>
    /// <param name="hue">Bounds of the turn of the hue, in parts of a circle, from -0.5 to 0.5.</param>
    /// <param name="shuffles">Whether the four come in a random order, or in this one.</param>
    /// <param name="key">Seed and epoch.</param>
    /// <param name="options">Reading, normalization, layout.</param>
    public static void Forward<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<TOut> y, AugmentRange brightness,
        AugmentRange contrast, AugmentRange saturation, AugmentRange hue, bool shuffles, RandomKeySource key,
        AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged => Augment.Forward(
        "ColorJitter.Forward", stream, x, sampleIds, y,
        new AugmentPolicy { Brightness = brightness, Contrast = contrast, Saturation = saturation, Hue = hue, ShufflesColors = shuffles },
        key, options);
}
