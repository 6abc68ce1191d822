using Kernels.Reporting;

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
            .. Markdown.Wrapped($"{result.Machine} · {result.Date:yyyy-MM-dd} · made by `{result.Command}` in {result.Seconds:0} s"),
            "",
            .. Markdown.Wrapped(BenchTable.ShortCaption),
            "",
            .. Table(BenchTable.Short(result)),
            "",
            .. Markdown.Wrapped(BenchReading.Of(result)),
            "",
            .. Markdown.Wrapped(result.Method),
            "",
            .. result.Notes.SelectMany(Markdown.Item),
            .. result.TimedPeers.SelectMany(peer => Markdown.Item($"{peer.Label}: {peer.Name}.")),
            "",
            "## All numbers",
            "",
            .. Markdown.Wrapped(BenchTable.FullCaption),
            "",
            .. Table(BenchTable.Full(result)),
            "",
            .. result.TimedPeers.Count == 0 ? [] : (string[])
            [
                "## What was timed in the others",
                "",
                .. result.PeerCalls.SelectMany(call => Markdown.Item($"{call.Case}, {call.Peers}: `{call.Call}`")),
                "",
            ],
        ];
        return string.Join('\n', lines);
    }

    private static IEnumerable<string> Table(BenchTable table) => Markdown.Table(table.Header, table.WordColumns, table.Rows);
}
