using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Options of <see cref="Sgd{T}"/>; weight decay is coupled unless said otherwise, which under plain SGD is the same as decoupled.
/// </summary>
public sealed record SgdOptions : OptimizerOptions
{
    /// <summary>Share of the velocity that is kept, finite and at least 0. 0 keeps none.</summary>
    public double Momentum { get; init; }

    /// <summary>The new gradient enters the velocity with 1 - dampening, except at the first step. Finite and at least 0.</summary>
    public double Dampening { get; init; }

    /// <summary>Looks ahead along the velocity; needs momentum and no dampening.</summary>
    public bool Nesterov { get; init; }

    internal override void Write(ref GroupOptions<double> options) => options.Rule.As<SgdRuleOptions<double>>() = new SgdRuleOptions<double>
    {
        Momentum = Momentum,
        GradientShare = 1 - Dampening,
        IsNesterov = Nesterov ? 1 : 0,
    };

    internal override void Validate(string op)
    {
        base.Validate(op);
        Check.AtLeast(op, Momentum, nameof(Momentum), 0);
        Check.AtLeast(op, Dampening, nameof(Dampening), 0);
        if (Nesterov && (Momentum == 0 || Dampening != 0))
            throw new ArgumentException($"{op}: Nesterov needs momentum and no dampening.", nameof(Nesterov));
    }
}

/// <summary>Stochastic gradient descent with momentum over a list of parameters.</summary>
/// <typeparam name="T">Stored type of parameters and gradients.</typeparam>
/// <remarks>
/// v = momentum * v + (1 - dampening) * g (v = g at the first step); w -= rate * v, or rate * (g + momentum * v) with Nesterov;
/// w -= rate * g without momentum. The results are those of PyTorch's SGD. I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the
/// importance of initialization and momentum in deep learning", ICML 2013.
/// </remarks>
public sealed class Sgd<T> : Optimizer<T, SgdOptions>
    where T : unmanaged
{
    /// <summary>An optimizer for these groups; state is kept when a group has momentum.</summary>
    /// <exception cref="ArgumentException">Shapes differ, tensors overlap or are on another device, or options contradict each
    /// other.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option or a setting is out of its range.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory for the state.</exception>
    public Sgd(Device device, IReadOnlyList<ParameterGroup<T, SgdOptions>> groups, OptimizerSettings? settings = null)
        : base("Sgd", device, groups, settings, OptimizerKernels.Sgd, options =>
            [options.Any(o => o.Momentum > 0) ? OptimizerState.Velocity : null, null, null])
    {
    }

    private protected override bool HasStateFor(IReadOnlyList<SgdOptions> options) => Keeps(0) || options.All(o => o.Momentum == 0);
}

/// <summary><c>optimizer_rule</c> in <c>sgd.cl</c>.</summary>
internal readonly struct SgdRule<TReal> : IOptimizerRule<SgdRule<TReal>, TReal>
    where TReal : unmanaged, IFloatingPointIeee754<TReal>
{
    private readonly Vector512<TReal> _momentum;
    private readonly Vector512<TReal> _gradientShare;
    private readonly bool _hasMomentum;
    private readonly bool _isNesterov;

    private SgdRule(in CpuOptimizerGroup<TReal> group, in SgdRuleOptions<TReal> options)
    {
        _momentum = Vector512.Create(options.Momentum);
        _gradientShare = Vector512.Create(options.GradientShare);
        _hasMomentum = options.Momentum > TReal.Zero;
        _isNesterov = options.IsNesterov != TReal.Zero;
    }

    public static SgdRule<TReal> Create(in CpuOptimizerGroup<TReal> group, ref RuleWords<TReal> options) =>
        new(group, options.As<SgdRuleOptions<TReal>>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<TReal> Move(
        in CpuOptimizerGroup<TReal> group, Vector512<TReal> weight, Vector512<TReal> gradient, ref Vector512<TReal> velocity,
        ref Vector512<TReal> second, ref Vector512<TReal> third)
    {
        Vector512<TReal> step = gradient;
        if (_hasMomentum)
        {
            velocity = group.IsFirst ? gradient : (_momentum * velocity) + (_gradientShare * gradient);
            step = _isNesterov ? gradient + (_momentum * velocity) : velocity;
        }

        return (group.DecayFactor * weight) - (group.Rate * step);
    }
}
