namespace Kernels.Study;

/// <summary>How well a setting of a recipe does on images that no run uses.</summary>
internal sealed record TuningScore(Recipe Recipe, Spread Accuracy, double Loss, double TrainAccuracy, int Seeds, double Seconds);

/// <summary>Trains every setting of the recipes' grids, alike for all.</summary>
internal static class Tuning
{
    /// <summary>No study of less than a hundred seeds meets these.</summary>
    private const int FirstSeed = 101;

    /// <summary>Only what a run ends with counts.</summary>
    public static StudySettings SettingsOf(StudySettings settings) => settings with { DensePoints = 0, EpochsPerPoint = int.MaxValue };

    /// <summary>One seed after the other: a tuning that is stopped has tried as much of each recipe as it could.</summary>
    public static IReadOnlyList<(Recipe Recipe, int Seed)> Runs(IEnumerable<Recipe> recipes, int seeds) =>
    [
        .. from seed in Enumerable.Range(FirstSeed, seeds)
           from recipe in recipes
           from setting in recipe.Grid?.Settings ?? []
           select (setting, seed),
    ];

    /// <summary>The settings in the order of the grids; the data's test images are those that recipes are tuned by.</summary>
    public static IReadOnlyList<TuningScore> Scores(IEnumerable<RunResult> runs) =>
    [
        .. from run in runs
           group run by (run.Recipe.Name, run.Recipe.Setting) into setting
           select new TuningScore(
               setting.First().Recipe,
               Spread.Of([.. setting.Select(run => run.Final.Test.Accuracy)]),
               setting.Average(run => run.Final.Test.Loss),
               setting.Average(run => run.Final.Train.Accuracy),
               setting.Count(),
               setting.Average(run => run.Seconds)),
    ];

    /// <summary>By the rule that <see cref="TuningGrid"/> states.</summary>
    public static TuningScore Best(IEnumerable<TuningScore> scoresOfRecipe) =>
        scoresOfRecipe.OrderByDescending(score => score.Accuracy.Mean)
            .ThenBy(score => double.IsNaN(score.Loss) ? double.PositiveInfinity : score.Loss).First();
}
