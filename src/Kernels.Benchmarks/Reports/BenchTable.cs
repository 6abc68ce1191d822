using System.Globalization;

namespace Kernels.Benchmarks;

/// <summary>The numbers as text, one line a case and one column a peer: the table of the terminal, of the page and of the Markdown file.</summary>
internal static class BenchTable
{
    /// <summary>How many of the columns, from the left, are words.</summary>
    public const int WordColumns = 3;

    public static IReadOnlyList<string> Header(BenchResult result) =>
        ["op", "shape", "type", "MB", "ms", "warm ms", "rate", "of limit", .. result.TimedPeers.Select(peer => $"{peer.Label} ms")];

    public static IReadOnlyList<string> Cells(BenchResult result, Measurement m)
    {
        BenchRow row = BenchRow.From(result.DeviceId, m, result.Peak).First();
        return
        [
            BenchResult.CaseName(m), row.Shape, row.Dtype, (m.Bytes / 1e6).ToString(m.Bytes < 1e6 ? "0.00" : "0.0", CultureInfo.InvariantCulture),
            BenchFormat.Milliseconds(row.Milliseconds), BenchFormat.Milliseconds(row.WarmMilliseconds), BenchFormat.Rate(row), BenchFormat.Limit(row),
            .. result.Sides(m).Select(peer => Peer(peer, m.Time)),
        ];
    }

    /// <summary>The peer's time, and how many times ours is faster.</summary>
    private static string Peer(PeerMeasurement peer, Timing ours) =>
        peer.Time is { } time ? $"{BenchFormat.Milliseconds(time.Cold)} {$"({BenchFormat.Speedup(time.Cold / ours.Cold)})",7}" : "";
}
