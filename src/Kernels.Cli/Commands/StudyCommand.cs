using System.CommandLine;
using System.Diagnostics;
using Kernels.Reporting;
using Kernels.Study;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary><c>kernels study</c>: trains on real images and shows what each regularizer does to the generalization gap.</summary>
internal static class StudyCommand
{
    private const int DefaultSeeds = 3;
    private const int MostSeeds = 1_000;
    private const int MostEpochs = 100_000;
    private const string DefaultReport = "kernels-study.html";

    public static Command Create()
    {
        Option<bool> quick = CommandOptions.Flag("--quick", "One seed instead of three.");
        Option<string[]> recipe = CommandOptions.Texts(
            "--recipe", "Only these recipes; all if not given.", "NAME", [.. Recipes.All.Select(r => r.Name)]);
        Option<int?> seeds = CommandOptions.Count(
            "--seeds", $"Number of seeds; {DefaultSeeds}, or 1 with --quick, if not given.", MostSeeds);
        Option<int?> epochs = CommandOptions.Count(
            "--epochs", $"Epochs of a full run; {new StudySettings().Epochs} if not given.", MostEpochs);
        Option<string?> report = CommandOptions.Text(
            "--report", $"Where the HTML report goes; {DefaultReport} if not given, none with --json.", "FILE.html");
        Option<string?> device = CommandOptions.Text(
            "--device", "Device to train on (see 'kernels devices'); the fastest kind there is if not given.", "ID");
        Option<string?> data = CommandOptions.Text(
            "--data", $"Folder with the four files of Fashion-MNIST; also {FashionMnist.DirectoryVariable}.", "DIR");
        Option<bool> json = CommandOptions.Json();

        Command command = new("study", "Train on real images and show what each regularizer does to the generalization gap.")
        {
            quick, recipe, seeds, epochs, report, device, data, json,
        };
        command.SetWork((arguments, stop) =>
        {
            bool asJson = arguments.GetValue(json);
            string[] names = arguments.GetValue(recipe) ?? [];
            Request request = new(
                names.Length == 0 ? Recipes.All : [.. Recipes.All.Where(r => names.Contains(r.Name))],
                [.. Enumerable.Range(1, arguments.GetValue(seeds) ?? (arguments.GetValue(quick) ? 1 : DefaultSeeds))],
                arguments.GetValue(epochs) is { } count ? new StudySettings { Epochs = count } : new StudySettings(),
                arguments.GetValue(report) ?? (asJson ? null : DefaultReport),
                arguments.GetValue(device),
                arguments.GetValue(data),
                asJson);
            return Run(request, stop);
        });
        return command;
    }

    private static int Run(Request request, CancellationToken stop)
    {
        using Device device = Device.Open(request.Device);
        using ReportFile? report = request.ReportPath is null ? null : ReportFile.Open(request.ReportPath);
        StudyConsole screen = new(request.Json);
        StudyResult study = RunStudy(request, device, screen, stop);
        try
        {
            if (study.Runs.Count > 0) screen.WriteResult(study);
            if (request.Json) Console.Out.WriteLine(StudyJson.Write(study.Runs, study.DeviceId));
        }
        finally
        {
            // The report is what an hour of work leaves, also where standard output takes nothing.
            if (report is not null && study.Runs.Count > 0) report.Write(StudyReport.Html(study));
        }

        if (study.Runs.Count == 0) stop.ThrowIfCancellationRequested();
        if (report is not null) screen.WriteReportPath(report.Path);
        return study.MissingRuns == 0 ? ExitCode.Success : ExitCode.Interrupted;
    }

    /// <summary>Trains until all runs are done, or until it is stopped; a run that was not finished is none.</summary>
    private static StudyResult RunStudy(Request request, Device device, StudyConsole screen, CancellationToken stop)
    {
        string? directory = FashionMnist.FindDirectory(request.DataDirectory);
        if (directory is null)
        {
            directory = FashionMnistCache.DefaultDirectory;
            screen.WithDownloadProgress(progress => FashionMnistCache.FillAsync(directory, progress, stop)).GetAwaiter().GetResult();
        }

        StudyData data = StudyData.From(FashionMnist.Load(directory));
        StudySizes sizes = StudySizes.Of(data);
        screen.WriteIntroduction(request.Settings, sizes, request.Seeds, $"{device.Id} ({device.Name})", directory);

        Stopwatch clock = Stopwatch.StartNew();
        using Trainer trainer = new(device, data, request.Settings);
        List<RunResult> runs = [];
        screen.WithProgress(request.Recipes, request.Seeds.Count, request.Settings.Epochs, progress =>
        {
            try
            {
                foreach (Recipe recipe in request.Recipes)
                    foreach (int seed in request.Seeds) runs.Add(trainer.Run(recipe, seed, progress, stop));
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                // What is finished is the result.
            }
        });

        int missing = (request.Recipes.Count * request.Seeds.Count) - runs.Count;
        return new StudyResult(
            request.Settings, sizes, device.Id, device.Name, DateTimeOffset.Now, clock.Elapsed.TotalSeconds, runs, missing);
    }

    /// <summary>The user's request.</summary>
    private sealed record Request(
        IReadOnlyList<Recipe> Recipes,
        IReadOnlyList<int> Seeds,
        StudySettings Settings,
        string? ReportPath,
        string? Device,
        string? DataDirectory,
        bool Json);
}
