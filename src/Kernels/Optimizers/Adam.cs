using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Devices;

namespace Kernels;

/// <summary>Options of <see cref="Adam{T}"/>: weight decay is coupled, as in PyTorch's Adam, unless said otherwise.</summary>
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

    internal sealed override void Write(ref GroupOptions<double> options)
    {
        (options.FirstLog, options.SecondLog) = (-Math.Log(Beta1), -Math.Log(Beta2));
        options.Rule.As<AdamRuleOptions<double>>() = new AdamRuleOptions<double>
        {
            Beta1 = Beta1,
            Share1 = 1 - Beta1,
            Beta2 = Beta2,
            Share2 = 1 - Beta2,
            Epsilon = Epsilon,
            UsesLargest = UsesLargestSecondMoment ? 1 : 0,
        };
    }

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
/// m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2; w -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) +
/// epsilon) at step t = 1, 2, ... The results are those of PyTorch's Adam. D. P. Kingma and J. Ba, "Adam: A method for stochastic
/// optimization", ICLR 2015; S. J. Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond", ICLR 2018.
/// </remarks>
public sealed class Adam<T> : Optimizer<T, AdamOptions>
    where T : unmanaged
{
    /// <summary>An optimizer for these groups.</summary>
    /// <exception cref="ArgumentException">Shapes differ, or tensors overlap or are on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option or a setting is out of its range.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory for the state.</exception>
    public Adam(Device device, IReadOnlyList<ParameterGroup<T, AdamOptions>> groups, OptimizerSettings? settings = null)
        : base("Adam", device, groups, settings, OptimizerKernels.Adam, AdamStates.Of)
    {
    }

    private protected override bool HasStateFor(IReadOnlyList<AdamOptions> options) =>
        Keeps(2) || !options.Any(o => o.UsesLargestSecondMoment);
}

/// <summary>What Adam and AdamW keep.</summary>
internal static class AdamStates
{
    public static string?[] Of(IReadOnlyList<AdamOptions> options) =>
        [OptimizerState.FirstMoment, OptimizerState.SecondMoment, options.Any(o => o.UsesLargestSecondMoment)
            ? OptimizerState.LargestSecondMoment : null];
}

/// <summary><c>optimizer_rule</c> in <c>adam.cl</c>.</summary>
internal readonly struct AdamRule<TReal> : IOptimizerRule<AdamRule<TReal>, TReal>
    where TReal : unmanaged, IFloatingPointIeee754<TReal>
{
    private readonly Vector512<TReal> _beta1;
    private readonly Vector512<TReal> _share1;
    private readonly Vector512<TReal> _beta2;
    private readonly Vector512<TReal> _share2;
    private readonly Vector512<TReal> _epsilon;
    private readonly bool _usesLargest;

    private AdamRule(in AdamRuleOptions<TReal> options)
    {
        _beta1 = Vector512.Create(options.Beta1);
        _share1 = Vector512.Create(options.Share1);
        _beta2 = Vector512.Create(options.Beta2);
        _share2 = Vector512.Create(options.Share2);
        _epsilon = Vector512.Create(options.Epsilon);
        _usesLargest = options.UsesLargest != TReal.Zero;
    }

    public static AdamRule<TReal> Create(in CpuOptimizerGroup<TReal> group, ref RuleWords<TReal> options) =>
        new(options.As<AdamRuleOptions<TReal>>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<TReal> Move(
        in CpuOptimizerGroup<TReal> group, Vector512<TReal> weight, Vector512<TReal> gradient, ref Vector512<TReal> firstMoment,
        ref Vector512<TReal> secondMoment, ref Vector512<TReal> largest)
    {
        firstMoment = (_beta1 * firstMoment) + (_share1 * gradient);
        secondMoment = (_beta2 * secondMoment) + (_share2 * gradient * gradient);
        Vector512<TReal> square = secondMoment;
        if (_usesLargest)
        {
            // NaN where either is.
            Vector512<TReal> isLarger = Vector512.GreaterThan(largest, square) | ~Vector512.Equals(largest, largest);
            largest = Vector512.ConditionalSelect(isLarger, largest, square);
            square = largest;
        }

        Vector512<TReal> scale = (Vector512.Sqrt(square) * group.SecondRoot) + _epsilon;
        return (group.DecayFactor * weight) - (group.FirstRate * (firstMoment / scale));
    }
}
