using Kernels.Reporting;

namespace Kernels.Benchmarks;

/// <summary>
/// One op: a group of bars for each problem, ours first. A bar's length is the rate, bytes or operations a second, so that problems of all
/// sizes share one scale; what the same device copies, or computes at most, is a line.
/// </summary>
internal static class BenchChart
{
    public const string Css = """
        .ours-bar { fill: var(--blue); }
        .peer-bar { fill: var(--bar); }
        .limit-line { stroke: var(--orange); stroke-width: 2; }
        svg .limit-text { fill: var(--orange); font-size: 11px; }
        .chart { break-inside: avoid; margin-top: 20px; }
        """;

    private const int Width = 1000;
    private const int Left = 96;
    private const int Right = 640;
    private const int Top = 30;
    private const int HeadingHeight = 24;
    private const int BarHeight = 15;
    private const int RowHeight = 20;
    private const int GroupGap = 16;
    private const int HeadingLetter = 7;
    private const int MillisecondsEnd = 730, RateEnd = 850, LimitEnd = 925;

    /// <summary>Draws measurements of one op.</summary>
    public static string Draw(string id, IReadOnlyList<Measurement> measurements, double peak)
    {
        Group[] groups = [.. measurements.Select(measurement => Group.From(measurement, peak))];
        string unit = groups[0].Computes ? "GFLOP/s" : "GB/s";
        int height = Top + groups.Sum(group => HeadingHeight + (group.Bars.Count * RowHeight) + GroupGap) + 10;
        Scale x = new(0, 1.03 * groups.Max(group => Math.Max(group.Limit, group.Bars.Max(bar => bar.Rate))), Left, Right);
        Svg svg = new(
            id, Width, height, $"Rates of {measurements[0].Op.Op} in {unit}",
            string.Join("; ", groups.Select(group => $"{group.Title}: {string.Join(", ", group.Bars)}")));

        foreach (double tick in x.Ticks(6))
        {
            svg.Line(x[tick], Top - 8, x[tick], height - 12, "grid");
            svg.Text(x[tick], Top - 14, $"{tick:0.####}", "tick", tick == 0 ? "start" : "middle");
        }

        svg.Text(Left - 10, Top - 14, unit, "tick", "end");
        svg.Text(MillisecondsEnd, Top - 14, "ms", "tick", "end");
        svg.Text(RateEnd, Top - 14, unit, "tick", "end");
        svg.Text(LimitEnd, Top - 14, groups[0].Computes ? "of peak" : "of copy", "tick", "end");
        svg.Text(Width, Top - 14, "ours is", "tick", "end");
        double y = Top;
        foreach (Group group in groups) y = DrawGroup(svg, x, y, group);
        return svg.ToString();
    }

    private static double DrawGroup(Svg svg, Scale x, double top, Group group)
    {
        double y = top + HeadingHeight;
        svg.Text(0, y - 8, group.Title, "label");
        foreach (Bar bar in group.Bars)
        {
            double end = Math.Max(x[bar.Rate], Left + 1.5), middle = y + (BarHeight / 2.0) + 4.5;
            svg.Text(Left - 10, middle, bar.Name, "value", "end");
            svg.Polygon([(Left, y), (end, y), (end, y + BarHeight), (Left, y + BarHeight)], bar.IsOurs ? "ours-bar" : "peer-bar");
            svg.Text(MillisecondsEnd, middle, BenchFormat.Milliseconds(bar.Milliseconds), "value", "end");
            svg.Text(RateEnd, middle, BenchFormat.Significant(bar.Rate), "value", "end");
            svg.Text(LimitEnd, middle, BenchFormat.Number(bar.Rate / group.Limit, "0.00"), "value", "end");
            if (!bar.IsOurs) svg.Text(Width, middle, BenchFormat.Speedup(bar.Milliseconds / group.Bars[0].Milliseconds), "value", "end");
            y += RowHeight;
        }

        svg.Line(x[group.Limit], top + HeadingHeight - 4, x[group.Limit], y - RowHeight + BarHeight + 4, "limit-line");
        // Where the heading reaches that far the line goes unnamed; the others name it.
        if (x[group.Limit] > (HeadingLetter * group.Title.Length) + 20)
            svg.Text(x[group.Limit], top + HeadingHeight - 8, group.Computes ? "peak" : "copy", "limit-text", "middle");
        return y + GroupGap;
    }

    /// <summary>A bar: who, and how fast.</summary>
    private sealed record Bar(string Name, bool IsOurs, double Milliseconds, double Rate)
    {
        public override string ToString() => $"{Name} {BenchFormat.Milliseconds(Milliseconds)} ms";
    }

    /// <summary>The bars of one problem, and the rate that nobody should beat.</summary>
    private sealed record Group(string Title, bool Computes, double Limit, IReadOnlyList<Bar> Bars)
    {
        public static Group From(Measurement m, double peak)
        {
            bool computes = m.Flops > 0;
            double work = computes ? m.Flops : m.Bytes;
            double Rate(double milliseconds) => work / milliseconds / 1e6;
            return new Group(
                $"{m.Problem.Entry} {m.Problem.Text} · {m.DType.ShortName()}",
                computes,
                computes ? peak / 1e9 : Rate(m.Copy.Cold.Value),
                [
                    new Bar("Kernels", true, m.Time.Cold.Value, Rate(m.Time.Cold.Value)),
                    .. m.Peers.Where(peer => peer.Time is not null)
                        .Select(peer => new Bar(peer.Label, false, peer.Time!.Value.Cold.Value, Rate(peer.Time.Value.Cold.Value))),
                ]);
        }
    }
}
