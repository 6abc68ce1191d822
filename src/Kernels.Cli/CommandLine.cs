using System.CommandLine;
using System.CommandLine.Invocation;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Kernels.Cli.Commands;
using Kernels.Inspection;
using Kernels.Reporting;
using Kernels.Study;

namespace Kernels.Cli;

/// <summary>
/// The <c>kernels</c> command: what it consists of, how its work is started and stopped, and how it ends when something is wrong.
/// </summary>
internal static class CommandLine
{
    // Kept, as a registration ends with its object.
    private static readonly List<PosixSignalRegistration> LaterSignals = [];

    public static RootCommand Root() => new(
        "Hand-written kernels for neural-network regularization: see what devices there are, verify, measure, study.")
    {
        DevicesCommand.Create(),
        VerifyCommand.Create(),
        BenchCommand.Create(),
        StudyCommand.Create(),
        RanksCommand.Create(),
        InspectCommand.Create(),
        OccupancyCommand.Create(),
        SummaryCommand.Create(),
    };

    /// <summary>
    /// Runs a command. What a user can act on is said in one line on standard error; anything else is a defect and keeps its stack trace.
    /// </summary>
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments)
    {
        Console.SetOut(new StandardStream(Console.Out, isError: false));
        Console.SetError(new StandardStream(Console.Error, isError: true));
        ParseResult parsed = Root().Parse(arguments);
        if (parsed.Action is ParseErrorAction)
        {
            // Standard output stays empty for scripts, and 1 stays the exit code of a failed check. Some messages have several lines.
            string errors = string.Join(' ', string.Join(' ', parsed.Errors).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
            return Say($"{errors} (--help lists commands and options)", ExitCode.Failed);
        }

        try
        {
            // The work decides how long it needs to come to a clean end; a later signal is for those who do not want to wait.
            return await parsed.InvokeAsync(
                new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = Timeout.InfiniteTimeSpan });
        }
        catch (OperationCanceledException)
        {
            return Say("stopped before anything was finished", ExitCode.Interrupted);
        }
        catch (Exception e) when (e is DeviceException or ArgumentException or ReportException or DatasetException or OutputException
            or ToolkitException)
        {
            return Say(e.Message, ExitCode.Failed);
        }
    }

    /// <summary>
    /// Sets what a command does. The first Ctrl+C or SIGTERM cancels the token: the work ends as soon as it can and keeps what is finished.
    /// A later one ends the process.
    /// </summary>
    public static void SetWork(this Command command, Func<ParseResult, CancellationToken, int> work) =>
        command.SetAction(async (parsed, stop) =>
        {
            using CancellationTokenRegistration registration = stop.Register(EndOnLaterSignal);

            // On a thread of its own: System.CommandLine waits for a task while it listens for signals.
            return await Task.Factory.StartNew(
                () => work(parsed, stop), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        });

    private static void EndOnLaterSignal()
    {
        Say("stopping; once more ends at once", ExitCode.Interrupted);
        long first = Stopwatch.GetTimestamp();
        foreach (PosixSignal signal in (PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM])
            LaterSignals.Add(PosixSignalRegistration.Create(signal, End));

        void End(PosixSignalContext context)
        {
            // `timeout` signals the process and then its group, so that one end of time arrives twice.
            if (Stopwatch.GetElapsedTime(first) > TimeSpan.FromSeconds(1)) Environment.Exit(ExitCode.Interrupted);
        }
    }

    private static int Say(string message, int exitCode)
    {
        Console.Error.WriteLine($"kernels: {message}");
        return exitCode;
    }
}
