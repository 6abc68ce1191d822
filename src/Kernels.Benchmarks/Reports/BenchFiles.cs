using Kernels.Reporting;

namespace Kernels.Benchmarks;

/// <summary>Results as files; the extension says which kind.</summary>
internal static class BenchFiles
{
    private static readonly (string Extension, Func<BenchResult, string> Text)[] Kinds =
    [
        (".html", BenchReport.Html),
        (".md", BenchMarkdown.Text),
        (".json", result => JsonRows.Write(result.Rows)),
    ];

    public static IReadOnlyList<string> Extensions { get; } = [.. Kinds.Select(kind => kind.Extension)];

    /// <summary>Whether there is a kind of file for this name.</summary>
    public static bool Knows(string path) => Kinds.Any(kind => kind.Extension == Path.GetExtension(path));

    /// <summary>Writes the result; an older file stays whole until the new one is complete.</summary>
    public static void Write(BenchResult result, string path) =>
        ReportFile.Write(path, Kinds.Single(kind => kind.Extension == Path.GetExtension(path)).Text(result));
}
