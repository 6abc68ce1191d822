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

    private static string Line(IEnumerable<string> cells) =>
        $"| {string.Join(" | ", cells.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal)))} |";
}
