using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Kernels;

/// <summary>
/// What holds for a group of parameters: <c>group_options</c> in <c>optimizer_layout.h</c>, field by field. A 0 is an absent term.
/// </summary>
internal struct GroupOptions<TReal>
    where TReal : unmanaged
{
    public TReal LearningRate;
    public TReal CoupledDecay;
    public TReal DecoupledDecay;
    public TReal ProximalDecay;
    public TReal SubgradientL1;
    public TReal ProximalL1;
    public TReal MaximumNorm;
    public TReal AverageDecay;
    public TReal AverageShare;
    public TReal FirstLog;
    public TReal SecondLog;
    public RuleWords<TReal> Rule;
}

/// <summary>The rule's own options in <see cref="GroupOptions{TReal}"/>, which each rule reads as a struct of its own.</summary>
[InlineArray(Length)]
internal struct RuleWords<TReal>
    where TReal : unmanaged
{
    public const int Length = 6;

    private TReal _first;

    /// <summary>The words as <typeparamref name="TRule"/>, a struct of at most so many <typeparamref name="TReal"/>.</summary>
    [UnscopedRef]
    public unsafe ref TRule As<TRule>()
        where TRule : unmanaged
    {
        if (sizeof(TRule) > Length * sizeof(TReal)) throw new InvalidOperationException($"{typeof(TRule)} has more than {Length} words.");
        return ref Unsafe.As<TReal, TRule>(ref _first);
    }
}

/// <summary>What holds for a step: <c>step_progress</c>.</summary>
internal struct StepProgress<TReal>
    where TReal : unmanaged
{
    public TReal GradientScale;
    public TReal GradientFactor;
    public TReal Skips;
    public TReal GradientNorm;
}

/// <summary><c>rule_options</c> of SGD.</summary>
internal struct SgdRuleOptions<TReal>
    where TReal : unmanaged
{
    public TReal Momentum;
    public TReal GradientShare;
    public TReal IsNesterov;
}

/// <summary><c>rule_options</c> of Adam.</summary>
internal struct AdamRuleOptions<TReal>
    where TReal : unmanaged
{
    public TReal Beta1;
    public TReal Share1;
    public TReal Beta2;
    public TReal Share2;
    public TReal Epsilon;
    public TReal UsesLargest;
}

/// <summary><c>rule_options</c> of RMSprop.</summary>
internal struct RmsPropRuleOptions<TReal>
    where TReal : unmanaged
{
    public TReal Decay;
    public TReal Share;
    public TReal Epsilon;
    public TReal Momentum;
    public TReal IsCentered;
}

/// <summary><c>rule_options</c> of Lion.</summary>
internal struct LionRuleOptions<TReal>
    where TReal : unmanaged
{
    public TReal Beta1;
    public TReal Share1;
    public TReal Beta2;
    public TReal Share2;
}
