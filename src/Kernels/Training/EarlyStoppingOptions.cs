using Kernels.Devices;

namespace Kernels;

/// <summary>The better direction of a metric.</summary>
public enum MetricMode
{
    /// <summary>Lower is better: a loss.</summary>
    Minimize,

    /// <summary>Higher is better: an accuracy.</summary>
    Maximize,
}

/// <summary>The unit of a minimum delta.</summary>
public enum DeltaUnit
{
    /// <summary>The metric's own unit.</summary>
    Absolute,

    /// <summary>The magnitude of the best metric so far.</summary>
    Relative,
}

/// <summary>The meaning of an evaluation whose metric is NaN. It is never the best one.</summary>
public enum NaNPolicy
{
    /// <summary>It counts as an evaluation without improvement.</summary>
    NoImprovement,

    /// <summary>It has a number, like every evaluation, and changes nothing else: neither patience nor warm-up nor strips see it.</summary>
    Ignore,

    /// <summary>It stops training; else as <see cref="NoImprovement"/>.</summary>
    Stop,
}

/// <summary>Why training should stop. Where several hold at once, the first of this list is given.</summary>
public enum EarlyStoppingReason
{
    /// <summary>It should not.</summary>
    None,

    /// <summary>The metric is NaN, under <see cref="NaNPolicy.Stop"/>.</summary>
    NotANumber,

    /// <summary>The metric reached <see cref="EarlyStoppingOptions.StoppingThreshold"/>.</summary>
    GoalReached,

    /// <summary>The metric is worse than <see cref="EarlyStoppingOptions.DivergenceThreshold"/>.</summary>
    Diverged,

    /// <summary>The patience is used up and no metric has reached <see cref="EarlyStoppingOptions.Baseline"/>.</summary>
    BaselineNotReached,

    /// <summary><see cref="EarlyStoppingOptions.Patience"/> evaluations in a row brought no improvement.</summary>
    PatienceExhausted,

    /// <summary>Prechelt's GL exceeds <see cref="EarlyStoppingOptions.GeneralizationLoss"/>.</summary>
    GeneralizationLoss,

    /// <summary>Prechelt's PQ exceeds <see cref="EarlyStoppingOptions.ProgressQuotient"/>.</summary>
    ProgressQuotient,

    /// <summary>Prechelt's UP: the metric became worse in <see cref="EarlyStoppingOptions.SuccessiveStrips"/> strips in a row.</summary>
    SuccessiveStrips,
}

/// <summary>Settings of <see cref="EarlyStopping"/>. A criterion that is null is not used; by default only patience is.</summary>
public sealed record EarlyStoppingOptions
{
    /// <summary>The better direction.</summary>
    public MetricMode Mode { get; init; } = MetricMode.Minimize;

    /// <summary>
    /// Patience n stops at the n-th evaluation in a row that does not improve, so 1 stops at the first; null never stops for it. At least
    /// 1. Evaluations of the warm-up are not counted.
    /// </summary>
    public int? Patience { get; init; } = 10;

    /// <summary>By how much a metric must beat the best one to improve: the gain must be greater. Finite and at least 0.</summary>
    public double MinimumDelta { get; init; }

    /// <summary>The unit of <see cref="MinimumDelta"/>. Relative, the gain must exceed MinimumDelta * |best|.</summary>
    public DeltaUnit MinimumDeltaUnit { get; init; } = DeltaUnit.Absolute;

    /// <summary>
    /// Evaluations at the start after which nothing stops, NaN and divergence included; they may be the best. At least 0.
    /// </summary>
    public int WarmUp { get; init; }

    /// <summary>
    /// A metric that must be reached (at least as good) within the warm-up and the <see cref="Patience"/> evaluations after it; training
    /// that has not stops there. Finite; needs a patience.
    /// </summary>
    public double? Baseline { get; init; }

    /// <summary>The meaning of NaN.</summary>
    public NaNPolicy NaN { get; init; } = NaNPolicy.NoImprovement;

    /// <summary>A metric worse than this stops training. Finite.</summary>
    public double? DivergenceThreshold { get; init; }

    /// <summary>A metric at least as good as this is good enough and stops training. Finite.</summary>
    public double? StoppingThreshold { get; init; }

    /// <summary>
    /// Alpha of GL, in percent: stops when GL(t) = 100 (E(t) / E_opt(t) - 1) > alpha, with E_opt the best metric so far, whatever the
    /// minimum delta. Finite and at least 0. Prechelt's paper tries 1 to 5.
    /// </summary>
    public double? GeneralizationLoss { get; init; }

    /// <summary>
    /// Alpha of PQ: stops at the end of a strip of k evaluations when GL(t) / P(t) > alpha, with the progress P(t) = 1000 (sum / (k
    /// minimum) - 1) of the training errors of the strip, which <see cref="EarlyStopping.Update"/> must be given. Finite and at least 0.
    /// Prechelt's paper tries 0.5 to 3.
    /// </summary>
    public double? ProgressQuotient { get; init; }

    /// <summary>
    /// s of UP: stops at the end of the s-th strip in a row whose last metric is worse than that of the strip before; the first strip has
    /// none before it. At least 1. Prechelt's paper tries 2 to 8.
    /// </summary>
    public int? SuccessiveStrips { get; init; }

    /// <summary>
    /// Evaluations in a strip, the k of PQ and UP. At least 1, and at least 2 for PQ, as one evaluation makes no progress.
    /// </summary>
    public int StripLength { get; init; } = 5;

    /// <summary>True when a value is better than another; false where one is NaN.</summary>
    internal bool IsBetter(double value, double other) => Mode == MetricMode.Minimize ? value < other : value > other;

    /// <summary>True when a metric is at least as good as a threshold. What is not finite reaches nothing.</summary>
    internal bool Reaches(double metric, double threshold) => double.IsFinite(metric) && !IsBetter(threshold, metric);

    internal void Validate()
    {
        const string Op = nameof(EarlyStopping);
        if (!Enum.IsDefined(Mode)) throw new ArgumentOutOfRangeException(nameof(Mode), Mode, $"{Op}: {nameof(Mode)} is unknown.");
        if (!Enum.IsDefined(MinimumDeltaUnit))
        {
            throw new ArgumentOutOfRangeException(
                nameof(MinimumDeltaUnit), MinimumDeltaUnit, $"{Op}: {nameof(MinimumDeltaUnit)} is unknown.");
        }

        if (!Enum.IsDefined(NaN)) throw new ArgumentOutOfRangeException(nameof(NaN), NaN, $"{Op}: {nameof(NaN)} is unknown.");
        Check.AtLeast(Op, Patience ?? 1, nameof(Patience), 1);
        Check.AtLeast(Op, MinimumDelta, nameof(MinimumDelta), 0);
        Check.AtLeast(Op, WarmUp, nameof(WarmUp), 0);
        Check.Finite(Op, Baseline ?? 0, nameof(Baseline));
        Check.Finite(Op, DivergenceThreshold ?? 0, nameof(DivergenceThreshold));
        Check.Finite(Op, StoppingThreshold ?? 0, nameof(StoppingThreshold));
        Check.AtLeast(Op, GeneralizationLoss ?? 0, nameof(GeneralizationLoss), 0);
        Check.AtLeast(Op, ProgressQuotient ?? 0, nameof(ProgressQuotient), 0);
        Check.AtLeast(Op, SuccessiveStrips ?? 1, nameof(SuccessiveStrips), 1);
        Check.AtLeast(Op, StripLength, nameof(StripLength), ProgressQuotient is null ? 1 : 2);
        if (Baseline is not null && Patience is null)
        {
            throw new ArgumentException(
                $"{Op}: {nameof(Baseline)} is to be reached within a {nameof(Patience)}, which is null.", nameof(Baseline));
        }
    }
}
