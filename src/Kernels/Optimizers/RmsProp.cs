using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="RmsProp{T}"/>.</summary>
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

    internal override OptimizerRule Rule => new(SecondMomentDecay, 1 - SecondMomentDecay, Momentum, 1, Epsilon, Centered);

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
/// v = alpha * v + (1 - alpha) * g^2; s = g / (sqrt(v) + epsilon); w -= rate * s, or with momentum u = momentum * u + s and w -= rate * u. Centered, m = alpha * m + (1 - alpha) * g and
/// v - m^2, at least 0, stands under the root. The results are those of PyTorch's RMSprop, except where its v - m^2 is rounded below 0 and gives NaN. T. Tieleman and G. Hinton,
/// Lecture 6.5, 2012; A. Graves, "Generating sequences with recurrent neural networks", 2013.
/// </remarks>
public sealed class RmsProp<T> : Optimizer<T, RmsPropOptions>
    where T : unmanaged
{
    /// <summary>An optimizer for these groups.</summary>
    /// <exception cref="ArgumentException">Shapes differ, or tensors overlap or are on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range.</exception>
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

internal readonly struct RmsPropRule : IOptimizerRule
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> Move<TReal>(
        in CpuOptimizerGroup<TReal> group, Vector512<TReal> weight, Vector512<TReal> gradient, ref Vector512<TReal> a, ref Vector512<TReal> b, ref Vector512<TReal> c)
        where TReal : unmanaged
    {
        a = (group.Beta1 * a) + (group.Share1 * gradient * gradient);
        Vector512<TReal> square = a;
        if (group.Mode)
        {
            c = (group.Beta1 * c) + (group.Share1 * gradient);
            square -= c * c;
            // Rounding can take the variance below 0.
            square = Vector512.ConditionalSelect(Vector512.LessThan(square, Vector512<TReal>.Zero), Vector512<TReal>.Zero, square);
        }

        Vector512<TReal> step = gradient / (Vector512.Sqrt(square) + group.Epsilon);
        if (group.Moves2)
        {
            b = (group.Beta2 * b) + step;
            step = b;
        }

        return (group.DecayFactor * weight) - (group.Rate * step);
    }
}
