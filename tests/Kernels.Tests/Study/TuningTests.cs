using Kernels.Study;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class TuningTests
{
    private static readonly Recipe[] Tuned = [.. Recipes.All.Where(recipe => recipe.Grid is not null)];

    /// <summary>The same effort for each recipe, and what was chosen is among what was tried.</summary>
    [Fact]
    public void EveryGridHasSixteenSettings()
    {
        // Recipes with learned images have the settings of what they are compared with: nothing but the images differs.
        Assert.All(
            Recipes.All.Where(recipe => recipe is { Network: CnnPlan, Generated: null, Merging: null }),
            recipe => Assert.Contains(recipe, Tuned));
        Assert.All(Tuned, recipe =>
        {
            IReadOnlyList<Recipe> settings = recipe.Grid!.Settings;
            Assert.Equal(16, settings.Count);
            Assert.Distinct(settings.Select(setting => setting.Setting));
            Assert.Contains(recipe.Setting, settings.Select(setting => setting.Setting));
            Assert.All(settings, setting => Assert.Equal((recipe.Name, recipe.Reference), (setting.Name, setting.Reference)));
        });
    }

    [Fact]
    public void SettingsChangeWhatTheySay()
    {
        IReadOnlyList<Recipe> settings = Recipes.Find("cnn").Grid!.Settings;
        Recipe setting = settings.Single(recipe => recipe.Setting == "rate 0.02, batch 32");

        Assert.Equal(32, setting.BatchSize);
        Assert.Equal(0.02, setting.Optimizer(new StudySettings()).LearningRate);
    }

    [Fact]
    public void TheHighestAccuracyWinsAndThenTheLowestLoss()
    {
        TuningScore[] scores =
            [Score("a", 0.8, 0.5), Score("b", 0.9, 0.7), Score("c", 0.9, 0.6), Score("d", 0.9, double.NaN), Score("e", 0.1, double.NaN)];

        Assert.Equal("c", Tuning.Best(scores).Recipe.Setting);
    }

    [Fact]
    public void SeedsAreNoneOfTheStudys()
    {
        IReadOnlyList<(Recipe Recipe, int Seed)> runs = Tuning.Runs(Tuned, seeds: 2);

        Assert.Equal(Tuned.Length * 16 * 2, runs.Count);
        Assert.All(runs, run => Assert.InRange(run.Seed, 101, 102));
    }

    [Fact]
    public void AStudyTakesWhatATuningChose()
    {
        Recipe recipe = Recipes.Find("cnn+dropout");
        TuningScore[] scores = [.. recipe.Grid!.Settings.Select((setting, i) =>
            new TuningScore(setting, new Spread(i == 3 ? 0.9 : 0.8, 0.01), i == 2 ? double.NaN : 0.5, 1, 2, 3))];
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, StudyJson.Write(scores, "cpu"));
            IReadOnlyList<Recipe> recipes = StudyJson.Tuned([Recipes.Find("baseline"), recipe], file);

            Assert.Equal(["", recipe.Grid.Settings[3].Setting], recipes.Select(tuned => tuned.Setting));

            File.WriteAllText(file, "[{}");
            Assert.Throws<DatasetException>(() => StudyJson.Tuned([recipe], file));
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static TuningScore Score(string setting, double accuracy, double loss) =>
        new(new Recipe("x", "") { Setting = setting }, new Spread(accuracy, null), loss, 1, 1, 1);
}
