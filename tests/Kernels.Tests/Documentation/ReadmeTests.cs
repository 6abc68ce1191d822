using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Documentation;

/// <summary>What the README says is so: its programs print what they should, and its tables are complete.</summary>
public sealed partial class ReadmeTests
{
    private const string ReadmePath = "README.md";

    private static readonly Page Readme = new(ReadmePath);

    [Fact]
    public async Task TheProgramsPrintWhatTheyShould()
    {
        string output = await ExampleProgram.Output;
        Assert.Contains("same mask in backward: True", output, StringComparison.Ordinal);
        Match training = Training().Match(output);
        Assert.True(training.Success, output);
        Assert.InRange(double.Parse(training.Groups["right"].Value, CultureInfo.InvariantCulture), 0.95, 1);
    }

    /// <summary>A stranger reads the first in a minute and the second in five.</summary>
    [Fact]
    public void TheProgramsAreShort()
    {
        int[] lines = [.. Readme.Examples.Select(example => example.Code.Split('\n').Count(line => line.Trim().Length > 0))];
        Assert.Equal(2, lines.Length);
        Assert.InRange(lines[0], 10, 22);
        Assert.InRange(lines[1], 20, 60);
    }

    private static readonly Lazy<HashSet<string>> HeaderNames =
        new(() => [.. Variable().Matches(Repository.Read("native/include/kernels.h")).Select(match => match.Value)]);

    /// <summary>An op is there under its name, with the type that has it and a link to its page.</summary>
    [Fact]
    public void EveryOpIsInTheTable() =>
        Assert.Equal(OpCase.All.Select(op => op.Op), OpPage.All.Select(row => row.Op).Order(StringComparer.Ordinal));

    [Fact]
    public void EveryCommandIsInTheTable() => Assert.All(
        Assembly.Load("Kernels.Cli").GetTypes().Where(type => type.Name.EndsWith("Command", StringComparison.Ordinal)),
        type => Assert.Contains($"| `kernels {type.Name[..^"Command".Length].ToLowerInvariant()}", Readme.Text, StringComparison.Ordinal));

    /// <summary>Variables that programs, scripts and tests read are on a page, and no page names one that nobody reads.</summary>
    [Fact]
    public void EveryEnvironmentVariableIsOnAPage()
    {
        string[] sources = ["src", "bench", "tests", "native"];
        IEnumerable<string> files = sources
            .SelectMany(folder => Directory.GetFiles(Path.Combine(Repository.Root, folder), "*.*", SearchOption.AllDirectories))
            .Where(file => Path.GetExtension(file) is ".cs" or ".py" or ".c" or ".sh")
            .Concat(Directory.GetFiles(Repository.Root, "build.*"));
        string[] read = [.. files.SelectMany(file => Variables(File.ReadAllText(file))).Distinct()];
        string[] documented = [.. Page.All.SelectMany(page => Variables(page.Text)).Distinct()];
        Assert.Empty(read.Except(documented));
        Assert.Empty(documented.Except(read));
    }

    /// <summary>What looks like one, and is no constant of the C interface.</summary>
    private static IEnumerable<string> Variables(string text) =>
        Variable().Matches(text).Select(match => match.Value).Except(HeaderNames.Value);

    [GeneratedRegex(@"right: (?<right>[0-9.]+)")]
    private static partial Regex Training();

    [GeneratedRegex(@"\bKERNELS_[A-Z_]*[A-Z]\b")]
    private static partial Regex Variable();
}
