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
    /// For dropout in the same pass (<see cref="BatchNormRelu"/>): index of the first element in the whole tensor of which the arguments
    /// are a shard. Statistics are the shard's own.
    /// </summary>
    public ulong GlobalStart { get; init; }

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
