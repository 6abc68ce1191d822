using Kernels.Devices;

namespace Kernels;

/// <summary>Images through affine maps of the caller: PyTorch's <c>affine_grid</c> and <c>grid_sample</c> in one pass.</summary>
/// <remarks>
/// <para>
/// A matrix takes the normalized coordinates (x, y, 1) of a pixel of the output to those of the place of the input that is read for it.
/// They go from -1 to 1, between the outer edges of the first and the last pixel, or with <see cref="AugmentOptions.AlignCorners"/> between
/// their middles. The identity and quarter turns of square images move bits.
/// </para>
/// <para>
/// How images are read, normalized and refused is <see cref="Augment"/>'s. M. Jaderberg, K. Simonyan, A. Zisserman and K. Kavukcuoglu,
/// "Spatial transformer networks", NeurIPS 2015.
/// </para>
/// </remarks>
public static partial class Affine
{
    /// <summary>Numbers of a matrix.</summary>
    private const int MatrixWidth = 6;

    /// <summary>Reads each image through its matrix.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="matrices">From the output to the input, [batch, 2, 3].</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>, of any height and width.</param>
    /// <param name="options">Reading, normalization, layout.</param>
    public static void Forward<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<float> matrices, DeviceTensor<TOut> y, AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged
    {
        const string Name = "Affine.Forward";
        AugmentImages images = AugmentImages.Of(Name, stream, x, y, options);
        Check.Tensor(Name, stream, matrices, nameof(matrices));
        Check.Shape(Name, matrices, nameof(matrices), images.Batch, 2, 3);
        Check.Disjoint(Name, matrices, nameof(matrices), y, nameof(y));
        Augment.LaunchApply(
            stream, images, x, matrices.Argument, MatrixWidth, y, statisticCount: 0, hasColors: false, options, isNormalized: true);
    }
}
