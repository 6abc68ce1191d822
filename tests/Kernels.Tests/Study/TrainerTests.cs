using Kernels.Study;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class TrainerTests(TestDevices devices)
{
    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    public static TheoryData<string> RecipeNames => [.. Recipes.All.Select(recipe => recipe.Name)];

    [Theory]
    [MemberData(nameof(RecipeNames))]
    public void ARunRepeatsBitByBit(string name)
    {
        // Two trainers, and another run in between: nothing may leak from run to run.
        RunResult first = Train(name, seed: 5);
        RunResult second = Train(name, seed: 5, warmUp: true);

        Assert.Equal(first.Curve, second.Curve);
        Assert.Equal(first.Final, second.Final);
        Assert.Equal((first.Epochs, first.BestEpoch), (second.Epochs, second.BestEpoch));
    }

    /// <summary>Every layer of a convolutional network, augmentation, decay and averages.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void EveryDeviceTrainsAlike(string deviceId)
    {
        Recipe recipe = Recipes.Find("cnn+everything") with
        {
            Network = new CnnPlan { IsResidual = true, HasBatchNorm = true, Method = Method.DropBlock(0.2, size: 2, first: 1, last: 3) },
        };
        using Device cpu = Device.Open("cpu");
        CurvePoint expected = TrainTiny(cpu).Final, measured = TrainTiny(devices.Open(deviceId)).Final;

        Assert.Equal(expected.Train.Loss, measured.Train.Loss, tolerance: 1e-3);
        Assert.Equal(expected.Test.Loss, measured.Test.Loss, tolerance: 1e-3);

        RunResult TrainTiny(Device device)
        {
            using Trainer trainer = new(device, StudyFixtures.TinyData(), StudyFixtures.SmallSettings with { Epochs = 1 });
            return trainer.Run(recipe, 1, new NoProgress(), TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public void AveragesOfTheWeightsAreEvaluated()
    {
        Recipe recipe = Recipes.Find("cnn+batch-norm");
        RunResult without = Train(recipe), newest = Train(recipe with { AverageDecay = 0 });

        // The average of nothing but the newest weights is the weights, and training does not see it.
        Assert.Equal(without.Curve, newest.Curve);
        Assert.NotEqual(without.Curve[0].Test, Train(recipe with { AverageDecay = 0.9 }).Curve[0].Test);

        static RunResult Train(Recipe recipe) => Run(recipe, 1, StudyFixtures.SmallSettings with { Epochs = 2 }, default);
    }

    [Fact]
    public void RunsSideBySideGiveTheSameResults()
    {
        (Recipe, int)[] runs = [(Recipes.Find("cnn"), 1), (Recipes.Find("dropout"), 1), (Recipes.Find("dropout"), 2)];

        Assert.Equal(Train(1), Train(3));

        IEnumerable<(string, int, CurvePoint)> Train(int sideBySide)
        {
            using Device device = Device.Open("cpu");
            return
            [
                .. StudyRuns.Train(
                    device, StudyFixtures.SmallData(), StudyFixtures.SmallSettings with { Epochs = 2 }, runs, sideBySide, new NoProgress(),
                    TestContext.Current.CancellationToken).Select(run => (run.Recipe.Name, run.Seed, run.Final)),
            ];
        }
    }

    [Fact]
    public void AnotherSeedIsAnotherRun() => Assert.NotEqual(Train("baseline", seed: 5).Curve, Train("baseline", seed: 6).Curve);

    [Theory]
    [InlineData("baseline")]
    [InlineData("narrow")]
    [InlineData("residual")]
    [InlineData("adam")]
    public void LearnsTheTrainingImages(string name)
    {
        RunResult run = Train(name, seed: 1, LongSettings);

        Assert.Equal(1.0, run.Final.Train.Accuracy);
        Assert.True(run.Final.Train.Loss < run.Curve[0].Train.Loss);
        Assert.Equal(60, run.BestEpoch);
    }

    [Theory]
    [InlineData("dropout")]
    [InlineData("gaussian-dropout")]
    [InlineData("adaptive-dropout")]
    [InlineData("drop-connect")]
    [InlineData("stochastic-depth")]
    public void NoiseActsInTraining(string name)
    {
        RunResult reference = Train(Recipes.Find(name).Reference, seed: 1), noisy = Train(name, seed: 1);

        // Same weights, same batches: the first epoch differs by the method alone.
        Assert.NotEqual(reference.Curve[0], noisy.Curve[0]);
        Assert.All(noisy.Curve, point => Assert.True(double.IsFinite(point.Train.Loss)));
    }

    [Theory]
    [InlineData("l1")]
    [InlineData("elastic-net")]
    public void ProximalL1GivesExactZeros(string name)
    {
        // Only the last weights count, so the share is that of the network that was measured.
        double share = Train(name, seed: 1, LongSettings).ZeroWeights;

        Assert.InRange(share, 0.005, 0.9);
        Assert.Equal(0, Train(Recipes.Find(name).Reference, seed: 1, LongSettings).ZeroWeights);
    }

    [Theory]
    [InlineData("label-smoothing")]
    [InlineData("confidence-penalty")]
    public void AnswersBecomeLessCertain(string name)
    {
        RunResult reference = Train("baseline", seed: 1, LongSettings), run = Train(name, seed: 1, LongSettings);

        // The same right answers, at a higher plain loss: the training images no longer get all the probability.
        Assert.Equal(1.0, run.Final.Train.Accuracy);
        Assert.True(run.Final.Train.Loss > 2 * reference.Final.Train.Loss, $"{run.Final.Train.Loss} after {reference.Final.Train.Loss}");
    }

    [Fact]
    public void AdamTakesADifferentWay()
    {
        CurvePoint[] first = [.. ((string[])["baseline", "adam", "adamw"]).Select(name => Train(name, seed: 1).Curve[0])];

        Assert.Distinct(first);
    }

    [Fact]
    public void PointsAreDenseFirstAndIncludeTheEnd() =>
        Assert.Equal([1, 2, 3, 6, 8], Train("baseline", seed: 1).Curve.Select(point => point.Epoch));

    [Fact]
    public void EarlyStoppingKeepsTheBestWindow()
    {
        StoppingRule.Run rule = new(new StoppingRule(StoppingMetric.Loss, Window: 2, Patience: 2));
        double[] losses = [0.1, 0.9, 0.5, 0.4, 0.6, 0.7, 0.0];
        List<bool> stops = [], bests = [];
        foreach (double loss in losses[..6])
        {
            stops.Add(rule.Update(new Score(0, loss)));
            bests.Add(rule.IsBest);
        }

        // Means from epoch 2 on: 0.5, 0.7, 0.45, 0.5, 0.65.
        Assert.Equal([false, true, false, true, false, false], bests);
        Assert.Equal([false, false, false, false, false, true], stops);
        Assert.Equal(4, rule.BestEpoch);
    }

    [Fact]
    public void EarlyStoppingWithoutAFullWindowKeepsTheLastWeights()
    {
        RunResult run = Train("all", seed: 1, StudyFixtures.SmallSettings with { Epochs = 2 });

        Assert.Equal((2, 2), (run.Epochs, run.BestEpoch));
    }

    [Fact]
    public void StopsWhenAsked()
    {
        using CancellationTokenSource source = new();
        source.Cancel();

        Assert.Throws<OperationCanceledException>(() => Run("baseline", seed: 1, StudyFixtures.SmallSettings, warmUp: false, source.Token));
    }

    private static StudySettings LongSettings =>
        StudyFixtures.SmallSettings with { Epochs = 60, LearningRate = 0.05, AdamLearningRate = 0.01 };

    private static RunResult Train(string name, int seed, StudySettings? settings = null, bool warmUp = false) =>
        Run(name, seed, settings ?? StudyFixtures.SmallSettings, warmUp, TestContext.Current.CancellationToken);

    private static RunResult Run(string name, int seed, StudySettings settings, bool warmUp, CancellationToken cancellation) =>
        Run(Recipes.Find(name), seed, settings, cancellation, warmUp);

    internal static RunResult Run(Recipe recipe, int seed, StudySettings settings, CancellationToken cancellation, bool warmUp = false)
    {
        using Device device = Device.Open("cpu");
        using Trainer trainer = new(device, StudyFixtures.SmallData(), settings);
        NoProgress progress = new();
        if (warmUp) trainer.Run(Recipes.Find("all"), seed + 1, progress, cancellation);
        return trainer.Run(recipe, seed, progress, cancellation);
    }

    internal sealed class NoProgress : IStudyProgress
    {
        public void OnEpoch(EpochReport report)
        {
        }

        public void OnRunEnd(RunResult result)
        {
        }
    }
}
