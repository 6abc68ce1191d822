using System.Globalization;

namespace Kernels.Benchmarks;

/// <summary>Numbers as text, one line a case: what the terminal, the page and the Markdown file show.</summary>
/// <param name="WordColumns">The number of columns, from the left, that are words.</param>
/// <param name="Header">Titles of the columns.</param>
/// <param name="Rows">A line for each case.</param>
internal sealed record BenchTable(int WordColumns, IReadOnlyList<string> Header, IReadOnlyList<IReadOnlyList<string>> Rows)
{
    /// <summary>What to read in <see cref="Short"/>.</summary>
    public const string ShortCaption =
        "ms: medians, ± the reach of their 95 % intervals. Of limit: the share of what a plain copy, or the multiply-add peak, allows. " +
        "To a peer: how many times ours is faster.";

    /// <summary>What to read in <see cref="Full"/>.</summary>
    public const string FullCaption =
        "n: repetitions. MB: the least bytes to move. Milliseconds are medians with their 95 % intervals.";

    /// <summary>
    /// What a reader wants to know first: op, shape, time, share of the limit, ratio to each peer. The type is a column where there are
    /// several.
    /// </summary>
    public static BenchTable Short(BenchResult result)
    {
        bool hasTypes = result.Measurements.Select(m => m.DType).Distinct().Skip(1).Any();
        return new BenchTable(
            hasTypes ? 3 : 2,
            ["op", "shape", .. Type("type"), "ms", "of limit", .. result.TimedPeers.Select(peer => $"to {peer.Label}")],
            [.. result.Measurements.Select(Cells)]);

        IReadOnlyList<string> Cells(Measurement m)
        {
            BenchRow row = Row(result, m);
            return
            [
                BenchResult.CaseName(m), row.Shape, .. Type(row.Dtype), WithMargin(m.Time.Cold, BenchFormat.Milliseconds),
                BenchFormat.Limit(row), .. result.Sides(m).Select(peer => peer.Time is { } time ? Ratio(time, peer.Ours ?? m.Time) : ""),
            ];
        }

        string[] Type(string cell) => hasTypes ? [cell] : [];

        static string Ratio(MedianTiming peer, MedianTiming ours) => WithMargin(peer.Cold / ours.Cold, BenchFormat.Speedup);
    }

    /// <summary>Every time, with its interval.</summary>
    public static BenchTable Full(BenchResult result)
    {
        return new BenchTable(
            3,
            ["op", "shape", "type", "n", "MB", "ms", "warm ms", "copy ms", "rate", .. result.TimedPeers.Select(peer => $"{peer.Label} ms")],
            [.. result.Measurements.Select(Cells)]);

        IReadOnlyList<string> Cells(Measurement m)
        {
            BenchRow row = Row(result, m);
            return
            [
                BenchResult.CaseName(m), row.Shape, row.Dtype, m.Repetitions.ToString(CultureInfo.InvariantCulture),
                (m.Bytes / 1e6).ToString(m.Bytes < 1e6 ? "0.00" : "0.0", CultureInfo.InvariantCulture),
                WithInterval(m.Time.Cold), WithInterval(m.Time.Warm), WithInterval(m.Copy.Cold), BenchFormat.Rate(row),
                .. result.Sides(m).Select(peer => peer.Time is { } time ? WithInterval(time.Cold) : ""),
            ];
        }
    }

    private static BenchRow Row(BenchResult result, Measurement m) => BenchRow.From(result.DeviceId, m, result.Peak).First();

    private static string WithMargin(Median median, Func<double, string> format) =>
        $"{format(median.Value)} {$"±{BenchFormat.Percent(median.Margin)}",5}";

    private static string WithInterval(Median median) =>
        $"{BenchFormat.Milliseconds(median.Value)} ({BenchFormat.Milliseconds(median.Low)}–{BenchFormat.Milliseconds(median.High)})";
}
