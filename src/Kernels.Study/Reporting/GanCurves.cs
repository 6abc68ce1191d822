using Kernels.Reporting;

namespace Kernels.Study;

/// <summary>How the training of a GAN went: losses, classes, and what was adapted.</summary>
internal static class GanCurves
{
    private const int Width = 338;
    private const int Left = 34;
    private const int Right = 300;
    private const int Top = 20;
    private const int Bottom = 130;
    private const int Height = 156;

    public static string Draw(GanResult gan) => gan.Curve.Count < 2 ? "" : $"""
        <div class="panels">
        {Panel(gan, "gan-losses", "Scores", "Loss for the scores: of the discriminator (solid), both parts; of the generator (dashed).",
            epoch => epoch.RealLoss + epoch.GeneratedLoss, epoch => epoch.GeneratorLoss)}
        {Panel(gan, "gan-classes", "Classes", "Cross-entropy of the classes, nats: of real images (solid), of generated ones (dashed).",
            epoch => epoch.RealClassLoss, epoch => epoch.GeneratedClassLoss)}
        {Panel(gan, "gan-adaptation", "What is adapted",
            "Probability of a change in front of the discriminator (solid); mean sign of the scores of real images (dashed).",
            epoch => epoch.Probability, epoch => epoch.Sign)}
        </div>
        """;

    private static string Panel(
        GanResult gan, string id, string title, string text, Func<GanEpoch, double> solid, Func<GanEpoch, double> dashed)
    {
        double[] values = [.. gan.Curve.SelectMany(epoch => (double[])[solid(epoch), dashed(epoch)]).Where(double.IsFinite), 0];
        Scale x = new(1, gan.Curve.Count, Left, Right), y = new(values.Min(), Math.Max(values.Max(), values.Min() + 0.1), Bottom, Top);
        Svg svg = new(id, Width, Height, $"{title} in the training of a GAN", text);
        foreach (double tick in y.Ticks(4))
        {
            svg.Line(Left, y[tick], Right, y[tick], "grid");
            svg.Text(Left - 6, y[tick] + 4, $"{tick:0.##}", "tick", "end");
        }

        foreach (double tick in x.Ticks(4)) svg.Text(x[tick], Bottom + 17, $"{tick:0}", "tick", "middle");
        svg.Text(Width - 2, Bottom + 17, "epoch", "note", "end");
        svg.Polyline(Path(solid), "test-line");
        svg.Polyline(Path(dashed), "train-line");
        return $"""
            <article class="panel">
            <h3>{Svg.Escape(title)}</h3>
            <p>{Svg.Escape(text)}</p>
            {svg}
            </article>
            """;

        IEnumerable<(double, double)> Path(Func<GanEpoch, double> value) =>
            gan.Curve.Index().Where(epoch => double.IsFinite(value(epoch.Item)))
                .Select(epoch => (x[epoch.Index + 1], y[value(epoch.Item)]));
    }
}
