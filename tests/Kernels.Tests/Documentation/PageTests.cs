using System.Text;
using System.Text.RegularExpressions;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Documentation;

/// <summary>The pages: links lead somewhere, examples compile and run, and what an op's page must say is on it.</summary>
public sealed partial class PageTests
{
    private const string Index = $"{Page.Folder}/README.md";

    /// <summary>What is said of every op, in this order.</summary>
    private static readonly string[] Headwords = ["Shapes", "Gradient", "Special values", "Kernels", "Cost"];

    public static TheoryData<string> Ops => [.. OpPage.All.Select(row => row.Op)];

    /// <summary>Links to files of the repository, and to headings of pages.</summary>
    [Fact]
    public void LinksLeadSomewhere()
    {
        List<string> broken = [];
        foreach (Page page in Page.All)
        {
            foreach (string link in page.Links.Where(link => !link.StartsWith("http", StringComparison.Ordinal)))
            {
                string[] parts = link.Split('#', 2);
                string folder = Path.Combine(Repository.Root, Path.GetDirectoryName(page.Path)!);
                string target = parts[0].Length == 0 ? page.Path : Path.GetRelativePath(Repository.Root, Path.Combine(folder, parts[0]));
                bool exists = Path.Exists(Path.Combine(Repository.Root, target));
                if (!exists || (parts.Length == 2 && !new Page(target).Anchors.Contains(parts[1]))) broken.Add($"{page}: {link}");
            }
        }

        Assert.Empty(broken);
    }

    [Fact]
    public async Task EveryExampleCompilesAndRuns() => Assert.NotEmpty(await ExampleProgram.Output);

    [Fact]
    public void TheIndexLeadsToEveryPage()
    {
        IEnumerable<Page> pages = Page.All.Where(page => page.Path.StartsWith(Page.Folder, StringComparison.Ordinal) && page.Path != Index);
        string[] names = [.. pages.Select(page => Path.GetFileName(page.Path))];
        Assert.Equal(names, new Page(Index).Links.Where(names.Contains).Distinct().Order(StringComparer.Ordinal));
    }

    /// <summary>What the index says of an op, the op's case says too.</summary>
    [Fact]
    public void TheIndexOfOpsIsTrue()
    {
        StringBuilder table = new();
        foreach (OpPage row in OpPage.All.OrderBy(row => row.Op, StringComparer.Ordinal))
        {
            string link = $"[{row.Op}]({Path.GetFileName(row.Page.Path)})";
            table.Append($"| {link} | `{row.TypeName}` | {Types(row.Case)} | {InPlace(row.Case)} |\n");
        }

        string text = table.ToString();
        Assert.True(Repository.Read(Index).Contains(text, StringComparison.Ordinal), $"{Index} should have the table\n{text}");
    }

    [Theory]
    [MemberData(nameof(Ops))]
    public void APageSaysWhatItMust(string op)
    {
        OpPage row = OpPage.All.Single(row => row.Op == op);
        Assert.Contains(op, row.Page.Title, StringComparison.Ordinal);
        string[] said = [.. Headword().Matches(row.Page.Text).Select(match => match.Groups["word"].Value)];
        Assert.Equal(Headwords, said.Where(Headwords.Contains));
        Assert.All(row.Calls, call => Assert.Matches($@"\b{call}\b", row.Page.Text));
        Assert.NotEmpty(row.Page.Examples);
    }

    /// <summary>A kernel is named where its op is described.</summary>
    [Fact]
    public void EveryKernelIsOnThePageOfAnOp()
    {
        string[] pages = [.. OpPage.All.Select(row => row.Page.Text)];
        IEnumerable<string> names = KernelCatalog.All.Select(kernel => $"`{kernel.EntryPoint}`");
        Assert.All(names, name => Assert.Contains(pages, page => page.Contains(name, StringComparison.Ordinal)));
    }

    private static string InPlace(OpCase op) =>
        string.Join(", ", op.Problems.SelectMany(op.InPlacePairs).Distinct().Select(pair => $"{pair.Source} → {pair.Destination}"));

    private static string Types(OpCase op) => string.Join(' ', op.DTypes.Select(dtype => Stored(op, dtype).ShortName()));

    /// <summary>What the op stores when it is asked for a type: random words are integers whatever that is.</summary>
    private static DType Stored(OpCase op, DType dtype)
    {
        TensorSpec[] tensors = [.. op.Problems.DistinctBy(problem => problem.Entry).SelectMany(problem => op.Tensors(problem, dtype, 0))];
        return tensors.Any(tensor => tensor.DType == dtype) ? dtype : tensors[0].DType;
    }

    [GeneratedRegex(@"^- \*\*(?<word>[^*]+)\*\*", RegexOptions.Multiline)]
    private static partial Regex Headword();
}
