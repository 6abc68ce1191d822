using System.CommandLine;
using Kernels;
using Kernels.Cli;
using Kernels.Cli.Commands;

RootCommand root = new("Hand-written kernels for neural-network regularization: see what devices there are, verify, measure, study.")
{
    DevicesCommand.Create(),
    VerifyCommand.Create(),
    BenchCommand.Create(),
    StudyCommand.Create(),
};

ParseResult parsed = root.Parse(args);
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
