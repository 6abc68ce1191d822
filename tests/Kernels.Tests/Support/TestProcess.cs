using System.Runtime.InteropServices;
using System.Text;
using CliWrap;
using Xunit;

namespace Kernels.Tests.Support;

/// <summary>
/// A program run to its end in a process of its own: the one way in which tests start processes, always with a time limit.
/// </summary>
internal sealed record TestProcess(int ExitCode, string Output, string Error)
{
    private static readonly TimeSpan UsualLimit = TimeSpan.FromMinutes(2);

    /// <summary>Where the host, and the SDKs if there are any, are installed: three levels above the runtime's own folder.</summary>
    public static string InstallationFolder { get; } = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../.."));

    /// <summary>The host that runs the tests.</summary>
    public static string Host { get; } = Path.Combine(InstallationFolder, OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet");

    /// <summary>Runs a program.</summary>
    /// <param name="program">Path or name of the program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="folder">Folder to run it in; that of temporary files if not given.</param>
    /// <param name="environment">Variables to set; null removes one.</param>
    /// <param name="limit">When it is killed; after two minutes if not given.</param>
    /// <param name="onStart">Called with the process's id.</param>
    /// <param name="onErrorLine">Called with each line of standard error as it comes.</param>
    /// <exception cref="TimeoutException">It did not end within the limit, and was killed with its children.</exception>
    public static async Task<TestProcess> Run(
        string program,
        IEnumerable<string> arguments,
        string? folder = null,
        IReadOnlyDictionary<string, string?>? environment = null,
        TimeSpan? limit = null,
        Action<int>? onStart = null,
        Action<string>? onErrorLine = null)
    {
        StringBuilder output = new(), error = new();
        Dictionary<string, string?> variables = environment is null ? [] : new(environment);
        // What a process of its own does by default shall not be slow: it has the machine only where it asks for it.
        if (MachineDriver.IsInstalled) variables.TryAdd(MachineDriver.Variable, null);
        Command command = new Command(program)
            .WithArguments(arguments)
            .WithWorkingDirectory(folder ?? Path.GetTempPath())
            .WithEnvironmentVariables(variables)
            .WithValidation(CommandResultValidation.None)
            .WithStandardOutputPipe(PipeTarget.ToStringBuilder(output))
            .WithStandardErrorPipe(PipeTarget.Merge(
                PipeTarget.ToStringBuilder(error), PipeTarget.ToDelegate(line => onErrorLine?.Invoke(line))));

        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        end.CancelAfter(limit ?? UsualLimit);
        try
        {
            CommandTask<CommandResult> running = command.ExecuteAsync(end.Token);
            onStart?.Invoke(running.ProcessId);
            CommandResult result = await running;
            return new TestProcess(result.ExitCode, output.ToString().ReplaceLineEndings("\n"), error.ToString().ReplaceLineEndings("\n"));
        }
        catch (OperationCanceledException) when (!TestContext.Current.CancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"{command} did not end within {limit ?? UsualLimit}\n{output}{error}");
        }
    }

    /// <summary>Runs a .NET program by the host that runs the tests.</summary>
    /// <inheritdoc cref="Run"/>
    public static Task<TestProcess> RunDotnet(
        string assembly,
        IEnumerable<string> arguments,
        string? folder = null,
        IReadOnlyDictionary<string, string?>? environment = null,
        TimeSpan? limit = null,
        Action<int>? onStart = null,
        Action<string>? onErrorLine = null) =>
        Run(Host, ["exec", assembly, .. arguments], folder, environment, limit, onStart, onErrorLine);

    /// <summary>
    /// Runs those tests of this assembly that the arguments choose. The bundle's tests are a program with a runtime of its own.
    /// </summary>
    /// <inheritdoc cref="Run"/>
    public static Task<TestProcess> RunTests(
        IEnumerable<string> arguments, IReadOnlyDictionary<string, string?> environment, TimeSpan limit)
    {
        string[] command = CommandOfTests(arguments);
        return Run(command[0], command[1..], environment: environment, limit: limit);
    }

    /// <summary>The command that runs those tests of this assembly that the arguments choose.</summary>
    public static string[] CommandOfTests(IEnumerable<string> arguments)
    {
        string assembly = typeof(TestProcess).Assembly.Location, program = Environment.ProcessPath!;
        bool isProgram = Path.GetFileNameWithoutExtension(program) == Path.GetFileNameWithoutExtension(assembly);
        return [.. isProgram ? (string[])[program] : [Host, "exec", assembly], "-noLogo", "-noColor", .. arguments];
    }
}
