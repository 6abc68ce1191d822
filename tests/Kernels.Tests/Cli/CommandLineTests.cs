using Kernels.Cli;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Cli;

/// <summary>What goes wrong around a command is one line on standard error and an exit code, never a stack trace.</summary>
public sealed class CommandLineTests
{
    private const int Failed = 2;

    public static TheoryData<string, string> Options => new(
        from command in CommandLine.Root().Subcommands
        from option in command.Options
        select (command.Name, option.Name));

    /// <summary>Of the two values no option takes both: a text may not be empty, a count not so large, and a flag takes none.</summary>
    [Theory]
    [MemberData(nameof(Options))]
    public void WrongValuesAreRefusedInWords(string command, string option)
    {
        string[] errors = [.. ((string[])["", "99999999999999999999"]).Select(Errors)];

        Assert.Contains(errors, error => error.Length > 0);
        Assert.All(errors, error => Assert.DoesNotContain("System.", error, StringComparison.Ordinal));
        Assert.All(errors, error => Assert.DoesNotContain('`', error));

        // By the name of the option, or by the value where the option takes none or is one of several words.
        string Errors(string value)
        {
            string text = string.Join(' ', CommandLine.Root().Parse([command, $"{option}={value}"]).Errors.Select(error => error.Message));
            if (text.Length > 0)
                Assert.Contains(((string[])[option, $"'{value}'"]).Where(name => text.Contains(name, StringComparison.Ordinal)), _ => true);
            return text;
        }
    }

    [Theory]
    [InlineData("abc")]
    [InlineData("0")]
    [InlineData("-3")]
    [InlineData("1.5")]
    [InlineData("1e3")]
    [InlineData("99999999999")]
    public void CountsAreWholeNumbersFromOne(string value)
    {
        foreach (string option in (string[])["--seeds", "--epochs"])
        {
            string error = Assert.Single(CommandLine.Root().Parse(["study", option, value]).Errors).Message;
            Assert.Matches($"^{option} takes a whole number from 1 to [0-9]+, not '{value}'.$", error);
        }

        Assert.Empty(CommandLine.Root().Parse(["study", "--seeds", "7", "--epochs", "1"]).Errors);
    }

    /// <summary>A full disk and a closed descriptor, for tables, JSON and help.</summary>
    [Theory]
    [InlineData("> /dev/full", "No space left on device", "devices")]
    [InlineData("> /dev/full", "No space left on device", "verify", "--op", "random", "--device", "cpu", "--json")]
    [InlineData(">&-", "Bad file descriptor", "devices", "--json")]
    [InlineData(">&-", "Bad file descriptor", "--help")]
    public async Task OutputThatTakesNothingIsSaid(string redirection, string reason, params string[] arguments)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "needs /dev/full");
        TestProcess command = await KernelsCommand.InShell($"exec \"$@\" {redirection}", arguments);

        Assert.Equal((Failed, $"kernels: standard output cannot be written: {reason}\n"), (command.ExitCode, command.Error));
    }

    /// <summary>
    /// A reader that has gone, as in <c>| head -0</c>, is no failure; a standard error that takes nothing changes no exit code.
    /// </summary>
    [Theory]
    [InlineData("\"$@\" | true", 0, "devices")]
    [InlineData("exec \"$@\" 2> /dev/full", 0, "devices", "--json")]
    [InlineData("exec \"$@\" 2> /dev/full", Failed, "verify", "--device", "tpu")]
    [InlineData("exec \"$@\" 2>&-", Failed, "devises")]
    public async Task ReadersMayBeGone(string script, int exitCode, params string[] arguments)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "needs /dev/full");
        TestProcess command = await KernelsCommand.InShell(script, arguments);

        Assert.Equal((exitCode, ""), (command.ExitCode, command.Error));
    }

    /// <summary>Whoever needs the folder says so; others do not mind.</summary>
    [Theory]
    [InlineData("", "devices", "--json")]
    [InlineData("the report kernels-study.html cannot be written: the working folder is no longer there", "study", "--quick")]
    [InlineData("the report a.md cannot be written: the working folder is no longer there", "bench", "--op", "random", "--report", "a.md")]
    [InlineData("There is no folder 'results'.", "summary", "results")]
    public async Task AWorkingFolderMayBeGone(string message, params string[] arguments)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a folder in use cannot be deleted");
        TestProcess command = await KernelsCommand.InShell("cd \"$(mktemp -d)\" && rmdir \"$PWD\" && exec \"$@\"", arguments);

        Assert.Equal(message.Length == 0 ? (0, "") : (Failed, $"kernels: {message}\n"), (command.ExitCode, command.Error));
    }
}
