using System.Globalization;
using System.Text.RegularExpressions;
using Kernels.Devices;
using Kernels.Tests.Documentation;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>The rules of <c>kernels/README.md</c> that a text can be held against.</summary>
public sealed partial class DialectTests
{
    private const string Folder = "kernels/";
    private const int MostMacros = 40;

    private static readonly string[] SharedFiles =
    [
        "portable/activation.cl", "portable/augment_statistics.cl", "portable/augment_table.cl",
        "portable/batch_norm_backward.cl", "portable/conv2d_depthwise.cl", "portable/conv2d_direct.cl", "portable/erase_draw.cl",
        "portable/mixup_draw.cl", "portable/optimizer_step.cl", "portable/partial_sums.cl",
    ];

    private static readonly string[] Dialects = ["dialect/cuda.h", "dialect/opencl.h"];

    /// <summary>Paths under <c>kernels/</c>, as embedded.</summary>
    private static readonly string[] Files =
    [
        .. from name in typeof(KernelSource).Assembly.GetManifestResourceNames()
           where name.StartsWith(Folder, StringComparison.Ordinal)
           orderby name
           select name[Folder.Length..],
    ];

    public static TheoryData<string> KernelFiles => [.. Files.Where(file => IsKernelFile(file))];

    public static TheoryData<string> FilesThatInclude => [.. Files.Where(file => Include().IsMatch(KernelSource.Read(file)))];

    public static TheoryData<string> PortableFiles => [.. Files.Where(file => file.StartsWith("portable/", StringComparison.Ordinal))];

    /// <summary>Macros with their parameters, types, and functions: a text that one compiler takes has every name in the other.</summary>
    [Fact]
    public void DialectsDefineTheSameNames()
    {
        Assert.Equal(Names(KernelSource.Read(Dialects[0])), Names(KernelSource.Read(Dialects[1])));
        Assert.Contains("BARRIER()", Names(KernelSource.Read(Dialects[0])));
        Assert.Contains("load8_f64", Names(KernelSource.Read(Dialects[0])));
    }

    [Fact]
    public void MacrosAreFewAndDocumented()
    {
        string documentation = Repository.Read("kernels/README.md");
        foreach (string dialect in Dialects)
        {
            string[] macros = [.. Define().Matches(KernelSource.Read(dialect)).Select(match => match.Groups["name"].Value)];
            Assert.InRange(macros.Length, 1, MostMacros - 1);
            Assert.All(macros, macro => Assert.Matches($@"\b{macro}\b", documentation));
        }
    }

    /// <summary>
    /// Feature macros are numbers: with <c>#if</c> a misspelt one is at least 0 in both dialects, and <c>#ifdef X</c> is true for X = 0.
    /// </summary>
    [Theory]
    [MemberData(nameof(PortableFiles))]
    public void PortableFilesTestNumbers(string file) => Assert.DoesNotMatch(@"#\s*(ifdef|ifndef)\b|\bdefined\b", KernelSource.Read(file));

    [Theory]
    [MemberData(nameof(KernelFiles))]
    public void OnlyHeadersKnowTheDialect(string file) =>
        Assert.DoesNotContain("DIALECT_", KernelSource.Read(file), StringComparison.Ordinal);

    /// <summary>PoCL gives all groups one array where a function that is not inlined early gets the same one in all calls.</summary>
    [Theory]
    [MemberData(nameof(PortableFiles))]
    public void FunctionsThatGetALocalArrayAreInlined(string file) => Assert.DoesNotMatch(
        @"\bDEVICE (?!INLINED\b)[^;{}()]*\([^{};]*\bLOCAL\b[^{};]*\)\s*\{", KernelSource.Read(file));

    [Theory]
    [MemberData(nameof(FilesThatInclude))]
    public void IncludesResolve(string file)
    {
        foreach (Match include in Include().Matches(KernelSource.Read(file)))
        {
            string name = include.Groups["file"].Value;
            Assert.Contains(name.Contains('/') ? name : $"portable/{name}", Files);
        }
    }

    [Theory]
    [MemberData(nameof(KernelFiles))]
    public void NoIncludeIsLeftInAssembledText(string file)
    {
        KernelProgram program = KernelPrograms.All.First(program => program.First.File == file);
        string[] dialects = program.First.IsPortable ? ["cuda", "opencl"] : ["cuda"];
        Assert.All(dialects, dialect => Assert.DoesNotMatch(@"(?m)^\s*#\s*include\b", program.Text(dialect)));
    }

    /// <summary>
    /// One op, five files, one stem: <c>cross_entropy.cl</c> has a <c>CrossEntropyCase</c>. What several ops run, or an op for some
    /// problems, is shared.
    /// </summary>
    [Fact]
    public void EveryOpFileHasACase()
    {
        string[] cases = [.. OpCase.All.Select(op => op.GetType().Name)];
        foreach (string file in Files.Where(file =>
            file.StartsWith("portable/", StringComparison.Ordinal) && file.EndsWith(".cl", StringComparison.Ordinal)).Except(SharedFiles))
        {
            string words = Path.GetFileNameWithoutExtension(file).Replace('_', ' ');
            string stem = CultureInfo.InvariantCulture.TextInfo.ToTitleCase(words).Replace(" ", "", StringComparison.Ordinal);
            Assert.Contains($"{stem}Case", cases, StringComparer.OrdinalIgnoreCase);
        }
    }

    /// <summary>
    /// Every entry point is some definition's, so that none escapes the other tests, and stands in the list that opens its file.
    /// </summary>
    [Theory]
    [MemberData(nameof(KernelFiles))]
    public void EntryPointsAreDefinedAndListed(string file)
    {
        string text = KernelSource.Read(file);
        string opening = text[..text.IndexOf("#include", StringComparison.Ordinal)];
        string[] entryPoints = [.. EntryPoint().Matches(text).Select(match => match.Groups["name"].Value).Order(StringComparer.Ordinal)];
        IEnumerable<string> defined = KernelPrograms.Kernels.Where(kernel => kernel.File == file).Select(kernel => kernel.EntryPoint);
        Assert.Equal(entryPoints, defined.Order(StringComparer.Ordinal));
        Assert.All(entryPoints, entryPoint => Assert.Matches($@"(?m)^//   {entryPoint}\b", opening));
    }

    private static bool IsKernelFile(string file) => Path.GetExtension(file) is ".cl" or ".cu";

    private static string[] Names(string text) =>
    [
        .. Define().Matches(text).Select(match => match.Groups["name"].Value + match.Groups["parameters"].Value)
            .Concat(TypeDefinition().Matches(text).Select(match => match.Groups["name"].Value))
            .Concat(Function().Matches(text).Select(match => match.Groups["name"].Value))
            .Order(StringComparer.Ordinal),
    ];

    [GeneratedRegex(@"^#define (?<name>\w+)(?<parameters>\([^)]*\))?", RegexOptions.Multiline)]
    private static partial Regex Define();

    [GeneratedRegex(@"^typedef .*?(?<name>\w+);", RegexOptions.Multiline)]
    private static partial Regex TypeDefinition();

    [GeneratedRegex(@"^DEVICE \w+ (?<name>\w+)\(", RegexOptions.Multiline)]
    private static partial Regex Function();

    [GeneratedRegex("""^#include "(?<file>[^"]+)"$""", RegexOptions.Multiline)]
    private static partial Regex Include();

    [GeneratedRegex(@"\bKERNEL\s+void\s+(?<name>\w+)")]
    private static partial Regex EntryPoint();
}
