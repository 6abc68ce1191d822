namespace Kernels;

/// <summary>Images are turned about the middle by a random angle.</summary>
/// <remarks>
/// One case of <see cref="Augment"/>, which says how images are read, drawn for and refused. P. Simard, D. Steinkraus and J. Platt,
/// "Best practices for convolutional neural networks applied to visual document analysis", ICDAR 2003.
/// </remarks>
public static class Rotate
{
    /// <summary>Draws for each sample and applies it.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="sampleIds">The samples' numbers, [batch]; null to count from <see cref="AugmentOptions.FirstSample"/>.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>.</param>
    /// <param name="degrees">Bounds of the angle, counterclockwise; quarter turns are exact.</param>
    /// <param name="key">Seed and epoch.</param>
    /// <param name="options">Reading, normalization, layout.</param>
    public static void Forward<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<TOut> y, AugmentRange degrees,
        RandomKeySource key,
        AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged => Augment.Forward(
        "Rotate.Forward", stream, x, sampleIds, y,
        new AugmentPolicy { Rotation = degrees }, key, options);
}
