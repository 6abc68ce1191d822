namespace Kernels;

/// <summary>Images are moved by a random shift.</summary>
/// <remarks>
/// One case of <see cref="Augment"/>, which says how images are read, drawn for and refused. D. Ciresan, U. Meier and J. Schmidhuber,
/// "Multi-column deep neural networks for image classification", CVPR 2012.
/// </remarks>
public static class Translate
{
    /// <summary>Draws for each sample and applies it.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="sampleIds">The samples' numbers, [batch]; null to count from <see cref="AugmentOptions.FirstSample"/>.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>.</param>
    /// <param name="shiftX">Bounds of the shift to the right, in pixels.</param>
    /// <param name="shiftY">Bounds of the shift downwards, in pixels.</param>
    /// <param name="wholeShifts">Whether shifts are whole pixels, each as likely.</param>
    /// <param name="key">Seed and epoch.</param>
    /// <param name="options">Reading, normalization, layout.</param>
    public static void Forward<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<TOut> y, AugmentRange shiftX,
        AugmentRange shiftY, bool wholeShifts, RandomKeySource key,
        AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged => Augment.Forward(
        "Translate.Forward", stream, x, sampleIds, y,
        new AugmentPolicy { ShiftX = shiftX, ShiftY = shiftY, WholeShifts = wholeShifts }, key, options);
}
