namespace Kernels.Study;

/// <summary>Mean and sample standard deviation; the deviation is null for a single value.</summary>
internal readonly record struct Spread(double Mean, double? Deviation)
{
    public static Spread Of(IReadOnlyList<double> values)
    {
        double mean = values.Average();
        return values.Count < 2
            ? new Spread(mean, null)
            : new Spread(mean, Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1)));
    }

    /// <summary>As percent or percentage points with one decimal, the deviation after ± where there is one.</summary>
    public string Percent(bool signed = false)
    {
        string mean = signed ? $"{100 * Mean:+0.0;−0.0;0.0}" : $"{100 * Mean:0.0;−0.0;0.0}";
        return Deviation is { } deviation ? $"{mean} ± {100 * deviation:0.0}" : mean;
    }
}

/// <summary>
/// All runs of one recipe, over seeds. Differences are to the recipe's reference, and to the other recipe it names, taken seed by seed: the
/// seeds share weights and batches. They are null where that was not run, and for the unregularized networks themselves.
/// </summary>
internal sealed record RecipeSummary(
    Recipe Recipe,
    IReadOnlyList<RunResult> Runs,
    Spread Train,
    Spread Test,
    Spread Gap,
    Spread TestLoss,
    Spread? TestGain,
    Spread? OtherTestGain,
    Spread? GapChange,
    double ZeroWeights,
    double Seconds)
{
    public bool IsBaseline => Recipe.Name == Recipes.Baseline;

    public static IReadOnlyList<RecipeSummary> Of(IReadOnlyList<RunResult> runs)
    {
        Dictionary<(string Recipe, int Seed), RunResult> references = runs.ToDictionary(run => (run.Recipe.Name, run.Seed));
        return [.. runs.GroupBy(run => run.Recipe.Name).Select(group => Of([.. group], references))];
    }

    private static RecipeSummary Of(IReadOnlyList<RunResult> runs, Dictionary<(string Recipe, int Seed), RunResult> references)
    {
        Recipe recipe = runs[0].Recipe;
        return new RecipeSummary(
            recipe,
            runs,
            Spread.Of([.. runs.Select(run => run.Final.Train.Accuracy)]),
            Spread.Of([.. runs.Select(run => run.Final.Test.Accuracy)]),
            Spread.Of([.. runs.Select(run => run.Gap)]),
            Spread.Of([.. runs.Select(run => run.Final.Test.Loss)]),
            Difference(recipe.IsReference ? null : recipe.Reference, run => run.Final.Test.Accuracy),
            Difference(recipe.AlsoComparedWith, run => run.Final.Test.Accuracy),
            Difference(recipe.IsReference ? null : recipe.Reference, run => run.Gap),
            runs.Average(run => run.ZeroWeights),
            runs.Average(run => run.Seconds));

        Spread? Difference(string? other, Func<RunResult, double> value) =>
            other is null || !runs.All(run => references.ContainsKey((other, run.Seed)))
                ? null
                : Spread.Of([.. runs.Select(run => value(run) - value(references[(other, run.Seed)]))]);
    }
}
