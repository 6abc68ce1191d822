using Kernels.Devices;

namespace Kernels;

/// <summary>The action of weight decay (L2).</summary>
public enum WeightDecayMode
{
    /// <summary>
    /// The gradient of (decay / 2) * |w|^2 joins the gradient: g + decay * w. Under an adaptive optimizer it is scaled with the gradient.
    /// </summary>
    Coupled,

    /// <summary>
    /// Before the step the weight is multiplied by 1 - rate * decay, whatever the gradient does (Loshchilov and Hutter, ICLR 2019).
    /// </summary>
    Decoupled,

    /// <summary>
    /// After the step the weight is divided by 1 + rate * decay: the proximal step of (decay / 2) * |w|^2. With a proximal L1 it is the
    /// elastic net's.
    /// </summary>
    Proximal,
}

/// <summary>The action of L1.</summary>
public enum L1Mode
{
    /// <summary>l1 * sign(w) joins the gradient, sign(0) = 0. Weights come near 0 and swing around it; hardly any is exactly 0.</summary>
    Subgradient,

    /// <summary>
    /// After the step w becomes sign(w) * max(|w| - rate * l1, 0): exact zeros (Beck and Teboulle, "A fast iterative shrinkage-thresholding
    /// algorithm", 2009).
    /// </summary>
    Proximal,
}

/// <summary>Options of a group of parameters that every optimizer has.</summary>
public abstract record OptimizerOptions
{
    /// <summary>Step size, finite and at least 0.</summary>
    public double LearningRate { get; init; }

    /// <summary>Strength of L2 in the convention (decay / 2) * |w|^2. Finite and at least 0; 0 for biases, as a rule.</summary>
    public double WeightDecay { get; init; }

    /// <summary>The action of <see cref="WeightDecay"/>.</summary>
    public WeightDecayMode WeightDecayMode { get; init; }

    /// <summary>Strength of L1, l1 * |w|. Finite and at least 0.</summary>
    public double L1 { get; init; }

    /// <summary>The action of <see cref="L1"/>; proximal unless said otherwise.</summary>
    public L1Mode L1Mode { get; init; } = L1Mode.Proximal;

    /// <summary>
    /// The longest a row of a parameter (all that belongs to one entry of its first dimension; a vector is one row) may be after the step;
    /// longer ones are scaled to it (Srivastava et al., JMLR 2014). 0 for no limit.
    /// </summary>
    public double MaximumNorm { get; init; }

    internal virtual void Validate(string op)
    {
        Check.AtLeast(op, LearningRate, nameof(LearningRate), 0);
        Check.AtLeast(op, WeightDecay, nameof(WeightDecay), 0);
        Check.AtLeast(op, L1, nameof(L1), 0);
        Check.AtLeast(op, MaximumNorm, nameof(MaximumNorm), 0);
        if (!Enum.IsDefined(WeightDecayMode))
            throw new ArgumentOutOfRangeException(nameof(WeightDecayMode), WeightDecayMode, $"{op}: no such mode.");
        if (!Enum.IsDefined(L1Mode)) throw new ArgumentOutOfRangeException(nameof(L1Mode), L1Mode, $"{op}: no such mode.");
    }

    /// <summary>Writes what the optimizer's own rule reads.</summary>
    internal abstract void Write(ref GroupOptions<double> options);

    /// <summary>A share in [0, 1).</summary>
    private protected static void CheckShare(string op, double value, string name)
    {
        if (!(value is >= 0 and < 1)) throw new ArgumentOutOfRangeException(name, value, $"{op}: {name} lies in [0, 1).");
    }
}

/// <summary>Parameters that share their options, with their gradients: a whole model is a list of groups.</summary>
/// <typeparam name="T">Stored type.</typeparam>
/// <typeparam name="TOptions">Options of the optimizer.</typeparam>
/// <param name="Parameters">The parameters, of any shapes, empty ones included.</param>
/// <param name="Gradients">Their gradients, in the same order and shapes.</param>
/// <param name="Options">Their options.</param>
public sealed record ParameterGroup<T, TOptions>(
    IReadOnlyList<DeviceTensor<T>> Parameters, IReadOnlyList<DeviceTensor<T>> Gradients, TOptions Options)
    where T : unmanaged
    where TOptions : OptimizerOptions;

/// <summary>Settings of an optimizer as a whole.</summary>
public sealed record OptimizerSettings
{
    /// <summary>
    /// Gradients are scaled down when the 2-norm of all of them together exceeds this: by maximum / (norm + 1e-6), as in PyTorch. 0 for no
    /// limit. Costs one more reading of the gradients.
    /// </summary>
    public double MaximumGradientNorm { get; init; }

    /// <summary>
    /// A step with a NaN or infinite gradient changes nothing but the count of skipped steps. The decision stays on the device. Costs one
    /// more reading of the gradients, shared with <see cref="MaximumGradientNorm"/>.
    /// </summary>
    public bool SkipsNonFiniteGradients { get; init; }

    /// <summary>The factor of the loss; gradients are divided by it.</summary>
    public double LossScale { get; init; } = 1;

    /// <summary>
    /// One float in device memory that takes the place of <see cref="LossScale"/>, read at each step. Stays the caller's.
    /// </summary>
    public DeviceTensor<float>? DeviceLossScale { get; init; }

    /// <summary>
    /// A float for each group in device memory that takes the place of the learning rates, read at each step. Stays the caller's.
    /// </summary>
    public DeviceTensor<float>? DeviceLearningRates { get; init; }

    /// <summary>
    /// Half and BFloat16 parameters get a float copy that is updated in their stead and rounded into them, so that small updates add up. A
    /// parameter that its copy does not round to was written by someone else: the next step begins there. Costs one more reading of the
    /// parameters and the copies. No effect on float and double.
    /// </summary>
    public bool KeepsMasterCopy { get; init; }

    /// <summary>
    /// Keeps an exponential moving average of the weights, average = average + (1 - decay) * (w - average), that begins with the weights
    /// after the first step, and anew where a parameter is written from outside. In [0, 1); null for none.
    /// </summary>
    public double? AverageDecay { get; init; }

    /// <summary>Counts the parameters that are exactly 0 after each step, for each tensor.</summary>
    public bool CountsZeros { get; init; }

    internal void Validate(string op)
    {
        Check.AtLeast(op, MaximumGradientNorm, nameof(MaximumGradientNorm), 0);
        if (!(LossScale > 0) || double.IsInfinity(LossScale))
            throw new ArgumentOutOfRangeException(nameof(LossScale), LossScale, $"{op}: {nameof(LossScale)} is finite and above 0.");
        if (AverageDecay is { } decay and not (>= 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(AverageDecay), decay, $"{op}: {nameof(AverageDecay)} lies in [0, 1).");
    }
}
