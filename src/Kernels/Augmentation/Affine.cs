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

    private static readonly KernelDefinition<AffineBackwardArguments> BackwardKernel = EntryPoints.AffineBackward.Float<CpuBackward>();

    private static readonly KernelDefinition<AffineBackwardMatricesArguments> MatricesKernel =
        EntryPoints.AffineBackwardMatrices.Float<CpuMatrices>();

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

    /// <summary>Gradient of the images: dx gathers dy by the weights of forward, in the order of y.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="matrices">As in forward.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the images, in their layout.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<float> matrices, DeviceTensor<T> dy, DeviceTensor<T> dx, AugmentOptions options = default)
        where T : unmanaged
    {
        const string Name = "Affine.Backward";
        AugmentImages images = AugmentImages.Of(Name, stream, dx, dy, options, nameof(dx), nameof(dy));
        Check.Tensor(Name, stream, matrices, nameof(matrices));
        Check.Shape(Name, matrices, nameof(matrices), images.Batch, 2, 3);
        Check.Disjoint(Name, matrices, nameof(matrices), dx, nameof(dx));
        if (dx.Length == 0) return;
        long pixels = images.InputSize.Height * images.InputSize.Width;
        InvariantDivisor sample = InvariantDivisor.Of(pixels);
        (uint inverse, uint shift) = AugmentImages.Divisor(images.InputSize.Width);
        stream.Launch(
            BackwardKernel,
            new KernelVariant(dx.DType),
            LaunchShape.Items(images.Batch * pixels, BackwardKernel),
            new AffineBackwardArguments
            {
                Matrices = matrices.Argument,
                Dy = dy.Argument,
                Dx = dx.Argument,
                Jobs = (ulong)(images.Batch * pixels),
                PixelsInverse = sample.Inverse,
                PixelsShift = sample.Shift,
                GradientLayout = LayoutOf(images, options),
                AugmentImage = images.Image with { RowInverse = inverse, RowShift = shift },
                AugmentMap = images.Map(options, isNormalized: true),
                Normalize = images.Normalize(options),
            });
    }

    /// <summary>Gradient of the matrices; 0 for the nearest pixel, whose choice has no slope.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, as in forward.</param>
    /// <param name="matrices">As in forward.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dmatrices">Output, [batch, 2, 3].</param>
    /// <param name="options">As in forward.</param>
    public static void BackwardMatrices<TIn, T>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<float> matrices, DeviceTensor<T> dy, DeviceTensor<float> dmatrices,
        AugmentOptions options = default)
        where TIn : unmanaged
        where T : unmanaged
    {
        const string Name = "Affine.BackwardMatrices";
        AugmentImages images = AugmentImages.Of(Name, stream, x, dy, options, nameof(x), nameof(dy));
        Check.Tensor(Name, stream, matrices, nameof(matrices));
        Check.Shape(Name, matrices, nameof(matrices), images.Batch, 2, 3);
        Check.Tensor(Name, stream, dmatrices, nameof(dmatrices));
        Check.Shape(Name, dmatrices, nameof(dmatrices), images.Batch, 2, 3);
        Check.Disjoint(Name, x, nameof(x), dmatrices, nameof(dmatrices));
        Check.Disjoint(Name, matrices, nameof(matrices), dmatrices, nameof(dmatrices));
        Check.Disjoint(Name, dy, nameof(dy), dmatrices, nameof(dmatrices));
        if (images.Batch == 0) return;
        stream.Launch(
            MatricesKernel,
            new KernelVariant(dy.DType),
            LaunchShape.GroupPerRow(images.Batch),
            new AffineBackwardMatricesArguments
            {
                X = images.InBytes(x),
                Matrices = matrices.Argument,
                Dy = dy.Argument,
                Dmatrices = dmatrices.Argument,
                Samples = (ulong)images.Batch,
                GradientLayout = LayoutOf(images, options),
                AugmentImage = images.Image,
                AugmentMap = images.Map(options, isNormalized: true),
                Normalize = images.Normalize(options),
            });
    }

    private static GradientLayoutArguments LayoutOf(in AugmentImages images, in AugmentOptions options)
    {
        bool isLast = (options.OutputLayout ?? options.Layout) == TensorLayout.ChannelsLast;
        return new GradientLayoutArguments
        {
            YPixel = isLast ? (uint)images.Channels : 1,
            YChannel = isLast ? 1 : (uint)(images.OutputSize.Height * images.OutputSize.Width),
        };
    }
}
