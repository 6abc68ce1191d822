using Kernels.Cli.Commands;
using Spectre.Console;
using Xunit;

namespace Kernels.Tests.Cli;

public sealed class OutputTableTests
{
    /// <summary>
    /// Widths at which it is a list, around the width at which it becomes a table (59 columns), and a wide one: no word is ever cut.
    /// </summary>
    [Theory]
    [InlineData(12, false)]
    [InlineData(40, false)]
    [InlineData(58, false)]
    [InlineData(59, true)]
    [InlineData(80, true)]
    [InlineData(240, true)]
    public void EveryWordIsReadableAtEveryWidth(int width, bool isTable)
    {
        OutputTable table = new(("device", false), ("available", false), ("worst error", true), ("tolerance", true), ("", false));
        table.AddRow("cpu", "[green]yes[/]", "1.0e-16", "1.0e-15", "passed");
        table.AddRow("opencl:0", "no: the library could not be loaded", "1.2e-3", "exact", "failed");

        string text = Write(table, width);

        Assert.Equal(isTable, text.Contains('│', StringComparison.Ordinal));
        Assert.DoesNotContain('…', text);
        Assert.All(text.Split('\n'), line => Assert.True(line.Length <= width, line));
        const string Words = "device cpu available yes error 1.0e-16 tolerance 1.0e-15 passed opencl:0 library loaded exact failed";
        Assert.Empty(Words.Split(' ').Except(text.Split([' ', '\n', '│'], StringSplitOptions.RemoveEmptyEntries)));
    }

    private static string Write(OutputTable table, int width)
    {
        StringWriter writer = new();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(writer) });
        console.Profile.Width = width;
        table.Write(console);
        return writer.ToString().ReplaceLineEndings("\n");
    }
}
