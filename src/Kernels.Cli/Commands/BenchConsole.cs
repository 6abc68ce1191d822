using Kernels.Benchmarks;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary>The result for people at a terminal.</summary>
internal static class BenchConsole
{
    public static void Print(BenchResult result)
    {
        IAnsiConsole console = Output.ForPeople();
        BenchTable numbers = BenchTable.Short(result);
        OutputTable table = new(TableBorder.Simple, [.. numbers.Header.Select((title, column) => (title, column >= numbers.WordColumns))]);
        foreach (IReadOnlyList<string> row in numbers.Rows) table.AddRow([.. row.Select(Markup.Escape)]);
        table.Write(console);
        console.MarkupLineInterpolated($"[bold]{result.DeviceId}[/] {result.DeviceName} · {result.Machine}");
        if (result.TimedPeers.Count > 0)
            console.MarkupLineInterpolated($"Peers: {string.Join(", ", result.TimedPeers.Select(peer => peer.Name))}.");
        console.MarkupLineInterpolated($"{BenchTable.ShortCaption}");
        console.MarkupLineInterpolated($"{result.Method}");
        foreach (string note in result.Notes) console.MarkupLineInterpolated($"[yellow]{note}[/]");
    }
}
