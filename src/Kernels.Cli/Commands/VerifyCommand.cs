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
        Option<string> device = new("--device") { Description = "Device id, or all.", DefaultValueFactory = _ => "all" };
        Option<string?> op = new("--op") { Description = "Only this op." };
        Option<bool> small = new("--small") { Description = "Only problems of at most 64 KiB, for slow tools such as sanitizers." };
        Option<bool> json = new("--json") { Description = "Print one JSON array." };
        Command command = new("verify", "Check every op against the scalar reference; exit code 1 if any row fails.") { device, op, small, json };
        command.SetAction(parsed => Run(parsed.GetValue(device)!, parsed.GetValue(op), parsed.GetValue(small), parsed.GetValue(json)));
        return command;
    }

    private static int Run(string deviceOption, string? opName, bool small, bool json)
    {
        IReadOnlyList<OpCase> ops = OpSelection.Ops(opName);
        List<Row> rows = [];
        foreach (string id in DeviceSelection.Ids(deviceOption))
        {
            using Device device = Device.Open(id);
            using DeviceStream stream = device.CreateStream();
            foreach (OpCase op in ops)
            {
                foreach (DType dtype in op.DTypes.Where(dtype => Verifier.Supports(device, dtype)))
                {
                    if (!json && !Console.IsErrorRedirected) Console.Error.Write($"\r{id} {op.Op} {dtype.ShortName()}            ");
                    rows.Add(Verify(device, stream, op, dtype, small ? SmallBytes : long.MaxValue));
                }
            }
        }

        if (!json && !Console.IsErrorRedirected) Console.Error.Write("\r                                        \r");
        if (json)
            Output.WriteJson(rows.Select(row => new { row.Device, row.Op, row.Dtype, row.Cases, row.MaxError, row.Tolerance, row.Passed, row.Failure }));
        else
            Print(rows, deviceOption);
        return rows.All(row => row.Passed) ? ExitCode.Success : ExitCode.CheckFailed;
    }

    private static Row Verify(Device device, DeviceStream stream, OpCase op, DType dtype, long largestBytes)
    {
        ProblemResult worst = new(-1, 0, 0, null);
        string? failure = null;
        Problem[] problems = [.. op.Problems.Where(problem => problem.Bytes(dtype.SizeInBytes()) <= largestBytes)];
        foreach (Problem problem in problems)
        {
            ProblemResult result = Verifier.Verify(stream, op, problem, dtype);
            if (!result.Passed) failure ??= $"{problem}: {result.Failure}";
            if (!(result.Error <= worst.Error)) worst = result;
        }

        return new Row(device.Id, op.Op, dtype.ShortName(), problems.Length, worst.MaxError, worst.Limit, failure is null, failure);
    }

    private static void Print(List<Row> rows, string deviceOption)
    {
        Table table = Output.NewTable(
            ("device", false), ("op", false), ("type", false), ("cases", true), ("worst error", true), ("tolerance", true), ("", false));
        foreach (Row row in rows)
        {
            table.AddRow(
                row.Device, row.Op, row.Dtype, row.Cases.ToString(CultureInfo.InvariantCulture), Scientific(row.MaxError), Scientific(row.Tolerance),
                row.Passed ? "[green]passed[/]" : $"[red]failed[/] {Markup.Escape(row.Failure!)}");
        }

        AnsiConsole.Write(table);
        int failed = rows.Count(row => !row.Passed);
        AnsiConsole.MarkupLine(failed == 0 ? $"[green]All {rows.Count} rows passed.[/]" : $"[red]{failed} of {rows.Count} rows failed.[/]");
        foreach (string missing in DeviceSelection.Missing(deviceOption)) AnsiConsole.MarkupLineInterpolated($"[yellow]{missing}[/]");
    }

    private static string Scientific(double value) => value == 0 ? "exact" : value.ToString("0.0e+0", CultureInfo.InvariantCulture);

    private sealed record Row(string Device, string Op, string Dtype, int Cases, double MaxError, double Tolerance, bool Passed, string? Failure);
}
