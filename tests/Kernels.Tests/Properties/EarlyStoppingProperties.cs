using FsCheck;
using FsCheck.Fluent;
using Kernels.Reference;
using Kernels.Tests.Support;
using Kernels.Tests.Training;
using Xunit;

namespace Kernels.Tests.Properties;

/// <summary>What holds for early stopping whatever the options and the metrics, NaN and infinities included.</summary>
public sealed class EarlyStoppingProperties
{
    /// <summary>A case takes microseconds.</summary>
    private const int Count = 2000;

    /// <summary>Few values, so that ties, equal strips and thresholds that are met exactly are common.</summary>
    private static readonly Gen<double> Metrics = Gen.Frequency(
        (12, Gen.Choose(-4, 8).Select(quarters => quarters / 4.0)),
        (2, Gen.Elements(double.NaN)),
        (1, Gen.Elements(double.PositiveInfinity, double.NegativeInfinity, double.MaxValue, -double.MaxValue, double.Epsilon, -0.0)));

    private static readonly Gen<double?> Thresholds = Gen.OneOf(
        Gen.Constant((double?)null), Gen.Choose(-2, 8).Select(quarters => (double?)(quarters / 4.0)));

    private static readonly Gen<EarlyStoppingOptions> Options =
        from mode in Gen.Elements(Enum.GetValues<MetricMode>())
        from unit in Gen.Elements(Enum.GetValues<DeltaUnit>())
        from policy in Gen.Elements(Enum.GetValues<NaNPolicy>())
        from patience in Optional(Gen.Choose(1, 6))
        from delta in Gen.Elements(0, 0.25, 0.5)
        from warmUp in Gen.OneOf(Gen.Constant(0), Gen.Choose(0, 9))
        from thresholds in Thresholds.Three()
        from loss in Optional(Gen.Choose(0, 100).Select(percent => (double)percent))
        from quotient in Optional(Gen.Choose(0, 8).Select(quarters => quarters / 4.0))
        from strips in Optional(Gen.Choose(1, 3))
        from stripLength in Gen.Choose(2, 5)
        select new EarlyStoppingOptions
        {
            Mode = mode,
            MinimumDeltaUnit = unit,
            NaN = policy,
            Patience = patience,
            MinimumDelta = delta,
            WarmUp = warmUp,
            Baseline = patience is null ? null : thresholds.Item1,
            DivergenceThreshold = thresholds.Item2,
            StoppingThreshold = thresholds.Item3,
            GeneralizationLoss = loss,
            ProgressQuotient = quotient,
            SuccessiveStrips = strips,
            StripLength = stripLength,
        };

    private static readonly Gen<History> Histories =
        from options in Options
        from evaluations in Metrics.Zip(Metrics).ListOf()
        select new History(options, [.. evaluations.Select(evaluation => evaluation.Item1)],
            [.. evaluations.Select(evaluation => evaluation.Item2)]);

    /// <summary>And the random cases meet every reason, or they would prove little.</summary>
    [Fact]
    public void EveryVerdict_IsTheReferences()
    {
        HashSet<EarlyStoppingReason> met = [];
        RandomCases.Check(
            Count, Histories, Shorter,
            history => met.UnionWith(EarlyStoppingHistories.AssertVerdicts(history.Options, history.Metrics, history.TrainingErrors)));
        Assert.Equal(Enum.GetValues<EarlyStoppingReason>(), met.Order());
    }

    [Fact]
    public void StateSavedAndResumedAfterEachEvaluation_HasTheSameFuture() => RandomCases.Check(Count / 4, Histories, Shorter, history =>
    {
        EarlyStopping straight = new(history.Options), resumed = new(history.Options);
        for (int i = 0; i < history.Metrics.Length; i++)
        {
            straight.Update(history.Metrics[i], history.TrainingErrors[i]);
            resumed = new EarlyStopping(history.Options, EarlyStoppingState.FromJson(resumed.State.ToJson()));
            resumed.Update(history.Metrics[i], history.TrainingErrors[i]);
            Assert.Equal(straight.State, resumed.State);
        }
    });

    /// <summary>The numbers of the reasons in the reference are those of the enum.</summary>
    [Fact]
    public void Reasons_AreInTheReferencesOrder() =>
        Assert.Equal(EarlyStoppingReference.Reasons.Prepend("None"), Enum.GetNames<EarlyStoppingReason>());

    private static Gen<T?> Optional<T>(Gen<T> values)
        where T : struct => Gen.OneOf(Gen.Constant((T?)null), values.Select(value => (T?)value));

    private static IEnumerable<History> Shorter(History history) => RandomCases.Shorter(history.Metrics.Length)
        .Select(length => history with { Metrics = history.Metrics[..length], TrainingErrors = history.TrainingErrors[..length] });

    private sealed record History(EarlyStoppingOptions Options, double[] Metrics, double[] TrainingErrors)
    {
        public override string ToString() =>
            $"{Options}: metrics {string.Join(' ', Metrics)}, training errors {string.Join(' ', TrainingErrors)}";
    }
}
