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
    /// <param name="more">Rows and columns beyond the least, each less than the stride.</param>
    public static long[] OutputShape(
        ReadOnlySpan<long> x, ReadOnlySpan<long> filter, Conv2dOptions? options = null, (long Y, long X) more = default)
    {
        const string Op = "Conv2dTranspose.OutputShape";
        if (x.Length != 4) throw new ArgumentException($"{Op}: x {TensorShape.Format(x)} has not 4 dimensions.", nameof(x));
        if (filter.Length != 4)
            throw new ArgumentException($"{Op}: filter {TensorShape.Format(filter)} has not 4 dimensions.", nameof(filter));
        Conv2dOptions settings = options ?? new();
        Conv2dShapeArguments.CheckSettings(Op, settings);
        if (more.Y < 0 || more.Y >= settings.Stride.Y || more.X < 0 || more.X >= settings.Stride.X)
            throw new ArgumentOutOfRangeException(nameof(more), more, $"{Op}: more is at least 0 and less than the stride.");
        bool last = settings.Layout == TensorLayout.ChannelsLast;
        (long height, long width) = last ? (x[1], x[2]) : (x[2], x[3]);
        (long rows, long columns, long outputs) = last ? (filter[1], filter[2], filter[3]) : (filter[2], filter[3], filter[1]);
        long yHeight = Size(height, rows, settings.Stride.Y, settings.Dilation.Y, settings.Padding.Top + settings.Padding.Bottom, more.Y);
        long yWidth = Size(width, columns, settings.Stride.X, settings.Dilation.X, settings.Padding.Left + settings.Padding.Right, more.X);
        long[] y = last
            ? [x[0], yHeight, yWidth, outputs * settings.Groups] : [x[0], outputs * settings.Groups, yHeight, yWidth];
        if (yHeight < 0 || yWidth < 0)
            throw new ArgumentException($"{Op}: x {TensorShape.Format(x)} is smaller than its padding.", nameof(x));
        Conv2dShapeArguments shape = Conv2dShapeArguments.Of(Op, y, "y", filter, nameof(filter), settings);
        if (!x.SequenceEqual(shape.YShape(settings.Layout)))
        {
            throw new ArgumentException(
                $"{Op}: x {TensorShape.Format(x)} has not the {filter[0]} channels of filter {TensorShape.Format(filter)}.", nameof(x));
        }

        return y;

        static long Size(long size, long taps, long stride, long dilation, long padding, long more) =>
            checked(((size - 1) * stride) + ((taps - 1) * dilation) + 1 + more - padding);
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
        Conv2dOptions? options = null)
        where T : unmanaged
    {
        const string Op = "Conv2dTranspose.Forward";
        Conv2d.Maps(Op, stream, x, nameof(x));
        Conv2d.Maps(Op, stream, filter, nameof(filter));
        Conv2d.Maps(Op, stream, y, nameof(y));
        Conv2dOptions settings = options ?? new();
        Conv2dShapeArguments shape = Conv2dShapeArguments.Of(Op, y.Shape, nameof(y), filter.Shape, nameof(filter), settings);
        Check.Shape(Op, x, nameof(x), shape.YShape(settings.Layout));
        Check.Disjoint(Op, x, nameof(x), y, nameof(y));
        Check.Disjoint(Op, filter, nameof(filter), y, nameof(y));
        if (bias is not null)
        {
            Check.FloatTensor(Op, stream, bias, nameof(bias));
            Check.Shape(Op, bias, nameof(bias), shape.Inputs);
            Check.Disjoint(Op, bias, nameof(bias), y, nameof(y));
        }

        Conv2d.Gather(stream, shape, settings.Layout, x, filter, bias, y, backward: true, rectifies: false);
    }

    /// <summary>Gradient of the input: the convolution of dy.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="filter">As in forward.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the input, which is overwritten; overlaps no input.</param>
    /// <param name="options">As in forward.</param>
    public static void BackwardData<T>(
        DeviceStream stream, DeviceTensor<T> filter, DeviceTensor<T> dy, DeviceTensor<T> dx, Conv2dOptions? options = null)
        where T : unmanaged
    {
        const string Op = "Conv2dTranspose.BackwardData";
        Conv2d.Maps(Op, stream, filter, nameof(filter));
        Conv2d.Maps(Op, stream, dy, nameof(dy));
        Conv2d.Maps(Op, stream, dx, nameof(dx));
        Conv2dOptions settings = options ?? new();
        Conv2dShapeArguments shape = Conv2dShapeArguments.Of(Op, dy.Shape, nameof(dy), filter.Shape, nameof(filter), settings);
        Check.Shape(Op, dx, nameof(dx), shape.YShape(settings.Layout));
        Check.Disjoint(Op, filter, nameof(filter), dx, nameof(dx));
        Check.Disjoint(Op, dy, nameof(dy), dx, nameof(dx));
        Conv2d.Gather(stream, shape, settings.Layout, dy, filter, bias: null, dx, backward: false, rectifies: false);
    }

    /// <summary>Gradients of filter and bias.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input of the forward call.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dFilter">Gradient of the filter, of its shape, which is overwritten; overlaps no input.</param>
    /// <param name="dBias">Gradient of the bias, [outputs], or null when it is not needed; overlaps no input.</param>
    /// <param name="options">As in forward.</param>
    public static void BackwardFilter<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> dy, DeviceTensor<T> dFilter, DeviceTensor<T>? dBias,
        Conv2dOptions? options = null)
        where T : unmanaged
    {
        const string Op = "Conv2dTranspose.BackwardFilter";
        Conv2d.Maps(Op, stream, x, nameof(x));
        Conv2d.Maps(Op, stream, dy, nameof(dy));
        Conv2d.Maps(Op, stream, dFilter, nameof(dFilter));
        Conv2dOptions settings = options ?? new();
        Conv2dShapeArguments shape = Conv2dShapeArguments.Of(Op, dy.Shape, nameof(dy), dFilter.Shape, nameof(dFilter), settings);
        Check.Shape(Op, x, nameof(x), shape.YShape(settings.Layout));
        Check.Disjoint(Op, x, nameof(x), dFilter, nameof(dFilter));
        Check.Disjoint(Op, dy, nameof(dy), dFilter, nameof(dFilter));
        if (dBias is not null)
        {
            Check.FloatTensor(Op, stream, dBias, nameof(dBias));
            Check.Shape(Op, dBias, nameof(dBias), shape.Inputs);
            Check.Disjoint(Op, x, nameof(x), dBias, nameof(dBias));
            Check.Disjoint(Op, dy, nameof(dy), dBias, nameof(dBias));
            Check.Disjoint(Op, dFilter, nameof(dFilter), dBias, nameof(dBias));
        }

        // The convolution's input is the gradient here, and its bias belongs to the other side: sums of a convolution without inputs.
        Conv2d.FilterGradient(stream, shape, settings.Layout, dy, x, dFilter, dBias: null);
        if (dBias is not null) Conv2d.FilterGradient(stream, shape.BiasOfX(), settings.Layout, dy, dy, dFilter: null, dBias);
    }
}
