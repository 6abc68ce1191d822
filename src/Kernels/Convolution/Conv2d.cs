using System.Numerics;
using System.Runtime.CompilerServices;
using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Convolution of maps with a filter that all positions share: y[n, k, p, q] = b[k] + sum over c, r, s of w[k, c, r, s] x[n, c, p stride -
/// padding + r dilation, q stride - padding + s dilation], where x is 0 outside. As in all networks the filter is not turned around.
/// </summary>
/// <remarks>
/// <para>
/// Layouts: x [batch, channels, height, width] with filter [outputs, channels / groups, height, width], or with channels last x [batch,
/// height, width, channels] with filter [outputs, height, width, channels / groups]. Output k lies in group k / (outputs / groups), which
/// sees the channels of that number alone.
/// </para>
/// <para>
/// Sums are in the arithmetic type (float, double for double), in an order that the problem alone decides, and rounded once, unless the
/// options allow <see cref="Conv2dAlgorithm.Winograd"/>; results repeat bit for bit. Padding is zeros that take part: 0 times infinity is
/// NaN. No matrix of patches is made. Types: float, Half, BFloat16, double. A batch of 0 is valid: the gradients of filter and bias are
/// then 0.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for groups that do not divide the channels, shapes that do not fit, a filter larger
/// than the padded input, tensors that overlap or live on another device, and <see cref="ArgumentOutOfRangeException"/> for settings out of
/// range, before anything is launched. Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
/// recognition", Proceedings of the IEEE 86, 1998.
/// </para>
/// </remarks>
public static partial class Conv2d
{
    private const int TileRows = 64;
    private const int TileColumns = 128;

    /// <summary>Groups that fill a large GPU, and pixels that are worth a split of the filter's gradient.</summary>
    private const long ManyGroups = 1024;
    private const long PixelsOfSplit = 256;
    private const long PixelsOfDepthwiseSplit = 2048;
    private const long TileDepth = 16;

    /// <summary>The CPU's splits.</summary>
    private const long PixelsOfCpuSplit = 1 << 11, WorkOfCpuSplit = 1 << 20, SmallFilter = 1 << 16, MostCpuSplits = 16;

    /// <summary>Channels of a group with channels last.</summary>
    private const int DepthwiseLanes = 32;

    /// <summary>
    /// What an item of a direct gather makes: so many neighbours of a column, of one channel or of so many. With more channels tiles take
    /// less time.
    /// </summary>
    private const int DirectResults = 8;
    private const int NarrowChannels = 4;

    /// <summary>Beyond the switches that texts have: the CPU's body alone knows it.</summary>
    private const int WinogradBit = 8;

    private const uint ChannelsLastSwitch = 1;
    private const uint NarrowSwitch = 2;

    /// <summary>An item of planes takes as many rows, of so many columns, with a filter of such sides.</summary>
    private const int PlaneColumns = 4;
    private const int PlaneTaps = 3;
    private const uint WideRowsSwitch = 1;

    private static readonly string[] Switches = ["CHANNELS_LAST"];
    private static readonly string[] DirectSwitches = [.. Switches, "NARROW"];

    private static readonly KernelDefinition<Conv2dGatherArguments> GatherKernel =
        EntryPoints.Conv2dGather.Float<CpuGather>(switches: Switches);

    private static readonly KernelDefinition<Conv2dBackwardFilterArguments> BackwardFilterKernel =
        EntryPoints.Conv2dBackwardFilter.Float<CpuBackwardFilter>(switches: Switches);

    private static readonly KernelDefinition<Conv2dGatherArguments> DirectGatherKernel =
        EntryPoints.Conv2dDirectGather.Float<CpuDirectGather>(switches: DirectSwitches);

    private static readonly KernelDefinition<Conv2dGatherArguments> PlaneGatherKernel =
        EntryPoints.Conv2dDepthwiseGather.Float<CpuPlaneGather>(switches: ["WIDE"]);

    private static readonly KernelDefinition<Conv2dBackwardFilterArguments> PlaneFilterKernel =
        EntryPoints.Conv2dDepthwiseFilter.Float<CpuPlaneFilter>(switches: ["WIDE"]);

    private static readonly KernelDefinition<Conv2dBackwardFilterArguments> DepthwiseBackwardFilterKernel =
        EntryPoints.Conv2dDepthwiseBackwardFilter.Float<CpuDepthwiseBackwardFilter>(switches: Switches);

    /// <summary>The shape of y.</summary>
    /// <param name="x">Shape of the input, four dimensions in the layout of the options.</param>
    /// <param name="filter">Shape of the filter.</param>
    /// <param name="options">Stride, dilation, padding, groups and layout.</param>
    public static long[] OutputShape(ReadOnlySpan<long> x, ReadOnlySpan<long> filter, Conv2dOptions options = default)
    {
        const string Op = "Conv2d.OutputShape";
        return Conv2dShapeArguments.Of(
            Op, Conv2dShapeArguments.Maps(Op, x, nameof(x)), nameof(x), Conv2dShapeArguments.Maps(Op, filter, nameof(filter)),
            nameof(filter), options).YShape(options.Layout);
    }

    /// <summary>y = x convolved with the filter, plus the bias.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, [batch, channels, height, width] or [batch, height, width, channels].</param>
    /// <param name="filter">
    /// [outputs, channels / groups, height, width], or with channels last [outputs, height, width, channels / groups].
    /// </param>
    /// <param name="bias">[outputs], or null for none.</param>
    /// <param name="y">Output, of the shape that <see cref="OutputShape"/> gives; overlaps no input.</param>
    /// <param name="options">Stride, dilation, padding, groups and layout.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> filter, DeviceTensor<T>? bias, DeviceTensor<T> y,
        Conv2dOptions options = default)
        where T : unmanaged => Convolve("Conv2d.Forward", stream, x, filter, bias, y, options);

    /// <summary>
    /// y = max(x convolved with the filter, plus the bias, 0), in one pass; NaN stays NaN. For the gradient, <see cref="Relu"/>
    /// makes of y and its gradient that of the convolution.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">As in <see cref="Forward"/>.</param>
    /// <param name="filter">As in <see cref="Forward"/>.</param>
    /// <param name="bias">As in <see cref="Forward"/>.</param>
    /// <param name="y">As in <see cref="Forward"/>.</param>
    /// <param name="options">As in <see cref="Forward"/>.</param>
    public static void ForwardRelu<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> filter, DeviceTensor<T>? bias, DeviceTensor<T> y,
        Conv2dOptions options = default)
        where T : unmanaged => Convolve("Conv2d.ForwardRelu", stream, x, filter, bias, y, options, rectifies: true);

    /// <summary>
    /// Gradient of the input: dx[n, c, h, w] is the sum, over all places of the filter that see x[n, c, h, w], of w times dy; dy is 0
    /// outside.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="filter">As in forward.</param>
    /// <param name="dy">Gradient of the output, of the shape that <see cref="OutputShape"/> gives for <paramref name="dx"/>.</param>
    /// <param name="dx">Gradient of the input, which is overwritten; overlaps no input.</param>
    /// <param name="options">As in forward.</param>
    public static void BackwardData<T>(
        DeviceStream stream, DeviceTensor<T> filter, DeviceTensor<T> dy, DeviceTensor<T> dx, Conv2dOptions options = default)
        where T : unmanaged => Convolve("Conv2d.BackwardData", stream, dy, filter, bias: null, dx, options, backward: true);

    /// <summary>Gradients of filter and bias: sums over all pixels of all examples.</summary>
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
        const string Op = "Conv2d.BackwardFilter";
        Conv2dShapeArguments shape = FilterGradientShape(Op, stream, x, dy, dFilter, dBias, options);
        FilterGradient(stream, shape, options.Layout, options.Algorithm, x, dy, dFilter, dBias);
    }

    /// <summary>
    /// A convolution of <paramref name="from"/>, or with <paramref name="backward"/> the gradient of one whose output is
    /// <paramref name="from"/>: what both layers are, forward and for their input's gradient.
    /// </summary>
    internal static void Convolve<T>(
        string op, DeviceStream stream, DeviceTensor<T> from, DeviceTensor<T> filter, DeviceTensor<T>? bias, DeviceTensor<T> to,
        in Conv2dOptions options, bool backward = false, bool rectifies = false,
        [CallerArgumentExpression(nameof(from))] string fromName = "", [CallerArgumentExpression(nameof(to))] string toName = "")
        where T : unmanaged
    {
        Maps(op, stream, from, fromName);
        Maps(op, stream, filter, nameof(filter));
        Maps(op, stream, to, toName);
        (DeviceTensor<T> x, string xName, DeviceTensor<T> y, string yName) =
            backward ? (to, toName, from, fromName) : (from, fromName, to, toName);
        Conv2dShapeArguments shape = Conv2dShapeArguments.Of(op, x.Shape, xName, filter.Shape, nameof(filter), options);
        Check.Shape(op, y, yName, shape.YShape(options.Layout));
        Check.Disjoint(op, from, fromName, to, toName);
        Check.Disjoint(op, filter, nameof(filter), to, toName);
        if (bias is not null)
        {
            Check.FloatTensor(op, stream, bias, nameof(bias));
            Check.Shape(op, bias, nameof(bias), backward ? shape.Inputs : shape.Outputs);
            Check.Disjoint(op, bias, nameof(bias), to, toName);
        }

        Gather(stream, shape, options.Layout, options.Algorithm, from, filter, bias, to, backward, rectifies);
    }

    /// <summary>Checks the tensors of a filter's gradient; the bias is of the convolution's output, or of its input.</summary>
    internal static Conv2dShapeArguments FilterGradientShape<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, DeviceTensor<T> dFilter, DeviceTensor<T>? dBias,
        in Conv2dOptions options, bool isBiasOfX = false,
        [CallerArgumentExpression(nameof(x))] string xName = "", [CallerArgumentExpression(nameof(y))] string yName = "")
        where T : unmanaged
    {
        Maps(op, stream, x, xName);
        Maps(op, stream, y, yName);
        Maps(op, stream, dFilter, nameof(dFilter));
        Conv2dShapeArguments shape = Conv2dShapeArguments.Of(op, x.Shape, xName, dFilter.Shape, nameof(dFilter), options);
        Check.Shape(op, y, yName, shape.YShape(options.Layout));
        Check.Disjoint(op, x, xName, dFilter, nameof(dFilter));
        Check.Disjoint(op, y, yName, dFilter, nameof(dFilter));
        if (dBias is null) return shape;
        Check.FloatTensor(op, stream, dBias, nameof(dBias));
        Check.Shape(op, dBias, nameof(dBias), isBiasOfX ? shape.Inputs : shape.Outputs);
        Check.Disjoint(op, x, xName, dBias, nameof(dBias));
        Check.Disjoint(op, y, yName, dBias, nameof(dBias));
        Check.Disjoint(op, dFilter, nameof(dFilter), dBias, nameof(dBias));
        return shape;
    }

    /// <summary>The gradients of filter and bias, with arguments already checked; either may be null.</summary>
    internal static void FilterGradient<T>(
        DeviceStream stream, in Conv2dShapeArguments shape, TensorLayout layout, Conv2dAlgorithm algorithm, DeviceTensor<T> x,
        DeviceTensor<T> dy, DeviceTensor<T>? dFilter, DeviceTensor<T>? dBias)
        where T : unmanaged
    {
        if (shape.Outputs == 0) return;
        bool isAligned = x.IsVectorAligned && dy.IsVectorAligned && (dFilter is null || dFilter.IsVectorAligned);
        if (dFilter is { Length: > 0 } && RejectTensorCores(stream.Device, x.DType, shape, layout, isAligned) is null)
        {
            TensorCoreFilterGradient(stream, shape, layout, x, dy, dFilter, dBias);
            return;
        }

        long tiles = !shape.IsDepthwise
            ? Tiles(shape.YChannels, TileRows) * Math.Max(1, Tiles(shape.PerOutput, TileColumns)) * (long)shape.Groups
            : layout == TensorLayout.ChannelsLast ? Tiles(shape.Outputs, DepthwiseLanes) : shape.Outputs;

        bool isCpu = stream.Device.Kind == DeviceKind.Cpu;
        bool transforms = dFilter is not null && Transforms(stream, algorithm, x.DType, shape, shape.YHeight, shape.YWidth)
            && WinogradFilter.Holds(shape);

        // By the problem alone, so that the order of the sums does not depend on the size of the GPU.
        long least = shape.IsDepthwise && layout == TensorLayout.ChannelsFirst ? PixelsOfDepthwiseSplit : PixelsOfSplit;
        long splits = transforms ? 1 : isCpu ? CpuSplits(shape) : Math.Clamp(shape.YPixels / least, 1, Math.Max(1, ManyGroups / tiles));
        bool takesPlanes = TakesPlanes(shape, layout);
        long pixels = takesPlanes
            ? Tiles((long)shape.Batch * PlaneBlocks(shape.YHeight, shape.YWidth), splits) * DirectResults * PlaneColumns
            : Tiles(Tiles(shape.YPixels, splits), TileDepth) * TileDepth;
        long parts = splits > 1 ? splits * shape.Outputs * (shape.PerOutput + 1) : 0;
        using ScratchPool.Lease<T> partial = RealBuffer<T>.RentScratch(stream, parts);
        TensorArgument filterPart = splits > 1 ? partial.Argument : default;
        TensorArgument biasPart = splits > 1
            ? filterPart with { Offset = filterPart.Offset + (ulong)(splits * shape.Outputs * shape.PerOutput) } : default;
        stream.Launch(
            takesPlanes ? PlaneFilterKernel : shape.IsDepthwise ? DepthwiseBackwardFilterKernel : BackwardFilterKernel,
            takesPlanes ? PlaneVariant(x.DType, shape, isAligned) : Variant(x.DType, layout, transforms: transforms),
            new LaunchShape(tiles * splits),
            new Conv2dBackwardFilterArguments
            {
                X = x.Argument,
                Dy = dy.Argument,
                Dfilter = dFilter?.Argument ?? default,
                Dbias = dBias?.Argument ?? default,
                Partial = filterPart,
                BiasPartial = biasPart,
                Conv2dShape = shape,
                HasBias = dBias is null ? 0u : 1u,
                Splits = (ulong)splits,
                PixelsPerSplit = (ulong)pixels,
            });
        if (splits == 1) return;
        if (dFilter is { Length: > 0 }) PartialSums.Reduce(stream, filterPart, dFilter, splits);
        if (dBias is not null) PartialSums.Reduce(stream, biasPart, dBias, splits);
    }

    /// <summary>y from x or dx from dy, with arguments already checked.</summary>
    private static void Gather<T>(
        DeviceStream stream, in Conv2dShapeArguments shape, TensorLayout layout, Conv2dAlgorithm algorithm, DeviceTensor<T> image,
        DeviceTensor<T> filter, DeviceTensor<T>? bias, DeviceTensor<T> result, bool backward, bool rectifies)
        where T : unmanaged
    {
        if (result.Length == 0) return;
        bool isAligned = image.IsVectorAligned && filter.IsVectorAligned && result.IsVectorAligned;
        if (RejectTensorCores(stream.Device, result.DType, shape, layout, isAligned) is null)
        {
            TensorCoreGather(stream, shape, layout, image, filter, bias, result, backward, rectifies);
            return;
        }

        Conv2dGatherArguments arguments = new()
        {
            Image = image.Argument,
            Filter = filter.Argument,
            Bias = bias?.Argument ?? default,
            Result = result.Argument,
            Conv2dShape = shape,
            Backward = backward ? 1u : 0u,
            HasBias = bias is null ? 0u : 1u,
            HasRelu = rectifies ? 1u : 0u,
        };
        long height = backward ? Tiles(shape.XHeight, shape.StrideY) : shape.YHeight;
        long width = backward ? Tiles(shape.XWidth, shape.StrideX) : shape.YWidth;
        if (TakesPlanes(shape, layout))
        {
            long items = (long)shape.Batch * (long)shape.Groups * PlaneBlocks(height, width);
            KernelVariant variant = PlaneVariant(result.DType, shape, isAligned);
            stream.Launch(PlaneGatherKernel, variant, LaunchShape.Items(items, PlaneGatherKernel), arguments);
            return;
        }

        long phases = backward ? (long)Math.Min(shape.StrideY, shape.XHeight) * Math.Min(shape.StrideX, shape.XWidth) : 1;
        long channels = backward ? shape.XChannels : shape.YChannels;
        bool isDirect = shape.IsDepthwise || channels <= NarrowChannels;
        bool isNarrow = isDirect && !shape.IsDepthwise;
        LaunchShape groups = isDirect
            ? DirectGroups((long)shape.Groups * (isNarrow ? 1 : channels), phases, (long)shape.Batch * Tiles(height, DirectResults) * width)
            : new LaunchShape(
                Tiles(channels, TileRows) * (long)shape.Groups * phases * Tiles((long)shape.Batch * height * width, TileColumns));
        bool transforms = Transforms(stream, algorithm, result.DType, shape, height, width);
        stream.Launch(
            isDirect ? DirectGatherKernel : GatherKernel, Variant(result.DType, layout, isNarrow, transforms), groups, arguments);
    }

    /// <summary>
    /// Of the pixels for the filter's gradient, a power of two, which cores share evenly. Blocks of a small filter would be few tasks, and
    /// each would read all pixels. The larger the filter, the more pixels a split has: beside them its sums cost little to clear, store and
    /// add to the others'.
    /// </summary>
    private static long CpuSplits(in Conv2dShapeArguments shape)
    {
        long length = shape.Outputs * shape.PerOutput;
        if (shape.IsDepthwise || length > SmallFilter) return 1;
        long splits = Math.Min(shape.YPixels / Math.Max(PixelsOfCpuSplit, length / 4), shape.YPixels * length / WorkOfCpuSplit);
        return 1L << BitOperations.Log2((ulong)Math.Clamp(splits, 1, MostCpuSplits));
    }

    /// <summary>Whether maps of so many rows and columns are made, or read, in tiles.</summary>
    private static bool Transforms(
        DeviceStream stream, Conv2dAlgorithm algorithm, DType dtype, in Conv2dShapeArguments shape, long height, long width) =>
        algorithm == Conv2dAlgorithm.Winograd && stream.Device.Kind == DeviceKind.Cpu && dtype == DType.Float32
        && Winograd.Takes(shape, height, width);

    /// <summary>Depthwise as most networks have it.</summary>
    private static bool TakesPlanes(in Conv2dShapeArguments shape, TensorLayout layout) =>
        shape.IsDepthwise && shape.YChannels == 1 && layout == TensorLayout.ChannelsFirst && (shape.FilterHeight, shape.FilterWidth,
            shape.StrideY, shape.StrideX, shape.DilationY, shape.DilationX) == (PlaneTaps, PlaneTaps, 1, 1, 1, 1);

    /// <summary>What items make of a plane of results.</summary>
    private static long PlaneBlocks(long height, long width) => Tiles(height, DirectResults) * Tiles(width, PlaneColumns);

    private static KernelVariant PlaneVariant(DType dtype, in Conv2dShapeArguments shape, bool isAligned)
    {
        bool isWide = isAligned && shape.XWidth % PlaneColumns == 0 && shape.XWidth == shape.YWidth && shape.PaddingLeft == 1;
        return new KernelVariant(dtype, Switches: isWide ? WideRowsSwitch : 0);
    }

    /// <summary>At least one for each phase and block of channels, whose places are shared by as many as fill a GPU.</summary>
    private static LaunchShape DirectGroups(long channelBlocks, long phases, long places)
    {
        long items = phases * channelBlocks * places, most = Math.Max(phases * channelBlocks, ManyGroups);
        return new LaunchShape(Math.Min(Tiles(items, DirectGatherKernel.GroupSize), most));
    }

    private static KernelVariant Variant(DType dtype, TensorLayout layout, bool isNarrow = false, bool transforms = false)
    {
        uint switches = (layout == TensorLayout.ChannelsLast ? ChannelsLastSwitch : 0) | (isNarrow ? NarrowSwitch : 0);
        return new(dtype, Switches: switches | (transforms ? 1u << WinogradBit : 0));
    }

    /// <summary>A tensor of four dimensions.</summary>
    private static void Maps<T>(string op, DeviceStream stream, DeviceTensor<T> tensor, string name)
        where T : unmanaged
    {
        Check.FloatTensor(op, stream, tensor, name);
        Check.Rank(op, tensor, name, 4);
    }

    private static long Tiles(long length, long tile) => (length + tile - 1) / tile;
}
