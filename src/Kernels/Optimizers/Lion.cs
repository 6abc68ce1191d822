using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;

namespace Kernels;

/// <summary>Settings of <see cref="Lion{T}"/>: weight decay is decoupled unless said otherwise.</summary>
public sealed record LionOptions : OptimizerOptions
{
    /// <summary>Step size 0.0001 and decoupled decay.</summary>
    public LionOptions() => (LearningRate, WeightDecayMode) = (1e-4, WeightDecayMode.Decoupled);

    /// <summary>Share of the momentum in the direction of a step, in [0, 1).</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the momentum, in [0, 1).</summary>
    public double Beta2 { get; init; } = 0.99;

    internal override OptimizerRule Rule => new(Beta1, 1 - Beta1, Beta2, 1 - Beta2, 0, Mode: false);

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
/// w -= rate * sign(beta1 * m + (1 - beta1) * g); m = beta2 * m + (1 - beta2) * g, with sign(0) = 0 and sign(NaN) = NaN. X. Chen et al., "Symbolic discovery of optimization
/// algorithms", NeurIPS 2023.
/// </remarks>
public sealed class Lion<T> : Optimizer<T, LionOptions>
    where T : unmanaged
{
    /// <summary>An optimizer for these groups.</summary>
    /// <exception cref="ArgumentException">Shapes differ, or tensors overlap or are on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory for the state.</exception>
    public Lion(Device device, IReadOnlyList<ParameterGroup<T, LionOptions>> groups, OptimizerSettings? settings = null)
        : base("Lion", device, groups, settings, OptimizerKernels.Lion, _ => [OptimizerState.FirstMoment, null, null])
    {
    }

    private protected override bool HasStateFor(IReadOnlyList<LionOptions> options) => true;
}

internal readonly struct LionRule : IOptimizerRule
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> Move<TReal>(
        in CpuOptimizerGroup<TReal> group, Vector512<TReal> weight, Vector512<TReal> gradient, ref Vector512<TReal> a, ref Vector512<TReal> b, ref Vector512<TReal> c)
        where TReal : unmanaged
    {
        Vector512<TReal> direction = CpuReal.SignOf((group.Beta1 * a) + (group.Share1 * gradient));
        a = (group.Beta2 * a) + (group.Share2 * gradient);
        return (group.DecayFactor * weight) - (group.Rate * direction);
    }
}
