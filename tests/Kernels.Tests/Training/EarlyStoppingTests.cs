using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit;

namespace Kernels.Tests.Training;

/// <summary>When training stops and which evaluation counts as the best.</summary>
public sealed class EarlyStoppingTests
{
    [Fact]
    public void NothingEvaluated_IsNeitherBestNorOver()
    {
        EarlyStopping stopping = new(new EarlyStoppingOptions());
        Assert.Equal((0, -1, false, false), (stopping.Evaluations, stopping.BestEvaluation, stopping.IsBest, stopping.ShouldStop));
        Assert.Equal(double.NaN, stopping.BestMetric);
    }

    [Fact]
    public void Minimum_StopsAfterThePatienceIsUsedUp()
    {
        EarlyStopping stopping = new(new EarlyStoppingOptions { Patience = 2 });
        Assert.False(stopping.Update(1.0));
        Assert.True(stopping.IsBest);
        Assert.False(stopping.Update(0.5));
        Assert.True(stopping.IsBest);
        Assert.False(stopping.Update(0.6));
        Assert.False(stopping.IsBest);
        Assert.True(stopping.Update(0.5));
        Assert.Equal((1, 0.5, 2, 4),
            (stopping.BestEvaluation, stopping.BestMetric, stopping.EvaluationsWithoutImprovement, stopping.Evaluations));
        Assert.True(stopping.ShouldStop);
    }

    [Fact]
    public void Maximum_CountsHigherAsBetter()
    {
        EarlyStopping stopping = new(new EarlyStoppingOptions { Mode = MetricMode.Maximize, Patience = 1 });
        Assert.False(stopping.Update(0.8));
        Assert.False(stopping.Update(0.9));
        Assert.True(stopping.Update(0.85));
        Assert.Equal((1, 0.9), (stopping.BestEvaluation, stopping.BestMetric));
    }

    [Fact]
    public void ImprovementWithinTheMinimumDelta_DoesNotCount()
    {
        EarlyStopping stopping = new(new EarlyStoppingOptions { MinimumDelta = 0.25, Patience = 3 });
        stopping.Update(2);
        stopping.Update(1.75);
        Assert.Equal(0, stopping.BestEvaluation);
        stopping.Update(1.5);
        Assert.Equal((2, 1.5), (stopping.BestEvaluation, stopping.BestMetric));
    }

    /// <summary>Small steps add up against the best, not against the last evaluation.</summary>
    [Fact]
    public void SlowImprovement_IsHeldAgainstTheBest()
    {
        EarlyStopping stopping = new(new EarlyStoppingOptions { MinimumDelta = 0.25, Patience = 3 });
        foreach (double metric in (double[])[1, 0.875, 0.75]) Assert.False(stopping.Update(metric));
        Assert.False(stopping.Update(0.625));
        Assert.Equal(3, stopping.BestEvaluation);
    }

    [Theory]
    [InlineData(MetricMode.Minimize)]
    [InlineData(MetricMode.Maximize)]
    public void NaN_NeverImprovesButUsesPatience(MetricMode mode)
    {
        EarlyStopping stopping = new(new EarlyStoppingOptions { Mode = mode, Patience = 2 });
        Assert.False(stopping.Update(double.NaN));
        Assert.Equal(-1, stopping.BestEvaluation);
        Assert.False(stopping.Update(1));
        Assert.Equal(1, stopping.BestEvaluation);
        Assert.False(stopping.Update(double.NaN));
        Assert.True(stopping.Update(double.NaN));
        Assert.Equal((1, 1.0), (stopping.BestEvaluation, stopping.BestMetric));
    }

    [Fact]
    public void NothingButNaN_Stops()
    {
        EarlyStopping stopping = new(new EarlyStoppingOptions { Patience = 3 });
        Assert.False(stopping.Update(double.NaN));
        Assert.False(stopping.Update(double.PositiveInfinity));
        Assert.True(stopping.Update(double.NaN));
        Assert.Equal(-1, stopping.BestEvaluation);
    }

    [Fact]
    public void ImprovementAfterThePatience_StartsItAnew()
    {
        EarlyStopping stopping = new(new EarlyStoppingOptions { Patience = 1 });
        stopping.Update(1);
        Assert.True(stopping.Update(2));
        Assert.False(stopping.Update(0.5));
        Assert.Equal((2, true), (stopping.BestEvaluation, stopping.IsBest));
    }

    /// <summary>Patience n stops at the n-th evaluation in a row without improvement, also at n = 1, and nowhere before.</summary>
    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 3)]
    [InlineData(5, 6)]
    public void Patience_IsExact(int patience, int stop) =>
        Assert.Equal((stop, EarlyStoppingReason.PatienceExhausted),
            FirstStop(new EarlyStoppingOptions { Patience = patience }, Enumerable.Repeat(1.0, 9)));

    [Fact]
    public void NoPatience_NeverStops() =>
        Assert.Null(FirstStop(new EarlyStoppingOptions { Patience = null }, Enumerable.Repeat(1.0, 1000)));

    /// <summary>Patience starts after the warm-up, in which the best may lie.</summary>
    [Fact]
    public void WarmUp_DelaysEveryStop()
    {
        EarlyStoppingOptions options = new()
        {
            Patience = 2,
            WarmUp = 3,
            NaN = NaNPolicy.Stop,
            DivergenceThreshold = 5,
            StoppingThreshold = 0.5,
        };
        EarlyStopping stopping = new(options);
        foreach (double metric in (double[])[0.25, 9, double.NaN, 1]) Assert.False(stopping.Update(metric));
        Assert.True(stopping.Update(1));
        Assert.Equal((EarlyStoppingReason.PatienceExhausted, 0), (stopping.Reason, stopping.BestEvaluation));
    }

    [Fact]
    public void RelativeDelta_IsOfTheBest()
    {
        EarlyStopping stopping = new(new EarlyStoppingOptions { MinimumDelta = 0.25, MinimumDeltaUnit = DeltaUnit.Relative });
        foreach (double metric in (double[])[-8, -10, -10.5]) stopping.Update(metric);
        Assert.Equal((2, -10.5), (stopping.BestEvaluation, stopping.BestMetric));
    }

    [Fact]
    public void Baseline_MustBeReachedWithinThePatience()
    {
        EarlyStoppingOptions options = new() { Patience = 3, Baseline = 1 };
        Assert.Equal((3, EarlyStoppingReason.BaselineNotReached), FirstStop(options, [3, 2, 1.5, 1.25]));
        Assert.Null(FirstStop(options, [3, 2, 1, 3, 3]));
        Assert.Equal((6, EarlyStoppingReason.PatienceExhausted), FirstStop(options, [3, 2, 1, 3, 3, 3]));
        Assert.Equal((5, EarlyStoppingReason.BaselineNotReached), FirstStop(options with { WarmUp = 2 }, [3, 2, 1.5, 1.25, 1.125, 1]));
    }

    [Fact]
    public void Thresholds_Stop()
    {
        EarlyStoppingOptions loss = new() { DivergenceThreshold = 10, StoppingThreshold = 0.5 };
        Assert.Equal((2, EarlyStoppingReason.GoalReached), FirstStop(loss, [10, 0.5]));
        Assert.Equal((2, EarlyStoppingReason.Diverged), FirstStop(loss, [10, 10.25]));
        Assert.Equal((1, EarlyStoppingReason.Diverged), FirstStop(loss, [double.PositiveInfinity]));
        Assert.Null(FirstStop(loss, [double.NegativeInfinity]));
        EarlyStoppingOptions accuracy = new() { Mode = MetricMode.Maximize, DivergenceThreshold = 0.25, StoppingThreshold = 1 };
        Assert.Equal((2, EarlyStoppingReason.Diverged), FirstStop(accuracy, [0.25, 0.125]));
        Assert.Equal((2, EarlyStoppingReason.GoalReached), FirstStop(accuracy, [0.5, 1]));
    }

    [Fact]
    public void NaN_IsIgnoredOrStops()
    {
        double[] metrics = [double.NaN, 1, double.NaN, double.NaN, 2, 2];
        Assert.Equal((1, EarlyStoppingReason.NotANumber), FirstStop(new EarlyStoppingOptions { NaN = NaNPolicy.Stop }, metrics));
        Assert.Equal((6, EarlyStoppingReason.PatienceExhausted),
            FirstStop(new EarlyStoppingOptions { NaN = NaNPolicy.Ignore, Patience = 2 }, metrics));
        EarlyStopping stopping = new(new EarlyStoppingOptions { NaN = NaNPolicy.Ignore });
        foreach (double metric in metrics) stopping.Update(metric);
        Assert.Equal((1, 6), (stopping.BestEvaluation, stopping.Evaluations));
    }

    /// <summary>A metric of 0 is a metric, and the best loss there is; any loss after it is infinitely worse.</summary>
    [Fact]
    public void Zero_IsAMetric()
    {
        EarlyStopping stopping = new(new EarlyStoppingOptions { GeneralizationLoss = 1000 });
        Assert.False(stopping.Update(0));
        Assert.Equal((0, 0.0), (stopping.BestEvaluation, stopping.BestMetric));
        Assert.False(stopping.Update(0));
        Assert.True(stopping.Update(1e-300));
        Assert.Equal(EarlyStoppingReason.GeneralizationLoss, stopping.Reason);
    }

    /// <summary>GL = 100 (1.25 / 1 - 1) = 25, which exceeds 24 and not 25.</summary>
    [Fact]
    public void GeneralizationLoss_IsPrecheltsGL()
    {
        double[] errors = [2, 1, 1.125, 1.25];
        EarlyStoppingOptions options = new() { Patience = null };
        Assert.Equal((4, EarlyStoppingReason.GeneralizationLoss), FirstStop(options with { GeneralizationLoss = 24 }, errors));
        Assert.Null(FirstStop(options with { GeneralizationLoss = 25 }, errors));
        Assert.Null(FirstStop(options with { GeneralizationLoss = 25, MinimumDelta = 10 }, errors));
    }

    /// <summary>
    /// At evaluation 4: GL = 25, and P = 1000 (2.5 / (2 * 1) - 1) = 250 over the strip's training errors 1.5 and 1, so the quotient is 0.1.
    /// </summary>
    [Fact]
    public void ProgressQuotient_IsPrecheltsPQ()
    {
        double[] errors = [2, 1, 1.5, 1.25], training = [3, 2, 1.5, 1];
        EarlyStoppingOptions options = new() { Patience = null, StripLength = 2 };
        Assert.Equal((4, EarlyStoppingReason.ProgressQuotient), FirstStop(options with { ProgressQuotient = 0.09375 }, errors, training));
        Assert.Null(FirstStop(options with { ProgressQuotient = 0.125 }, errors, training));
        Assert.Null(FirstStop(options with { ProgressQuotient = 0 }, errors));

        // Training that stands still: any loss is too much, and none is none.
        Assert.Equal((4, EarlyStoppingReason.ProgressQuotient), FirstStop(options with { ProgressQuotient = 1e9 }, errors, [1, 1, 1, 1]));
        Assert.Null(FirstStop(options with { ProgressQuotient = 1e9 }, [1, 1, 1, 1], [1, 1, 1, 1]));
    }

    /// <summary>Strips end with 1, 2, 1, 2, 3: two in a row are worse than the one before at the fifth end only.</summary>
    [Fact]
    public void SuccessiveStrips_IsPrecheltsUP()
    {
        double[] errors = [9, 1, 9, 2, 9, 1, 9, 2, 9, 3];
        EarlyStoppingOptions options = new() { Patience = null, StripLength = 2 };
        Assert.Equal((4, EarlyStoppingReason.SuccessiveStrips), FirstStop(options with { SuccessiveStrips = 1 }, errors));
        Assert.Equal((10, EarlyStoppingReason.SuccessiveStrips), FirstStop(options with { SuccessiveStrips = 2 }, errors));
        Assert.Null(FirstStop(options with { SuccessiveStrips = 3 }, errors));
    }

    [Fact]
    public void State_IsJsonWithNamedNumbers()
    {
        EarlyStoppingState state = new();
        Assert.Equal(state, EarlyStoppingState.FromJson(state.ToJson()));
        Assert.Contains("\"bestMetric\":\"NaN\"", state.ToJson(), StringComparison.Ordinal);
        Assert.Contains("\"reason\":\"None\"", state.ToJson(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("null")]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"epoch": 3}""")]
    [InlineData("""{"evaluations": "three"}""")]
    public void OtherJson_IsRefused(string json) => Assert.Throws<JsonException>(() => EarlyStoppingState.FromJson(json));

    /// <summary>
    /// A value that was lost is no 0: training would stop early, or never improve. Nor does the last of two values count.
    /// </summary>
    [Fact]
    public void StateWithOneValueMissingOrTwice_IsRefused()
    {
        JsonObject whole = JsonNode.Parse(new EarlyStoppingState().ToJson())!.AsObject();
        Assert.Equal(typeof(EarlyStoppingState).GetProperties().Length, whole.Count);
        foreach (string name in whole.Select(member => member.Key))
        {
            JsonObject part = whole.DeepClone().AsObject();
            part.Remove(name);
            Assert.Contains(name, Assert.Throws<JsonException>(() => EarlyStoppingState.FromJson(part.ToJsonString())).Message,
                StringComparison.Ordinal);
            string twice = $"{{\"{name}\": {whole[name]!.ToJsonString()}, {whole.ToJsonString()[1..]}";
            Assert.Throws<JsonException>(() => EarlyStoppingState.FromJson(twice));
        }
    }

    public static TheoryData<string, EarlyStoppingState> ImpossibleStates => new()
    {
        { "more evaluations that counted than evaluations", new() { Evaluations = 3, CountedEvaluations = 4 } },
        { "a best evaluation without a metric", new() { Evaluations = 3, CountedEvaluations = 3, BestEvaluation = 1, Optimum = 1 } },
        { "a best evaluation without an optimum", new() { Evaluations = 3, CountedEvaluations = 3, BestEvaluation = 1, BestMetric = 1 } },
        { "a best evaluation to come", new() { Evaluations = 3, CountedEvaluations = 3, BestEvaluation = 3, BestMetric = 1, Optimum = 1 } },
        { "a metric before the first evaluation", new() { BestMetric = 0, Optimum = 0 } },
        { "more strips than evaluations", new() { Evaluations = 3, CountedEvaluations = 3, WorseStrips = 4 } },
        { "evaluations below 0", new() { Evaluations = -1, CountedEvaluations = -1 } },
        { "no such reason", new() { Reason = (EarlyStoppingReason)99 } },
    };

    [Theory]
    [MemberData(nameof(ImpossibleStates))]
    public void StateOfNoRun_IsRefused(string what, EarlyStoppingState state)
    {
        Exception? refusal = Record.Exception(() => new EarlyStopping(new(), state));
        Assert.True(refusal is ArgumentException { ParamName: "state" }, $"{what}: {refusal}");
    }

    /// <summary>Counts do not wrap around.</summary>
    [Theory]
    [InlineData(NaNPolicy.NoImprovement)]
    [InlineData(NaNPolicy.Ignore)]
    public void EvaluationBeyondTheRangeOfCounts_IsRefused(NaNPolicy policy)
    {
        EarlyStoppingState last = new()
        {
            Evaluations = int.MaxValue,
            CountedEvaluations = int.MaxValue,
            EvaluationsWithoutImprovement = int.MaxValue,
        };
        EarlyStopping stopping = new(new() { Patience = null, NaN = policy }, last);
        Assert.Throws<OverflowException>(() => stopping.Update(double.NaN));
        Assert.Equal(last, stopping.State);
    }

    public static TheoryData<string, EarlyStoppingOptions> BadOptions => new()
    {
        { nameof(EarlyStoppingOptions.Mode), new() { Mode = (MetricMode)2 } },
        { nameof(EarlyStoppingOptions.Patience), new() { Patience = 0 } },
        { nameof(EarlyStoppingOptions.MinimumDelta), new() { MinimumDelta = double.NaN } },
        { nameof(EarlyStoppingOptions.MinimumDeltaUnit), new() { MinimumDeltaUnit = (DeltaUnit)2 } },
        { nameof(EarlyStoppingOptions.WarmUp), new() { WarmUp = -1 } },
        { nameof(EarlyStoppingOptions.Baseline), new() { Baseline = double.NaN } },
        { nameof(EarlyStoppingOptions.NaN), new() { NaN = (NaNPolicy)3 } },
        { nameof(EarlyStoppingOptions.DivergenceThreshold), new() { DivergenceThreshold = double.NegativeInfinity } },
        { nameof(EarlyStoppingOptions.StoppingThreshold), new() { StoppingThreshold = double.PositiveInfinity } },
        { nameof(EarlyStoppingOptions.GeneralizationLoss), new() { GeneralizationLoss = -1 } },
        { nameof(EarlyStoppingOptions.ProgressQuotient), new() { ProgressQuotient = double.NaN } },
        { nameof(EarlyStoppingOptions.SuccessiveStrips), new() { SuccessiveStrips = 0 } },
        { nameof(EarlyStoppingOptions.StripLength), new() { StripLength = 0 } },
        { nameof(EarlyStoppingOptions.StripLength), new() { ProgressQuotient = 1, StripLength = 1 } },
    };

    [Theory]
    [MemberData(nameof(BadOptions))]
    public void OptionOutOfItsRange_IsRefused(string name, EarlyStoppingOptions options) =>
        Assert.Throws<ArgumentOutOfRangeException>(name, () => new EarlyStopping(options));

    [Fact]
    public void BaselineWithoutPatience_IsRefused() =>
        Assert.Throws<ArgumentException>(nameof(EarlyStoppingOptions.Baseline), () => new EarlyStopping(new()
        {
            Patience = null,
            Baseline = 1,
        }));

    [Fact]
    public void NoOptions_AreRefused() => Assert.Throws<ArgumentNullException>(() => new EarlyStopping(null!));

    /// <summary>The number of evaluations at the first stop and its reason, or null.</summary>
    private static (int Evaluations, EarlyStoppingReason Reason)? FirstStop(
        EarlyStoppingOptions options, IEnumerable<double> metrics, double[]? trainingErrors = null)
    {
        EarlyStopping stopping = new(options);
        foreach (double metric in metrics)
        {
            if (stopping.Update(metric, trainingErrors?[stopping.Evaluations] ?? double.NaN))
                return (stopping.Evaluations, stopping.Reason);
        }

        return null;
    }
}
