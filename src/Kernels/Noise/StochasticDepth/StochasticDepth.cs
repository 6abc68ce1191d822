using Kernels.Devices;

namespace Kernels;

/// <summary>The unit of one decision in <see cref="StochasticDepth"/>.</summary>
public enum StochasticDepthMode
{
    /// <summary>Each row, an index of the first axis: drop path.</summary>
    Row,

    /// <summary>The whole call, as in the paper.</summary>
    Batch,
}

/// <summary>The numbering of blocks in <see cref="StochasticDepth.LinearDecay"/>.</summary>
public enum DepthIndexing
{
    /// <summary>The paper's l / L for l = 1 to L: the first block drops already, the last with the full probability.</summary>
    FromOne,

    /// <summary>
    /// timm's linspace(0, p, L): the first block never drops, the last with the full probability; a single block never drops.
    /// </summary>
    FromZero,
}

/// <summary>Settings of <see cref="StochasticDepth"/>; the default decides for each row, scales in training and has no ReLU.</summary>
public readonly record struct StochasticDepthOptions
{
    /// <summary>The unit of one decision.</summary>
    public StochasticDepthMode Mode { get; init; }

    /// <summary>
    /// The place where the op makes up for the dropped branches: training or inference. The paper's way is
    /// <see cref="DropoutScaling.Original"/>.
    /// </summary>
    public DropoutScaling Scaling { get; init; }

    /// <summary>True when the sum goes through a ReLU.</summary>
    public bool Relu { get; init; }

    /// <summary>Index of the first row in the whole batch of which the argument is a shard.</summary>
    public ulong GlobalStart { get; init; }
}

/// <summary>
/// Stochastic depth: y = x + b f in training, or max(x + b f, 0), where f is the branch of a residual block and b is 0 for dropped rows.
/// </summary>
/// <remarks>
/// <para>
/// Row i (plus <see cref="StochasticDepthOptions.GlobalStart"/>; 0 for a decision for all) takes <see cref="Philox.Lane">lane</see> i and
/// is kept iff lane &lt; T. Inverted scaling: b = 65536/T in training, 1 at inference. Original scaling: b = 1 in training, the survival
/// probability T/65536 at inference. Nothing is stored.
/// </para>
/// <para>
/// Dropped rows of f are not read: their NaN and infinities do not reach y. Where y is x and there is no ReLU, dropped rows cost nothing at
/// all. p = 0 keeps and p = 1 (survival 0) drops every row, without drawing; inference then multiplies by 1 and by 0. The ReLU passes NaN
/// on. x + b f is one fused multiply-add, rounded once to the stored type. Types: float, Half, BFloat16, double; tensors without elements
/// are a no-op.
/// </para>
/// <para>
/// To skip the branch's calculation for dropped rows, see <see cref="KeptRows"/>. G. Huang, Y. Sun, Z. Liu, D. Sedra and K. Q. Weinberger,
/// "Deep networks with stochastic depth", ECCV 2016; per row: G. Larsson, M. Maire and G. Shakhnarovich, "FractalNet", ICLR 2017.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that differ, tensors that overlap otherwise than stated or live on
/// another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a probability that is NaN or outside [0, 1], before anything is launched.
/// </para>
/// </remarks>
public static partial class StochasticDepth
{
    private const string ForwardName = "StochasticDepth.Forward";
    private const string BackwardName = "StochasticDepth.Backward";
    private const string InferName = "StochasticDepth.Infer";
    private const uint ReluSwitch = 1;

    /// <summary>The threshold that keeps every row.</summary>
    private const uint KeepAll = 65536;

    private static readonly KernelDefinition<StochasticDepthForwardArguments> ForwardKernel =
        EntryPoints.StochasticDepthForward.Float<CpuForward>(vectorWidths: [1, 8], switches: ["RELU"]);

    private static readonly KernelDefinition<StochasticDepthBackwardArguments> BackwardKernel =
        EntryPoints.StochasticDepthBackward.Float<CpuBackward>(vectorWidths: [1, 8], switches: ["RELU"]);

    /// <summary>Training: y = x + b f.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">The skip connection, [rows, ...].</param>
    /// <param name="f">The branch, shape of <paramref name="x"/>; dropped rows are not read.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/> or <paramref name="f"/>.</param>
    /// <param name="dropProbability">Probability p to drop the branch, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Mode, scaling, ReLU, shard.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> f, DeviceTensor<T> y, double dropProbability, RandomKeySource key,
        StochasticDepthOptions options = default)
        where T : unmanaged
    {
        Check.Key(ForwardName, stream, key, nameof(key));
        KeepThreshold threshold = Threshold(ForwardName, dropProbability, options.Scaling, nameof(options.Scaling));
        Add(ForwardName, stream, x, f, y, threshold.Value, TrainingScale(threshold, options.Scaling), key, options);
    }

    /// <summary>
    /// Inference: y = x + f under inverted scaling, y = x + q f with the survival probability q under original scaling. Draws nothing.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">The skip connection, [rows, ...].</param>
    /// <param name="f">The branch, shape of <paramref name="x"/>; not read where q is 0.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/> or <paramref name="f"/>.</param>
    /// <param name="dropProbability">The probability of training.</param>
    /// <param name="options">The options of training.</param>
    public static void Infer<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> f, DeviceTensor<T> y, double dropProbability,
        StochasticDepthOptions options = default)
        where T : unmanaged
    {
        double keep = Threshold(InferName, dropProbability, options.Scaling, nameof(options.Scaling)).KeepProbability;
        bool original = options.Scaling == DropoutScaling.Original;
        Add(InferName, stream, x, f, y, original && keep == 0 ? 0 : KeepAll, original ? keep : 1, default(RandomKey), options);
    }

    /// <summary>
    /// Gradients: df = b dy and dx = dy, or with ReLU those of dy where y &gt; 0 (or NaN) and 0 elsewhere; decisions as in the forward call
    /// with the same arguments.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="y">Output of the forward call with ReLU; null without.</param>
    /// <param name="dy">Gradient of the output. Without ReLU its dropped rows are not read unless dx needs them.</param>
    /// <param name="dx">
    /// Gradient of the skip connection, shape of <paramref name="dy"/>; may be <paramref name="dy"/>, which without ReLU costs nothing.
    /// Null where it is not needed.
    /// </param>
    /// <param name="df">Gradient of the branch, shape of <paramref name="dy"/>; zeros for dropped rows. May be
    /// <paramref name="dy"/>.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T>? y, DeviceTensor<T> dy, DeviceTensor<T>? dx, DeviceTensor<T> df, double dropProbability,
        RandomKeySource key, StochasticDepthOptions options = default)
        where T : unmanaged
    {
        Check.Key(BackwardName, stream, key, nameof(key));
        Check.Elementwise(BackwardName, stream, dy, nameof(dy), df, nameof(df));
        if (dx is not null)
        {
            Check.Elementwise(BackwardName, stream, dy, nameof(dy), dx, nameof(dx));
            Check.Disjoint(BackwardName, df, nameof(df), dx, nameof(dx));
        }

        if (options.Relu && y is null)
            throw new ArgumentNullException(nameof(y), $"{BackwardName}: {nameof(y)} is null, which the ReLU needs.");
        if (options.Relu)
        {
            Check.FloatTensor(BackwardName, stream, y!, nameof(y));
            Check.Shape(BackwardName, y!, nameof(y), dy.Shape);
            Check.Disjoint(BackwardName, y!, nameof(y), df, nameof(df));
            if (dx is not null) Check.Disjoint(BackwardName, y!, nameof(y), dx, nameof(dx));
        }

        KeepThreshold threshold = Threshold(BackwardName, dropProbability, options.Scaling, nameof(options.Scaling));
        (InvariantDivisor run, ulong start) = Rows(BackwardName, dy, options);
        if (dy.Length == 0) return;
        bool vectors = dy.IsVectorAligned && df.IsVectorAligned && dx?.IsVectorAligned != false && (!options.Relu || y!.IsVectorAligned);
        stream.Launch(
            BackwardKernel,
            new KernelVariant(dy.DType, vectors ? 8 : 1, options.Relu ? ReluSwitch : 0),
            LaunchShape.Items((dy.Length + 7) / 8, BackwardKernel),
            new StochasticDepthBackwardArguments
            {
                Y = options.Relu ? y!.Argument : default,
                Dy = dy.Argument,
                Df = df.Argument,
                Dx = dx?.Argument ?? default,
                Count = (ulong)dy.Length,
                Run = run.Value,
                RunInverse = run.Inverse,
                RunShift = run.Shift,
                Start = start,
                Threshold = threshold.Value,
                Scale = TrainingScale(threshold, options.Scaling),
                Key = key.Argument,
            });
    }

    /// <summary>
    /// Drop probabilities of <paramref name="blocks"/> residual blocks, growing linearly with depth up to
    /// <paramref name="lastDropProbability"/>: the paper's p_l = 1 - l/L (1 - p_L) as survival, or timm's linspace.
    /// </summary>
    /// <param name="blocks">Number of blocks L, at least 0.</param>
    /// <param name="lastDropProbability">Drop probability of the last block, 1 - p_L.</param>
    /// <param name="indexing">Whether depth counts from 1 (paper) or from 0 (timm).</param>
    public static double[] LinearDecay(int blocks, double lastDropProbability, DepthIndexing indexing)
    {
        const string Op = "StochasticDepth.LinearDecay";
        if (blocks < 0) throw new ArgumentOutOfRangeException(nameof(blocks), blocks, $"{Op}: {nameof(blocks)} is at least 0.");
        Check.Probability(Op, lastDropProbability, nameof(lastDropProbability));
        Check.Defined(Op, indexing, nameof(indexing));
        return indexing == DepthIndexing.FromOne
            ? [.. Enumerable.Range(1, blocks).Select(l => lastDropProbability * l / blocks)]
            : [.. Enumerable.Range(0, blocks).Select(l => blocks == 1 ? 0 : lastDropProbability * l / (blocks - 1))];
    }

    /// <summary>The factor of a kept branch in training: 65536/T under inverted scaling (0 where all is dropped), else 1.</summary>
    public static double TrainingScale(double dropProbability, DropoutScaling scaling = DropoutScaling.Inverted) =>
        TrainingScale(Threshold("StochasticDepth.TrainingScale", dropProbability, scaling, nameof(scaling)), scaling);

    private static double TrainingScale(KeepThreshold threshold, DropoutScaling scaling) =>
        scaling == DropoutScaling.Inverted ? threshold.Scale : 1;

    private static KeepThreshold Threshold(string op, double dropProbability, DropoutScaling scaling, string scalingName)
    {
        Check.Probability(op, dropProbability, nameof(dropProbability));
        Check.Defined(op, scaling, scalingName);
        return KeepThreshold.FromDropProbability(dropProbability);
    }

    private static void Add<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> f, DeviceTensor<T> y, uint threshold, double scale,
        RandomKeySource key, StochasticDepthOptions options)
        where T : unmanaged
    {
        Check.Elementwise(op, stream, x, nameof(x), y, nameof(y));
        Check.Elementwise(op, stream, f, nameof(f), y, nameof(y));
        (InvariantDivisor run, ulong start) = Rows(op, x, options);
        if (x.Length == 0) return;
        stream.Launch(
            ForwardKernel,
            new KernelVariant(x.DType, x.IsVectorAligned && f.IsVectorAligned && y.IsVectorAligned ? 8 : 1, options.Relu ? ReluSwitch : 0),
            LaunchShape.Items((x.Length + 7) / 8, ForwardKernel),
            new StochasticDepthForwardArguments
            {
                X = x.Argument,
                F = f.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Run = run.Value,
                RunInverse = run.Inverse,
                RunShift = run.Shift,
                Start = start,
                Threshold = threshold,
                Scale = scale,
                Key = key.Argument,
            });
    }

    /// <summary>Elements that have one decision, and the number of the first decision.</summary>
    private static (InvariantDivisor Run, ulong Start) Rows<T>(string op, DeviceTensor<T> x, StochasticDepthOptions options)
        where T : unmanaged
    {
        Check.Defined(op, options.Mode, nameof(options.Mode));
        if (options.Mode == StochasticDepthMode.Batch || x.Shape.Length == 0) return (InvariantDivisor.Of(Math.Max(1, x.Length)), 0);
        Check.IndexRange(op, x.Shape[0], options.GlobalStart);
        return (InvariantDivisor.Of(Math.Max(1, x.Length / Math.Max(1, x.Shape[0]))), options.GlobalStart);
    }
}
