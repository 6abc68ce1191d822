using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Kernels.Cli.Commands;

/// <summary><c>kernels summary</c>: the JSON files of a folder as one Markdown page, a table for each.</summary>
internal static class SummaryCommand
{
    public static Command Create()
    {
        Argument<DirectoryInfo> folder = new("folder") { Description = "Folder with files that other commands wrote with --json." };
        Command command = new("summary", "Print the JSON results of a folder as Markdown tables.") { folder };
        command.SetAction(parsed => Run(parsed.GetValue(folder)!));
        return command;
    }

    private static int Run(DirectoryInfo folder)
    {
        if (!folder.Exists) throw new ArgumentException($"There is no folder {folder.FullName}.");
        foreach (FileInfo file in folder.EnumerateFiles("*.json").OrderBy(file => file.Name, StringComparer.Ordinal))
            Console.Out.Write($"## {Path.GetFileNameWithoutExtension(file.Name)}\n\n{Table(file)}\n");
        return ExitCode.Success;
    }

    /// <summary>A step that was cut off leaves a file that does not parse; that is said in its place.</summary>
    private static string Table(FileInfo file)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(file.FullName));
            JsonElement[] rows = [.. document.RootElement.EnumerateArray()];
            if (rows.Length == 0) return "No rows.\n";

            // Columns that say nothing in any row would only make the table wide.
            string[] columns = [.. rows[0].EnumerateObject().Select(p => p.Name).Where(name => rows.Any(row => Text(row, name).Length > 0))];
            StringBuilder table = new();
            table.Append($"| {string.Join(" | ", columns)} |\n| {string.Join(" | ", columns.Select(_ => "---"))} |\n");
            foreach (JsonElement row in rows) table.Append($"| {string.Join(" | ", columns.Select(name => Text(row, name)))} |\n");
            return table.ToString();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return $"Not complete: {e.Message}\n";
        }
    }

    private static string Text(JsonElement row, string name) => !row.TryGetProperty(name, out JsonElement value) ? "" : value.ValueKind switch
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
