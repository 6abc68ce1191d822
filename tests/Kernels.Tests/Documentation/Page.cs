using System.Text.RegularExpressions;

namespace Kernels.Tests.Documentation;

/// <summary>A C# block of a page.</summary>
/// <param name="Page">The page.</param>
/// <param name="Line">The line of its first statement.</param>
/// <param name="Code">Its text.</param>
internal sealed record Example(Page Page, int Line, string Code)
{
    /// <summary>True when it is a whole program, or a piece that finds <c>device</c> and <c>stream</c> ready.</summary>
    public bool IsProgram => Code.StartsWith("using Kernels;", StringComparison.Ordinal);
}

/// <summary>A Markdown page of the repository: what it links to, and its examples.</summary>
internal sealed partial record Page(string Path)
{
    public const string Folder = "kernels/docs";

    private static readonly string[] Roots = ["bench", "kernels", "native", "src", "tests"];

    /// <summary>Every page.</summary>
    public static IReadOnlyList<Page> All { get; } =
    [
        .. Directory.GetFiles(Repository.Root, "*.md")
            .Concat(Roots.SelectMany(PagesBelow))
            .Select(file => new Page(System.IO.Path.GetRelativePath(Repository.Root, file).Replace('\\', '/')))
            .OrderBy(page => page.Path, StringComparer.Ordinal),
    ];

    /// <summary>Its name without folder and ending.</summary>
    public string Name => System.IO.Path.GetFileNameWithoutExtension(Path);

    public string Text => Repository.Read(Path);

    /// <summary>The first line, without its mark.</summary>
    public string Title => Text.Split('\n')[0].TrimStart('#', ' ');

    /// <summary>Where its links lead: a path, an anchor, both.</summary>
    public IEnumerable<string> Links => Link().Matches(Fence().Replace(Text, "")).Select(match => match.Groups["target"].Value);

    /// <summary>What links can name behind a <c>#</c>.</summary>
    public IEnumerable<string> Anchors => Heading().Matches(Fence().Replace(Text, "")).Select(match => Anchor(match.Groups["text"].Value));

    public IEnumerable<Example> Examples =>
        CSharp().Matches(Text).Select(match => new Example(this, LineOf(match) + 1, match.Groups["code"].Value));

    public override string ToString() => Path;

    private int LineOf(Match match) => 1 + Text[..match.Index].Count(letter => letter == '\n');

    private static string[] PagesBelow(string folder) =>
        Directory.GetFiles(System.IO.Path.Combine(Repository.Root, folder), "*.md", SearchOption.AllDirectories);

    /// <summary>A heading as the usual renderers turn it into an anchor.</summary>
    private static string Anchor(string heading) => NotInAnchors().Replace(heading.ToLowerInvariant(), "").Replace(' ', '-');

    [GeneratedRegex(@"^```.*?^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fence();

    [GeneratedRegex(@"^```csharp\n(?<code>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex CSharp();

    [GeneratedRegex(@"\]\((?<target>[^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"^#+ (?<text>.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex NotInAnchors();
}
