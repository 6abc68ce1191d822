using Kernels.Devices;

namespace Kernels;

/// <summary>The value that the momentum of running statistics is the weight of.</summary>
public enum MomentumWeight
{
    /// <summary>The new value: running = (1 - momentum) * running + momentum * value, as in PyTorch and cuDNN.</summary>
    NewValue,

    /// <summary>The old value: running = momentum * running + (1 - momentum) * value, as in Keras, Flax and ONNX.</summary>
    OldValue,
}

/// <summary>The estimate of a variance over n values.</summary>
public enum VarianceEstimate
{
    /// <summary>Sum of squared deviations over n - 1, as PyTorch and cuDNN keep it.</summary>
    Unbiased,

    /// <summary>The same over n, as Keras and Flax keep it, and as the values themselves are always normalized.</summary>
    Biased,
}

/// <summary>
/// DropBlock in the pass of <see cref="BatchNormRelu"/> or <see cref="BatchNormAddRelu"/>: blocks of the maps that the ReLU gives are
/// dropped to +0, and the rest is multiplied by cells / kept cells. The mask is that of <see cref="Kernels.DropBlock"/> with the same
/// settings and key; nothing is stored for it, and backward draws it again.
/// </summary>
public sealed record BatchNormDropBlockOptions
{
    /// <summary>Cells of a block along each spatial axis, or one size for all, each at least 1; one larger than the map is clamped to
    /// it.</summary>
    public IReadOnlyList<long>? BlockSize { get; init; }

    /// <summary>How much to drop.</summary>
    public DropBlockRate Rate { get; init; }

    /// <summary>
    /// Random key of the blocks, one offset for each call; another than dropout's, where there is both. Backward takes the key of its
    /// forward call.
    /// </summary>
    public RandomKeySource Key { get; init; }

    /// <summary>Whether the channels of a sample share one mask.</summary>
    public bool SharedChannels { get; init; }

    /// <summary>
    /// How the scale of the kept cells is found: one for the call, so <see cref="DropBlockNormalization.Batch"/>, the default,
    /// <see cref="DropBlockNormalization.Expected"/> or <see cref="DropBlockNormalization.None"/>.
    /// </summary>
    public DropBlockNormalization Normalization { get; init; }
}

/// <summary>
/// Settings of <see cref="BatchNorm"/>, <see cref="BatchNormRelu"/> and <see cref="BatchNormAddRelu"/>; the default has PyTorch's values
/// and conventions.
/// </summary>
public readonly record struct BatchNormOptions
{
    private const double UsualEpsilon = 1e-5, UsualMomentum = 0.1;

    private readonly double? _epsilon;
    private readonly double? _momentum;

    /// <summary>The place of the channels.</summary>
    public TensorLayout Layout { get; init; }

    /// <summary>Added to the variance; finite and more than 0. Default 1e-5.</summary>
    public double Epsilon
    {
        get => _epsilon ?? UsualEpsilon;
        init => _epsilon = value;
    }

    /// <summary>
    /// Momentum of the running statistics, in [0, 1]; <see cref="MomentumWeighs"/> says of what. Default 0.1. A cumulative average is 1 / k
    /// in call number k = 1, 2, ...
    /// </summary>
    public double Momentum
    {
        get => _momentum ?? UsualMomentum;
        init => _momentum = value;
    }

    /// <summary>The value that <see cref="Momentum"/> is the weight of.</summary>
    public MomentumWeight MomentumWeighs { get; init; }

    /// <summary>The estimate that the running variance averages.</summary>
    public VarianceEstimate RunningVariance { get; init; }

    /// <summary>
    /// Blocks of maps that are dropped in the same pass, in training; for <see cref="BatchNormRelu"/> and <see cref="BatchNormAddRelu"/>
    /// alone. Null for none, as by default.
    /// </summary>
    public BatchNormDropBlockOptions? DropBlock { get; init; }

    /// <summary>
    /// For dropout in the same pass (<see cref="BatchNormRelu"/>): index of the first element in the whole tensor of which the arguments
    /// are a shard; with <see cref="DropBlock"/> that of a sample. Statistics are the shard's own.
    /// </summary>
    public ulong GlobalStart { get; init; }

    /// <summary>
    /// How many places of each sample count, from its first on, shape [batch]; null when all do, as by default. The places of a sample are
    /// those of its spatial axes in order: time steps of a padded sequence; 0 leaves a sample out. What does not count is not looked at, is
    /// no part of statistics and gradients, and is 0 in outputs and gradients. A number beyond the places is all of them, one below 0 none.
    /// Statistics of a channel without any place that counts are 0.
    /// </summary>
    public DeviceTensor<int>? Lengths { get; init; }

    /// <summary>The weight of the new value.</summary>
    internal double NewShare => MomentumWeighs == MomentumWeight.NewValue ? Momentum : 1 - Momentum;

    internal void Validate(string op)
    {
        Check.Defined(op, Layout, nameof(Layout));
        Check.Defined(op, MomentumWeighs, nameof(MomentumWeighs));
        Check.Defined(op, RunningVariance, nameof(RunningVariance));
        Check.Probability(op, Momentum, nameof(Momentum));
        if (!(Epsilon > 0) || double.IsInfinity(Epsilon))
            throw new ArgumentOutOfRangeException(nameof(Epsilon), Epsilon, $"{op}: {nameof(Epsilon)} is finite and more than 0.");
    }
}
