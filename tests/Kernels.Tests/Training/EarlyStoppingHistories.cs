using Kernels.Reference;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Training;

/// <summary>Early stopping against its reference, over histories that wander as those of a training do.</summary>
public sealed class EarlyStoppingHistories
{
    private static readonly EarlyStoppingHistory[] All =
    [
        new("no evaluations", 0, new()),
        new("one evaluation", 1, new() { Patience = 1 }),
        new("patience, past several stops", 61, new() { Patience = 4 }),
        new("minimum delta in the metric's unit", 61, new() { Patience = 3, MinimumDelta = 0.125 }),
        new("higher is better, minimum delta relative to the best", 61, new()
        {
            Mode = MetricMode.Maximize, Patience = 3, MinimumDelta = 0.25, MinimumDeltaUnit = DeltaUnit.Relative,
        }),
        new("a baseline that is not reached", 40, new() { Patience = 5, WarmUp = 12, Baseline = -1 }),
        new("a baseline that is reached", 40, new() { Patience = 12, Baseline = 0.75, WarmUp = 2 }),
        new("thresholds, after a warm-up", 40, new() { StoppingThreshold = 0.5, DivergenceThreshold = 1.75, WarmUp = 1 }),
        new("NaN counts as no improvement", 40, new() { Patience = 3 }, NaNEvery: 3),
        new("NaN is ignored", 40, new() { Patience = 3, NaN = NaNPolicy.Ignore, SuccessiveStrips = 1, StripLength = 2 }, NaNEvery: 3),
        new("NaN stops, after the warm-up", 40, new() { Patience = 3, NaN = NaNPolicy.Stop, WarmUp = 5 }, NaNEvery: 4),
        new("Prechelt's GL", 60, new() { Patience = null, GeneralizationLoss = 20 }),
        new("Prechelt's PQ", 60, new() { Patience = null, ProgressQuotient = 0.25 }),
        new("Prechelt's UP", 60, new() { Patience = null, SuccessiveStrips = 2, StripLength = 3 }),
    ];

    public static TheoryData<string> Names => [.. All.Select(history => history.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void EveryVerdict_IsTheReferences(string name)
    {
        EarlyStoppingHistory history = All.Single(history => history.Name == name);

        // Training errors fall; metrics of held-out data fall less, and rise in the end. Both wander.
        double[] metrics = Elements.Uniform(DType.Float64, history.Length, Verifier.DefaultSeed, "metrics", 0, 0.5);
        double[] trainingErrors = Elements.Uniform(DType.Float64, history.Length, Verifier.DefaultSeed, "training errors", 0, 0.25);
        for (int i = 0; i < history.Length; i++)
        {
            metrics[i] = history.NaNEvery > 0 && i % history.NaNEvery == 0 ? double.NaN : metrics[i] + (4.0 / (4 + i)) + (i / 64.0);
            trainingErrors[i] += 4.0 / (4 + i);
        }

        AssertVerdicts(history.Options, metrics, trainingErrors);
    }

    /// <summary>Holds reason and best evaluation after each evaluation against the reference; returns the reasons.</summary>
    internal static EarlyStoppingReason[] AssertVerdicts(EarlyStoppingOptions options, double[] metrics, double[] trainingErrors)
    {
        double[] reasons = new double[metrics.Length], best = new double[metrics.Length];
        EarlyStoppingReference.Run(Rules(options), metrics, trainingErrors, reasons, best);
        EarlyStopping stopping = new(options);
        EarlyStoppingReason[] met = new EarlyStoppingReason[metrics.Length];
        for (int i = 0; i < metrics.Length; i++)
        {
            stopping.Update(metrics[i], trainingErrors[i]);
            met[i] = stopping.Reason;
            Assert.Equal((reasons[i], best[i]), ((double)stopping.Reason, stopping.BestEvaluation));
            Assert.Equal(best[i] < 0 ? double.NaN : metrics[(int)best[i]], stopping.BestMetric);
        }

        return met;
    }

    /// <summary>The options as the reference takes them.</summary>
    private static EarlyStoppingRules Rules(EarlyStoppingOptions options) => new()
    {
        Maximize = options.Mode == MetricMode.Maximize,
        Patience = options.Patience ?? 0,
        MinimumDelta = options.MinimumDelta,
        RelativeDelta = options.MinimumDeltaUnit == DeltaUnit.Relative,
        WarmUp = options.WarmUp,
        Baseline = options.Baseline ?? double.NaN,
        IgnoreNaN = options.NaN == NaNPolicy.Ignore,
        StopAtNaN = options.NaN == NaNPolicy.Stop,
        Divergence = options.DivergenceThreshold ?? double.NaN,
        Goal = options.StoppingThreshold ?? double.NaN,
        GeneralizationLoss = options.GeneralizationLoss ?? double.NaN,
        ProgressQuotient = options.ProgressQuotient ?? double.NaN,
        SuccessiveStrips = options.SuccessiveStrips ?? 0,
        StripLength = options.StripLength,
    };

    /// <summary>Evaluations under some options; every so many metrics, the first among them, are NaN (0 for none).</summary>
    private sealed record EarlyStoppingHistory(string Name, int Length, EarlyStoppingOptions Options, int NaNEvery = 0);
}
