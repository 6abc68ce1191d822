using System.Text;

namespace Kernels.Cli.Study;

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

        foreach (RecipeSummary summary in study.Summaries.Where(summary => !summary.IsBaseline)) text.Append(' ').Append(Other(summary, baseline));

        if (study.Summaries.Count > 1) text.Append(' ').Append(Comparison(study.Summaries, baseline));

        return text.Append(' ').Append(Caution(study)).ToString().Trim();
    }

    private static string Baseline(RecipeSummary baseline, StudySizes sizes)
    {
        string train = baseline.Train.Mean >= 0.995
            ? $"learns its {sizes.Train:N0} training images by heart ({Percent(baseline.Train.Mean)} right)"
            : $"gets {Percent(baseline.Train.Mean)} of its {sizes.Train:N0} training images right";
        return $"Without regularization the network {train} and recognizes {Percent(baseline.Test.Mean)} of {sizes.Test:N0} images it has never " +
            $"seen: a generalization gap of {Points(baseline.Gap.Mean)} points.";
    }

    private static string Other(RecipeSummary summary, RecipeSummary? baseline)
    {
        if (summary.GapChange is not { } gap || summary.TestGain is not { } gain)
        {
            return $"{summary.Recipe.Name} gets {Percent(summary.Train.Mean)} of the training images and {Percent(summary.Test.Mean)} of the test " +
                $"images right, a gap of {Points(summary.Gap.Mean)} points.";
        }

        bool gapMoves = Math.Abs(gap.Mean) >= Visible, testMoves = Math.Abs(gain.Mean) >= Visible;
        if (!gapMoves && !testMoves) return $"{summary.Recipe.Name} hardly changes the gap or the test accuracy{Loss(summary, baseline!)}.";

        string gapPart = !gapMoves ? "hardly changes the gap" : $"{(gap.Mean < 0 ? "narrows" : "widens")} the gap to {Points(summary.Gap.Mean)} points";
        string testPart = !testMoves
            ? "hardly changes the test accuracy"
            : $"{(gain.Mean > 0 ? "gains" : "loses")} {Points(Math.Abs(gain.Mean))} points of test accuracy";
        return $"{summary.Recipe.Name} {gapPart} and {testPart}.";
    }

    /// <summary>Where answers stay as right or wrong as they were, they may still be given with less false certainty.</summary>
    private static string Loss(RecipeSummary summary, RecipeSummary baseline) =>
        summary.TestLoss.Mean < 0.95 * baseline.TestLoss.Mean
            ? $", but lowers the test loss from {baseline.TestLoss.Mean:0.00} to {summary.TestLoss.Mean:0.00}: wrong answers are given with less certainty"
            : "";

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
            return $"Numbers are means over {study.Seeds.Count} seeds; what follows ± is the sample standard deviation, and differences are taken " +
                "seed by seed.";
        }

        double share = study.Summaries.Average(summary => summary.Test.Mean);
        double error = Math.Sqrt(share * (1 - share) / study.Sizes.Test);
        return $"This is one seed, and a test accuracy measured on {study.Sizes.Test:N0} images has a standard error of {Points(error)} points: take " +
            "differences of that size for chance until more seeds (--seeds) confirm them.";
    }

    private static string Percent(double share) => $"{100 * share:0.0}%";

    private static string Points(double share) => $"{100 * share:0.0}";
}
