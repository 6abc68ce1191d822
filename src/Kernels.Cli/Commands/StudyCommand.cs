using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Kernels.Reporting;
using Kernels.Study;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary><c>kernels study</c>: trains on real images and shows what each regularizer does to the generalization gap.</summary>
internal static class StudyCommand
{
    private const int Cancelled = 130;
    private const int DefaultSeeds = 3;
    private const string DefaultReport = "kernels-study.html";

    public static Command Create()
    {
        Option<bool> quick = new("--quick") { Description = "One seed instead of three" };
        Option<string[]> recipe = new("--recipe") { Description = $"Only this recipe; may be repeated ({string.Join(", ", Recipes.All.Select(r => r.Name))})", HelpName = "NAME" };
        Option<int?> seeds = new("--seeds") { Description = $"Number of seeds; {DefaultSeeds}, or 1 with --quick, if not given", HelpName = "N" };
        Option<int?> epochs = new("--epochs") { Description = "Epochs of a full run; 60 if not given", HelpName = "N" };
        Option<FileInfo?> report = new("--report") { Description = $"Where the HTML report goes; {DefaultReport} if not given, none with --json", HelpName = "FILE.html" };
        Option<string?> device = new("--device") { Description = "Device to train on (see 'kernels devices'); the fastest kind there is if not given", HelpName = "ID" };
        Option<string?> data = new("--data") { Description = $"Folder with the four files of Fashion-MNIST; also {FashionMnist.DirectoryVariable}", HelpName = "DIR" };
        Option<bool> json = new("--json") { Description = "Print one JSON array of runs on standard output, everything else on standard error" };

        recipe.AcceptOnlyFromAmong([.. Recipes.All.Select(r => r.Name)]);
        RequirePositive(seeds);
        RequirePositive(epochs);

        Command command = new("study", "Train on real images and show what each regularizer does to the generalization gap")
        {
            quick, recipe, seeds, epochs, report, device, data, json,
        };
        command.SetAction((arguments, cancellation) =>
        {
            bool asJson = arguments.GetValue(json);
            string[] names = arguments.GetValue(recipe) ?? [];
            FileInfo? file = arguments.GetValue(report) ?? (asJson ? null : new FileInfo(DefaultReport));
            Request request = new(
                names.Length == 0 ? Recipes.All : [.. Recipes.All.Where(r => names.Contains(r.Name))],
                [.. Enumerable.Range(1, arguments.GetValue(seeds) ?? (arguments.GetValue(quick) ? 1 : DefaultSeeds))],
                arguments.GetValue(epochs) is { } count ? new StudySettings { Epochs = count } : new StudySettings(),
                file?.FullName,
                arguments.GetValue(device),
                arguments.GetValue(data),
                asJson);
            return RunAsync(request, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(Request request, CancellationToken cancellation)
    {
        // Ctrl+C ends training between two batches and leaves the terminal in order; a second one ends the process.
        using CancellationTokenSource source = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Cancel);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Cancel);
        IAnsiConsole terminal = request.Json
            ? AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) })
            : AnsiConsole.Console;
        try
        {
            StudyResult study = await RunStudyAsync(request, new StudyConsole(terminal), source.Token).ConfigureAwait(false);
            if (request.Json) Console.Out.WriteLine(StudyJson.Write(study.Runs, study.DeviceId));
            return ExitCode.Success;
        }
        catch (OperationCanceledException) when (source.IsCancellationRequested)
        {
            await Console.Error.WriteLineAsync("kernels: stopped").ConfigureAwait(false);
            return Cancelled;
        }
        catch (Exception e) when (e is DatasetException or ReportException)
        {
            await Console.Error.WriteLineAsync($"kernels: {e.Message}").ConfigureAwait(false);
            return ExitCode.Failed;
        }

        void Cancel(PosixSignalContext signal)
        {
            signal.Cancel = !source.IsCancellationRequested;
            source.Cancel();
        }
    }

    private static async Task<StudyResult> RunStudyAsync(Request request, StudyConsole screen, CancellationToken cancellation)
    {
        using Device device = Device.Open(request.Device);
        if (request.ReportPath is not null) StudyReport.CheckWritable(request.ReportPath);

        string? directory = FashionMnist.FindDirectory(request.DataDirectory);
        if (directory is null)
        {
            directory = FashionMnistCache.DefaultDirectory;
            await screen.WithDownloadProgress(progress => FashionMnistCache.FillAsync(directory, progress, cancellation)).ConfigureAwait(false);
        }

        StudyData data = StudyData.From(FashionMnist.Load(directory));
        StudySizes sizes = StudySizes.Of(data);
        screen.WriteIntroduction(request.Settings, sizes, request.Seeds, $"{device.Id} ({device.Name})", directory);

        Stopwatch clock = Stopwatch.StartNew();
        using Trainer trainer = new(device, data, request.Settings);
        IReadOnlyList<RunResult> runs = screen.WithProgress(
            request.Recipes,
            request.Seeds.Count,
            request.Settings.Epochs,
            progress => (IReadOnlyList<RunResult>)[.. request.Recipes.SelectMany(recipe => request.Seeds.Select(seed => trainer.Run(recipe, seed, progress, cancellation)))]);

        StudyResult study = new(request.Settings, sizes, device.Id, device.Name, DateTimeOffset.Now, clock.Elapsed.TotalSeconds, runs);
        screen.WriteResult(study);
        if (request.ReportPath is not null)
        {
            StudyReport.Write(study, request.ReportPath);
            screen.WriteReportPath(request.ReportPath);
        }

        return study;
    }

    private static void RequirePositive(Option<int?> option) => option.Validators.Add(result =>
    {
        if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, out int value) && value < 1)
            result.AddError($"{option.Name} must be 1 or more, not {value}.");
    });

    /// <summary>What the user asked for.</summary>
    private sealed record Request(
        IReadOnlyList<Recipe> Recipes,
        IReadOnlyList<int> Seeds,
        StudySettings Settings,
        string? ReportPath,
        string? Device,
        string? DataDirectory,
        bool Json);
}
