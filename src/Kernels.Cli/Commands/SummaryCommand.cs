using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Kernels.Reporting;

namespace Kernels.Cli.Commands;

/// <summary>
/// <c>kernels summary</c>: the JSON files of a folder as one Markdown page, a table for each. Where a command has written Markdown of the
/// same name, that is taken. Of rows that say whether they passed, those that did are counted and only the others shown.
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
            Console.Out.Write($"## {Path.GetFileNameWithoutExtension(file)}\n\n{Page(file)}\n");
        return ExitCode.Success;
    }

    /// <summary>A step that was cut off leaves a file that does not parse; that is said in its place.</summary>
    private static string Page(string file)
    {
        try
        {
            string written = Path.ChangeExtension(file, ".md");
            if (File.Exists(written)) return Demoted(File.ReadAllText(written));
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(file));
            JsonElement[] rows = [.. document.RootElement.EnumerateArray()];
            if (rows.Length == 0) return "No rows.\n";
            if (rows[0].TryGetProperty("passed", out _))
            {
                JsonElement[] failed = [.. rows.Where(row => !row.GetProperty("passed").GetBoolean())];
                return Passed(rows) + (failed.Length == 0 ? "" : $"\n{Table(failed)}");
            }

            return Table(rows);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or IOException
            or UnauthorizedAccessException)
        {
            return $"Not complete: {e.Message}\n";
        }
    }

    /// <summary>A line for each device: how many rows passed, and of how many cases they are.</summary>
    private static string Passed(JsonElement[] rows) => string.Concat(
        from row in rows
        group row by row.GetProperty("device").GetString() into device
        let passed = device.Count(row => row.GetProperty("passed").GetBoolean())
        let cases = device.Sum(row => row.GetProperty("cases").GetInt64())
        select string.Create(
            CultureInfo.InvariantCulture,
            $"- {device.Key}: {passed} of {device.Count()} rows of an op and a type passed, {cases:N0} cases\n"));

    private static string Table(JsonElement[] rows)
    {
        // Columns that say nothing in any row would only make the table wide.
        string[] columns =
            [.. rows[0].EnumerateObject().Select(p => p.Name).Where(name => rows.Any(row => Text(row, name).Length > 0))];
        IEnumerable<string> lines =
            Markdown.Table(columns, columns.Length, rows.Select(row => columns.Select(name => Text(row, name))));
        return string.Concat(lines.Select(line => $"{line}\n"));
    }

    /// <summary>With headings two levels lower, below the page's and the file's own.</summary>
    private static string Demoted(string markdown) =>
        string.Join('\n', markdown.Split('\n').Select(line => line.StartsWith('#') ? $"##{line}" : line));

    private static string Text(JsonElement row, string name) =>
        !row.TryGetProperty(name, out JsonElement value) ? "" : value.ValueKind switch
        {
            JsonValueKind.Null => "",
            JsonValueKind.Number => Number(value),
            _ => value.ToString().ReplaceLineEndings(" "),
        };

    private static string Number(JsonElement value)
    {
        if (value.TryGetInt64(out long integer)) return integer.ToString(CultureInfo.InvariantCulture);
        return value.GetDouble().ToString("G4", CultureInfo.InvariantCulture);
    }
}
