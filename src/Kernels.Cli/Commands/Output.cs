using Kernels.Reporting;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary>How commands print: one JSON array for scripts, a table for people.</summary>
internal static class Output
{
    public static void WriteJson<TRow>(IEnumerable<TRow> rows) => Console.Out.WriteLine(JsonRows.Write(rows));

    /// <summary>An empty table; numbers are set right and never wrapped.</summary>
    public static Table NewTable(params (string Title, bool IsNumber)[] columns)
    {
        if (Console.IsOutputRedirected)
        {
            // A file or a pipe has no width to keep to and no use for colours.
            AnsiConsole.Profile.Width = 240;
            AnsiConsole.Profile.Capabilities.Ansi = false;
        }

        Table table = new Table().Border(TableBorder.Rounded).BorderColor(Color.Grey);
        foreach ((string title, bool isNumber) in columns)
        {
            TableColumn column = new(new Markup($"[bold]{Markup.Escape(title)}[/]"));
            table.AddColumn(isNumber ? column.RightAligned().NoWrap() : column);
        }

        return table;
    }
}
