namespace Kernels.Benchmarks;

/// <summary>The result as Markdown, to be kept in a repository: the short table first.</summary>
internal static class BenchMarkdown
{
    public static string Text(BenchResult result)
    {
        string[] lines =
        [
            $"# {result.DeviceId}: {result.DeviceName}",
            "",
            $"{result.Machine} · {result.Date:yyyy-MM-dd} · made by `{result.Command}` in {result.Seconds:0} s",
            "",
            BenchTable.ShortCaption,
            "",
            .. Table(BenchTable.Short(result)),
            "",
            result.Method,
            "",
            .. result.Notes.Select(note => $"- {note}"),
            .. result.TimedPeers.Select(peer => $"- {peer.Label}: {peer.Name}."),
            "",
            "## All numbers",
            "",
            BenchTable.FullCaption,
            "",
            .. Table(BenchTable.Full(result)),
            "",
            .. result.TimedPeers.Count == 0 ? [] : (string[])
            [
                "## What was timed in the others",
                "",
                .. result.PeerCalls.Select(call => $"- {call.Case}, {call.Peers}: `{call.Call}`"),
                "",
            ],
        ];
        return string.Join('\n', lines);
    }

    private static IEnumerable<string> Table(BenchTable table) =>
    [
        Line(table.Header),
        Line(table.Header.Select((_, column) => column < table.WordColumns ? "---" : "---:")),
        .. table.Rows.Select(Line),
    ];

    private static string Line(IEnumerable<string> cells) =>
        $"| {string.Join(" | ", cells.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal)))} |";
}
