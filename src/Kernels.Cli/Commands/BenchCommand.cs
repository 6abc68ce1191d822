using System.CommandLine;
using Kernels.Benchmarks;
using Kernels.Reporting;

namespace Kernels.Cli.Commands;

/// <summary>
/// <c>kernels bench</c>: the time of every op against what memory and arithmetic of the same device allow, and against peers.
/// </summary>
internal static class BenchCommand
{
    private static readonly string[] DTypes = ["f32", "f16", "bf16", "f64"];

    public static Command Create()
    {
        Option<string?> device = CommandOptions.Text("--device", "Device id.", "ID", "cpu");
        Option<string?> op = CommandOptions.Text("--op", "Only this op.", "NAME");
        Option<string[]> dtypes = CommandOptions.Texts("--dtype", "Stored types; f32 if not given.", "TYPE", DTypes);
        Option<string[]> peers = CommandOptions.Texts(
            "--peers", "Only these peers; all that are found if not given.", "NAME", [.. PeerSet.Names]);
        Option<bool> noPeers = CommandOptions.Flag("--no-peers", "Time our own ops only.");
        Option<bool> quick = CommandOptions.Flag("--quick", "Fewer repetitions: a first look, not for publication.");
        Option<bool> large = CommandOptions.Flag("--large", $"Also {BenchRun.LargeProblems}; GPUs get them anyway.");
        Option<string[]> reports = CommandOptions.Texts(
            "--report",
            "Write the result to a file, as its name says: a page (.html), tables (.md) or the rows (.json); may be repeated.",
            "FILE");
        Option<bool> json = CommandOptions.Json();
        reports.Validators.Add(result =>
        {
            foreach (string file in result.Tokens.Select(token => token.Value).Where(file => !BenchFiles.Knows(file)))
                result.AddError($"--report takes names that end in {string.Join(", ", BenchFiles.Extensions)}, not '{file}'.");
        });

        Command command = new("bench", "Time every op beside a copy, the arithmetic peak and other libraries, all in the same run.")
        {
            device, op, dtypes, peers, noPeers, quick, large, reports, json,
        };
        command.SetWork((parsed, stop) =>
        {
            string[] files = parsed.GetValue(reports) ?? [];
            string[] output = [.. files, "--report", "--json"];
            string[] wanted = parsed.GetValue(peers) is { Length: > 0 } named ? named : [.. PeerSet.Names];
            BenchRequest request = new(
                parsed.GetValue(device)!,
                OpSelection.Ops(parsed.GetValue(op)),
                parsed.GetValue(dtypes) is { Length: > 0 } types ? types : ["f32"],
                parsed.GetValue(noPeers) ? [] : wanted,
                parsed.GetValue(quick),
                parsed.GetValue(large) ? true : null,
                $"kernels {string.Join(' ', parsed.Tokens.Select(token => token.Value).Where(word => !output.Contains(word)))}");
            return Run(request, files, parsed.GetValue(json), stop);
        });
        return command;
    }

    private static int Run(BenchRequest request, IReadOnlyList<string> paths, bool json, CancellationToken stop)
    {
        List<ReportFile> files = [];
        try
        {
            foreach (string path in paths) files.Add(ReportFile.Open(path));
            // Time can run out: a signal ends the run between two problems and keeps what is there.
            BenchResult result = Output.WithStatus(status => BenchRun.Run(request, status, stop));
            foreach (ReportFile file in files) file.Write(BenchFiles.Text(result, file.Path));
            if (json)
            {
                Output.WriteJson(result.Rows);
                foreach (string note in result.Notes) Console.Error.WriteLine(note);
            }
            else
            {
                BenchConsole.Print(result);
            }

            return result.CutOff == 0 ? ExitCode.Success : ExitCode.Interrupted;
        }
        finally
        {
            foreach (ReportFile file in files) file.Dispose();
        }
    }
}
