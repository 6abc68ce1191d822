namespace Kernels;

/// <summary>Which direction of a metric is better.</summary>
public enum MetricMode
{
    /// <summary>Lower is better: a loss.</summary>
    Minimize,

    /// <summary>Higher is better: an accuracy.</summary>
    Maximize,
}

/// <summary>Settings of <see cref="EarlyStopping"/>.</summary>
public sealed record EarlyStoppingOptions
{
    /// <summary>Which direction is better.</summary>
    public MetricMode Mode { get; init; } = MetricMode.Minimize;

    /// <summary>Evaluations in a row without an improvement after which training stops; at least 1.</summary>
    public int Patience { get; init; } = 10;

    /// <summary>By how much a metric must beat the best one to count as an improvement; finite and at least 0.</summary>
    public double MinimumDelta { get; init; }
}

/// <summary>
/// Stops training when a metric of held-out data has not improved for a while, and says which evaluation was the best, whose parameters a
/// <see cref="ParameterSnapshot{T}"/> restores.
/// </summary>
/// <remarks>
/// An evaluation improves iff it beats the best so far by more than the minimum delta; the first finite one always does. NaN never improves. I. Goodfellow,
/// Y. Bengio and A. Courville, "Deep Learning", section 7.8, 2016.
/// </remarks>
public sealed class EarlyStopping
{
    private readonly EarlyStoppingOptions _options;

    /// <summary>Creates the criterion.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The patience is below 1, or the minimum delta negative, NaN or infinite.</exception>
    public EarlyStopping(EarlyStoppingOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Patience, 1, nameof(options.Patience));
        Devices.Check.AtLeast(nameof(EarlyStopping), options.MinimumDelta, nameof(options.MinimumDelta), 0);
        _options = options;
    }

    /// <summary>Evaluations so far.</summary>
    public int Evaluations { get; private set; }

    /// <summary>Number of the best evaluation, from 0; -1 before the first improvement.</summary>
    public int BestEvaluation { get; private set; } = -1;

    /// <summary>The best metric; NaN before the first improvement.</summary>
    public double BestMetric { get; private set; } = double.NaN;

    /// <summary>True when the last evaluation was the best so far: the moment to save the parameters.</summary>
    public bool IsBest => Evaluations > 0 && BestEvaluation == Evaluations - 1;

    /// <summary>Evaluations since the best one.</summary>
    public int EvaluationsWithoutImprovement => Evaluations - 1 - BestEvaluation;

    /// <summary>True once the patience is used up.</summary>
    public bool ShouldStop => Evaluations > 0 && EvaluationsWithoutImprovement >= _options.Patience;

    /// <summary>Takes the metric of one evaluation; returns <see cref="ShouldStop"/>.</summary>
    public bool Update(double metric)
    {
        double gain = _options.Mode == MetricMode.Maximize ? metric - BestMetric : BestMetric - metric;
        bool improves = BestEvaluation < 0 ? double.IsFinite(metric) : gain > _options.MinimumDelta;
        if (improves)
        {
            BestEvaluation = Evaluations;
            BestMetric = metric;
        }

        Evaluations++;
        return ShouldStop;
    }
}
