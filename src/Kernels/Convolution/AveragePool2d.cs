using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Settings of <see cref="AveragePool2d"/>; the default is windows side by side over [batch, channels, height, width], divided by their
/// elements, those in the padding included.
/// </summary>
public readonly record struct AveragePool2dOptions
{
    /// <summary>From one window to the next; null for the window's own size.</summary>
    public Size2d? Stride { get; init; }

    /// <summary>Padding, of zeros.</summary>
    public Padding2d Padding { get; init; }

    /// <summary>From one element of a window to the next; null for 1.</summary>
    public Size2d? Dilation { get; init; }

    /// <summary>
    /// Rounds the number of windows up, so that the last may hang over the end. One that starts beyond the map is left out.
    /// </summary>
    public bool CeilMode { get; init; }

    /// <summary>
    /// True to divide by the elements of a window that lie in the map; false, as PyTorch does by default, to count those in its padding as
    /// well. What hangs over the padding counts in neither.
    /// </summary>
    public bool ExcludesPadding { get; init; }

    /// <summary>What every window is divided by, whatever it counts; null for the count. Finite and not 0.</summary>
    public double? Divisor { get; init; }

    /// <summary>The place of the channels.</summary>
    public TensorLayout Layout { get; init; }
}

/// <summary>Average pooling over maps: y = the sum of each window over a divisor.</summary>
/// <remarks>
/// <para>
/// The number of windows is that of <see cref="MaxPool2d"/>. A window is divided by the number of its elements in the map and its
/// padding, or in the map alone (<see cref="AveragePool2dOptions.ExcludesPadding"/>), never by those that hang over the padding where the
/// number of windows is rounded up; or by <see cref="AveragePool2dOptions.Divisor"/>.
/// </para>
/// <para>
/// A window as large as the map is summed by a kernel of its own, in one pass over the plane; <see cref="ForwardGlobal"/> is that.
/// </para>
/// <para>
/// Sums are in float (double for double), row by row of a window; of whole maps in the order of a tree. Backward
/// gathers for each element of x the windows that it is in, in their order. Types: float, Half, BFloat16, double. Y. LeCun, L. Bottou, Y.
/// Bengio and P. Haffner, "Gradient-based learning applied to document recognition", 1998; M. Lin, Q. Chen and S. Yan, "Network in
/// network", ICLR 2014.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, a window larger than the padded map, a window without
/// any element of the map, tensors that overlap or live on another device, and <see cref="ArgumentOutOfRangeException"/> for a window,
/// stride, dilation, padding or divisor out of range, before anything is launched.
/// </para>
/// </remarks>
public static partial class AveragePool2d
{
    private const string ForwardName = "AveragePool2d.Forward", BackwardName = "AveragePool2d.Backward";
    private const string ForwardGlobalName = "AveragePool2d.ForwardGlobal", BackwardGlobalName = "AveragePool2d.BackwardGlobal";

    /// <summary>Chunks of a plane that one work item of a team takes, as long as the team has room.</summary>
    private const int ChunksPerItem = 4;

    /// <summary>Work items of a group that lie side by side over channels.</summary>
    private const int MostSide = 32;

    /// <summary>TALL in the text.</summary>
    private const long TallRows = 8;

    private static readonly KernelDefinition<AveragePool2dForwardArguments> ForwardKernel =
        EntryPoints.AveragePool2dForward.Float<CpuForward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<AveragePool2dBackwardArguments> BackwardKernel =
        EntryPoints.AveragePool2dBackward.Float<CpuBackward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<AveragePool2d3x3Arguments> TriplesKernel = EntryPoints.AveragePool2d3x3.Float<CpuTriples>();

    private static readonly KernelDefinition<AveragePool2dForward2x2Arguments> Forward2x2Kernel =
        EntryPoints.AveragePool2dForward2x2.Float<CpuForward2x2>();

    private static readonly KernelDefinition<AveragePool2dBackward2x2Arguments> Backward2x2Kernel =
        EntryPoints.AveragePool2dBackward2x2.Float<CpuBackward2x2>();

    private static readonly KernelDefinition<AveragePool2dGlobalArguments> GlobalKernel =
        EntryPoints.AveragePool2dGlobal.Float<CpuGlobal>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<AveragePool2dGlobalChannelsArguments> GlobalChannelsKernel =
        EntryPoints.AveragePool2dGlobalChannels.Float<CpuGlobalChannels>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<AveragePool2dGlobalBackwardArguments> GlobalBackwardKernel =
        EntryPoints.AveragePool2dGlobalBackward.Float<CpuGlobalBackward>();

    /// <summary>The shape of the output for an input.</summary>
    /// <param name="shape">Shape of x: [batch, channels, height, width], or as the layout says.</param>
    /// <param name="window">Rows and columns of a window.</param>
    /// <param name="options">Stride, padding, dilation, rounding, layout.</param>
    public static long[] OutputShape(ReadOnlySpan<long> shape, Size2d window, AveragePool2dOptions options = default) =>
        Pool("AveragePool2d.OutputShape", shape, nameof(shape), window, options).OutputShape;

    /// <summary>y = the sum of each window over its divisor.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="y">Output, shape as <see cref="OutputShape"/> says.</param>
    /// <param name="window">Rows and columns of a window.</param>
    /// <param name="options">Stride, padding, dilation, rounding, divisor, layout.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, Size2d window, AveragePool2dOptions options = default)
        where T : unmanaged
    {
        Pool2d pool = CheckMaps(ForwardName, stream, x, nameof(x), y, nameof(y), window, options);
        Check.Shape(ForwardName, y, nameof(y), pool.OutputShape);
        LaunchForward(stream, pool, Divisor.Of(pool, options), x, y);
    }

    /// <summary>Gradient: dx = the sum of dy over its divisor, over the windows that the element is in.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the input, shape of the forward call's input.</param>
    /// <param name="window">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> dx, Size2d window, AveragePool2dOptions options = default)
        where T : unmanaged
    {
        Pool2d pool = CheckMaps(BackwardName, stream, dx, nameof(dx), dy, nameof(dy), window, options);
        Check.Shape(BackwardName, dy, nameof(dy), pool.OutputShape);
        LaunchBackward(stream, pool, Divisor.Of(pool, options), dy, dx);
    }

    /// <summary>Global average pooling: y = the mean of each map.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, [batch, channels, height, width], or as <paramref name="layout"/> says; maps are not empty.</param>
    /// <param name="y">Output, [batch, channels].</param>
    /// <param name="layout">The place of the channels.</param>
    public static void ForwardGlobal<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, TensorLayout layout = TensorLayout.ChannelsFirst)
        where T : unmanaged
    {
        Pool2d pool = CheckGlobal(ForwardGlobalName, stream, x, nameof(x), y, nameof(y), layout);
        LaunchForward(stream, pool, new Divisor(pool.Taps, CountsPadding: true), x, y);
    }

    /// <summary>Gradient of global average pooling: dx = dy over the number of cells of a map.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output, [batch, channels].</param>
    /// <param name="dx">Gradient of the input, shape of the forward call's input.</param>
    /// <param name="layout">As in forward.</param>
    public static void BackwardGlobal<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> dx, TensorLayout layout = TensorLayout.ChannelsFirst)
        where T : unmanaged
    {
        Pool2d pool = CheckGlobal(BackwardGlobalName, stream, dx, nameof(dx), dy, nameof(dy), layout);
        LaunchBackward(stream, pool, new Divisor(pool.Taps, CountsPadding: true), dy, dx);
    }

    /// <summary>The sum of each window, row by row.</summary>
    internal static void LaunchSum<T>(DeviceStream stream, in Pool2d pool, DeviceTensor<T> x, DeviceTensor<T> y)
        where T : unmanaged => LaunchForward(stream, pool, Divisor.None, x, y);

    /// <summary>The gradient of that: for each element the sum over the windows that it is in.</summary>
    internal static void LaunchSumGradient<T>(DeviceStream stream, in Pool2d pool, DeviceTensor<T> dy, DeviceTensor<T> dx)
        where T : unmanaged => LaunchBackward(stream, pool, Divisor.None, dy, dx);

    private static void LaunchForward<T>(
        DeviceStream stream, in Pool2d pool, Divisor divisor, DeviceTensor<T> x, DeviceTensor<T> y)
        where T : unmanaged
    {
        if (x.Length == 0) return;
        bool vectors = x.IsVectorAligned && y.IsVectorAligned;
        if (IsGlobal(pool) && pool.Inner == 1)
        {
            long cells = pool.Rows.Size * pool.Columns.Size;
            int vectorWidth = vectors && cells % 8 == 0 ? 8 : 1;
            int team = TeamOf(cells / vectorWidth / ChunksPerItem, GlobalKernel.GroupSize), teams = GlobalKernel.GroupSize / team;
            stream.Launch(
                GlobalKernel,
                new KernelVariant(x.DType, vectorWidth),
                new LaunchShape((pool.Planes + teams - 1) / teams),
                new AveragePool2dGlobalArguments
                {
                    X = x.Argument,
                    Y = y.Argument,
                    Planes = (ulong)pool.Planes,
                    Cells = (ulong)cells,
                    Team = (uint)team,
                    Divisor = divisor.OfAll,
                });
        }
        else if (IsGlobal(pool))
        {
            int vectorWidth = vectors && pool.Inner % 8 == 0 ? 8 : 1;
            long chunks = pool.Inner / vectorWidth;
            int side = TeamOf(chunks, MostSide);
            InvariantDivisor columns = InvariantDivisor.Of((chunks + side - 1) / side);
            long tiles = pool.Planes * (long)columns.Value;
            stream.Launch(
                GlobalChannelsKernel,
                new KernelVariant(x.DType, vectorWidth),
                new LaunchShape(tiles),
                new AveragePool2dGlobalChannelsArguments
                {
                    X = x.Argument,
                    Y = y.Argument,
                    Tiles = (ulong)tiles,
                    Cells = (ulong)(pool.Rows.Size * pool.Columns.Size),
                    Chunks = (ulong)chunks,
                    Side = (uint)side,
                    SidesOfPlane = columns.Value,
                    SidesInverse = columns.Inverse,
                    SidesShift = columns.Shift,
                    Divisor = divisor.OfAll,
                });
        }
        else if (vectors && pool.IsPairs && divisor.OfAll != 0)
        {
            long jobs = pool.Planes * pool.Rows.Outputs * (pool.Columns.Size / 8);
            stream.Launch(
                Forward2x2Kernel,
                new KernelVariant(x.DType),
                LaunchShape.Items(jobs, Forward2x2Kernel),
                new AveragePool2dForward2x2Arguments
                {
                    X = x.Argument,
                    Y = y.Argument,
                    Jobs = (ulong)jobs,
                    Height = (uint)pool.Rows.Size,
                    Divisor = divisor.OfAll,
                    PoolLines = Pool2d.Lines(pool.Columns.Size / 8, pool.Rows.Outputs),
                });
        }
        else if (TakesTriples(stream, pool, divisor))
        {
            LaunchTriples(stream, pool.Planes, pool.Rows, pool.Columns, divisor, x, y);
        }
        else
        {
            int vectorWidth = vectors && pool.Inner % 8 == 0 ? 8 : 1;
            stream.Launch(
                ForwardKernel,
                new KernelVariant(x.DType, vectorWidth),
                LaunchShape.Items(y.Length / vectorWidth, ForwardKernel),
                new AveragePool2dForwardArguments
                {
                    X = x.Argument,
                    Y = y.Argument,
                    Jobs = (ulong)(y.Length / vectorWidth),
                    AverageDivisor = divisor.Arguments(pool),
                    PoolWindow = pool.Window,
                    PoolChunks = pool.Chunks(pool.Columns.Outputs, pool.Rows.Outputs, vectorWidth),
                });
        }
    }

    private static void LaunchBackward<T>(
        DeviceStream stream, in Pool2d pool, Divisor divisor, DeviceTensor<T> dy, DeviceTensor<T> dx)
        where T : unmanaged
    {
        if (dx.Length == 0) return;
        bool vectors = dy.IsVectorAligned && dx.IsVectorAligned;
        int piece = dx.DType.SizeInBytes() == 2 ? 8 : 4;
        if (dx.IsVectorAligned && IsGlobal(pool) && pool.Inner == 1)
        {
            InvariantDivisor cells = InvariantDivisor.Of(pool.Rows.Size * pool.Columns.Size);
            stream.Launch(
                GlobalBackwardKernel,
                new KernelVariant(dx.DType),
                LaunchShape.Items((dx.Length + piece - 1) / piece, GlobalBackwardKernel),
                new AveragePool2dGlobalBackwardArguments
                {
                    Dy = dy.Argument,
                    Dx = dx.Argument,
                    Count = (ulong)dx.Length,
                    Cells = cells.Value,
                    CellsInverse = cells.Inverse,
                    CellsShift = cells.Shift,
                    Divisor = divisor.OfAll,
                });
        }
        else if (vectors && pool.IsPairs && divisor.OfAll != 0)
        {
            (long columns, long pairs) = (pool.Columns.Size / piece, (pool.Rows.Size + 1) / 2);
            long jobs = pool.Planes * pairs * columns;
            stream.Launch(
                Backward2x2Kernel,
                new KernelVariant(dx.DType),
                LaunchShape.Items(jobs, Backward2x2Kernel),
                new AveragePool2dBackward2x2Arguments
                {
                    Dy = dy.Argument,
                    Dx = dx.Argument,
                    Jobs = (ulong)jobs,
                    Height = (uint)pool.Rows.Size,
                    OutHeight = (uint)pool.Rows.Outputs,
                    Divisor = divisor.OfAll,
                    PoolLines = Pool2d.Lines(columns, pairs),
                });
        }
        else if (TakesTriples(stream, pool, divisor))
        {
            LaunchTriples(stream, pool.Planes, TurnedAround(pool.Rows), TurnedAround(pool.Columns), divisor, dy, dx);
        }
        else
        {
            int vectorWidth = vectors && pool.Inner % 8 == 0 ? 8 : 1;
            stream.Launch(
                BackwardKernel,
                new KernelVariant(dx.DType, vectorWidth),
                LaunchShape.Items(dx.Length / vectorWidth, BackwardKernel),
                new AveragePool2dBackwardArguments
                {
                    Dy = dy.Argument,
                    Dx = dx.Argument,
                    Jobs = (ulong)(dx.Length / vectorWidth),
                    AverageDivisor = divisor.Arguments(pool),
                    PoolWindow = pool.Window,
                    PoolStride = pool.Strides,
                    PoolChunks = pool.Chunks(pool.Columns.Size, pool.Rows.Size, vectorWidth),
                });
        }
    }

    /// <summary>The CPU's rows have the same for all windows.</summary>
    private static bool TakesTriples(DeviceStream stream, in Pool2d pool, Divisor divisor) =>
        stream.Device.Kind != DeviceKind.Cpu && pool.IsTriples && divisor.OfAll != 0;

    /// <summary>The windows that an element is in, as windows over those: there are as many as taps, and the last comes first.</summary>
    private static WindowAxis TurnedAround(WindowAxis axis) =>
        axis with { Size = axis.Outputs, Outputs = axis.Size, Before = axis.Taps - 1 - axis.Before };

    private static void LaunchTriples<T>(
        DeviceStream stream, long planes, in WindowAxis rows, in WindowAxis columns, Divisor divisor, DeviceTensor<T> x, DeviceTensor<T> y)
        where T : unmanaged
    {
        long blocks = (rows.Outputs + TallRows - 1) / TallRows, jobs = planes * blocks * columns.Outputs;
        stream.Launch(
            TriplesKernel,
            new KernelVariant(x.DType),
            LaunchShape.Items(jobs, TriplesKernel),
            new AveragePool2d3x3Arguments
            {
                X = x.Argument,
                Y = y.Argument,
                Jobs = (ulong)jobs,
                Height = (uint)rows.Size,
                Width = (uint)columns.Size,
                OutHeight = (uint)rows.Outputs,
                BeforeY = (uint)rows.Before,
                BeforeX = (uint)columns.Before,
                Divisor = divisor.OfAll,
                PoolLines = Pool2d.Lines(columns.Outputs, blocks),
            });
    }

    /// <summary>The least power of two that is at least <paramref name="items"/>, within a limit that is one too.</summary>
    private static int TeamOf(long items, int most)
    {
        int team = 1;
        while (team < items && team < most) team *= 2;
        return team;
    }

    /// <summary>One window, and that over the whole map.</summary>
    private static bool IsGlobal(in Pool2d pool) => IsWhole(pool.Rows) && IsWhole(pool.Columns);

    private static bool IsWhole(WindowAxis axis) => axis.Taps == axis.Size && axis is { Outputs: 1, Before: 0, Dilation: 1 };

    private static Pool2d Pool(string op, ReadOnlySpan<long> shape, string name, Size2d window, AveragePool2dOptions options)
    {
        if (options.Divisor is { } divisor && !(double.IsFinite(divisor) && divisor != 0))
            throw new ArgumentOutOfRangeException(nameof(options), divisor, $"{op}: the divisor is {divisor}, expected finite and not 0.");
        return Pool2d.Of(
            op, shape, name, window, options.Stride, options.Padding, options.Dilation, options.CeilMode, options.Layout);
    }

    private static Pool2d CheckMaps<T>(
        string op, DeviceStream stream, DeviceTensor<T> maps, string mapsName, DeviceTensor<T> pooled, string pooledName, Size2d window,
        AveragePool2dOptions options)
        where T : unmanaged
    {
        Check.FloatTensor(op, stream, maps, mapsName);
        Check.FloatTensor(op, stream, pooled, pooledName);
        Pool2d pool = Pool(op, maps.Shape, mapsName, window, options);
        Check.Disjoint(op, maps, mapsName, pooled, pooledName);
        return pool;
    }

    private static Pool2d CheckGlobal<T>(
        string op, DeviceStream stream, DeviceTensor<T> maps, string mapsName, DeviceTensor<T> pooled, string pooledName,
        TensorLayout layout)
        where T : unmanaged
    {
        Check.FloatTensor(op, stream, maps, mapsName);
        Check.Rank(op, maps, mapsName, 4);
        bool first = layout == TensorLayout.ChannelsFirst;
        Size2d window = first ? new Size2d(maps.Shape[2], maps.Shape[3]) : new Size2d(maps.Shape[1], maps.Shape[2]);
        if (window.Height == 0 || window.Width == 0)
            throw new ArgumentException($"{op}: {mapsName} has the shape {TensorShape.Format(maps.Shape)}, maps without cells.", mapsName);
        Pool2d pool = CheckMaps(op, stream, maps, mapsName, pooled, pooledName, window, new AveragePool2dOptions { Layout = layout });
        Check.Shape(op, pooled, pooledName, maps.Shape[0], maps.Shape[first ? 1 : 3]);
        return pool;
    }

    /// <summary>What windows are divided by: all by the same number, or each by what it counts.</summary>
    /// <param name="OfAll">The number for all, or 0.</param>
    /// <param name="CountsPadding">Whether taps in the padding count.</param>
    private readonly record struct Divisor(double OfAll, bool CountsPadding)
    {
        /// <summary>Sums stay what they are.</summary>
        public static Divisor None => new(1, CountsPadding: true);

        public static Divisor Of(in Pool2d pool, AveragePool2dOptions options)
        {
            bool counts = !options.ExcludesPadding;
            bool allAlike = CountsAll(pool.Rows, counts) && CountsAll(pool.Columns, counts);
            return new Divisor(options.Divisor ?? (allAlike ? pool.Taps : 0), counts);
        }

        public AverageDivisorArguments Arguments(in Pool2d pool) => new()
        {
            Divisor = OfAll,
            CountsPadding = CountsPadding ? 1u : 0,
            PadBottom = (uint)pool.Rows.After,
            PadRight = (uint)pool.Columns.After,
        };

        /// <summary>Whether every tap of every window counts.</summary>
        private static bool CountsAll(WindowAxis axis, bool countsPadding)
        {
            long end = ((axis.Outputs - 1) * axis.Stride) - axis.Before + axis.Reach;
            return countsPadding ? end < axis.Size + axis.After : axis.Before == 0 && end < axis.Size;
        }
    }
}
