using Kernels.Study;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class FinishedRunsTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"kernels-runs-{Guid.NewGuid():N}");

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void AStudyGoesOnWhereItEnded()
    {
        (Recipe, int)[] runs = [(Recipes.Find("l2"), 1), (Recipes.Find("cnn+dropout"), 1)];
        IReadOnlyList<RunResult> first = Train(runs[..1]), all = Train(runs);
        File.AppendAllText(_path, "{ \"Recipe\": \"cut o");

        // Seconds tell a run that was trained again.
        Assert.Equal(first[0].Seconds, all[0].Seconds);
        Assert.Equal(all.Select(run => run.Seconds), Train(runs).Select(run => run.Seconds));
        Assert.Equal(all[1].Curve, Train(runs)[1].Curve);
        Assert.Equal(2, File.ReadAllLines(_path).Count(line => line.EndsWith('}')));
    }

    [Fact]
    public void OtherConditionsAreOtherRuns()
    {
        StudyResult study = StudyFixtures.Result(1, "l2");
        new FinishedRuns(_path, "here").Add(study.Runs[0] with { ZeroWeights = double.NaN });
        Recipe recipe = Recipes.Find("l2");

        Assert.NotNull(new FinishedRuns(_path, "here").Find(recipe, 1));
        Assert.Null(new FinishedRuns(_path, "here").Find(recipe, 2));
        Assert.Null(new FinishedRuns(_path, "here").Find(recipe with { Setting = "rate 1" }, 1));
        Assert.Null(new FinishedRuns(_path, "there").Find(recipe, 1));
    }

    [Fact]
    public void OtherFilesAreRefused()
    {
        File.WriteAllText(_path, "{ }}\n");

        Assert.Equal(_path, Assert.Throws<DatasetException>(() => new FinishedRuns(_path, "")).File);
    }

    private IReadOnlyList<RunResult> Train((Recipe, int)[] runs)
    {
        using Device device = Device.Open("cpu");
        return StudyRuns.Train(
            device, StudyFixtures.SmallData(), StudyFixtures.SmallSettings with { Epochs = 1 }, runs, sideBySide: 1,
            new TrainerTests.NoProgress(), TestContext.Current.CancellationToken, new FinishedRuns(_path, "here"));
    }
}
