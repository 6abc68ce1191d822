using System.CommandLine;
using System.Globalization;
using Kernels.Verification;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary><c>kernels bench</c>: the time of every op against what memory and arithmetic of the same device allow.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        Option<string> device = new("--device") { Description = "Device id.", DefaultValueFactory = _ => "cpu" };
        Option<string?> op = new("--op") { Description = "Only this op." };
        Option<string[]> dtypes = new("--dtype")
        {
            Description = "Stored types: f32, f16, bf16, f64.", DefaultValueFactory = _ => ["f32"], AllowMultipleArgumentsPerToken = true,
        };
        Option<bool> json = new("--json") { Description = "Print one JSON array." };
        Command command = new("bench", "Time every op; copy bandwidth and multiply-add peak are measured in the same run.") { device, op, dtypes, json };
        command.SetAction(parsed => Run(parsed.GetValue(device)!, parsed.GetValue(op), parsed.GetValue(dtypes)!, parsed.GetValue(json)));
        return command;
    }

    private static int Run(string deviceId, string? opName, string[] dtypes, bool json)
    {
        IReadOnlyList<OpCase> ops = OpSelection.Ops(opName);
        using Device device = Device.Open(deviceId);
        using DeviceStream stream = device.CreateStream();
        using Benchmark benchmark = new(stream);
        double peak = MultiplyAddPeak.Measure(stream);
        List<Row> rows = [];
        foreach (OpCase op in ops)
        {
            foreach (DType dtype in op.DTypes.Where(dtype => dtypes.Contains(dtype.ShortName()) && Verifier.Supports(device, dtype)))
            {
                foreach (Problem problem in op.BenchProblems) rows.Add(Row.From(device, benchmark.Run(op, problem, dtype), peak));
            }
        }

        if (json)
            Output.WriteJson(rows);
        else
            Print(device, rows, peak);
        return ExitCode.Success;
    }

    private static void Print(Device device, List<Row> rows, double peak)
    {
        Table table = Output.NewTable(
            ("op", false), ("entry", false), ("shape", false), ("type", false), ("ms", true), ("GB/s", true), ("of copy", true), ("GFLOP/s", true), ("of peak", true));
        foreach (Row row in rows)
        {
            table.AddRow(
                row.Op, row.Entry, Markup.Escape(row.Shape), row.Dtype, Number(row.Milliseconds, "0.000"), Number(row.GigabytesPerSecond, "0.0"),
                Number(row.FractionOfCopy, "0.00"), Number(row.Gflops, "0.0"), Number(row.FractionOfPeak, "0.00"));
        }

        AnsiConsole.Write(table);
        AnsiConsole.MarkupLineInterpolated($"{device}: multiply-add peak {peak / 1e9:0} GFLOP/s, measured in this run. Each op and a copy of as many bytes were timed in turn from cold caches; medians.");
    }

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "";

    private sealed record Row(
        string Device, string Op, string Entry, string Shape, string Dtype, double Milliseconds, double GigabytesPerSecond, double FractionOfCopy,
        double? Gflops, double? FractionOfPeak, string? Peer, double? PeerMilliseconds, double? Speedup)
    {
        public static Row From(Device device, Measurement m, double peak)
        {
            bool computes = m.Flops > 0;
            return new Row(
                device.Id, m.Op.Op, m.Problem.Entry, m.Problem.Text, m.DType.ShortName(), m.Milliseconds, m.GigabytesPerSecond, m.FractionOfCopy,
                computes ? m.Gflops : null, computes ? 1e9 * m.Gflops / peak : null, Peer: null, PeerMilliseconds: null, Speedup: null);
        }
    }
}
