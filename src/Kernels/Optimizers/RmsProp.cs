using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

/// <summary>Options of <see cref="RmsProp{T}"/>.</summary>
public sealed record RmsPropOptions : OptimizerOptions
{
    /// <summary>Step size 0.01, as is usual.</summary>
    public RmsPropOptions() => LearningRate = 1e-2;

    /// <summary>Decay of the second moment (alpha), in [0, 1).</summary>
    public double SecondMomentDecay { get; init; } = 0.99;

    /// <summary>Added to the square root of the second moment, finite and at least 0.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Share of the velocity that is kept, finite and at least 0. 0 keeps none.</summary>
    public double Momentum { get; init; }

    /// <summary>Divides by the standard deviation instead of the root of the second moment.</summary>
    public bool Centered { get; init; }

    internal override void Write(ref GroupOptions<double> options) =>
        options.Rule.As<RmsPropRuleOptions<double>>() = new RmsPropRuleOptions<double>
        {
            Decay = SecondMomentDecay,
            Share = 1 - SecondMomentDecay,
            Epsilon = Epsilon,
            Momentum = Momentum,
            IsCentered = Centered ? 1 : 0,
        };

    internal override void Validate(string op)
    {
        base.Validate(op);
        CheckShare(op, SecondMomentDecay, nameof(SecondMomentDecay));
        Check.AtLeast(op, Epsilon, nameof(Epsilon), 0);
        Check.AtLeast(op, Momentum, nameof(Momentum), 0);
    }
}

/// <summary>RMSprop over a list of parameters.</summary>
/// <typeparam name="T">Stored type of parameters and gradients.</typeparam>
/// <remarks>
/// v = alpha * v + (1 - alpha) * g^2; s = g / (sqrt(v) + epsilon); w -= rate * s, or with momentum u = momentum * u + s and w -= rate * u.
/// Centered, m = alpha * m + (1 - alpha) * g and v - m^2, at least 0, stands under the root. The results are those of PyTorch's RMSprop,
/// except where its v - m^2 is rounded below 0 and gives NaN. T. Tieleman and G. Hinton, Lecture 6.5, 2012; A. Graves, "Generating
/// sequences with recurrent neural networks", 2013.
/// </remarks>
public sealed class RmsProp<T> : Optimizer<T, RmsPropOptions>
    where T : unmanaged
{
    /// <summary>An optimizer for these groups.</summary>
    /// <exception cref="ArgumentException">Shapes differ, or tensors overlap or are on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option or a setting is out of its range.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory for the state.</exception>
    public RmsProp(Device device, IReadOnlyList<ParameterGroup<T, RmsPropOptions>> groups, OptimizerSettings? settings = null)
        : base("RmsProp", device, groups, settings, OptimizerKernels.RmsProp, Roles)
    {
    }

    private protected override bool HasStateFor(IReadOnlyList<RmsPropOptions> options) =>
        (Keeps(1) || options.All(o => o.Momentum == 0)) && (Keeps(2) || !options.Any(o => o.Centered));

    private static string?[] Roles(IReadOnlyList<RmsPropOptions> options) =>
    [
        OptimizerState.SecondMoment, options.Any(o => o.Momentum > 0) ? OptimizerState.Velocity : null,
        options.Any(o => o.Centered) ? OptimizerState.MeanGradient : null,
    ];
}

/// <summary><c>optimizer_rule</c> in <c>rms_prop.cl</c>.</summary>
internal readonly struct RmsPropRule<TReal> : IOptimizerRule<RmsPropRule<TReal>, TReal>
    where TReal : unmanaged, IFloatingPointIeee754<TReal>
{
    private readonly Vector512<TReal> _decay;
    private readonly Vector512<TReal> _share;
    private readonly Vector512<TReal> _epsilon;
    private readonly Vector512<TReal> _momentum;
    private readonly bool _hasMomentum;
    private readonly bool _isCentered;

    private RmsPropRule(in CpuOptimizerGroup<TReal> group, in RmsPropRuleOptions<TReal> options)
    {
        _decay = Vector512.Create(options.Decay);
        _share = Vector512.Create(options.Share);
        _epsilon = Vector512.Create(options.Epsilon);
        _momentum = Vector512.Create(options.Momentum);
        _hasMomentum = options.Momentum > TReal.Zero;
        _isCentered = options.IsCentered != TReal.Zero;
    }

    public static RmsPropRule<TReal> Create(in CpuOptimizerGroup<TReal> group, ref RuleWords<TReal> options) =>
        new(group, options.As<RmsPropRuleOptions<TReal>>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<TReal> Move(
        in CpuOptimizerGroup<TReal> group, Vector512<TReal> weight, Vector512<TReal> gradient, ref Vector512<TReal> secondMoment,
        ref Vector512<TReal> velocity, ref Vector512<TReal> meanGradient)
    {
        secondMoment = (_decay * secondMoment) + (_share * gradient * gradient);
        Vector512<TReal> square = secondMoment;
        if (_isCentered)
        {
            meanGradient = (_decay * meanGradient) + (_share * gradient);
            Vector512<TReal> variance = square - (meanGradient * meanGradient);
            // Rounding can take the variance below 0. An infinite second moment stays so, whatever the square of the mean.
            variance = Vector512.ConditionalSelect(Vector512.LessThan(variance, Vector512<TReal>.Zero), Vector512<TReal>.Zero, variance);
            square = Vector512.ConditionalSelect(CpuReal.IsFinite(square), variance, square);
        }

        Vector512<TReal> step = gradient / (Vector512.Sqrt(square) + _epsilon);
        if (_hasMomentum)
        {
            velocity = (_momentum * velocity) + step;
            step = velocity;
        }

        return (group.DecayFactor * weight) - (group.Rate * step);
    }
}
