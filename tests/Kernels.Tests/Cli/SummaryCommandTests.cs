using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Cli;

/// <summary><c>kernels summary</c>: what a folder of results reads like.</summary>
public sealed class SummaryCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kernels-summary-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void PassedRows_AreCounted_AndFailedOnesShown()
    {
        Write("verify.json", """
            [
              { "device": "cpu", "op": "relu", "cases": 1200, "passed": true, "failure": null },
              { "device": "cpu", "op": "adam", "cases": 34, "passed": false, "failure": "y[3] is 1 | 2" }
            ]
            """);
        string page = Summary();
        Assert.Contains("- cpu: 1 of 2 rows of an op and a type passed, 1,234 cases\n", page, StringComparison.Ordinal);
        Assert.Contains("| cpu | adam | 34 | False | y[3] is 1 \\| 2 |\n", page, StringComparison.Ordinal);
        Assert.DoesNotContain("relu", page, StringComparison.Ordinal);
    }

    [Fact]
    public void OtherRows_AreATable_WithoutEmptyColumns()
    {
        Write("occupancy.json", """[{ "kernel": "k", "variant": "", "registers": 32, "occupancy": 0.25 }]""");
        Assert.Contains("| kernel | registers | occupancy |\n", Summary(), StringComparison.Ordinal);
    }

    [Fact]
    public void MarkdownOfTheSameName_StandsInForRows_OneLevelBelow()
    {
        Write("bench.json", "[]");
        Write("bench.md", "# cuda:0\n");
        Assert.Contains("## bench\n\n### cuda:0\n", Summary(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""[{ "device": "cpu", """)]
    [InlineData("""[{ "passed": true }]""")]
    public void FileThatWasCutOff_IsSaidToBe(string text)
    {
        Write("verify.json", text);
        Assert.Contains("Not complete: ", Summary(), StringComparison.Ordinal);
    }

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(_folder, name), text);

    private string Summary()
    {
        TestProcess command = KernelsCommand.Run("summary", _folder);
        Assert.Equal(0, command.ExitCode);
        return command.Output.ReplaceLineEndings("\n");
    }
}
