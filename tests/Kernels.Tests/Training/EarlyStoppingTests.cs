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
        Assert.Equal((1, 0.5, 2, 4), (stopping.BestEvaluation, stopping.BestMetric, stopping.EvaluationsWithoutImprovement, stopping.Evaluations));
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

    [Theory]
    [InlineData(0, 0)]
    [InlineData(-1, 0)]
    [InlineData(1, -0.1)]
    [InlineData(1, double.NaN)]
    [InlineData(1, double.PositiveInfinity)]
    public void BadOptions_AreRefused(int patience, double minimumDelta) => Assert.Throws<ArgumentOutOfRangeException>(
        () => new EarlyStopping(new EarlyStoppingOptions { Patience = patience, MinimumDelta = minimumDelta }));

    [Fact]
    public void NoOptions_AreRefused() => Assert.Throws<ArgumentNullException>(() => new EarlyStopping(null!));
}
