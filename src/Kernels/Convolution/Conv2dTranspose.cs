using Kernels.Devices;

namespace Kernels;

/// <summary>
/// The transposed convolution, which makes maps larger by a stride: y is what <see cref="Conv2d.BackwardData"/> makes of x, plus a bias.
/// Each x is spread over the places that the convolution of y would have gathered it from.
/// </summary>
/// <remarks>
/// <para>
/// The settings are those of the convolution from y to x. Layouts: x [batch, inputs, height, width] with filter [inputs, outputs / groups,
/// height, width], or with channels last x [batch, height, width, inputs] with filter [inputs, height, width, outputs / groups].
/// </para>
/// <para>
/// With a stride several sizes of y lead to one of x, so the shape of y decides; <see cref="OutputShape"/> gives the least, plus what is
/// asked for. Types, sums and what is refused are those of <see cref="Conv2d"/>. M. Zeiler, D. Krishnan, G. Taylor and R. Fergus,
/// "Deconvolutional networks", CVPR 2010.
/// </para>
/// </remarks>
public static class Conv2dTranspose
{
    /// <summary>The shape of y.</summary>
    /// <param name="x">Shape of the input, four dimensions in the layout of the options.</param>
    /// <param name="filter">Shape of the filter.</param>
    /// <param name="options">Settings of the convolution from y to x.</param>
    /// <param name="outputPadding">Rows and columns beyond the least, each less than the stride.</param>
    public static long[] OutputShape(
        ReadOnlySpan<long> x, ReadOnlySpan<long> filter, Conv2dOptions options = default, Size2d outputPadding = default)
    {
        const string Op = "Conv2dTranspose.OutputShape";
        x = Conv2dShapeArguments.Maps(Op, x, nameof(x));
        filter = Conv2dShapeArguments.Maps(Op, filter, nameof(filter));
        (Size2d stride, Size2d dilation, long groups) = Conv2dShapeArguments.Settings(Op, options);
        Padding2d padding = options.Padding;
        if (outputPadding.Height < 0 || outputPadding.Height >= stride.Height || outputPadding.Width < 0
            || outputPadding.Width >= stride.Width)
        {
            throw new ArgumentOutOfRangeException(
                nameof(outputPadding), outputPadding, $"{Op}: outputPadding is at least 0 and less than the stride, {stride}.");
        }

        bool last = options.Layout == TensorLayout.ChannelsLast;
        (long height, long width) = last ? (x[1], x[2]) : (x[2], x[3]);
        (long rows, long columns, long outputs) = last ? (filter[1], filter[2], filter[3]) : (filter[2], filter[3], filter[1]);
        Conv2dShapeArguments.CheckSide(Op, Math.Max(height, width), x, nameof(x));
        Conv2dShapeArguments.CheckSide(Op, Math.Max(rows, columns), filter, nameof(filter));
        long yHeight = Size(height, rows, stride.Height, dilation.Height, padding.Top + padding.Bottom, outputPadding.Height);
        long yWidth = Size(width, columns, stride.Width, dilation.Width, padding.Left + padding.Right, outputPadding.Width);
        if (outputs > long.MaxValue / groups)
        {
            throw new ArgumentException(
                $"{Op}: {groups} times {outputs} channels of filter {TensorShape.Format(filter)} are 2^63 or more.", nameof(filter));
        }

        long[] y = last ? [x[0], yHeight, yWidth, outputs * groups] : [x[0], outputs * groups, yHeight, yWidth];
        if (yHeight < 0 || yWidth < 0)
            throw new ArgumentException($"{Op}: x {TensorShape.Format(x)} is smaller than its padding.", nameof(x));
        Conv2dShapeArguments shape = Conv2dShapeArguments.Of(Op, y, "y", filter, nameof(filter), options);
        if (!x.SequenceEqual(shape.YShape(options.Layout)))
        {
            throw new ArgumentException(
                $"{Op}: x {TensorShape.Format(x)} has not the {filter[0]} channels of filter {TensorShape.Format(filter)}.", nameof(x));
        }

        return y;

        static long Size(long size, long taps, long stride, long dilation, long padding, long more) =>
            ((size - 1) * stride) + ((taps - 1) * dilation) + 1 + more - padding;
    }

    /// <summary>y = x spread by the filter, plus the bias.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, [batch, inputs, height, width] or [batch, height, width, inputs].</param>
    /// <param name="filter">
    /// [inputs, outputs / groups, height, width], or with channels last [inputs, height, width, outputs / groups].
    /// </param>
    /// <param name="bias">[outputs], or null for none.</param>
    /// <param name="y">Output, of a shape whose convolution has that of x; overlaps no input.</param>
    /// <param name="options">Settings of the convolution from y to x.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> filter, DeviceTensor<T>? bias, DeviceTensor<T> y,
        Conv2dOptions options = default)
        where T : unmanaged => Conv2d.Convolve("Conv2dTranspose.Forward", stream, x, filter, bias, y, options, backward: true);

    /// <summary>Gradient of the input: the convolution of dy.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="filter">As in forward.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the input, which is overwritten; overlaps no input.</param>
    /// <param name="options">As in forward.</param>
    public static void BackwardData<T>(
        DeviceStream stream, DeviceTensor<T> filter, DeviceTensor<T> dy, DeviceTensor<T> dx, Conv2dOptions options = default)
        where T : unmanaged => Conv2d.Convolve("Conv2dTranspose.BackwardData", stream, dy, filter, bias: null, dx, options);

    /// <summary>Gradients of filter and bias.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input of the forward call.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dFilter">Gradient of the filter, of its shape, which is overwritten; overlaps no input.</param>
    /// <param name="dBias">Gradient of the bias, [outputs], or null when it is not needed; overlaps no input.</param>
    /// <param name="options">As in forward.</param>
    public static void BackwardFilter<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> dy, DeviceTensor<T> dFilter, DeviceTensor<T>? dBias,
        Conv2dOptions options = default)
        where T : unmanaged
    {
        const string Op = "Conv2dTranspose.BackwardFilter";
        Conv2dShapeArguments shape = Conv2d.FilterGradientShape(Op, stream, dy, x, dFilter, dBias, options, isBiasOfX: true);

        // The convolution's input is the gradient here, and its bias belongs to the other side: sums of a convolution without inputs.
        Conv2d.FilterGradient(stream, shape, options.Layout, options.Algorithm, dy, x, dFilter, dBias: null);
        if (dBias is null) return;
        Conv2d.FilterGradient(stream, shape.BiasOfX(), options.Layout, options.Algorithm, dy, dy, dFilter: null, dBias);
    }
}
