using System.Collections.Concurrent;
using Kernels.Study;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kernels.Cli.Commands;

/// <summary>
/// What a person sees of the study. On standard error, while it runs: bars on a terminal, plain lines elsewhere. On standard output: what
/// is trained, then a table and what it says; with <c>--json</c> on standard error too.
/// </summary>
internal sealed class StudyConsole
{
    // Spectre takes 80 columns where there is no terminal to ask; a log has room for a whole line.
    private const int LogWidth = 120;

    private readonly IAnsiConsole _console;
    private readonly IAnsiConsole _progress;
    private readonly bool _isTuning;
    private readonly bool _isPlain;

    /// <param name="isJson">Standard output is for scripts.</param>
    /// <param name="isTuning">Settings are compared, not recipes.</param>
    public StudyConsole(bool isJson, bool isTuning)
    {
        _isTuning = isTuning;
        _progress = Output.Create(Console.Error, Console.IsErrorRedirected, LogWidth);
        _console = isJson ? _progress : Output.Create(Console.Out, Console.IsOutputRedirected, LogWidth);
    }

    private StudyConsole(TextWriter output, TextWriter progress)
    {
        _isPlain = true;
        _progress = Output.CreatePlain(progress, LogWidth);
        _console = Output.CreatePlain(output, LogWidth);
    }

    private bool IsLive => !_isPlain && !Console.IsErrorRedirected && _progress.Profile.Capabilities.Interactive;

    /// <summary>The screen of one process of several, which says nothing unless it speaks for all.</summary>
    public static StudyConsole OfProcess(bool isJson, bool speaks) => speaks
        ? new StudyConsole(isJson ? Console.Error : Console.Out, Console.Error)
        : new StudyConsole(TextWriter.Null, TextWriter.Null);

    public void WriteIntroduction(StudySettings settings, StudySizes sizes, IReadOnlyList<int> seeds, string device, string dataDirectory)
    {
        _console.WriteLine(
            $"Fashion-MNIST from {dataDirectory}: {sizes.Train:N0} training, {sizes.Validation:N0} validation, " +
            $"{sizes.Test:N0} {(_isTuning ? "further training images to tune by" : "test images")}");
        _console.WriteLine(
            $"{(settings.Epochs is { } epochs ? $"{epochs} {(epochs == 1 ? "epoch" : "epochs")}, " : "")}" +
            $"{(seeds.Count == 1 ? "seed" : "seeds")} {string.Join(", ", seeds)}, on {device}");
        _console.WriteLine();
    }

    /// <summary>Runs <paramref name="work"/> with the progress of each recipe on screen.</summary>
    public void WithProgress(IReadOnlyList<(Recipe Recipe, int Seed)> runs, Action<IStudyProgress> work)
    {
        if (!IsLive)
        {
            work(new PlainProgress(_progress, _isTuning));
            return;
        }

        NoteColumn notes = new();
        _progress.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new ElapsedTimeColumn(), notes)
            .Start(context =>
            {
                Dictionary<string, ProgressTask> tasks = runs.GroupBy(run => run.Recipe.Name).ToDictionary(
                    recipe => recipe.Key, recipe => context.AddTask(recipe.Key, autoStart: false, maxValue: recipe.Count()));
                work(new LiveProgress(_progress, context, tasks, notes, _isTuning));
            });
    }

    /// <summary>Runs a download with its progress on screen.</summary>
    public async Task WithDownloadProgress(Func<DownloadProgress, Task> work)
    {
        if (!IsLive)
        {
            string current = "";
            await work((file, _, total) =>
            {
                if (file == current) return;
                current = file;
                _progress.WriteLine($"downloading {file}{(total is { } bytes ? $", {bytes / 1e6:0.0} MB" : "")}");
            }).ConfigureAwait(false);
            return;
        }

        await _progress.Progress()
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new DownloadedColumn(),
                new TransferSpeedColumn())
            .StartAsync(context =>
            {
                Dictionary<string, ProgressTask> tasks = [];
                return work((file, received, total) =>
                {
                    if (!tasks.TryGetValue(file, out ProgressTask? task)) tasks[file] = task = context.AddTask(file);
                    task.IsIndeterminate = total is null;
                    task.MaxValue = total ?? received;
                    task.Value = received;
                });
            }).ConfigureAwait(false);
    }

    public void WriteResult(StudyResult study)
    {
        OutputTable table = new(
            ("recipe", false), ("train %", true), ("test %", true), ("gap", true), ("vs unregularized", true), ("seconds", true));
        double best = study.Summaries.Max(summary => summary.Test.Mean);
        foreach (RecipeSummary summary in study.Summaries)
        {
            string test = summary.Test.Percent();
            table.AddRow(
                summary.Recipe.Name,
                summary.Train.Percent(),
                summary.Test.Mean == best && study.Summaries.Count > 1 ? $"[bold]{test}[/]" : test,
                summary.Gap.Percent(),
                summary.TestGain?.Percent(signed: true) ?? "",
                $"{summary.Seconds:0.0}");
        }

        _console.WriteLine();
        table.Write(_console);
        WriteGans(study.Gans);
        _console.WriteLine();
        _console.Write(new Text(StudyReading.Of(study)));
        _console.WriteLine();
        foreach (RunResult run in study.Runs.Where(run => run.Ranks is not null).DistinctBy(run => run.Recipe.Name)) WriteUse(run);
    }

    private void WriteGans(IReadOnlyList<GanResult> gans)
    {
        if (gans.Count == 0) return;
        OutputTable table = new(
            ("GAN", false), ("as asked %", true), ("worst class %", true), ("distance", true), ("of real ones", true), ("p", true),
            ("seconds", true));
        foreach (GanResult gan in gans)
        {
            GanQuality? quality = gan.Quality;
            table.AddRow(
                $"seed {gan.Seed}" + (gan.Failure is null ? "" : ", given up"),
                quality is null ? "" : $"{100 * quality.Agreement.Average():0.0}",
                quality is null ? "" : $"{100 * quality.Agreement.Min():0.0}",
                quality is null ? "" : $"{quality.Distance.Average():0.0}",
                quality is null ? "" : $"{quality.RealDistance.Average():0.0}",
                $"{gan.Curve.Max(epoch => epoch.Probability):0.00}",
                $"{gan.Seconds:0}");
        }

        _console.WriteLine();
        table.Write(_console);
        foreach (GanResult gan in gans.Where(gan => gan.File is not null))
            _console.Profile.Out.Writer.WriteLine($"GAN of seed {gan.Seed}: {gan.File}");
    }

    /// <summary>The settings of each recipe, the best first.</summary>
    public void WriteTuning(IReadOnlyList<TuningScore> scores)
    {
        OutputTable table = new(
            ("recipe", false), ("setting", false), ("tuning %", true), ("loss", true), ("train %", true), ("seconds", true));
        foreach (IGrouping<string, TuningScore> recipe in scores.GroupBy(score => score.Recipe.Name))
        {
            TuningScore best = Tuning.Best(recipe);
            foreach (TuningScore score in recipe.OrderByDescending(score => score.Accuracy.Mean))
            {
                string accuracy = score.Accuracy.Percent();
                table.AddRow(
                    score == best ? recipe.Key : "",
                    score.Recipe.Setting,
                    score == best ? $"[bold]{accuracy}[/]" : accuracy,
                    $"{score.Loss:0.000}",
                    $"{100 * score.TrainAccuracy:0.0}",
                    $"{score.Seconds:0.0}");
            }
        }

        _console.WriteLine();
        table.Write(_console);
    }

    public void WriteReportPath(string path)
    {
        _console.WriteLine();

        // Unbroken, whatever the width of the terminal: the path is there to be copied.
        _console.Profile.Out.Writer.WriteLine($"Report with learning curves: {path}");
    }

    /// <summary>What ranks have cost in a step.</summary>
    private void WriteUse(RunResult run)
    {
        RankUse use = run.Ranks!;
        _console.Profile.Out.Writer.WriteLine(
            $"{run.Recipe.Name} on {use.Ranks} {(use.Ranks == 1 ? "rank" : "ranks")}, " +
            $"{use.Shards} {(use.Shards == 1 ? "shard" : "shards")}, {use.Transport}: " +
            $"{1e3 * use.Seconds:0.00} ms a step, {1e3 * use.Waited:0.00} of them for other ranks; {use.Calls:0.#} calls, " +
            $"{use.BytesSent / 1e3:0.0} kB sent by a rank");
    }

    private static string Describe(EpochReport report, CurvePoint? point, bool isTuning)
    {
        string text = $"loss {report.BatchLoss:0.000}";
        return point is null ? text : $"{text}  {Accuracies(point, isTuning)}";
    }

    private static string Accuracies(CurvePoint point, bool isTuning) =>
        $"train {100 * point.Train.Accuracy:0.0}%  {(isTuning ? "tuning" : "test")} {100 * point.Test.Accuracy:0.0}%";

    /// <summary>The text at the end of a bar; Spectre has a column only for the text in front of it.</summary>
    private sealed class NoteColumn : ProgressColumn
    {
        private readonly ConcurrentDictionary<ProgressTask, string> _notes = new();

        protected override bool NoWrap => true;

        public string this[ProgressTask task]
        {
            set => _notes[task] = value;
        }

        public override IRenderable Render(RenderOptions options, ProgressTask task, TimeSpan deltaTime) =>
            new Text(_notes.GetValueOrDefault(task) ?? "");
    }

    private static string Describe(GanEpoch epoch) =>
        $"D {epoch.RealLoss + epoch.GeneratedLoss:0.00}  G {epoch.GeneratorLoss:0.00}  sign {epoch.Sign:0.00}  p {epoch.Probability:0.00}";

    private sealed class LiveProgress(
        IAnsiConsole console, ProgressContext context, Dictionary<string, ProgressTask> tasks, NoteColumn notes, bool isTuning)
        : IStudyProgress
    {
        private readonly Dictionary<int, ProgressTask> _gans = [];
        private readonly Dictionary<string, CurvePoint> _lastPoints = [];
        private readonly Dictionary<(string Name, string Setting, int Seed), double> _shares = [];

        public void OnEpoch(EpochReport report)
        {
            string name = report.Recipe.Name;
            ProgressTask task = tasks[name];
            task.StartTask();
            Advance(report.Recipe, report.Seed, (double)report.Epoch / report.Epochs);
            if (report.Point is not null) _lastPoints[name] = report.Point;
            notes[task] = $"seed {report.Seed}  epoch {report.Epoch}  " +
                Describe(report, _lastPoints.GetValueOrDefault(name), isTuning);
        }

        public void OnRunEnd(RunResult result)
        {
            // A run that stopped early has used up its share of the bar as well.
            Advance(result.Recipe, result.Seed, 1);
        }

        public void OnGan(GanReport report)
        {
            if (!_gans.TryGetValue(report.Seed, out ProgressTask? task))
                _gans[report.Seed] = task = context.AddTask($"GAN, seed {report.Seed}", maxValue: report.Epochs);
            task.Value = report.Failure is null ? report.Epoch : report.Epochs;
            notes[task] = report.Failure is { } failure
                ? $"given up: {failure}"
                : $"epoch {report.Epoch}  {Describe(report.Means)}";
        }

        public void OnNote(string note) => console.WriteLine(note);

        private void Advance(Recipe recipe, int seed, double share)
        {
            (string, string, int) run = (recipe.Name, recipe.Setting, seed);
            tasks[recipe.Name].Increment(share - _shares.GetValueOrDefault(run));
            _shares[run] = share;
        }
    }

    private sealed class PlainProgress(IAnsiConsole console, bool isTuning) : IStudyProgress
    {
        private const int EpochsPerLine = 15;

        public void OnEpoch(EpochReport report)
        {
            if (!isTuning && report.Epoch % EpochsPerLine == 0 && report.Epoch < report.Epochs)
                Write(report.Recipe, report.Seed, $"epoch {report.Epoch,3}/{report.Epochs}  {Describe(report, report.Point, isTuning)}");
        }

        public void OnGan(GanReport report)
        {
            if (report.Epoch % EpochsPerLine != 0 && report.Epoch < report.Epochs && report.Failure is null) return;
            string failure = report.Failure is { } reason ? $"  given up: {reason}" : "";
            OnNote(
                $"{"GAN",-22}seed {report.Seed}  epoch {report.Epoch,3}/{report.Epochs}  {Describe(report.Means)}{failure}");
        }

        public void OnNote(string note) => console.Profile.Out.Writer.WriteLine(note);

        public void OnRunEnd(RunResult result)
        {
            string kept = result.BestEpoch < result.Epochs ? $", kept epoch {result.BestEpoch}" : "";
            Write(
                result.Recipe,
                result.Seed,
                $"done after {result.Epochs} {(result.Epochs == 1 ? "epoch" : "epochs")}{kept}: " +
                $"{Accuracies(result.Final, isTuning)}  {result.Seconds:0.0} s");
        }

        // Past Spectre's wrapping at 80 columns: a line of a log stays one line.
        private void Write(Recipe recipe, int seed, string text) =>
            console.Profile.Out.Writer.WriteLine(
                $"{recipe.Name,-22}{(isTuning ? $"{recipe.Setting,-26}" : "")}seed {seed}  {text}");
    }
}
