using Spectre.Console;
using Kernels.Benchmarks;

namespace Kernels.Cli.Commands;

/// <summary>The result for people at a terminal.</summary>
internal static class BenchConsole
{
    public static void Print(BenchResult result)
    {
        Table table = Output.NewTable([.. BenchTable.Header(result).Select((title, column) => (title, column >= BenchTable.WordColumns))]);
        table.Border(TableBorder.Simple);
        foreach (TableColumn column in table.Columns) column.PadLeft(1).PadRight(0);
        foreach (Measurement measurement in result.Measurements) table.AddRow([.. BenchTable.Cells(result, measurement).Select(Markup.Escape)]);

        AnsiConsole.Write(table);
        AnsiConsole.MarkupLineInterpolated($"[bold]{result.DeviceId}[/] {result.DeviceName} · {result.Machine}");
        if (result.TimedPeers.Count > 0)
        {
            string names = string.Join(", ", result.TimedPeers.Select(peer => peer.Name));
            AnsiConsole.MarkupLineInterpolated($"Peers: {names}. Beside a peer's time stands how many times ours is faster.");
        }

        AnsiConsole.MarkupLineInterpolated($"{result.Method}");
        foreach (string note in result.Notes) AnsiConsole.MarkupLineInterpolated($"[yellow]{note}[/]");
    }
}
