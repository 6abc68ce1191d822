namespace Kernels.Benchmarks;

/// <summary>The result as Markdown, to be kept in a repository.</summary>
internal static class BenchMarkdown
{
    public static string Text(BenchResult result)
    {
        IReadOnlyList<string> header = BenchTable.Header(result);
        string[] lines =
        [
            $"# {result.DeviceId}: {result.DeviceName}",
            "",
            $"{result.Machine} · {result.Date:yyyy-MM-dd} · made by `{result.Command}` in {result.Seconds:0} s",
            "",
            Line(header),
            Line(header.Select((_, column) => column < BenchTable.WordColumns ? "---" : "---:")),
            .. result.Measurements.Select(measurement => Line(BenchTable.Cells(result, measurement))),
            "",
            result.Method,
            "",
            .. result.Notes.Select(note => $"- {note}"),
            .. result.TimedPeers.Select(peer => $"- {peer.Label}: {peer.Name}."),
            .. result.PeerCalls.Select(call => $"- {call.Case}, {call.Peers}: `{call.Call}`"),
            "",
        ];
        return string.Join('\n', lines);
    }

    private static string Line(IEnumerable<string> cells) =>
        $"| {string.Join(" | ", cells.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal)))} |";
}
