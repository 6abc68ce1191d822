namespace Kernels;

/// <summary>
/// Stops training by a metric of held-out data, says why, and which evaluation was the best, whose parameters a
/// <see cref="ParameterSnapshot{T}"/> restores.
/// </summary>
/// <remarks>
/// <para>
/// An evaluation improves iff its metric is finite and beats the best so far by more than the minimum delta; the first finite one always
/// does. Every evaluation gets a verdict of its own, so who goes on after a stop may see training recover.
/// </para>
/// <para>
/// Goodfellow, Bengio, Courville, "Deep Learning", section 7.8, 2016; GL, PQ and UP: L. Prechelt, "Early Stopping - But When?", in "Neural
/// Networks: Tricks of the Trade", 1998. GL and the progress are computed as excess over a reference, (x - r) / |r|, the paper's x / r - 1
/// where the reference is positive: so they also hold for accuracies (the excess is then how much lower they are), negative losses and
/// references of 0, over which any excess is infinite.
/// </para>
/// </remarks>
public sealed class EarlyStopping
{
    private readonly EarlyStoppingOptions _options;

    /// <summary>Creates the criterion, or with <paramref name="state"/> the continuation of one whose state was saved.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    /// <exception cref="ArgumentException">There is a baseline without a patience, or the state contradicts itself.</exception>
    public EarlyStopping(EarlyStoppingOptions options, EarlyStoppingState? state = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        state?.Validate();
        _options = options;
        State = state ?? new EarlyStoppingState();
    }

    /// <summary>All that is remembered; immutable, so it may be kept.</summary>
    public EarlyStoppingState State { get; private set; }

    /// <summary>Evaluations so far.</summary>
    public int Evaluations => State.Evaluations;

    /// <summary>Number of the best evaluation, from 0; -1 before the first finite metric.</summary>
    public int BestEvaluation => State.BestEvaluation;

    /// <summary>The best metric; NaN before the first finite one.</summary>
    public double BestMetric => State.BestMetric;

    /// <summary>True when the last evaluation was the best so far: the moment to save the parameters.</summary>
    public bool IsBest => State.Evaluations > 0 && State.BestEvaluation == State.Evaluations - 1;

    /// <summary>Evaluations in a row, after the warm-up, that did not improve.</summary>
    public int EvaluationsWithoutImprovement => State.EvaluationsWithoutImprovement;

    /// <summary>Why the last evaluation says to stop, or <see cref="EarlyStoppingReason.None"/>.</summary>
    public EarlyStoppingReason Reason => State.Reason;

    /// <summary>True when the last evaluation says to stop.</summary>
    public bool ShouldStop => Reason != EarlyStoppingReason.None;

    /// <summary>Takes the metric of one evaluation; returns <see cref="ShouldStop"/>.</summary>
    /// <param name="metric">What held-out data gave.</param>
    /// <param name="trainingError">
    /// The error on the training data, lower being better, for <see cref="EarlyStoppingOptions.ProgressQuotient"/> only; where a strip
    /// lacks one, PQ does not stop at its end.
    /// </param>
    /// <exception cref="OverflowException">There were 2^31 - 1 evaluations before it.</exception>
    public bool Update(double metric, double trainingError = double.NaN)
    {
        // No other count exceeds this one.
        int evaluations = checked(State.Evaluations + 1);
        State = double.IsNaN(metric) && _options.NaN == NaNPolicy.Ignore
            ? State with { Evaluations = evaluations }
            : Next(State with { Evaluations = evaluations }, metric, trainingError);
        return ShouldStop;
    }

    /// <summary>The state after an evaluation, which <paramref name="last"/> has numbered already.</summary>
    private EarlyStoppingState Next(EarlyStoppingState last, double metric, double trainingError)
    {
        bool improves = Improves(last, metric);
        bool isFirst = double.IsNaN(last.Optimum);
        bool isWarm = last.CountedEvaluations >= _options.WarmUp;
        EarlyStoppingState next = last with
        {
            CountedEvaluations = last.CountedEvaluations + 1,
            BestEvaluation = improves ? last.Evaluations - 1 : last.BestEvaluation,
            BestMetric = improves ? metric : last.BestMetric,
            EvaluationsWithoutImprovement = improves || !isWarm ? 0 : last.EvaluationsWithoutImprovement + 1,
            HasReachedBaseline = last.HasReachedBaseline || (_options.Baseline is { } baseline && _options.Reaches(metric, baseline)),
            Optimum = double.IsFinite(metric) && (isFirst || _options.IsBetter(metric, last.Optimum)) ? metric : last.Optimum,
            StripEvaluations = last.StripEvaluations + 1,
            StripTrainingSum = last.StripTrainingSum + trainingError,
            StripTrainingMinimum = Math.Min(last.StripTrainingMinimum, trainingError),
        };

        bool endsStrip = next.StripEvaluations >= _options.StripLength;
        if (endsStrip)
        {
            next = next with
            {
                WorseStrips = _options.IsBetter(last.LastStripMetric, metric) ? last.WorseStrips + 1 : 0,
                LastStripMetric = metric,
            };
        }

        next = next with { Reason = isWarm ? Verdict(next, metric, endsStrip) : EarlyStoppingReason.None };
        return endsStrip ? next with { StripEvaluations = 0, StripTrainingSum = 0, StripTrainingMinimum = double.PositiveInfinity } : next;
    }

    private bool Improves(EarlyStoppingState last, double metric)
    {
        if (!double.IsFinite(metric)) return false;
        if (last.BestEvaluation < 0) return true;
        double gain = _options.Mode == MetricMode.Minimize ? last.BestMetric - metric : metric - last.BestMetric;
        double unit = _options.MinimumDeltaUnit == DeltaUnit.Relative ? Math.Abs(last.BestMetric) : 1;
        return gain > _options.MinimumDelta * unit;
    }

    private EarlyStoppingReason Verdict(EarlyStoppingState state, double metric, bool endsStrip)
    {
        EarlyStoppingOptions o = _options;
        if (double.IsNaN(metric) && o.NaN == NaNPolicy.Stop) return EarlyStoppingReason.NotANumber;
        if (o.StoppingThreshold is { } goal && o.Reaches(metric, goal)) return EarlyStoppingReason.GoalReached;
        if (o.DivergenceThreshold is { } bound && o.IsBetter(bound, metric)) return EarlyStoppingReason.Diverged;
        if (o.Baseline is not null && !state.HasReachedBaseline && state.CountedEvaluations - o.WarmUp >= o.Patience)
            return EarlyStoppingReason.BaselineNotReached;
        if (state.EvaluationsWithoutImprovement >= o.Patience) return EarlyStoppingReason.PatienceExhausted;

        // Without a finite metric so far these are NaN, which exceeds nothing.
        double loss = 100 * (o.Mode == MetricMode.Minimize ? Excess(metric, state.Optimum) : Excess(-metric, -state.Optimum));
        if (loss > o.GeneralizationLoss) return EarlyStoppingReason.GeneralizationLoss;
        if (!endsStrip) return EarlyStoppingReason.None;

        // A mean may round to just below the minimum. No progress at all makes the quotient infinite, or NaN where there is no loss either.
        double progress = 1000 * Math.Max(0, Excess(state.StripTrainingSum / state.StripEvaluations, state.StripTrainingMinimum));
        if (loss / progress > o.ProgressQuotient) return EarlyStoppingReason.ProgressQuotient;
        return state.WorseStrips >= o.SuccessiveStrips ? EarlyStoppingReason.SuccessiveStrips : EarlyStoppingReason.None;
    }

    /// <summary>(x - r) / |r|; 0 where they are equal, also at 0.</summary>
    private static double Excess(double value, double reference) => value == reference ? 0 : (value - reference) / Math.Abs(reference);
}
