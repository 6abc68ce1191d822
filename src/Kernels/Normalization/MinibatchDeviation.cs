using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="MinibatchDeviation"/>; the default has StyleGAN's values, channels first.</summary>
public readonly record struct MinibatchDeviationOptions
{
    private const double UsualEpsilon = 1e-8;

    private readonly double? _epsilon;

    /// <summary>Added to variances before their roots are taken; finite and more than 0. Default 1e-8.</summary>
    public double Epsilon
    {
        get => _epsilon ?? UsualEpsilon;
        init => _epsilon = value;
    }

    /// <summary>The place of the channels.</summary>
    public TensorLayout Layout { get; init; }
}

/// <summary>
/// Minibatch standard deviation: one more channel that says how much the samples of a batch differ, so that a discriminator sees a
/// generator that makes the same image again and again.
/// </summary>
/// <remarks>
/// <code>
/// sample i is in set i mod (batch / groupSize)
/// s[k] = sqrt(mean over the set of (x[k] - mean over the set of x[k])^2 + epsilon)     for each feature k: channel and position
/// v    = mean over all k of s[k]
/// y    = x, and v as one more channel, the same at each position and for each sample of a set
/// dx   = dy + (x[k] - mean) / (groupSize s[k]) * (sum over the set's samples and positions of v's dy) / features
/// </code>
/// <para>
/// x is [batch, channels, ...] with any number of positions, or channels last, [batch, ..., channels]; a batch of rows, [batch, features],
/// gets one value more each. Sets are StyleGAN's: their samples lie batch / groupSize apart. Sums are in float (double for double), in a
/// fixed order, and distances are from the set's first sample, so that samples that are alike have a deviation of sqrt(epsilon) exactly.
/// </para>
/// <para>
/// NaN and infinities make v NaN for their set. Types: float, Half, BFloat16, double; tensors without elements are a no-op, and a map
/// without features has v = 0. T. Karras, T. Aila, S. Laine and J. Lehtinen, "Progressive growing of GANs for improved quality, stability,
/// and variation", ICLR 2018.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, a group size that does not divide the batch, tensors
/// that overlap or live on another device, and <see cref="ArgumentOutOfRangeException"/> for a group size below 1 or an epsilon that is not
/// finite and above 0, before anything is launched.
/// </para>
/// </remarks>
public static partial class MinibatchDeviation
{
    /// <summary>PART_LENGTH in the text.</summary>
    private const long PartLength = 8 * KernelDefinition.DefaultGroupSize;

    /// <summary>Sets of four samples, as StyleGAN has them, are read once.</summary>
    private static readonly string[] InFours = ["IN_FOURS"];

    private static readonly KernelDefinition<MinibatchDeviationForwardArguments> ForwardKernel =
        EntryPoints.MinibatchDeviationForward.Float<CpuForward>(vectorWidths: [1, 8], InFours);

    private static readonly KernelDefinition<MinibatchDeviationMapArguments> MapKernel =
        EntryPoints.MinibatchDeviationMap.Float<CpuMap>();

    private static readonly KernelDefinition<MinibatchDeviationSumsArguments> SumsKernel =
        EntryPoints.MinibatchDeviationSums.Float<CpuSums>();

    private static readonly KernelDefinition<MinibatchDeviationBackwardArguments> BackwardKernel =
        EntryPoints.MinibatchDeviationBackward.Float<CpuBackward>(vectorWidths: [1, 8], InFours);

    /// <summary>The shape of y: one channel more.</summary>
    /// <param name="shape">Shape of x, two dimensions or more.</param>
    /// <param name="layout">The place of the channels.</param>
    public static long[] OutputShape(ReadOnlySpan<long> shape, TensorLayout layout = TensorLayout.ChannelsFirst)
    {
        const string Op = "MinibatchDeviation.OutputShape";
        Check.Defined(Op, layout, nameof(layout));
        if (shape.Length < 2)
        {
            throw new ArgumentException(
                $"{Op}: {nameof(shape)} is {TensorShape.Format(shape)}; there are a batch and channels at least.", nameof(shape));
        }

        long[] result = shape.ToArray();
        result[layout == TensorLayout.ChannelsLast ? ^1 : 1]++;
        return result;
    }

    /// <summary>y = x and the deviations as one more channel.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">[batch, channels, ...], or channels last.</param>
    /// <param name="y">Output, as <see cref="OutputShape"/> says.</param>
    /// <param name="groupSize">Samples of a set, a divisor of the batch; StyleGAN has 4.</param>
    /// <param name="options">Epsilon, layout.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, long groupSize, MinibatchDeviationOptions options = default)
        where T : unmanaged
    {
        const string Op = "MinibatchDeviation.Forward";
        SetArguments sets = CheckSets(Op, stream, x, y, nameof(y), groupSize, options);
        Check.Disjoint(Op, x, nameof(x), y, nameof(y));
        if (y.Length == 0) return;
        using ScratchPool.Lease<T> deviations = RealBuffer<T>.RentScratch(stream, (long)(sets.Sets * sets.Parts));
        stream.Launch(
            ForwardKernel,
            new KernelVariant(x.DType, WidthOf(sets, x, y), SwitchesOf(sets)),
            LaunchShape.GroupPerRow((long)(sets.Sets * sets.Parts)),
            new MinibatchDeviationForwardArguments
            {
                X = x.Argument,
                Y = y.Argument,
                Deviations = deviations.Argument,
                Weight = 1.0 / sets.Members,
                Epsilon = options.Epsilon,
                Set = sets,
            });
        stream.Launch(
            MapKernel,
            new KernelVariant(x.DType),
            LaunchShape.GroupPerRow(x.Shape[0]),
            new MinibatchDeviationMapArguments
            {
                Deviations = deviations.Argument,
                Y = y.Argument,
                Weight = 1.0 / Math.Max(1, sets.Features),
                Set = sets,
            });
    }

    /// <summary>The gradient with respect to x.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">The input of forward.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="x"/>.</param>
    /// <param name="groupSize">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> dy, DeviceTensor<T> dx, long groupSize,
        MinibatchDeviationOptions options = default)
        where T : unmanaged
    {
        const string Op = "MinibatchDeviation.Backward";
        SetArguments sets = CheckSets(Op, stream, x, dy, nameof(dy), groupSize, options);
        Check.Elementwise(Op, stream, x, nameof(x), dx, nameof(dx));
        Check.Disjoint(Op, x, nameof(x), dx, nameof(dx));
        Check.Disjoint(Op, dy, nameof(dy), dx, nameof(dx));
        if (dx.Length == 0) return;
        using ScratchPool.Lease<T> slopes = RealBuffer<T>.RentScratch(stream, (long)sets.Sets);
        stream.Launch(
            SumsKernel,
            new KernelVariant(x.DType),
            LaunchShape.GroupPerRow((long)sets.Sets),
            new MinibatchDeviationSumsArguments
            {
                Dy = dy.Argument,
                Slopes = slopes.Argument,
                Weight = 1.0 / sets.Features / sets.Members,
                Set = sets,
            });
        stream.Launch(
            BackwardKernel,
            new KernelVariant(x.DType, dx.IsVectorAligned ? WidthOf(sets, x, dy) : 1, SwitchesOf(sets)),
            LaunchShape.GroupPerRow((long)(sets.Sets * sets.Parts)),
            new MinibatchDeviationBackwardArguments
            {
                X = x.Argument,
                Dy = dy.Argument,
                Slopes = slopes.Argument,
                Dx = dx.Argument,
                Weight = 1.0 / sets.Members,
                Epsilon = options.Epsilon,
                Set = sets,
            });
    }

    private static SetArguments CheckSets<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, string yName, long groupSize,
        in MinibatchDeviationOptions options)
        where T : unmanaged
    {
        Check.FloatTensor(op, stream, x, nameof(x));
        Check.FloatTensor(op, stream, y, yName);
        Check.Defined(op, options.Layout, nameof(options.Layout));
        ReadOnlySpan<long> shape = x.Shape;
        if (shape.Length < 2)
        {
            throw new ArgumentException(
                $"{op}: {nameof(x)} has the shape {TensorShape.Format(shape)}; there are a batch and channels at least.", nameof(x));
        }

        Check.Shape(op, y, yName, OutputShape(shape, options.Layout));
        if (groupSize < 1) throw new ArgumentOutOfRangeException(nameof(groupSize), groupSize, $"{op}: {nameof(groupSize)} is at least 1.");
        if (shape[0] % groupSize != 0)
        {
            throw new ArgumentException(
                $"{op}: {nameof(groupSize)} is {groupSize}, which does not divide a batch of {shape[0]} ({TensorShape.Format(shape)}).",
                nameof(groupSize));
        }

        if (!(options.Epsilon > 0) || double.IsInfinity(options.Epsilon))
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.Epsilon, $"{op}: {nameof(options.Epsilon)} is finite and more than 0.");
        }

        bool isLast = options.Layout == TensorLayout.ChannelsLast;
        long channels = isLast ? shape[^1] : shape[1], features = shape[0] == 0 ? 0 : x.Length / shape[0];
        long positions = shape[0] == 0 ? 0 : (y.Length - x.Length) / shape[0];
        if (channels > int.MaxValue)
        {
            throw new ArgumentException(
                $"{op}: {nameof(x)} has the shape {TensorShape.Format(shape)}: more than 2^31 - 1 channels.", nameof(x));
        }

        // A row of no features has parts all the same, so that each set has a sum, of 0.
        InvariantDivisor parts = InvariantDivisor.Of(Math.Max(1, (features + PartLength - 1) / PartLength));
        InvariantDivisor perPosition = InvariantDivisor.Of(Math.Max(1, channels));
        return new SetArguments
        {
            Sets = (ulong)(shape[0] / groupSize),
            Members = (ulong)groupSize,
            Features = (ulong)features,
            Positions = (ulong)positions,
            Parts = parts.Value,
            PartsInverse = parts.Inverse,
            PartsShift = parts.Shift,
            Channels = isLast ? (uint)channels : 0,
            ChannelsInverse = perPosition.Inverse,
            ChannelsShift = perPosition.Shift,
        };
    }

    private static uint SwitchesOf(in SetArguments sets) => sets.Members == 4 ? 1u : 0;

    /// <summary>Wide accesses where samples of both are whole octets; channels last only x is read or written that way.</summary>
    private static int WidthOf<T>(in SetArguments sets, DeviceTensor<T> x, DeviceTensor<T> y)
        where T : unmanaged
    {
        bool wide = sets.Features % 8 == 0 && x.IsVectorAligned;
        return wide && (sets.Channels != 0 || (sets.Positions % 8 == 0 && y.IsVectorAligned)) ? 8 : 1;
    }
}
