namespace Kernels.Reporting;

/// <summary>Paragraphs and tables of Markdown pages that are kept in a repository.</summary>
internal static class Markdown
{
    private const int WidestLine = 140;

    /// <summary>A paragraph in lines of at most 140 characters.</summary>
    /// <param name="text">Words between single spaces.</param>
    /// <param name="first">What the first line begins with.</param>
    /// <param name="next">What the others begin with.</param>
    public static IEnumerable<string> Wrapped(string text, string first = "", string next = "")
    {
        string line = first;
        foreach (string word in text.Split(' '))
        {
            if (line.Length + word.Length > WidestLine)
            {
                yield return line.TrimEnd();
                line = next;
            }

            line += $"{word} ";
        }

        yield return line.TrimEnd();
    }

    /// <summary>An item of a list, in such lines.</summary>
    public static IEnumerable<string> Item(string text) => Wrapped(text, "- ", "  ");

    /// <summary>A table; all columns but the first <paramref name="wordColumns"/> are numbers.</summary>
    public static IEnumerable<string> Table(IEnumerable<string> header, int wordColumns, IEnumerable<IEnumerable<string>> rows) =>
    [
        Line(header),
        Line(header.Select((_, column) => column < wordColumns ? "---" : "---:")),
        .. rows.Select(Line),
    ];

    /// <summary>The rows of all tables in a page, each by the names of its columns.</summary>
    public static IEnumerable<IReadOnlyDictionary<string, string>> Rows(IEnumerable<string> page)
    {
        string[]? header = null;
        foreach (string line in page)
        {
            string[]? cells = line is ['|', .., '|'] ? [.. line[1..^1].Split(" | ").Select(cell => cell.Trim())] : null;
            if (header is null || cells is null) header = cells;
            else if (cells.Length == header.Length && !cells[0].StartsWith("---", StringComparison.Ordinal))
                yield return header.Zip(cells).ToDictionary(cell => cell.First, cell => cell.Second);
        }
    }

    private static string Line(IEnumerable<string> cells) =>
        $"| {string.Join(" | ", cells.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal)))} |";
}
