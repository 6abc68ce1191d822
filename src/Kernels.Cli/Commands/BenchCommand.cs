using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Kernels.Benchmarks;
using Kernels.Reporting;

namespace Kernels.Cli.Commands;

/// <summary><c>kernels bench</c>: the time of every op against what memory and arithmetic of the same device allow, and against peers.</summary>
internal static class BenchCommand
{
    private const int Cancelled = 130;
    private const string DefaultDType = "f32";

    public static Command Create()
    {
        Option<string> device = new("--device") { Description = "Device id.", DefaultValueFactory = _ => "cpu" };
        Option<string?> op = new("--op") { Description = "Only this op." };
        Option<string[]> dtypes = new("--dtype")
        {
            Description = "Stored types: f32, f16, bf16, f64.",
            DefaultValueFactory = _ => [DefaultDType],
            AllowMultipleArgumentsPerToken = true,
        };
        Option<string[]> peers = new("--peers")
        {
            Description = $"Only these peers: {string.Join(", ", PeerSet.Names)}; all that are found, if not given.",
            AllowMultipleArgumentsPerToken = true,
        };
        Option<bool> noPeers = new("--no-peers") { Description = "Time our own ops only." };
        Option<bool> quick = new("--quick") { Description = "Fewer repetitions." };
        Option<bool> large = new("--large") { Description = $"Also {BenchRun.LargeProblems}; GPUs get them anyway." };
        Option<FileInfo[]> reports = new("--report")
        {
            Description = "Write the result to a file, as its name says: a page (.html), a table (.md) or the rows (.json); may be repeated.",
            HelpName = "FILE",
        };
        Option<bool> json = new("--json") { Description = "Print one JSON array." };
        dtypes.AcceptOnlyFromAmong("f32", "f16", "bf16", "f64");
        peers.AcceptOnlyFromAmong([.. PeerSet.Names]);
        reports.Validators.Add(result =>
        {
            foreach (string file in result.Tokens.Select(token => token.Value).Where(file => !BenchFiles.Knows(file)))
                result.AddError($"--report takes names that end in {string.Join(", ", BenchFiles.Extensions)}, not '{file}'.");
        });

        Command command = new("bench", "Time every op beside a copy, the arithmetic peak and other libraries, all in the same run.")
        {
            device, op, dtypes, peers, noPeers, quick, large, reports, json,
        };
        command.SetAction(parsed =>
        {
            string[] wanted = parsed.GetValue(peers) is { Length: > 0 } named ? named : [.. PeerSet.Names];
            BenchRequest request = new(
                parsed.GetValue(device)!,
                OpSelection.Ops(parsed.GetValue(op)),
                parsed.GetValue(dtypes)!,
                parsed.GetValue(noPeers) ? [] : wanted,
                parsed.GetValue(quick),
                parsed.GetValue(large) ? true : null,
                $"kernels {string.Join(' ', parsed.Tokens.Select(token => token.Value))}");
            try
            {
                return Run(request, [.. (parsed.GetValue(reports) ?? []).Select(file => file.FullName)], parsed.GetValue(json));
            }
            catch (ReportException e)
            {
                Console.Error.WriteLine($"kernels: {e.Message}");
                return ExitCode.Failed;
            }
        });
        return command;
    }

    private static int Run(BenchRequest request, IReadOnlyList<string> files, bool json)
    {
        foreach (string file in files) ReportFile.CheckWritable(file);
        // Time can run out: a signal ends the run between two problems and keeps what is there, another one later ends the process.
        using CancellationTokenSource stop = new();
        long firstSignal = 0;
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        bool showsProgress = !Console.IsErrorRedirected;
        BenchResult result = BenchRun.Run(request, ShowProgress, stop.Token);
        if (showsProgress) Console.Error.Write($"\r{"",-78}\r");

        foreach (string file in files) BenchFiles.Write(result, file);
        if (json)
        {
            Output.WriteJson(result.Rows);
            foreach (string note in result.Notes) Console.Error.WriteLine(note);
        }
        else
        {
            BenchConsole.Print(result);
        }

        return result.CutOff == 0 ? ExitCode.Success : Cancelled;

        void ShowProgress(string text)
        {
            if (showsProgress) Console.Error.Write($"\r{text,-78}");
        }

        void Stop(PosixSignalContext signal)
        {
            // `timeout` signals the process and then its group, so that one end of time arrives twice.
            if (firstSignal == 0) firstSignal = Stopwatch.GetTimestamp();
            signal.Cancel = Stopwatch.GetElapsedTime(firstSignal) < TimeSpan.FromSeconds(1);
            stop.Cancel();
        }
    }
}
