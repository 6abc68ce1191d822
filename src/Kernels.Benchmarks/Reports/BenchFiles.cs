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

    /// <summary>True when there is a kind of file for this name.</summary>
    public static bool Knows(string path) => Kinds.Any(kind => kind.Extension == Path.GetExtension(path));

    /// <summary>What is to be written to a file of this name.</summary>
    public static string Text(BenchResult result, string path) =>
        Kinds.Single(kind => kind.Extension == Path.GetExtension(path)).Text(result);
}
