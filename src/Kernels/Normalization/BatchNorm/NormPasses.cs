using System.Numerics;
using Kernels.Devices;

namespace Kernels;

/// <summary>What follows a normalization in the same pass; nothing by default.</summary>
/// <param name="Rectifies">Whether a ReLU does.</param>
/// <param name="Kept">The dropout behind it.</param>
/// <param name="GlobalStart">First element of a shard.</param>
/// <param name="Key">Random key.</param>
internal readonly record struct NormEpilogue(bool Rectifies, KeepThreshold Kept, ulong GlobalStart, RandomKeySource Key)
{
    /// <summary>The blocks that are dropped besides.</summary>
    public DropBlock.Request Blocks { get; init; }

    /// <summary>Their mask, where it has been drawn.</summary>
    public DropBlock.Kept Drawn { private get; init; }

    public static NormEpilogue None => new(false, KeepThreshold.FromDropProbability(0), 0, default(RandomKey));

    /// <summary>A ReLU alone.</summary>
    public static NormEpilogue Relu => None with { Rectifies = true };

    /// <summary>Whether some values become 0 by draws or by blocks.</summary>
    public bool HasMasks => Blocks.Drops || !Kept.KeepsAll;

    /// <summary>True when eight elements of the tensor are one block of draws.</summary>
    public bool TakesVectors => Kept.KeepsAll || GlobalStart % Philox.LanesPerBlock == 0;

    public NormEpilogueArguments Argument => new()
    {
        Rectifies = Rectifies ? 1u : 0,
        Threshold = Kept.Value,
        DropScale = Kept.DropsAll ? 1 : Kept.Scale,
        Start = GlobalStart,
        Kept = Drawn.Bits,
        KeptWords = (ulong)Drawn.Words,
        Scales = Drawn.Scales,
        BlockScale = Blocks.Drops ? Drawn.Scale : 1,
        Key = Key.Argument,
    };
}

/// <summary>Where running values are and how they go on; absent memory where there are none.</summary>
internal readonly record struct NormRunning(TensorArgument Mean, TensorArgument Variance, double NewShare, bool IsUnbiased);

/// <summary>
/// The launches of batch normalization, checked arguments in their way. On a GPU channels of few elements are one launch, of a work group
/// each, and so are on CUDA those that fit into shared memory; others are three: moments or sums in parts, their merging, and the
/// pass that applies it. On the CPU one launch serves whenever the
/// elements of a channel lie side by side, as a core then finds them in its cache when it applies what they came to.
/// </summary>
internal static partial class NormPasses
{
    /// <summary>Elements of a channel for which a work group is enough.</summary>
    private const long MostOfGroup = 4096;

    /// <summary>Channels from which on cores have enough to share.</summary>
    private const long FewestOfCores = 4;

    /// <summary>Channels that a work group merges the parts of at most, and parts that an item is to merge one after the other.</summary>
    private const int MostWide = 32;
    private const long PartsInTurn = 4;

    /// <summary>Rows of a record of moments: count, mean, what its rounding left, squares, squares scaled down.</summary>
    public const int MomentRows = 5;

    /// <summary>Rows of a record of gradients: sums of g and of g (x - mean), and the count of elements.</summary>
    public const int GradientRows = 3;

    private static readonly int[] Widths = [1, Philox.LanesPerBlock];
    private static readonly string[] Masks = ["HAS_MASKS"];

    private static readonly KernelDefinition<BatchNormMomentsPlanesArguments> MomentsPlanes =
        EntryPoints.BatchNormMomentsPlanes.Float<CpuMomentsPlanes>(Widths, Masks);

    private static readonly KernelDefinition<BatchNormMomentsColumnsArguments> MomentsColumns =
        EntryPoints.BatchNormMomentsColumns.Float<CpuMomentsColumns>(Widths, Masks);

    private static readonly KernelDefinition<BatchNormStatisticsArguments> StatisticsKernel =
        EntryPoints.BatchNormStatistics.Float<CpuStatistics>();

    private static readonly KernelDefinition<BatchNormApplyArguments> ApplyKernel =
        EntryPoints.BatchNormApply.Float<CpuApply>(Widths, Masks);

    private static readonly KernelDefinition<BatchNormClearArguments> ClearKernel = EntryPoints.BatchNormClear.Float<CpuClear>(Widths);

    private static readonly KernelDefinition<BatchNormForwardArguments> ForwardKernel =
        EntryPoints.BatchNormForward.Float<CpuForward>(Widths, Masks);

    private static readonly KernelDefinition<BatchNormSumsPlanesArguments> SumsPlanes =
        EntryPoints.BatchNormSumsPlanes.Float<CpuSumsPlanes>(Widths, Masks);

    private static readonly KernelDefinition<BatchNormSumsColumnsArguments> SumsColumns =
        EntryPoints.BatchNormSumsColumns.Float<CpuSumsColumns>(Widths, Masks);

    private static readonly KernelDefinition<BatchNormGradientsArguments> GradientsKernel =
        EntryPoints.BatchNormGradients.Float<CpuGradients>();

    private static readonly KernelDefinition<BatchNormApplyGradientArguments> ApplyGradientKernel =
        EntryPoints.BatchNormApplyGradient.Float<CpuApplyGradient>(Widths, Masks);

    private static readonly KernelDefinition<BatchNormBackwardArguments> BackwardKernel =
        EntryPoints.BatchNormBackward.Float<CpuBackward>(Widths, Masks);

    /// <summary>Training: statistics of the units, running values, and y.</summary>
    public static void Forward<T, TReal>(
        DeviceStream stream, in NormGeometry geometry, DeviceTensor<T> x, DeviceTensor<T>? residual, DeviceTensor<TReal>? gamma,
        DeviceTensor<TReal>? beta, DeviceTensor<T> y, DeviceTensor<TReal> statistics, in NormRunning running, double epsilon,
        NormEpilogue epilogue)
        where T : unmanaged
        where TReal : unmanaged
    {
        using DropBlock.Kept drawn = epilogue.Blocks.Draw(stream, x.DType);
        epilogue = epilogue with { Drawn = drawn };
        bool vectors = TakesVectors(geometry, epilogue, x, y, residual);
        bool isOneLaunch = IsOneLaunch(stream, geometry);
        LaunchShape shape = LaunchShape.GroupPerRow(geometry.Channels);
        if (isOneLaunch
            || RejectResident(stream, geometry, x.DType, vectors, epilogue, KeptForward, out shape) is null)
        {
            BatchNormForwardArguments arguments = new()
            {
                X = x.Argument,
                Y = y.Argument,
                Residual = residual?.Argument ?? default,
                Gamma = gamma?.Argument ?? default,
                Beta = beta?.Argument ?? default,
                Statistics = statistics.Argument,
                RunningMean = running.Mean,
                RunningVariance = running.Variance,
                NormShape = geometry.Argument,
                Width = (ulong)PlaneParts.Of(geometry).Width,
                Epsilon = epsilon,
                Share = running.NewShare,
                IsUnbiased = running.IsUnbiased ? 1u : 0,
                NormEpilogue = epilogue.Argument,
            };
            if (isOneLaunch)
                stream.Launch(ForwardKernel, Variant<T>(vectors, epilogue.HasMasks), shape, arguments);
            else
                ForwardResident<T, TReal>(stream, geometry, shape, epilogue, arguments);
            return;
        }

        Statistics<T, TReal>(stream, geometry, x, record: default, statistics.Argument, running, epsilon);
        Apply(stream, geometry, x, residual, Channels(geometry, statistics, gamma, beta), y, isVariance: false, epsilon, epilogue);
    }

    /// <summary>y from statistics, or from running mean and variance.</summary>
    public static void Apply<T>(
        DeviceStream stream, in NormGeometry geometry, DeviceTensor<T> x, DeviceTensor<T>? residual, in NormChannelArguments channels,
        DeviceTensor<T> y, bool isVariance, double epsilon, in NormEpilogue epilogue)
        where T : unmanaged
    {
        ColumnParts parts = ColumnParts.Of(geometry, sums: false);
        stream.Launch(
            ApplyKernel,
            Variant<T>(TakesVectors(geometry, epilogue, x, y, residual), epilogue.HasMasks),
            new LaunchShape(parts.Jobs(geometry)),
            new BatchNormApplyArguments
            {
                X = x.Argument,
                Y = y.Argument,
                Residual = residual?.Argument ?? default,
                NormChannel = channels,
                NormShape = geometry.Argument,
                Splits = (ulong)parts.Splits,
                Share = (ulong)parts.Share,
                Tiles = (ulong)parts.Tiles,
                Wide = parts.Wide,
                IsVariance = isVariance ? 1u : 0,
                Epsilon = epsilon,
                NormEpilogue = epilogue.Argument,
            });
        Clear(stream, geometry, y);
    }

    /// <summary>Gradients; y stands for the residual and the draws where it is given.</summary>
    public static void Backward<T, TReal>(
        DeviceStream stream, in NormGeometry geometry, DeviceTensor<T> x, DeviceTensor<T>? y, DeviceTensor<TReal>? gamma,
        DeviceTensor<TReal>? beta, DeviceTensor<TReal> statistics, DeviceTensor<T> dy, DeviceTensor<T> dx, DeviceTensor<T>? dResidual,
        DeviceTensor<TReal>? dGamma, DeviceTensor<TReal>? dBeta, NormEpilogue epilogue)
        where T : unmanaged
        where TReal : unmanaged
    {
        using DropBlock.Kept drawn = epilogue.Blocks.Draw(stream, x.DType);
        epilogue = epilogue with { Drawn = drawn };
        NormChannelArguments channels = Channels(geometry, statistics, gamma, beta);
        bool vectors = TakesVectors(geometry, epilogue, dy, x, y) && dx.IsVectorAligned && dResidual?.IsVectorAligned != false;
        bool isOneLaunch = IsOneLaunch(stream, geometry);
        LaunchShape shape = LaunchShape.GroupPerRow(geometry.Channels);
        if (isOneLaunch || RejectResident(stream, geometry, x.DType, vectors, epilogue, KeptBackward, out shape) is null)
        {
            BatchNormBackwardArguments arguments = new()
            {
                Dy = dy.Argument,
                X = x.Argument,
                Y = y?.Argument ?? default,
                Dx = dx.Argument,
                Dresidual = dResidual?.Argument ?? default,
                Dgamma = dGamma?.Argument ?? default,
                Dbeta = dBeta?.Argument ?? default,
                NormChannel = channels,
                NormShape = geometry.Argument,
                Width = (ulong)PlaneParts.Of(geometry).Width,
                NormEpilogue = epilogue.Argument,
            };
            if (isOneLaunch)
                stream.Launch(BackwardKernel, Variant<T>(vectors, epilogue.HasMasks), shape, arguments);
            else
                BackwardResident<T, TReal>(stream, geometry, shape, epilogue, arguments);
            return;
        }

        using ScratchPool.Lease<TReal> corrections = stream.RentScratch<TReal>(2 * geometry.Units);
        Gradients(
            stream, geometry, x, y, channels, statistics, dy, record: default, corrections.Argument, dGamma, dBeta, epilogue);
        ApplyGradient(stream, geometry, x, y, channels, corrections.Argument, dy, dx, dResidual, epilogue);
    }

    /// <summary>dx from gradients and what they take off.</summary>
    public static void ApplyGradient<T>(
        DeviceStream stream, in NormGeometry geometry, DeviceTensor<T> x, DeviceTensor<T>? y, in NormChannelArguments channels,
        TensorArgument corrections, DeviceTensor<T> dy, DeviceTensor<T> dx, DeviceTensor<T>? dResidual, in NormEpilogue epilogue)
        where T : unmanaged
    {
        ColumnParts parts = ColumnParts.Of(geometry, sums: false);
        stream.Launch(
            ApplyGradientKernel,
            Variant<T>(
                TakesVectors(geometry, epilogue, dy, x, y) && dx.IsVectorAligned && dResidual?.IsVectorAligned != false,
                epilogue.HasMasks),
            new LaunchShape(parts.Jobs(geometry)),
            new BatchNormApplyGradientArguments
            {
                Dy = dy.Argument,
                X = x.Argument,
                Y = y?.Argument ?? default,
                Dx = dx.Argument,
                Dresidual = dResidual?.Argument ?? default,
                Corrections = corrections,
                NormChannel = channels,
                NormShape = geometry.Argument,
                Splits = (ulong)parts.Splits,
                Share = (ulong)parts.Share,
                Tiles = (ulong)parts.Tiles,
                Wide = parts.Wide,
                NormEpilogue = epilogue.Argument,
            });
        Clear(stream, geometry, dx);
        if (dResidual is not null) Clear(stream, geometry, dResidual);
    }

    /// <summary>The channels' numbers, with the statistics of training.</summary>
    public static NormChannelArguments Channels<TReal>(
        in NormGeometry geometry, DeviceTensor<TReal> statistics, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta)
        where TReal : unmanaged
    {
        TensorArgument rows = statistics.Argument;
        return new NormChannelArguments
        {
            Mean = rows,
            Rest = rows with { Offset = rows.Offset + (ulong)geometry.Units },
            Spread = rows with { Offset = rows.Offset + (2 * (ulong)geometry.Units) },
            Gamma = gamma?.Argument ?? default,
            Beta = beta?.Argument ?? default,
        };
    }

    /// <summary>Merges parts of moments: into a record, into statistics and running values, whichever is present.</summary>
    public static void Merge<T>(
        DeviceStream stream, in NormGeometry geometry, TensorArgument partial, long splits, TensorArgument record,
        TensorArgument statistics, in NormRunning running, double epsilon)
        where T : unmanaged
    {
        uint wide = Wide(geometry.Channels, splits);
        stream.Launch(
            StatisticsKernel,
            Variant<T>(vectors: false),
            new LaunchShape(NormParts.CeilingOf(geometry.Channels, wide)),
            new BatchNormStatisticsArguments
            {
                Partial = partial,
                Record = record,
                Statistics = statistics,
                RunningMean = running.Mean,
                RunningVariance = running.Variance,
                Sets = (ulong)geometry.Sets,
                Channels = (ulong)geometry.Channels,
                Splits = (ulong)splits,
                Wide = wide,
                Epsilon = epsilon,
                Share = running.NewShare,
                IsUnbiased = running.IsUnbiased ? 1u : 0,
            });
    }

    /// <summary>Moments in parts, then merged; a record of one part is that part.</summary>
    public static void Statistics<T, TReal>(
        DeviceStream stream, in NormGeometry geometry, DeviceTensor<T> x, TensorArgument record, TensorArgument statistics,
        in NormRunning running, double epsilon)
        where T : unmanaged
        where TReal : unmanaged
    {
        PlaneParts planes = PlaneParts.Of(geometry);
        ColumnParts columns = ColumnsOfSums(stream, geometry);
        long splits = geometry.HasPlanes ? planes.Splits : columns.Splits;
        bool isRecord = splits == 1 && !statistics.IsPresent;
        using ScratchPool.Lease<TReal> scratch = stream.RentScratch<TReal>(isRecord ? 0 : splits * MomentRows * geometry.Units);
        TensorArgument partial = isRecord ? record : scratch.Argument;
        KernelVariant variant = Variant<T>(TakesVectors(geometry, NormEpilogue.None, x, x, null), geometry.Lengths.IsPresent);
        if (geometry.HasPlanes)
        {
            stream.Launch(
                MomentsPlanes,
                variant,
                new LaunchShape(geometry.Units * splits),
                new BatchNormMomentsPlanesArguments
                {
                    X = x.Argument,
                    Partial = partial,
                    NormShape = geometry.Argument,
                    NormLengths = geometry.LengthsArgument,
                    Splits = (ulong)splits,
                    Share = (ulong)planes.Share,
                    Width = (ulong)planes.Width,
                });
        }
        else
        {
            stream.Launch(
                MomentsColumns,
                variant,
                new LaunchShape(columns.Jobs(geometry)),
                new BatchNormMomentsColumnsArguments
                {
                    X = x.Argument,
                    Partial = partial,
                    NormShape = geometry.Argument,
                    NormLengths = geometry.LengthsArgument,
                    Splits = (ulong)splits,
                    Share = (ulong)columns.Share,
                    Tiles = (ulong)columns.Tiles,
                    Wide = columns.Wide,
                });
        }

        if (!isRecord) Merge<T>(stream, geometry, partial, splits, record, statistics, running, epsilon);
    }

    /// <summary>Sums of gradients in parts, then merged into whichever is present.</summary>
    public static void Gradients<T, TReal>(
        DeviceStream stream, in NormGeometry geometry, DeviceTensor<T> x, DeviceTensor<T>? y, in NormChannelArguments channels,
        DeviceTensor<TReal> statistics, DeviceTensor<T> dy, TensorArgument record, TensorArgument corrections,
        DeviceTensor<TReal>? dGamma, DeviceTensor<TReal>? dBeta, in NormEpilogue epilogue)
        where T : unmanaged
        where TReal : unmanaged
    {
        PlaneParts planes = PlaneParts.Of(geometry);
        ColumnParts columns = ColumnsOfSums(stream, geometry);
        long splits = geometry.HasPlanes ? planes.Splits : columns.Splits;
        using ScratchPool.Lease<TReal> partial = stream.RentScratch<TReal>(splits * GradientRows * geometry.Units);
        KernelVariant variant = Variant<T>(
            TakesVectors(geometry, epilogue, dy, x, y), geometry.Lengths.IsPresent || epilogue.HasMasks);
        if (geometry.HasPlanes)
        {
            stream.Launch(
                SumsPlanes,
                variant,
                new LaunchShape(geometry.Units * splits),
                new BatchNormSumsPlanesArguments
                {
                    Dy = dy.Argument,
                    X = x.Argument,
                    Y = y?.Argument ?? default,
                    Partial = partial.Argument,
                    NormChannel = channels,
                    NormShape = geometry.Argument,
                    NormLengths = geometry.LengthsArgument,
                    Splits = (ulong)splits,
                    Share = (ulong)planes.Share,
                    Width = (ulong)planes.Width,
                    NormEpilogue = epilogue.Argument,
                });
        }
        else
        {
            stream.Launch(
                SumsColumns,
                variant,
                new LaunchShape(columns.Jobs(geometry)),
                new BatchNormSumsColumnsArguments
                {
                    Dy = dy.Argument,
                    X = x.Argument,
                    Y = y?.Argument ?? default,
                    Partial = partial.Argument,
                    NormChannel = channels,
                    NormShape = geometry.Argument,
                    NormLengths = geometry.LengthsArgument,
                    Splits = (ulong)splits,
                    Share = (ulong)columns.Share,
                    Tiles = (ulong)columns.Tiles,
                    Wide = columns.Wide,
                    NormEpilogue = epilogue.Argument,
                });
        }

        MergeGradients<T, TReal>(stream, geometry, partial.Argument, splits, statistics, record, corrections, dGamma, dBeta);
    }

    /// <summary>Merges parts of sums of gradients: into a record, what dx takes off, and gradients, whichever is present.</summary>
    public static void MergeGradients<T, TReal>(
        DeviceStream stream, in NormGeometry geometry, TensorArgument partial, long splits, DeviceTensor<TReal> statistics,
        TensorArgument record, TensorArgument corrections, DeviceTensor<TReal>? dGamma, DeviceTensor<TReal>? dBeta)
        where T : unmanaged
        where TReal : unmanaged
    {
        uint wide = Wide(geometry.Channels, splits);
        stream.Launch(
            GradientsKernel,
            Variant<T>(vectors: false),
            new LaunchShape(NormParts.CeilingOf(geometry.Channels, wide)),
            new BatchNormGradientsArguments
            {
                Partial = partial,
                Statistics = statistics.Argument,
                Record = record,
                Corrections = corrections,
                Dgamma = dGamma?.Argument ?? default,
                Dbeta = dBeta?.Argument ?? default,
                Sets = (ulong)geometry.Sets,
                Channels = (ulong)geometry.Channels,
                Splits = (ulong)splits,
                Wide = wide,
            });
    }

    /// <summary>
    /// Makes 0 of what does not count: a launch of its own, so that the passes keep their registers where everything counts.
    /// </summary>
    private static void Clear<T>(DeviceStream stream, in NormGeometry geometry, DeviceTensor<T> results)
        where T : unmanaged
    {
        if (!geometry.Lengths.IsPresent) return;
        long runLength = geometry.HasPlanes ? geometry.Inner : geometry.Channels;
        long runs = geometry.Sets * geometry.Outer * geometry.Columns / runLength;
        long width = PlaneParts.BlocksOf(runLength);
        InvariantDivisor blocks = InvariantDivisor.Of(width);
        InvariantDivisor sample = InvariantDivisor.Of(geometry.HasPlanes ? geometry.Channels : geometry.Places);
        stream.Launch(
            ClearKernel,
            Variant<T>(geometry.Columns % Philox.LanesPerBlock == 0 && results.IsVectorAligned),
            LaunchShape.Items(runs * width, ClearKernel),
            new BatchNormClearArguments
            {
                Y = results.Argument,
                Lengths = geometry.Lengths,
                Runs = (ulong)runs,
                RunLength = (ulong)runLength,
                Width = (ulong)width,
                WidthInverse = blocks.Inverse,
                WidthShift = blocks.Shift,
                PerSample = sample.Value,
                PerSampleInverse = sample.Inverse,
                PerSampleShift = sample.Shift,
                ArePlanes = geometry.HasPlanes ? 1u : 0,
            });
    }

    private static ColumnParts ColumnsOfSums(DeviceStream stream, in NormGeometry geometry) =>
        stream.Device.Kind == DeviceKind.Cpu ? ColumnParts.OfCores(geometry) : ColumnParts.Of(geometry, sums: true);

    private static bool IsOneLaunch(DeviceStream stream, in NormGeometry geometry)
    {
        if (!geometry.HasPlanes || geometry.Lengths.IsPresent) return false;
        return stream.Device.Kind == DeviceKind.Cpu
            ? geometry.Units >= FewestOfCores
            : geometry.Sets == 1 && geometry.Count <= MostOfGroup;
    }

    private static KernelVariant Variant<T>(bool vectors)
        where T : unmanaged => new(DTypes.Of<T>(), vectors ? Philox.LanesPerBlock : 1);

    /// <summary>Of a kernel that asks for lengths, blocks and draws only where there are any.</summary>
    private static KernelVariant Variant<T>(bool vectors, bool hasMasks)
        where T : unmanaged => Variant<T>(vectors) with { Switches = hasMasks ? 1u : 0 };

    private static bool TakesVectors<T>(
        in NormGeometry geometry, in NormEpilogue epilogue, DeviceTensor<T> a, DeviceTensor<T> b, DeviceTensor<T>? c)
        where T : unmanaged =>
        geometry.Columns % Philox.LanesPerBlock == 0 && epilogue.TakesVectors && a.IsVectorAligned && b.IsVectorAligned
        && c?.IsVectorAligned != false;

    /// <summary>Fewer channels where each has many parts: they wait for each other, groups do not.</summary>
    private static uint Wide(long channels, long splits)
    {
        const uint Group = KernelDefinition.DefaultGroupSize;
        uint deep = BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(splits / PartsInTurn, Group / MostWide, Group));
        return BitOperations.RoundUpToPowerOf2((uint)Math.Min(channels, Group / deep));
    }
}
