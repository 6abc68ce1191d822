namespace Kernels;

/// <summary>A part of each image becomes the output.</summary>
/// <remarks>
/// One case of <see cref="Augment"/>, which says how images are read, drawn for and refused. A. Krizhevsky, I. Sutskever and G. Hinton,
/// "ImageNet classification with deep convolutional neural networks", NeurIPS 2012; resized: C. Szegedy et al., "Going deeper with
/// convolutions", CVPR 2015.
/// </remarks>
public static class Crop
{
    /// <summary>A window of the output's size at a random place of the padded input, each place as likely.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="sampleIds">The samples' numbers, [batch]; null to count from <see cref="AugmentOptions.FirstSample"/>.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>; its height and width are the window's.</param>
    /// <param name="padding">Pixels around the input that a window may reach into.</param>
    /// <param name="key">Seed and epoch.</param>
    /// <param name="options">Reading, normalization, layout; the border is what the padding is made of.</param>
    public static void Forward<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<TOut> y, Padding2d padding,
        RandomKeySource key, AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged => Augment.Forward(
        "Crop.Forward", stream, x, sampleIds, y, new AugmentPolicy { Crop = AugmentCrop.Window, Padding = padding }, key, options);

    /// <summary>A window of random area and aspect inside of the input, stretched to the output.</summary>
    /// <remarks>After ten windows that do not fit, the largest of a possible aspect in the middle is taken.</remarks>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="sampleIds">The samples' numbers, [batch]; null to count from <see cref="AugmentOptions.FirstSample"/>.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>.</param>
    /// <param name="area">Bounds of the window's share of the area.</param>
    /// <param name="aspect">Bounds of its width by its height, uniform in the logarithm.</param>
    /// <param name="key">Seed and epoch.</param>
    /// <param name="options">Reading, normalization, layout.</param>
    public static void Resized<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<TOut> y, AugmentRange area,
        AugmentRange aspect, RandomKeySource key, AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged => Augment.Forward(
        "Crop.Resized", stream, x, sampleIds, y,
        new AugmentPolicy { Crop = AugmentCrop.Resized, Area = area, Aspect = aspect }, key, options);
}
