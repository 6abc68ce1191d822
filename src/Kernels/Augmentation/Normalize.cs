namespace Kernels;

/// <summary>Images of any stored type and layout become what a network takes: y = (x / white - mean) / deviation.</summary>
/// <remarks>
/// One case of <see cref="Augment"/>, which says how images are read and refused. An output of another size is the middle of the image, or
/// the image with a border. Y. LeCun, L. Bottou, G. Orr and K.-R. Müller, "Efficient BackProp", 1998.
/// </remarks>
public static class Normalize
{
    private static readonly AugmentPolicy Nothing = new();

    /// <summary>Normalizes, and changes type and layout.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>.</param>
    /// <param name="options">Mean, deviation, layouts.</param>
    public static void Forward<TIn, TOut>(DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<TOut> y, AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged =>
        Augment.Forward("Normalize.Forward", stream, x, null, y, Nothing, new RandomKey(0, 0), options);
}
