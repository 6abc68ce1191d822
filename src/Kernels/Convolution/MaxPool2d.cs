using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="MaxPool2d"/>; the default is windows side by side over [batch, channels, height, width].</summary>
public readonly record struct MaxPool2dOptions
{
    /// <summary>From one window to the next; null for the window's own size.</summary>
    public Size2d? Stride { get; init; }

    /// <summary>Padding that no window takes an element from, as if it were -infinity.</summary>
    public Padding2d Padding { get; init; }

    /// <summary>From one element of a window to the next; null for 1.</summary>
    public Size2d? Dilation { get; init; }

    /// <summary>
    /// Rounds the number of windows up, so that the last may hang over the end. One that starts beyond the map is left out.
    /// </summary>
    public bool CeilMode { get; init; }

    /// <summary>The place of the channels.</summary>
    public TensorLayout Layout { get; init; }
}

/// <summary>Max pooling over maps: y = the largest element of each window.</summary>
/// <remarks>
/// <para>
/// Along each axis there are floor((size + padding - dilation (window - 1) - 1) / stride) + 1 windows; with
/// <see cref="MaxPool2dOptions.CeilMode"/> rounded up, less one that would start in the padding after the map. That is PyTorch's shape.
/// </para>
/// <para>
/// Of several equal elements the first of the window counts, row by row. NaN is larger than anything, and of several NaN the last counts.
/// That is PyTorch's rule too. Forward can note which element counted: its number in the window, in one byte for windows of up to 256
/// elements, else in an int. Backward then gathers for each element of x the gradients of the windows that took it, in the order of the
/// windows, so it is deterministic, also where windows overlap.
/// </para>
/// <para>
/// Types: float, Half, BFloat16, double. M. Ranzato, Y.-L. Boureau and Y. LeCun, "Sparse feature learning for deep belief networks",
/// NeurIPS 2007.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, a window larger than the padded map, a window without
/// any element of the map, tensors that overlap or live on another device, and <see cref="ArgumentOutOfRangeException"/> for a window,
/// stride, dilation or padding out of range, before anything is launched.
/// </para>
/// </remarks>
public static partial class MaxPool2d
{
    private const string ForwardName = "MaxPool2d.Forward", InferName = "MaxPool2d.Infer", BackwardName = "MaxPool2d.Backward";

    /// <summary>Windows of up to so many elements have indices of one byte.</summary>
    private const long MostByteTaps = 256;

    private static readonly KernelDefinition<MaxPool2dForwardArguments> ForwardKernel =
        EntryPoints.MaxPool2dForward.Float<CpuForward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<MaxPool2dBackwardArguments> BackwardKernel =
        EntryPoints.MaxPool2dBackward.Float<CpuBackward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<MaxPool2dForward2x2Arguments> Forward2x2Kernel =
        EntryPoints.MaxPool2dForward2x2.Float<CpuForward2x2>();

    private static readonly KernelDefinition<MaxPool2dBackward2x2Arguments> Backward2x2Kernel =
        EntryPoints.MaxPool2dBackward2x2.Float<CpuBackward2x2>();

    private static readonly KernelDefinition<MaxPool2dForward3x3Arguments> Forward3x3Kernel =
        EntryPoints.MaxPool2dForward3x3.Float<CpuForward3x3>();

    private static readonly KernelDefinition<MaxPool2dBackward3x3Arguments> Backward3x3Kernel =
        EntryPoints.MaxPool2dBackward3x3.Float<CpuBackward3x3>();

    /// <summary>How windows lie, some of which have kernels of their own.</summary>
    private enum Tiling
    {
        Other,
        Pairs,
        OverlappingTriples,
    }

    /// <summary>The shape of the output for an input.</summary>
    /// <param name="shape">Shape of x: [batch, channels, height, width], or as the layout says.</param>
    /// <param name="window">Rows and columns of a window.</param>
    /// <param name="options">Stride, padding, dilation, rounding, layout.</param>
    public static long[] OutputShape(ReadOnlySpan<long> shape, Size2d window, MaxPool2dOptions options = default) =>
        Pool("MaxPool2d.OutputShape", shape, nameof(shape), window, options).OutputShape;

    /// <summary>Training: the largest elements, and which they are.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="y">Output, shape as <see cref="OutputShape"/> says.</param>
    /// <param name="indices">
    /// Output, shape of <paramref name="y"/>: the number in its window of the element that counted, row by row, for windows of up to 256
    /// elements.
    /// </param>
    /// <param name="window">Rows and columns of a window.</param>
    /// <param name="options">Stride, padding, dilation, rounding, layout.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, DeviceTensor<byte> indices, Size2d window,
        MaxPool2dOptions options = default)
        where T : unmanaged => Forward<T, byte>(stream, x, y, indices, window, options);

    /// <inheritdoc cref="Forward{T}(DeviceStream, DeviceTensor{T}, DeviceTensor{T}, DeviceTensor{byte}, Size2d, MaxPool2dOptions)"/>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="y">Output, shape as <see cref="OutputShape"/> says.</param>
    /// <param name="indices">
    /// Output, shape of <paramref name="y"/>: the number in its window of the element that counted, row by row, for windows of any size.
    /// </param>
    /// <param name="window">Rows and columns of a window.</param>
    /// <param name="options">Stride, padding, dilation, rounding, layout.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, DeviceTensor<int> indices, Size2d window,
        MaxPool2dOptions options = default)
        where T : unmanaged => Forward<T, int>(stream, x, y, indices, window, options);

    /// <summary>Inference: the largest elements alone.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="y">Output, shape as <see cref="OutputShape"/> says.</param>
    /// <param name="window">Rows and columns of a window.</param>
    /// <param name="options">Stride, padding, dilation, rounding, layout.</param>
    public static void Infer<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, Size2d window, MaxPool2dOptions options = default)
        where T : unmanaged
    {
        Pool2d pool = CheckMaps(InferName, stream, x, nameof(x), y, nameof(y), window, options);
        LaunchForward(stream, pool, x, y, default, indexBytes: 1, firstByte: 0);
    }

    /// <summary>Gradient: dx = the sum of dy over the windows that took the element.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="indices">What the forward call wrote.</param>
    /// <param name="dy">Gradient of the output, shape of <paramref name="indices"/>.</param>
    /// <param name="dx">Gradient of the input, shape of the forward call's input.</param>
    /// <param name="window">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<byte> indices, DeviceTensor<T> dy, DeviceTensor<T> dx, Size2d window,
        MaxPool2dOptions options = default)
        where T : unmanaged => Backward<T, byte>(stream, indices, dy, dx, window, options);

    /// <inheritdoc cref="Backward{T}(DeviceStream, DeviceTensor{byte}, DeviceTensor{T}, DeviceTensor{T}, Size2d, MaxPool2dOptions)"/>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<int> indices, DeviceTensor<T> dy, DeviceTensor<T> dx, Size2d window,
        MaxPool2dOptions options = default)
        where T : unmanaged => Backward<T, int>(stream, indices, dy, dx, window, options);

    private static void Forward<T, TIndex>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, DeviceTensor<TIndex> indices, Size2d window, MaxPool2dOptions options)
        where T : unmanaged
        where TIndex : unmanaged
    {
        Pool2d pool = CheckMaps(ForwardName, stream, x, nameof(x), y, nameof(y), window, options);
        CheckIndices(ForwardName, stream, indices, pool);
        Check.Disjoint(ForwardName, x, nameof(x), indices, nameof(indices));
        Check.Disjoint(ForwardName, y, nameof(y), indices, nameof(indices));
        LaunchForward(stream, pool, x, y, InBytes(indices), indices.DType.SizeInBytes(), indices.FirstByte);
    }

    private static void LaunchForward<T>(
        DeviceStream stream, in Pool2d pool, DeviceTensor<T> x, DeviceTensor<T> y, TensorArgument indices, int indexBytes, long firstByte)
        where T : unmanaged
    {
        if (x.Length == 0) return;
        bool vectors = x.IsVectorAligned && y.IsVectorAligned && firstByte % 8 == 0;
        Tiling tiling = vectors && indexBytes == 1 ? TilingOf(pool) : Tiling.Other;
        (long width, long height) = (pool.Columns.Size, pool.Rows.Size);
        PoolLinesArguments eights = Pool2d.Lines(Math.Max(1, width / 8), pool.Rows.Outputs);
        long jobs = pool.Planes * pool.Rows.Outputs * (width / 8);
        switch (tiling)
        {
            case Tiling.Pairs:
                stream.Launch(
                    Forward2x2Kernel,
                    new KernelVariant(x.DType),
                    LaunchShape.Items(jobs, Forward2x2Kernel),
                    new MaxPool2dForward2x2Arguments
                    {
                        X = x.Argument,
                        Y = y.Argument,
                        Indices = indices,
                        Jobs = (ulong)jobs,
                        Height = (uint)height,
                        PoolLines = eights,
                    });
                break;
            case Tiling.OverlappingTriples:
                stream.Launch(
                    Forward3x3Kernel,
                    new KernelVariant(x.DType),
                    LaunchShape.Items(jobs, Forward3x3Kernel),
                    new MaxPool2dForward3x3Arguments
                    {
                        X = x.Argument,
                        Y = y.Argument,
                        Indices = indices,
                        Jobs = (ulong)jobs,
                        Height = (uint)height,
                        PoolLines = eights,
                    });
                break;
            default:
                int vectorWidth = vectors && pool.Inner % 8 == 0 ? 8 : 1;
                jobs = y.Length / vectorWidth;
                stream.Launch(
                    ForwardKernel,
                    new KernelVariant(x.DType, vectorWidth),
                    LaunchShape.Items(jobs, ForwardKernel),
                    new MaxPool2dForwardArguments
                    {
                        X = x.Argument,
                        Y = y.Argument,
                        Indices = indices,
                        IndexBytes = (uint)indexBytes,
                        Jobs = (ulong)jobs,
                        PoolWindow = pool.Window,
                        PoolChunks = pool.Chunks(pool.Columns.Outputs, pool.Rows.Outputs, vectorWidth),
                    });
                break;
        }
    }

    private static void Backward<T, TIndex>(
        DeviceStream stream, DeviceTensor<TIndex> indices, DeviceTensor<T> dy, DeviceTensor<T> dx, Size2d window, MaxPool2dOptions options)
        where T : unmanaged
        where TIndex : unmanaged
    {
        Pool2d pool = CheckMaps(BackwardName, stream, dx, nameof(dx), dy, nameof(dy), window, options);
        CheckIndices(BackwardName, stream, indices, pool);
        Check.Disjoint(BackwardName, indices, nameof(indices), dx, nameof(dx));
        if (dx.Length == 0) return;
        bool vectors = dy.IsVectorAligned && dx.IsVectorAligned && indices.FirstByte % 8 == 0;
        Tiling tiling = vectors && indices.DType == DType.UInt8 ? TilingOf(pool) : Tiling.Other;
        (long width, long height, long pairs) = (pool.Columns.Size, pool.Rows.Size, (pool.Rows.Size + 1) / 2);

        // An item has 16 bytes of each of two rows; double has two of these.
        long columns = Math.Max(1, width / (dx.DType.SizeInBytes() == 2 ? 8 : 4)), jobs = pool.Planes * pairs * columns;
        switch (tiling)
        {
            case Tiling.Pairs:
                stream.Launch(
                    Backward2x2Kernel,
                    new KernelVariant(dx.DType),
                    LaunchShape.Items(jobs, Backward2x2Kernel),
                    new MaxPool2dBackward2x2Arguments
                    {
                        Indices = InBytes(indices),
                        Dy = dy.Argument,
                        Dx = dx.Argument,
                        Jobs = (ulong)jobs,
                        Height = (uint)height,
                        OutHeight = (uint)pool.Rows.Outputs,
                        PoolLines = Pool2d.Lines(columns, pairs),
                    });
                break;
            case Tiling.OverlappingTriples:
                stream.Launch(
                    Backward3x3Kernel,
                    new KernelVariant(dx.DType),
                    LaunchShape.Items(jobs, Backward3x3Kernel),
                    new MaxPool2dBackward3x3Arguments
                    {
                        Indices = InBytes(indices),
                        Dy = dy.Argument,
                        Dx = dx.Argument,
                        Jobs = (ulong)jobs,
                        Height = (uint)height,
                        OutHeight = (uint)pool.Rows.Outputs,
                        PoolLines = Pool2d.Lines(columns, pairs),
                    });
                break;
            default:
                int vectorWidth = vectors && pool.Inner % 8 == 0 ? 8 : 1;
                jobs = dx.Length / vectorWidth;
                stream.Launch(
                    BackwardKernel,
                    new KernelVariant(dx.DType, vectorWidth),
                    LaunchShape.Items(jobs, BackwardKernel),
                    new MaxPool2dBackwardArguments
                    {
                        Indices = InBytes(indices),
                        IndexBytes = (uint)indices.DType.SizeInBytes(),
                        Dy = dy.Argument,
                        Dx = dx.Argument,
                        Jobs = (ulong)jobs,
                        PoolWindow = pool.Window,
                        PoolStride = pool.Strides,
                        PoolChunks = pool.Chunks(width, height, vectorWidth),
                    });
                break;
        }
    }

    private static Pool2d Pool(string op, ReadOnlySpan<long> shape, string name, Size2d window, MaxPool2dOptions options) => Pool2d.Of(
        op, shape, name, window, options.Stride, options.Padding, options.Dilation, options.CeilMode, options.Layout);

    /// <summary>The windows of a call over maps; <paramref name="pooled"/> has the shape of the output.</summary>
    private static Pool2d CheckMaps<T>(
        string op, DeviceStream stream, DeviceTensor<T> maps, string mapsName, DeviceTensor<T> pooled, string pooledName, Size2d window,
        MaxPool2dOptions options)
        where T : unmanaged
    {
        Check.FloatTensor(op, stream, maps, mapsName);
        Check.FloatTensor(op, stream, pooled, pooledName);
        Pool2d pool = Pool(op, maps.Shape, mapsName, window, options);
        Check.Shape(op, pooled, pooledName, pool.OutputShape);
        Check.Disjoint(op, maps, mapsName, pooled, pooledName);
        return pool;
    }

    private static void CheckIndices<TIndex>(string op, DeviceStream stream, DeviceTensor<TIndex> indices, in Pool2d pool)
        where TIndex : unmanaged
    {
        Check.Tensor(op, stream, indices, nameof(indices));
        Check.Shape(op, indices, nameof(indices), pool.OutputShape);
        if (indices.DType == DType.UInt8 && pool.Taps > MostByteTaps)
        {
            throw new ArgumentException(
                $"{op}: a window of {pool.Rows.Taps}x{pool.Columns.Taps} has more elements than the 256 that indices of a byte can number; "
                + "give a tensor of int.",
                nameof(indices));
        }
    }

    private static Tiling TilingOf(in Pool2d pool) =>
        pool.IsPairs ? Tiling.Pairs : pool.IsOverlappingTriples ? Tiling.OverlappingTriples : Tiling.Other;

    /// <summary>The tensor counted in bytes, as kernels take indices of either size.</summary>
    private static TensorArgument InBytes<TIndex>(DeviceTensor<TIndex> indices)
        where TIndex : unmanaged => new(indices.Buffer.Memory, (ulong)(indices.Offset * indices.DType.SizeInBytes()));
}
