using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="ChannelDropout"/>; the default is [batch, channels, ...], a whole tensor.</summary>
public readonly record struct ChannelDropoutOptions
{
    /// <summary>The place of the channels. The same channels are dropped in either layout.</summary>
    public TensorLayout Layout { get; init; }

    /// <summary>
    /// Index of the first unit (example times channels plus channel) in the whole tensor of which the argument is a shard.
    /// </summary>
    public ulong GlobalStart { get; init; }
}

/// <summary>
/// Dropout whose elements share decisions along axes: whole channels of images (Dropout1d, 2d, 3d), or any axes; training y = m * x / q,
/// identity at inference.
/// </summary>
/// <remarks>
/// <para>
/// A unit is one index of the axes that are not shared; units are numbered in the dense order of those axes, whatever the layout, so
/// [batch, channels, ...] and [batch, ..., channels] drop the same channels. Unit u takes <see cref="Philox.Lane">lane</see> u (plus the
/// start of a shard, counted in units).
/// </para>
/// <para>
/// Dropped units are +0, NaN and infinities included, and are not read. p = 0 copies, p = 1 writes zeros, both without drawing. Types:
/// float, Half, BFloat16, double; the destination may be the source. J. Tompson, R. Goroshin, A. Jain, Y. LeCun and C. Bregler, "Efficient
/// object localization using convolutional networks", CVPR 2015.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that differ, tensors that overlap in part or live on another device, axes
/// that do not exist or lie in more than two runs, and <see cref="ArgumentOutOfRangeException"/> for a probability that is NaN or outside
/// [0, 1], before anything is launched.
/// </para>
/// </remarks>
public static partial class ChannelDropout
{
    private const uint WholeBlocksSwitch = 1;

    private static readonly KernelDefinition<ChannelDropoutArguments> Kernel =
        EntryPoints.ChannelDropout.Float<CpuShared>(vectorWidths: [1, 8], switches: ["WHOLE_BLOCKS"]);

    /// <summary>Training: whole channels are dropped.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, [batch, channels, ...] or [batch, ..., channels]: at least two dimensions.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="dropProbability">Probability p to drop a channel of an example, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Layout and shard start.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double dropProbability, RandomKeySource key,
        ChannelDropoutOptions options = default)
        where T : unmanaged
    {
        Check.Tensor("ChannelDropout.Forward", stream, x, nameof(x));
        Apply("ChannelDropout.Forward", stream, x, y, SpatialAxes("ChannelDropout.Forward", x, options.Layout), dropProbability, key,
            options.GlobalStart);
    }

    /// <summary>
    /// Gradient: dx = m * dy / q with the decisions of the forward call that had the same key, probability, layout and start.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/>.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> dx, double dropProbability, RandomKeySource key,
        ChannelDropoutOptions options = default)
        where T : unmanaged
    {
        Check.Tensor("ChannelDropout.Backward", stream, dy, nameof(dy));
        Apply("ChannelDropout.Backward", stream, dy, dx, SpatialAxes("ChannelDropout.Backward", dy, options.Layout), dropProbability, key,
            options.GlobalStart);
    }

    /// <summary>Training, with decisions shared along any axes; backward is the same map of the gradient.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, or gradient of the output.</param>
    /// <param name="y">Output, or gradient of the input; shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="sharedAxes">Axes along which all elements share one decision, in at most two runs of neighbours.</param>
    /// <param name="dropProbability">Probability p to drop a unit, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="globalStart">First unit of a shard.</param>
    public static void Apply<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, ReadOnlySpan<int> sharedAxes, double dropProbability,
        RandomKeySource key,
        ulong globalStart = 0)
        where T : unmanaged => Apply("ChannelDropout.Apply", stream, x, y, sharedAxes, dropProbability, key, globalStart);

    internal static void Apply<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, ReadOnlySpan<int> sharedAxes, double dropProbability,
        RandomKeySource key, ulong globalStart)
        where T : unmanaged
    {
        Check.Elementwise(op, stream, x, nameof(x), y, nameof(y));
        Check.Probability(op, dropProbability, nameof(dropProbability));
        Check.Key(op, stream, key, nameof(key));
        Check.IndexRange(op, x.Length, globalStart);
        SharedAxes axes = SharedAxes.Of(op, x.Shape, sharedAxes);
        KeepThreshold threshold = KeepThreshold.FromDropProbability(dropProbability);
        if (threshold.KeepsAll)
        {
            stream.Copy(x, y);
            return;
        }

        if (threshold.DropsAll)
        {
            stream.Fill(y, default);
            return;
        }

        if (x.Length == 0) return;
        bool vectors = x.IsVectorAligned && y.IsVectorAligned;
        long copies = vectors ? CopiesOfBlocks(axes, globalStart) : 0;
        int copiesPerJob = x.DType.SizeInBytes() == 2 ? 2 : 1;
        long stride = (copies + copiesPerJob - 1) / copiesPerJob;
        bool isWhole = copies > 0;
        long jobs = isWhole ? x.Length / 8 / copies * stride : (x.Length + 7) / 8;
        InvariantDivisor run = InvariantDivisor.Of(!isWhole ? axes.Run : axes.Run > 1 ? 1 : axes.Units / 8);
        InvariantDivisor units = InvariantDivisor.Of(isWhole ? stride : axes.Units), shared = InvariantDivisor.Of(axes.Shared);
        stream.Launch(
            Kernel,
            new KernelVariant(x.DType, vectors ? 8 : 1, isWhole ? WholeBlocksSwitch : 0),
            LaunchShape.Items(jobs, Kernel),
            new ChannelDropoutArguments
            {
                X = x.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Jobs = (ulong)jobs,
                Shared = (ulong)axes.Shared,
                Units = (ulong)axes.Units,
                Run = (ulong)axes.Run,
                RunInverse = run.Inverse,
                RunShift = run.Shift,
                UnitsInverse = units.Inverse,
                UnitsShift = units.Shift,
                SharedInverse = shared.Inverse,
                SharedShift = shared.Shift,
                Start = globalStart,
                Threshold = threshold.Value,
                Scale = threshold.Scale,
                Key = key.Argument,
            });
    }

    /// <summary>
    /// How many blocks of eight elements have the same eight decisions, where all eight lie in one run or in one block of draws; else 0.
    /// </summary>
    private static long CopiesOfBlocks(SharedAxes axes, ulong globalStart) => axes switch
    {
        { Shared: 1, Run: > 1 } when axes.Run % 8 == 0 => axes.Run / 8,
        { Run: 1 } when axes.Units % 8 == 0 && globalStart % 8 == 0 => axes.Shared,
        _ => 0,
    };

    private static int[] SpatialAxes<T>(string op, DeviceTensor<T> x, TensorLayout layout)
        where T : unmanaged
    {
        Check.Defined(op, layout, nameof(layout));
        int rank = x.Shape.Length;
        if (rank < 2)
        {
            throw new ArgumentException(
                $"{op}: the shape {TensorShape.Format(x.Shape)} has no channels; at least [batch, channels] is expected.", nameof(x));
        }

        return [.. Enumerable.Range(layout == TensorLayout.ChannelsFirst ? 2 : 1, rank - 2)];
    }
}
