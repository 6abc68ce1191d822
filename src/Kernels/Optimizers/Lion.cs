using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;

namespace Kernels;

/// <summary>Options of <see cref="Lion{T}"/>: weight decay is decoupled unless said otherwise.</summary>
public sealed record LionOptions : OptimizerOptions
{
    /// <summary>Step size 0.0001 and decoupled decay.</summary>
    public LionOptions() => (LearningRate, WeightDecayMode) = (1e-4, WeightDecayMode.Decoupled);

    /// <summary>Share of the momentum in the direction of a step, in [0, 1).</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the momentum, in [0, 1).</summary>
    public double Beta2 { get; init; } = 0.99;

    internal override void Write(ref GroupOptions<double> options) =>
        options.Rule.As<LionRuleOptions<double>>() = new LionRuleOptions<double>
        {
            Beta1 = Beta1,
            Share1 = 1 - Beta1,
            Beta2 = Beta2,
            Share2 = 1 - Beta2,
        };

    internal override void Validate(string op)
    {
        base.Validate(op);
        CheckShare(op, Beta1, nameof(Beta1));
        CheckShare(op, Beta2, nameof(Beta2));
    }
}

/// <summary>Lion over a list of parameters.</summary>
/// <typeparam name="T">Stored type of parameters and gradients.</typeparam>
/// <remarks>
/// w -= rate * sign(beta1 * m + (1 - beta1) * g); m = beta2 * m + (1 - beta2) * g, with sign(0) = 0 and sign(NaN) = NaN. X. Chen et al.,
/// "Symbolic discovery of optimization algorithms", NeurIPS 2023.
/// </remarks>
public sealed class Lion<T> : Optimizer<T, LionOptions>
    where T : unmanaged
{
    /// <summary>An optimizer for these groups.</summary>
    /// <exception cref="ArgumentException">Shapes differ, or tensors overlap or are on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option or a setting is out of its range.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory for the state.</exception>
    public Lion(Device device, IReadOnlyList<ParameterGroup<T, LionOptions>> groups, OptimizerSettings? settings = null)
        : base("Lion", device, groups, settings, OptimizerKernels.Lion, _ => [OptimizerState.FirstMoment, null, null])
    {
    }

    private protected override bool HasStateFor(IReadOnlyList<LionOptions> options) => true;
}

/// <summary><c>optimizer_rule</c> in <c>lion.cl</c>.</summary>
internal readonly struct LionRule<TReal> : IOptimizerRule<LionRule<TReal>, TReal>
    where TReal : unmanaged, IFloatingPointIeee754<TReal>
{
    private readonly Vector512<TReal> _beta1;
    private readonly Vector512<TReal> _share1;
    private readonly Vector512<TReal> _beta2;
    private readonly Vector512<TReal> _share2;

    private LionRule(in CpuOptimizerGroup<TReal> group, in LionRuleOptions<TReal> options)
    {
        _beta1 = Vector512.Create(options.Beta1);
        _share1 = Vector512.Create(options.Share1);
        _beta2 = Vector512.Create(options.Beta2);
        _share2 = Vector512.Create(options.Share2);
    }

    public static LionRule<TReal> Create(in CpuOptimizerGroup<TReal> group, ref RuleWords<TReal> options) =>
        new(group, options.As<LionRuleOptions<TReal>>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<TReal> Move(
        in CpuOptimizerGroup<TReal> group, Vector512<TReal> weight, Vector512<TReal> gradient, ref Vector512<TReal> firstMoment,
        ref Vector512<TReal> second, ref Vector512<TReal> third)
    {
        Vector512<TReal> direction = CpuReal.SignOf((_beta1 * firstMoment) + (_share1 * gradient));
        firstMoment = (_beta2 * firstMoment) + (_share2 * gradient);
        return (group.DecayFactor * weight) - (group.Rate * direction);
    }
}
