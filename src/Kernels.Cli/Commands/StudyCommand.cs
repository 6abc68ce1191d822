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
            "--device", "Device to train on (see 'kernels devices'), for ranks several, taken in turn; the fastest kind if not given.",
            "ID[,ID]");
        Option<string?> data = CommandOptions.Text(
            "--data",
            $"Folder with the four files of Fashion-MNIST; also {FashionMnist.DirectoryVariable}. Or '{FullData}': train on all images " +
            $"of the training file but the last {StudyData.ValidationCount:N0} instead of the first {StudyData.TrainCount:N0}.",
            $"DIR|{FullData}");
        Option<string?> resume = CommandOptions.Text(
            "--resume", "Keep finished runs in this file, and take those that it has; on ranks go on with a run that was stopped, too.",
            "FILE");
        RankOptions ranks = new();
        Option<bool> json = CommandOptions.Json();

        Command command = new("study", "Train on real images and show what each regularizer does to the generalization gap.")
        {
            quick, recipe, seeds, epochs, tune, tuned, parallel, report, device, data, resume, json,
        };
        ranks.AddTo(command);
        command.SetWork((arguments, stop) =>
        {
            bool asJson = arguments.GetValue(json), isQuick = arguments.GetValue(quick), isTuning = arguments.GetValue(tune);
            string[] names = arguments.GetValue(recipe) ?? [];
            IReadOnlyList<Recipe> recipes = [.. Recipes.All.Where(
                r => names.Length == 0 ? !isQuick || Recipes.Quick.Contains(r.Name) : names.Contains(r.Name))];
            RankRequest? rankRequest = ranks.Read(arguments, arguments.GetValue(resume));
            if (rankRequest is not null) recipes = OnRanks(recipes, areNamed: names.Length > 0);
            Request request = new(
                arguments.GetValue(tuned) is { } file ? StudyJson.Tuned(recipes, file) : recipes,
                arguments.GetValue(seeds) ?? (isQuick ? 1 : isTuning ? DefaultTuningSeeds : DefaultSeeds),
                new StudySettings { Epochs = arguments.GetValue(epochs) },
                arguments.GetValue(parallel) ?? 1,
                arguments.GetValue(report) ?? (asJson || isTuning ? null : DefaultReport),
                arguments.GetValue(device),
                arguments.GetValue(data),
                arguments.GetValue(resume),
                rankRequest,
                asJson);
            if (request.Ranks is not null && (isTuning || request.SideBySide > 1))
                throw new ArgumentException("Ranks train one network at a time: neither --tune nor --parallel goes with them.");
            return isTuning ? Tune(request, stop) : Run(request, stop);
        });
        return command;
    }

    /// <summary>Without those that train a network for their images, which ranks do not share.</summary>
    private static IReadOnlyList<Recipe> OnRanks(IReadOnlyList<Recipe> recipes, bool areNamed)
    {
        Recipe[] learned = [.. recipes.Where(recipe => recipe.IsLearned)];
        return learned.Length == 0 || !areNamed
            ? [.. recipes.Except(learned)]
            : throw new ArgumentException(
                $"Ranks train no networks that make images: {string.Join(", ", learned.Select(recipe => recipe.Name))}.");
    }

    private static int Run(Request request, CancellationToken stop)
    {
        if (request.Ranks is null)
        {
            using Device device = Device.Open(request.Device);
            return Run(request, device, ranks: null, stop);
        }

        using RankSession ranks = new(request.Ranks, request.Device);
        try
        {
            return Run(request, ranks.Device, ranks, stop);
        }
        catch (Exception e) when (e is not OperationCanceledException && ranks.EndAll(e))
        {
            throw;
        }
    }

    private static int Run(Request request, Device device, RankSession? ranks, CancellationToken stop)
    {
        bool speaks = ranks?.IsRoot != false;
        using ReportFile? report = request.ReportPath is null || !speaks ? null : ReportFile.Open(request.ReportPath);
        StudyConsole screen = ranks?.IsProcess == true
            ? StudyConsole.OfProcess(request.Json, speaks)
            : new StudyConsole(request.Json, isTuning: false);
        StudyResult study = RunStudy(request, device, ranks, screen, stop);
        try
        {
            if (study.Runs.Count > 0) screen.WriteResult(study);
            if (request.Json && speaks) Console.Out.WriteLine(StudyJson.Write(study.Runs, study.DeviceId));
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
            request with { Settings = Tuning.SettingsOf(request.Settings) }, device, ranks: null, screen, data, directory, runs, stop,
            sources: null);
        if (results.Count == 0) stop.ThrowIfCancellationRequested();
        IReadOnlyList<TuningScore> scores = Tuning.Scores(results);
        screen.WriteTuning(scores);
        if (request.Json) Console.Out.WriteLine(StudyJson.Write(scores, device.Id));
        return results.Count == runs.Count ? ExitCode.Success : ExitCode.Interrupted;
    }

    /// <summary>Trains until all runs are done, or until it is stopped; a run that was not finished is none.</summary>
    private static StudyResult RunStudy(
        Request request, Device device, RankSession? ranks, StudyConsole screen, CancellationToken stop)
    {
        string directory = "";
        FashionMnist images = ranks is null ? LoadImages() : ranks.FirstOnRoot(LoadImages);
        StudyData data = request.Data == FullData ? StudyData.Full(images) : StudyData.From(images);
        (Recipe, int)[] runs =
            [.. request.Recipes.SelectMany(recipe => Enumerable.Range(1, request.Seeds).Select(seed => (recipe, seed)))];
        Stopwatch clock = Stopwatch.StartNew();
        ImageSources sources = new(device, data, request.Settings, GanFile(request));
        IReadOnlyList<RunResult> results = Train(request, device, ranks, screen, data, directory, runs, stop, sources);
        HashSet<int> failed = [.. sources.Gans.Results.Where(gan => gan.Failure is not null).Select(gan => gan.Seed)];
        int without = runs.Count(run => run.Item1.Generated is { IsOfGan: true } && failed.Contains(run.Item2));
        return new StudyResult(
            request.Settings, StudySizes.Of(data), device.Id, ranks is null ? device.Name : $"{device.Name}, {ranks.Description}",
            DateTimeOffset.Now, clock.Elapsed.TotalSeconds, results, runs.Length - results.Count - without)
        {
            Gans = sources.Gans.Results,
            Autoencoders = sources.Autoencoders.Results,
            Sheets = results.Select(result => result.Recipe).Where(recipe => recipe.Augmentation is not null)
                .DistinctBy(recipe => recipe.Name)
                .ToDictionary(recipe => recipe.Name, recipe => AugmentationSheet.Draw(device, data, recipe.Augmentation!)),
        };

        FashionMnist LoadImages() => Load(request, screen, stop, out directory);
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
        Request request, Device device, RankSession? ranks, StudyConsole screen, StudyData data, string directory,
        IReadOnlyList<(Recipe Recipe, int Seed)> runs, CancellationToken stop, ImageSources? sources)
    {
        int[] seeds = [.. runs.Select(run => run.Seed).Distinct()];
        string place = $"{device.Id} ({device.Name})";
        screen.WriteIntroduction(
            request.Settings, StudySizes.Of(data), seeds, ranks is null ? place : $"{place}, {ranks.Description}", directory);
        string conditions = $"{ranks?.Conditions ?? $"{device.Id} {device.Name}"}, {data.Train.Count} images, " +
            $"points {request.Settings.DensePoints}, epochs {request.Settings.Epochs}";
        FinishedRuns? finished = request.ResumePath is null || ranks?.IsRoot == false ? null : new(request.ResumePath, conditions);
        IReadOnlyList<RunResult> results = [];
        screen.WithProgress(
            runs,
            progress =>
            {
                results = ranks is null
                    ? StudyRuns.Train(device, data, request.Settings, runs, request.SideBySide, progress, stop, finished, sources)
                    : ranks.Train(data, request.Settings, runs, conditions, progress, stop, finished);

                // Runs that had finished before have not asked for their GAN, which the report shows.
                foreach (int seed in runs.Where(run => run.Recipe.Generated is { IsOfGan: true }).Select(run => run.Seed).Distinct())
                {
                    if (!stop.IsCancellationRequested) sources?.Gans.Of(seed, progress, CancellationToken.None);
                }
            });
        return results;
    }

    /// <summary>Beside the report, or beside the finished runs: there another study finds them.</summary>
    private static Func<int, string>? GanFile(Request request) => (request.ReportPath ?? request.ResumePath) is { } file
        ? seed => Path.ChangeExtension(Path.GetFullPath(file), $".gan-{seed}.checkpoint")
        : null;

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
        RankRequest? Ranks,
        bool Json);
}
