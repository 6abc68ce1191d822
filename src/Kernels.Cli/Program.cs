using System.CommandLine;
using System.CommandLine.Invocation;
using Kernels;
using Kernels.Cli;
using Kernels.Cli.Commands;

RootCommand root = new("Hand-written kernels for neural-network regularization: see what devices there are, verify, measure, study.")
{
    DevicesCommand.Create(),
    VerifyCommand.Create(),
    BenchCommand.Create(),
    StudyCommand.Create(),
    OccupancyCommand.Create(),
    SummaryCommand.Create(),
};

ParseResult parsed = root.Parse(args);
if (parsed.Action is ParseErrorAction)
{
    // Standard output stays empty for scripts, and 1 stays the exit code of a failed check. Some messages have several lines.
    string errors = string.Join(' ', string.Join(' ', parsed.Errors).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    Console.Error.WriteLine($"kernels: {errors} (--help lists commands and options)");
    return ExitCode.Failed;
}

try
{
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (Exception e) when (e is DeviceException or ArgumentException)
{
    // What a user can act on is said in one line; anything else is a defect and keeps its stack trace.
    Console.Error.WriteLine($"kernels: {e.Message}");
    return ExitCode.Failed;
}
