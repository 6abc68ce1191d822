using Kernels.Reporting;

namespace Kernels.Study;

/// <summary>
/// The learning curves of one recipe: accuracy above, loss below, training and test images in each. All panels of a report share their
/// scales, so they can be compared by eye.
/// </summary>
internal sealed class LearningCurves
{
    private const int Width = 338;
    private const int Left = 34;
    private const int Right = 286;
    private const int AccuracyTop = 20;
    private const int AccuracyBottom = 142;
    private const int LossTop = 170;
    private const int LossBottom = 238;
    private const int Height = 262;
    private const double LabelDistance = 12;

    /// <summary>The loss of a guess among ten classes is 2.3; what a run that diverges has is cut off at the frame.</summary>
    private const double HighestLoss = 4;

    private readonly Scale _epochs;
    private readonly Scale _accuracy;
    private readonly Scale _loss;
    private readonly IReadOnlyList<RecipeSummary> _references;

    public LearningCurves(StudyResult study)
    {
        IReadOnlyList<CurvePoint> points = [.. study.Runs.SelectMany(run => run.Curve)];

        // From the worst final result, with room below; what the first epochs do still further down is cut off at the frame.
        double lowest = study.Runs.Min(run => Math.Min(run.Final.Train.Accuracy, run.Final.Test.Accuracy));
        double from = Math.Max(0, Math.Floor((lowest - 0.08) * 10) / 10);
        double highest = points.SelectMany(point => (double[])[point.Train.Loss, point.Test.Loss])
            .Where(loss => loss <= HighestLoss).DefaultIfEmpty(HighestLoss).Max();
        _epochs = new Scale(0, study.Runs.Max(run => run.Epochs), Left, Right);
        _accuracy = new Scale(from, 1, AccuracyBottom, AccuracyTop);
        _loss = new Scale(0, Math.Ceiling(highest * 5) / 5, LossBottom, LossTop);
        _references = [.. study.Summaries.Where(summary => summary.Recipe.IsReference)];
    }

    public string Draw(RecipeSummary summary, string id)
    {
        Svg svg = new(
            id,
            Width,
            Height,
            $"Learning curves of {summary.Recipe.Name}",
            $"Accuracy and loss on training and test images over {_epochs.To:0} epochs. Final training accuracy " +
            $"{summary.Train.Percent()}%, test accuracy {summary.Test.Percent()}%.");
        DrawFrame(svg, _accuracy, 4, tick => $"{100 * tick:0}", "accuracy, %");
        DrawFrame(svg, _loss, 3, tick => $"{tick:0.0}", "loss, nats");
        foreach (double tick in _epochs.Ticks(4)) svg.Text(_epochs[tick], LossBottom + 17, $"{tick:0}", "tick", "middle");
        svg.Text(Width - 2, LossBottom + 17, "epoch", "note", "end");

        DrawGap(svg, summary);
        RecipeSummary? reference = _references.FirstOrDefault(reference => reference.Recipe.Name == summary.Recipe.Reference);
        if (reference is not null && reference != summary)
            svg.Line(Left, _accuracy[reference.Test.Mean], Right, _accuracy[reference.Test.Mean], "reference");
        foreach (RunResult run in summary.Runs.Where(run => run.BestEpoch < run.Epochs)) DrawKeptEpoch(svg, run);
        DrawCurves(svg, summary, _accuracy, score => score.Accuracy);
        DrawCurves(svg, summary, _loss, score => score.Loss);
        return svg.ToString();
    }

    private static void DrawFrame(Svg svg, Scale scale, int ticks, Func<double, string> format, string title)
    {
        foreach (double tick in scale.Ticks(ticks))
        {
            svg.Line(Left, scale[tick], Right, scale[tick], "grid");
            svg.Text(Left - 6, scale[tick] + 4, format(tick), "tick", "end");
        }

        svg.Text(Left - 28, scale.PixelTo - 8, title, "note");
    }

    private void DrawKeptEpoch(Svg svg, RunResult run)
    {
        double x = _epochs[run.BestEpoch];
        svg.Line(x, AccuracyTop, x, AccuracyBottom, "kept");
        svg.Line(x, LossTop, x, LossBottom, "kept");
        svg.Circle(x, _accuracy[Inside(_accuracy, run.Final.Train.Accuracy)], 3, "train-dot");
        svg.Circle(x, _accuracy[Inside(_accuracy, run.Final.Test.Accuracy)], 3.5, "test-dot");
    }

    private void DrawGap(Svg svg, RecipeSummary summary)
    {
        IReadOnlyList<CurvePoint> mean = Mean(summary);
        IEnumerable<(double, double)> train = Path(mean, _accuracy, point => point.Train.Accuracy);
        IEnumerable<(double, double)> test = Path(mean, _accuracy, point => point.Test.Accuracy);
        svg.Polygon([.. train, .. test.Reverse()], "gap-area");
    }

    private void DrawCurves(Svg svg, RecipeSummary summary, Scale scale, Func<Score, double> value)
    {
        if (summary.Runs.Count > 1)
        {
            foreach (RunResult run in summary.Runs)
            {
                svg.Polyline(Path(run.Curve, scale, point => value(point.Train)), "train-line seed-line");
                svg.Polyline(Path(run.Curve, scale, point => value(point.Test)), "test-line seed-line");
            }
        }

        IReadOnlyList<CurvePoint> mean = Mean(summary);
        (double X, double Y)[] train = [.. Path(mean, scale, point => value(point.Train))];
        (double X, double Y)[] test = [.. Path(mean, scale, point => value(point.Test))];
        svg.Polyline(train, "train-line");
        svg.Polyline(test, "test-line");

        // Behind the longest curve: with several seeds the mean ends where the first of them stops.
        double x = _epochs[summary.Runs.Max(run => run.Epochs)] + 6;
        double push = Math.Max(0, LabelDistance - Math.Abs(train[^1].Y - test[^1].Y)) / 2;
        bool trainIsAbove = train[^1].Y <= test[^1].Y;
        svg.Text(x, train[^1].Y + 4 + (trainIsAbove ? -push : push), "train", "label train-text");
        svg.Text(x, test[^1].Y + 4 + (trainIsAbove ? push : -push), "test", "label test-text");
    }

    private IEnumerable<(double X, double Y)> Path(IEnumerable<CurvePoint> points, Scale scale, Func<CurvePoint, double> value) =>
        points.Select(point => (_epochs[point.Epoch], scale[Inside(scale, value(point))]));

    private static double Inside(Scale scale, double value) => double.IsNaN(value) ? scale.To : Math.Clamp(value, scale.From, scale.To);

    /// <summary>The mean over seeds, at the epochs where every seed has a point.</summary>
    private static IReadOnlyList<CurvePoint> Mean(RecipeSummary summary)
    {
        return [.. summary.Runs
            .SelectMany(run => run.Curve)
            .GroupBy(point => point.Epoch)
            .Where(group => group.Count() == summary.Runs.Count)
            .OrderBy(group => group.Key)
            .Select(group => new CurvePoint(
                group.Key, Average(group, point => point.Train), Average(group, point => point.Validation),
                Average(group, point => point.Test)))];

        static Score Average(IEnumerable<CurvePoint> points, Func<CurvePoint, Score> part) =>
            new(points.Average(point => part(point).Accuracy), points.Average(point => part(point).Loss));
    }
}
