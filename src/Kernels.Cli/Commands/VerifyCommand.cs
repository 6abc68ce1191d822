using System.CommandLine;
using System.Globalization;
using Kernels.Verification;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary><c>kernels verify</c>: every op on every device against the scalar reference.</summary>
internal static class VerifyCommand
{
    private const long SmallBytes = 64 << 10;

    public static Command Create()
    {
        Option<string?> device = CommandOptions.Text("--device", "Device id, or all.", "ID", "all");
        Option<string?> op = CommandOptions.Text("--op", "Only this op.", "NAME");
        Option<bool> small = CommandOptions.Flag("--small", "Only problems of at most 64 KiB, for slow tools such as sanitizers.");
        Option<bool> list = CommandOptions.Flag("--list", "Only print the names of the ops.");
        Option<bool> json = CommandOptions.Json();
        Command command = new("verify", "Check every op against the scalar reference; exit code 1 if any row fails.")
        {
            device, op, small, list, json,
        };
        command.SetWork((parsed, stop) =>
        {
            if (parsed.GetValue(list))
            {
                foreach (OpCase known in OpCase.All) Console.Out.WriteLine(known.Op);
                return ExitCode.Success;
            }

            long largest = parsed.GetValue(small) ? SmallBytes : long.MaxValue;
            return Run(parsed.GetValue(device)!, OpSelection.Ops(parsed.GetValue(op)), largest, parsed.GetValue(json), stop);
        });
        return command;
    }

    private static int Run(string deviceOption, IReadOnlyList<OpCase> ops, long largestBytes, bool json, CancellationToken stop)
    {
        List<Row> rows = [];
        bool isComplete = Output.WithStatus(status => Verify(DeviceSelection.Ids(deviceOption), ops, largestBytes, rows, status, stop));
        if (json)
            Output.WriteJson(rows);
        else
            Print(rows, deviceOption, isComplete);
        if (!isComplete) return ExitCode.Interrupted;
        return rows.All(row => row.Passed) ? ExitCode.Success : ExitCode.CheckFailed;
    }

    /// <summary>Adds a row for each device, op and type. False if it was stopped: a row that was not finished is none.</summary>
    public static bool Verify(
        IReadOnlyList<string> deviceIds, IReadOnlyList<OpCase> ops, long largestBytes, List<Row> rows, Action<string> status,
        CancellationToken stop)
    {
        foreach (string id in deviceIds)
        {
            using Device device = Device.Open(id);
            using DeviceStream stream = device.CreateStream();
            foreach (OpCase op in ops)
            {
                foreach (DType dtype in op.DTypes.Where(dtype => Verifier.Supports(device, dtype)))
                {
                    status($"{id} {op.Op} {dtype.ShortName()}");
                    if (Verify(device, stream, op, dtype, largestBytes, stop) is not { } row) return false;
                    rows.Add(row);
                }
            }
        }

        return true;
    }

    private static Row? Verify(Device device, DeviceStream stream, OpCase op, DType dtype, long largestBytes, CancellationToken stop)
    {
        ProblemResult worst = new(-1, 0, 0, null);
        string? failure = null;
        Problem[] problems = [.. op.Problems.Where(problem => problem.Bytes(dtype.SizeInBytes()) <= largestBytes)];
        foreach (Problem problem in problems)
        {
            if (stop.IsCancellationRequested) return null;
            ProblemResult result = Verifier.Verify(stream, new Trial(op, problem, dtype));
            if (!result.Passed) failure ??= $"{problem}: {result.Failure}";
            if (!(result.Error <= worst.Error)) worst = result;
        }

        return new Row(device.Id, op.Op, dtype.ShortName(), problems.Length, worst.MaxError, worst.Limit, failure is null, failure);
    }

    private static void Print(List<Row> rows, string deviceOption, bool isComplete)
    {
        IAnsiConsole console = Output.ForPeople();
        OutputTable table = new(
            ("device", false), ("op", false), ("type", false), ("cases", true), ("worst error", true), ("tolerance", true), ("", false));
        foreach (Row row in rows)
        {
            table.AddRow(
                row.Device, row.Op, row.Dtype, row.Cases.ToString(CultureInfo.InvariantCulture),
                Scientific(row.MaxError), Scientific(row.Tolerance),
                row.Passed ? "[green]passed[/]" : $"[red]failed[/] {Markup.Escape(row.Failure!)}");
        }

        table.Write(console);
        int failed = rows.Count(row => !row.Passed);
        console.MarkupLine(failed == 0 ? $"[green]All {rows.Count} rows passed.[/]" : $"[red]{failed} of {rows.Count} rows failed.[/]");
        if (!isComplete) console.MarkupLine("[yellow]The run was stopped before its end: further rows were not checked.[/]");
        foreach (string missing in DeviceSelection.Missing(deviceOption)) console.MarkupLineInterpolated($"[yellow]{missing}[/]");
    }

    private static string Scientific(double value) => value == 0 ? "exact" : value.ToString("0.0e+0", CultureInfo.InvariantCulture);

    /// <summary>One device, op and type, as <c>--json</c> prints it.</summary>
    public sealed record Row(
        string Device, string Op, string Dtype, int Cases, double MaxError, double Tolerance, bool Passed, string? Failure);
}
