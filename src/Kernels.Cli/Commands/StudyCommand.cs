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
    private const int DefaultTuningSeeds = 2;
    private const int MostEpochs = 100_000;
    private const int MostSideBySide = 64;
    private const string FullData = "full";
    private const string DefaultReport = "kernels-study.html";

    public static Command Create()
    {
        Option<bool> quick = CommandOptions.Flag("--quick", "Few recipes and one seed instead of three.");
        Option<string[]> recipe = CommandOptions.Texts(
            "--recipe", "Only these recipes; all, or few with --quick, if not given.", "NAME", [.. Recipes.All.Select(r => r.Name)]);
        Option<int?> seeds = CommandOptions.Count(
            "--seeds", $"Number of seeds; {DefaultSeeds}, 1 with --quick, {DefaultTuningSeeds} with --tune, if not given.", MostSeeds);
        Option<int?> epochs = CommandOptions.Count(
            "--epochs", "Epochs of a full run; those of each recipe if not given.", MostEpochs);
        Option<bool> tune = CommandOptions.Flag(
            "--tune", "Train every setting that recipes are tuned over, and compare them on training images that no run uses.");
        Option<string?> tuned = CommandOptions.Text("--tuned", "Take the settings that --tune --json chose.", "FILE.json");
        Option<int?> parallel = CommandOptions.Count(
            "--parallel", "Runs side by side, each on a stream of its own; 1 if not given.", MostSideBySide);
        Option<string?> report = CommandOptions.Text(
            "--report", $"Where the HTML report goes; {DefaultReport} if not given, none with --json.", "FILE.html");
        Option<string?> device = CommandOptions.Text(
            "--device", "Device to train on (see 'kernels devices'); the fastest kind there is if not given.", "ID");
        Option<string?> data = CommandOptions.Text(
            "--data",
            $"Folder with the four files of Fashion-MNIST; also {FashionMnist.DirectoryVariable}. Or '{FullData}': train on all images " +
            $"of the training file but the last {StudyData.ValidationCount:N0} instead of the first {StudyData.TrainCount:N0}.",
            $"DIR|{FullData}");
        Option<string?> resume = CommandOptions.Text(
            "--resume", "Keep finished runs in this file, and take those that it has.", "FILE");
        Option<bool> json = CommandOptions.Json();

        Command command = new("study", "Train on real images and show what each regularizer does to the generalization gap.")
        {
            quick, recipe, seeds, epochs, tune, tuned, parallel, report, device, data, resume, json,
        };
        command.SetWork((arguments, stop) =>
        {
            bool asJson = arguments.GetValue(json), isQuick = arguments.GetValue(quick), isTuning = arguments.GetValue(tune);
            string[] names = arguments.GetValue(recipe) ?? [];
            IReadOnlyList<Recipe> recipes = [.. Recipes.All.Where(
                r => names.Length == 0 ? !isQuick || Recipes.Quick.Contains(r.Name) : names.Contains(r.Name))];
            Request request = new(
                arguments.GetValue(tuned) is { } file ? StudyJson.Tuned(recipes, file) : recipes,
                arguments.GetValue(seeds) ?? (isQuick ? 1 : isTuning ? DefaultTuningSeeds : DefaultSeeds),
                new StudySettings { Epochs = arguments.GetValue(epochs) },
                arguments.GetValue(parallel) ?? 1,
                arguments.GetValue(report) ?? (asJson || isTuning ? null : DefaultReport),
                arguments.GetValue(device),
                arguments.GetValue(data),
                arguments.GetValue(resume),
                asJson);
            return isTuning ? Tune(request, stop) : Run(request, stop);
        });
        return command;
    }

    private static int Run(Request request, CancellationToken stop)
    {
        using Device device = Device.Open(request.Device);
        using ReportFile? report = request.ReportPath is null ? null : ReportFile.Open(request.ReportPath);
        StudyConsole screen = new(request.Json, isTuning: false);
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

    /// <summary>Trains the settings of the recipes' grids, and says which is best for each.</summary>
    private static int Tune(Request request, CancellationToken stop)
    {
        using Device device = Device.Open(request.Device);
        IReadOnlyList<(Recipe Recipe, int Seed)> runs = Tuning.Runs(request.Recipes, request.Seeds);
        if (runs.Count == 0) throw new ArgumentException("None of these recipes has settings to tune.");
        StudyConsole screen = new(request.Json, isTuning: true);
        StudyData data = StudyData.ForTuning(Load(request, screen, stop, out string directory));
        IReadOnlyList<RunResult> results = Train(
            request with { Settings = Tuning.SettingsOf(request.Settings) }, device, screen, data, directory, runs, stop);
        if (results.Count == 0) stop.ThrowIfCancellationRequested();
        IReadOnlyList<TuningScore> scores = Tuning.Scores(results);
        screen.WriteTuning(scores);
        if (request.Json) Console.Out.WriteLine(StudyJson.Write(scores, device.Id));
        return results.Count == runs.Count ? ExitCode.Success : ExitCode.Interrupted;
    }

    /// <summary>Trains until all runs are done, or until it is stopped; a run that was not finished is none.</summary>
    private static StudyResult RunStudy(Request request, Device device, StudyConsole screen, CancellationToken stop)
    {
        FashionMnist images = Load(request, screen, stop, out string directory);
        StudyData data = request.Data == FullData ? StudyData.Full(images) : StudyData.From(images);
        (Recipe, int)[] runs =
            [.. request.Recipes.SelectMany(recipe => Enumerable.Range(1, request.Seeds).Select(seed => (recipe, seed)))];
        Stopwatch clock = Stopwatch.StartNew();
        IReadOnlyList<RunResult> results = Train(request, device, screen, data, directory, runs, stop);
        return new StudyResult(
            request.Settings, StudySizes.Of(data), device.Id, device.Name, DateTimeOffset.Now, clock.Elapsed.TotalSeconds, results,
            runs.Length - results.Count)
        {
            Sheets = results.Select(result => result.Recipe).Where(recipe => recipe.Augmentation is not null)
                .DistinctBy(recipe => recipe.Name)
                .ToDictionary(recipe => recipe.Name, recipe => AugmentationSheet.Draw(device, data, recipe.Augmentation!)),
        };
    }

    private static FashionMnist Load(Request request, StudyConsole screen, CancellationToken stop, out string directory)
    {
        string? found = FashionMnist.FindDirectory(request.Data == FullData ? null : request.Data);
        directory = found ?? FashionMnistCache.DefaultDirectory;
        string folder = directory;
        if (found is null)
            screen.WithDownloadProgress(progress => FashionMnistCache.FillAsync(folder, progress, stop)).GetAwaiter().GetResult();
        return FashionMnist.Load(directory);
    }

    private static IReadOnlyList<RunResult> Train(
        Request request, Device device, StudyConsole screen, StudyData data, string directory,
        IReadOnlyList<(Recipe Recipe, int Seed)> runs, CancellationToken stop)
    {
        int[] seeds = [.. runs.Select(run => run.Seed).Distinct()];
        screen.WriteIntroduction(request.Settings, StudySizes.Of(data), seeds, $"{device.Id} ({device.Name})", directory);
        string conditions = $"{device.Id} {device.Name}, {data.Train.Count} images, points {request.Settings.DensePoints}, " +
            $"epochs {request.Settings.Epochs}";
        FinishedRuns? finished = request.ResumePath is null ? null : new(request.ResumePath, conditions);
        IReadOnlyList<RunResult> results = [];
        screen.WithProgress(
            runs,
            progress => results = StudyRuns.Train(device, data, request.Settings, runs, request.SideBySide, progress, stop, finished));
        return results;
    }

    /// <summary>The user's request.</summary>
    private sealed record Request(
        IReadOnlyList<Recipe> Recipes,
        int Seeds,
        StudySettings Settings,
        int SideBySide,
        string? ReportPath,
        string? Device,
        string? Data,
        string? ResumePath,
        bool Json);
}
