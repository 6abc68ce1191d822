using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="Adam{T}"/>: weight decay is coupled, as in PyTorch's Adam, unless said otherwise.</summary>
public record AdamOptions : OptimizerOptions
{
    /// <summary>Step size 0.001, as is usual.</summary>
    public AdamOptions() => LearningRate = 1e-3;

    /// <summary>Decay of the first moment, in [0, 1).</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment, in [0, 1).</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the square root of the second moment, finite and at least 0.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Divides by the largest second moment so far (AMSGrad).</summary>
    public bool UsesLargestSecondMoment { get; init; }

    internal sealed override OptimizerRule Rule => new(Beta1, 1 - Beta1, Beta2, 1 - Beta2, Epsilon, UsesLargestSecondMoment);

    internal sealed override void Validate(string op)
    {
        base.Validate(op);
        CheckShare(op, Beta1, nameof(Beta1));
        CheckShare(op, Beta2, nameof(Beta2));
        Check.AtLeast(op, Epsilon, nameof(Epsilon), 0);
    }
}

/// <summary>Adam over a list of parameters.</summary>
/// <typeparam name="T">Stored type of parameters and gradients.</typeparam>
/// <remarks>
/// m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2; w -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) at step t = 1, 2, ... The results are
/// those of PyTorch's Adam. D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015; S. J. Reddi, S. Kale and S. Kumar, "On the convergence of
/// Adam and beyond", ICLR 2018.
/// </remarks>
public sealed class Adam<T> : Optimizer<T, AdamOptions>
    where T : unmanaged
{
    /// <summary>An optimizer for these groups.</summary>
    /// <exception cref="ArgumentException">Shapes differ, or tensors overlap or are on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory for the state.</exception>
    public Adam(Device device, IReadOnlyList<ParameterGroup<T, AdamOptions>> groups, OptimizerSettings? settings = null)
        : base("Adam", device, groups, settings, OptimizerKernels.Adam, AdamRule.Roles)
    {
    }

    private protected override bool HasStateFor(IReadOnlyList<AdamOptions> options) => Keeps(2) || !options.Any(o => o.UsesLargestSecondMoment);
}

internal readonly struct AdamRule : IOptimizerRule
{
    public static string?[] Roles(IReadOnlyList<AdamOptions> options) =>
        [OptimizerState.FirstMoment, OptimizerState.SecondMoment, options.Any(o => o.UsesLargestSecondMoment) ? OptimizerState.LargestSecondMoment : null];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> Move<TReal>(
        in CpuOptimizerGroup<TReal> group, Vector512<TReal> weight, Vector512<TReal> gradient, ref Vector512<TReal> a, ref Vector512<TReal> b, ref Vector512<TReal> c)
        where TReal : unmanaged
    {
        a = (group.Beta1 * a) + (group.Share1 * gradient);
        b = (group.Beta2 * b) + (group.Share2 * gradient * gradient);
        Vector512<TReal> square = b;
        if (group.Mode)
        {
            c = Vector512.ConditionalSelect(Vector512.GreaterThan(c, square), c, square);
            square = c;
        }

        Vector512<TReal> scale = (Vector512.Sqrt(square) * group.InverseRoot2) + group.Epsilon;
        return (group.DecayFactor * weight) - (group.CorrectedRate * (a / scale));
    }
}
