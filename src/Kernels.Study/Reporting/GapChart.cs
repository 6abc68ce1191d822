using Kernels.Reporting;

namespace Kernels.Study;

/// <summary>One row per recipe: test accuracy, training accuracy, and the gap as the bar between them. Each seed is a small mark.</summary>
internal static class GapChart
{
    private const int Width = 720;
    private const int RowHeight = 42;
    private const int Top = 34;
    private const int CharacterWidth = 9;
    private const int Right = 60;

    public static string Draw(StudyResult study)
    {
        IReadOnlyList<RecipeSummary> rows = study.Summaries;
        int bottom = Top + (rows.Count * RowHeight);
        double lowest = study.Runs.Min(run => Math.Min(run.Final.Test.Accuracy, run.Final.Train.Accuracy));
        double from = Math.Max(0, Math.Floor((lowest - 0.02) * 20) / 20);
        int left = 16 + (CharacterWidth * rows.Max(row => row.Recipe.Name.Length));
        Scale x = new(from, 1, left + 40, Width - Right);
        Svg svg = new(
            "gap",
            Width,
            bottom + 26,
            "Test and training accuracy of each recipe",
            string.Join("; ", rows.Select(
                row => $"{row.Recipe.Name}: test {row.Test.Percent()}%, train {row.Train.Percent()}%, gap {row.Gap.Percent()} points")));

        foreach (double tick in x.Ticks(6))
        {
            svg.Line(x[tick], Top - 8, x[tick], bottom, "grid");
            svg.Text(x[tick], bottom + 16, $"{100 * tick:0}%", "tick", "middle");
        }

        RecipeSummary? baseline = rows.FirstOrDefault(row => row.IsBaseline);
        if (baseline is not null && rows.Count > 1)
        {
            svg.Line(x[baseline.Test.Mean], Top - 8, x[baseline.Test.Mean], bottom, "reference");
            svg.Text(x[baseline.Test.Mean], Top - 14, "test accuracy of the baseline", "note", "middle");
        }

        for (int i = 0; i < rows.Count; i++) DrawRow(svg, x, left, Top + (i * RowHeight) + (RowHeight / 2) + 2, rows[i]);
        return svg.ToString();
    }

    private static void DrawRow(Svg svg, Scale x, int nameEnd, double y, RecipeSummary row)
    {
        double test = x[row.Test.Mean], train = x[row.Train.Mean];
        svg.Text(nameEnd - 12, y + 5, row.Recipe.Name, "name", "end");
        svg.Line(test, y, train, y, "gap-bar");
        if (row.Runs.Count > 1)
        {
            foreach (RunResult run in row.Runs)
            {
                svg.Line(x[run.Final.Test.Accuracy], y - 9, x[run.Final.Test.Accuracy], y + 9, "test-mark");
                svg.Line(x[run.Final.Train.Accuracy], y - 9, x[run.Final.Train.Accuracy], y + 9, "train-mark");
            }
        }

        svg.Circle(test, y, 6, "test-dot");
        svg.Circle(train, y, 5.5, "train-dot");

        // Outside the outermost mark, wherever that is; an untrained network can be better on the test images.
        double left = x[row.Runs.Min(run => Math.Min(run.Final.Test.Accuracy, run.Final.Train.Accuracy))] - 11;
        double right = x[row.Runs.Max(run => Math.Max(run.Final.Test.Accuracy, run.Final.Train.Accuracy))] + 11;
        bool testIsLeft = test <= train;
        svg.Text(testIsLeft ? left : right, y + 5, $"{100 * row.Test.Mean:0.0}", "value test-text", testIsLeft ? "end" : "start");
        svg.Text(testIsLeft ? right : left, y + 5, $"{100 * row.Train.Mean:0.0}", "value train-text", testIsLeft ? "start" : "end");
        svg.Text((test + train) / 2, y - 7, $"gap {100 * row.Gap.Mean:0.0}", "value", "middle");
    }
}
