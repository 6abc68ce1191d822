using System.Text;

namespace Kernels.Study;

/// <summary>Says in plain language what the numbers of a study say; every word of judgement follows from them.</summary>
internal static class StudyReading
{
    // Below a fifth of a point nobody should read a difference into the numbers.
    private const double Visible = 0.002;

    public static string Of(StudyResult study)
    {
        StringBuilder text = new();
        RecipeSummary? baseline = study.Summaries.FirstOrDefault(summary => summary.IsBaseline);
        if (baseline is not null) text.Append(Baseline(baseline, study.Sizes));

        text.Append(OtherNetworks([.. study.Summaries.Where(summary => summary.Recipe.IsReference && !summary.IsBaseline)],
            baseline is null));
        if (baseline is not null && study.Summaries.FirstOrDefault(summary => summary.Recipe.Name == CnnRecipes.Reference) is { } shared)
            text.Append(SharedWeights(shared, baseline));
        text.Append(Effects([.. study.Summaries.Where(summary => summary.TestGain is not null)], study.Summaries));
        foreach (RecipeSummary summary in study.Summaries.Where(summary => summary.TestGain is null && !summary.Recipe.IsReference))
            text.Append(' ').Append(Alone(summary));

        foreach (RecipeSummary summary in study.Summaries.Where(summary => summary is { TestGain: not null, OtherTestGain: not null }))
            text.Append(' ').Append(TwoComparisons(summary));
        text.Append(Sparsity([.. study.Summaries.Where(summary => summary.ZeroWeights >= Visible)]));
        if (study.Summaries.Count > 1) text.Append(' ').Append(Comparison(study.Summaries, baseline));

        foreach (GanResult gan in study.Gans.Where(gan => gan.Failure is not null))
            text.Append($" The GAN of seed {gan.Seed} was given up: {gan.Failure}. There is no run with its images in these numbers.");
        text.Append(' ').Append(Caution(study));
        if (study.MissingRuns > 0)
        {
            int runs = study.MissingRuns + study.Runs.Count;
            text.Append($" The study was stopped before its end: {study.MissingRuns} of {runs} runs are missing.");
        }

        return text.ToString().Trim();
    }

    private static string Baseline(RecipeSummary baseline, StudySizes sizes)
    {
        string train = baseline.Train.Mean >= 0.995
            ? $"learns its {sizes.Train:N0} training images by heart ({Percent(baseline.Train.Mean)} right)"
            : $"gets {Percent(baseline.Train.Mean)} of its {sizes.Train:N0} training images right";
        return $"Without regularization the network {train} and recognizes {Percent(baseline.Test.Mean)} of {sizes.Test:N0} images it " +
            $"has never seen: a generalization gap of {Points(baseline.Gap.Mean)} points.";
    }

    private static string OtherNetworks(IReadOnlyList<RecipeSummary> references, bool alone)
    {
        if (references.Count == 0) return "";
        string what = alone ? "Without regularization" : "Another network or optimizer, without regularization too";
        return $" {what}: {List(references, summary => $"{Percent(summary.Test.Mean)}, gap {Points(summary.Gap.Mean)}")}.";
    }

    /// <summary>What a network is worth in which the places of an image share their weights.</summary>
    private static string SharedWeights(RecipeSummary shared, RecipeSummary baseline)
    {
        double gain = shared.Test.Mean - baseline.Test.Mean;
        return $" Sharing weights between places: {shared.Runs[0].Parameters:N0} parameters in place of " +
            $"{baseline.Runs[0].Parameters:N0}, and {100 * gain:+0.0;−0.0;0.0} points on new images.";
    }

    /// <summary>The recipes by what they do to the accuracy on new images.</summary>
    private static string Effects(IReadOnlyList<RecipeSummary> compared, IReadOnlyList<RecipeSummary> all)
    {
        RecipeSummary[] better = [.. compared.Where(summary => summary.TestGain!.Value.Mean >= Visible)];
        RecipeSummary[] worse = [.. compared.Where(summary => summary.TestGain!.Value.Mean <= -Visible)];
        RecipeSummary[] same = [.. compared.Except(better).Except(worse)];

        // Where answers stay as right or wrong as they were, they may still be given with less false certainty.
        RecipeSummary[] milder = [.. same.Where(summary => summary.TestLoss.Mean < 0.95 * Reference(summary).TestLoss.Mean)];
        StringBuilder text = new();
        if (better.Length > 0) text.Append($" More right answers on new images: {List(better, Gain)}.");
        if (same.Length > 0)
            text.Append($" No visible change in accuracy: {string.Join(", ", same.Select(summary => summary.Recipe.Name))}");
        if (milder.Length > 0)
            text.Append($"; of these, wrong answers are given with less certainty, as the test loss tells, by {List(milder, Losses)}");
        if (same.Length > 0) text.Append('.');
        if (worse.Length > 0) text.Append($" Fewer right answers: {List(worse, Gain)}.");
        return text.ToString();

        RecipeSummary Reference(RecipeSummary summary) => all.First(other => other.Recipe.Name == summary.Recipe.Reference);
        string Losses(RecipeSummary summary) => $"{summary.TestLoss.Mean:0.00} after {Reference(summary).TestLoss.Mean:0.00}";
        static string Gain(RecipeSummary summary) =>
            $"{100 * summary.TestGain!.Value.Mean:+0.0;−0.0} points, gap {Points(summary.Gap.Mean)}";
    }

    private static string TwoComparisons(RecipeSummary summary) =>
        $"{summary.Recipe.Name} is {summary.TestGain!.Value.Percent(signed: true)} points from {summary.Recipe.Reference}, and " +
        $"{summary.OtherTestGain!.Value.Percent(signed: true)} from {summary.Recipe.AlsoComparedWith}, " +
        (summary.Recipe.Generated is null ? "its own network." : "the same without generated images.");

    private static string Sparsity(IReadOnlyList<RecipeSummary> sparse) => sparse.Count == 0
        ? ""
        : " Weights that are exactly zero: " +
            $"{string.Join(", ", sparse.Select(summary => $"{Percent(summary.ZeroWeights)} with {summary.Recipe.Name}"))}.";

    private static string Alone(RecipeSummary summary) =>
        $"{summary.Recipe.Name} gets {Percent(summary.Train.Mean)} of the training images and {Percent(summary.Test.Mean)} of the test " +
        $"images right, a gap of {Points(summary.Gap.Mean)} points.";

    private static string List(IEnumerable<RecipeSummary> summaries, Func<RecipeSummary, string> describe) =>
        string.Join(", ", summaries.Select(summary => $"{summary.Recipe.Name} ({describe(summary)})"));

    private static string Comparison(IReadOnlyList<RecipeSummary> summaries, RecipeSummary? baseline)
    {
        RecipeSummary best = summaries.MaxBy(summary => summary.Test.Mean)!;
        RecipeSummary closest = summaries.MinBy(summary => summary.Gap.Mean)!;
        if (baseline is not null && best.Test.Mean - baseline.Test.Mean < Visible)
            return $"No recipe is clearly better than the baseline on new images; the smallest gap: {closest.Recipe.Name}.";
        return best == closest
            ? $"Best on new images, with the smallest gap: {best.Recipe.Name}."
            : $"Best on new images: {best.Recipe.Name}; the smallest gap: {closest.Recipe.Name}.";
    }

    private static string Caution(StudyResult study)
    {
        if (study.Seeds.Count > 1)
        {
            return $"Numbers are means over {study.Seeds.Count} seeds; what follows ± is the sample standard deviation, and differences " +
                "are taken seed by seed.";
        }

        double share = study.Summaries.Average(summary => summary.Test.Mean);
        double error = Math.Sqrt(share * (1 - share) / study.Sizes.Test);
        return $"This is one seed, and a test accuracy measured on {study.Sizes.Test:N0} images has a standard error of {Points(error)} " +
            "points: take differences of that size for chance until more seeds (--seeds) confirm them.";
    }

    private static string Percent(double share) => $"{100 * share:0.0}%";

    private static string Points(double share) => $"{100 * share:0.0}";
}
