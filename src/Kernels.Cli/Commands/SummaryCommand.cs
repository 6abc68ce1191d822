using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Kernels.Cli.Commands;

/// <summary>
/// <c>kernels summary</c>: the JSON files of a folder as one Markdown page, a table for each. Where a command has written Markdown of the
/// same name, that is taken.
/// </summary>
internal static class SummaryCommand
{
    public static Command Create()
    {
        Argument<string> folder = new("folder") { Description = "Folder with files that other commands wrote with --json." };
        Command command = new("summary", "Print the JSON results of a folder as Markdown tables.") { folder };
        command.SetWork((parsed, _) => Run(parsed.GetValue(folder)!));
        return command;
    }

    private static int Run(string folder)
    {
        if (!Directory.Exists(folder)) throw new ArgumentException($"There is no folder '{folder}'.");
        foreach (string file in Directory.EnumerateFiles(folder, "*.json").Order(StringComparer.Ordinal))
            Console.Out.Write($"## {Path.GetFileNameWithoutExtension(file)}\n\n{Markdown(file)}\n");
        return ExitCode.Success;
    }

    /// <summary>A step that was cut off leaves a file that does not parse; that is said in its place.</summary>
    private static string Markdown(string file)
    {
        try
        {
            string written = Path.ChangeExtension(file, ".md");
            if (File.Exists(written)) return Demoted(File.ReadAllText(written));
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(file));
            JsonElement[] rows = [.. document.RootElement.EnumerateArray()];
            if (rows.Length == 0) return "No rows.\n";

            // Columns that say nothing in any row would only make the table wide.
            string[] columns =
                [.. rows[0].EnumerateObject().Select(p => p.Name).Where(name => rows.Any(row => Text(row, name).Length > 0))];
            StringBuilder table = new();
            table.Append($"| {string.Join(" | ", columns)} |\n| {string.Join(" | ", columns.Select(_ => "---"))} |\n");
            foreach (JsonElement row in rows) table.Append($"| {string.Join(" | ", columns.Select(name => Text(row, name)))} |\n");
            return table.ToString();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or IOException or UnauthorizedAccessException)
        {
            return $"Not complete: {e.Message}\n";
        }
    }

    /// <summary>With headings two levels lower, below the page's and the file's own.</summary>
    private static string Demoted(string markdown) =>
        string.Join('\n', markdown.Split('\n').Select(line => line.StartsWith('#') ? $"##{line}" : line));

    private static string Text(JsonElement row, string name) =>
        !row.TryGetProperty(name, out JsonElement value) ? "" : value.ValueKind switch
        {
            JsonValueKind.Null => "",
            JsonValueKind.Number => Number(value),
            _ => value.ToString().Replace("|", "\\|", StringComparison.Ordinal).ReplaceLineEndings(" "),
        };

    private static string Number(JsonElement value)
    {
        if (value.TryGetInt64(out long integer)) return integer.ToString(CultureInfo.InvariantCulture);
        return value.GetDouble().ToString("G4", CultureInfo.InvariantCulture);
    }
}
