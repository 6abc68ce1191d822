using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary>How commands print: one JSON array for scripts, a table for people.</summary>
internal static class Output
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        // A measurement can be infinite or NaN; JSON's numbers cannot.
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    public static void WriteJson<TRow>(IEnumerable<TRow> rows) => Console.Out.WriteLine(JsonSerializer.Serialize(rows, Json));

    /// <summary>A table without frames around cells: as wide as its content when output goes to a file.</summary>
    public static Table NewTable(params (string Title, bool IsNumber)[] columns)
    {
        if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = 220;
        Table table = new Table().Border(TableBorder.Rounded).BorderColor(Color.Grey);
        foreach ((string title, bool isNumber) in columns)
        {
            TableColumn column = new(new Markup($"[bold]{Markup.Escape(title)}[/]")) { NoWrap = true };
            table.AddColumn(isNumber ? column.RightAligned() : column);
        }

        return table;
    }
}
