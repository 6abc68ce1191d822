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

    public StudyConsole(bool isJson)
    {
        _progress = Output.Create(Console.Error, Console.IsErrorRedirected, LogWidth);
        _console = isJson ? _progress : Output.Create(Console.Out, Console.IsOutputRedirected, LogWidth);
    }

    private bool IsLive => !Console.IsErrorRedirected && _progress.Profile.Capabilities.Interactive;

    public void WriteIntroduction(StudySettings settings, StudySizes sizes, IReadOnlyList<int> seeds, string device, string dataDirectory)
    {
        _console.WriteLine(
            $"Fashion-MNIST from {dataDirectory}: {sizes.Train:N0} training, {sizes.Validation:N0} validation, " +
            $"{sizes.Test:N0} test images");
        _console.WriteLine(
            $"Network {string.Join('-', settings.Widths)}, {settings.Epochs} {(settings.Epochs == 1 ? "epoch" : "epochs")}, " +
            $"{(seeds.Count == 1 ? "seed" : "seeds")} {string.Join(", ", seeds)}, on {device}");
        _console.WriteLine();
    }

    /// <summary>Runs <paramref name="work"/> with the progress of each recipe on screen.</summary>
    public void WithProgress(IReadOnlyList<Recipe> recipes, int seeds, int epochs, Action<IStudyProgress> work)
    {
        if (!IsLive)
        {
            work(new PlainProgress(_progress));
            return;
        }

        NoteColumn notes = new();
        _progress.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new ElapsedTimeColumn(), notes)
            .Start(context =>
            {
                double epochsOfRecipe = (double)seeds * epochs;
                Dictionary<string, ProgressTask> tasks = recipes.ToDictionary(
                    recipe => recipe.Name, recipe => context.AddTask(recipe.Name, autoStart: false, maxValue: epochsOfRecipe));
                work(new LiveProgress(tasks, notes, epochs));
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
        _console.WriteLine();
        _console.Write(new Text(StudyReading.Of(study)));
        _console.WriteLine();
    }

    public void WriteReportPath(string path)
    {
        _console.WriteLine();

        // Unbroken, whatever the width of the terminal: the path is there to be copied.
        _console.Profile.Out.Writer.WriteLine($"Report with learning curves: {path}");
    }

    private static string Describe(EpochReport report, CurvePoint? point)
    {
        string text = $"loss {report.BatchLoss:0.000}";
        return point is null ? text : $"{text}  train {100 * point.Train.Accuracy:0.0}%  test {100 * point.Test.Accuracy:0.0}%";
    }

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

    private sealed class LiveProgress(Dictionary<string, ProgressTask> tasks, NoteColumn notes, int epochsPerRun) : IStudyProgress
    {
        private readonly Dictionary<string, CurvePoint> _lastPoints = [];
        private readonly Dictionary<string, int> _endedRuns = [];

        public void OnEpoch(EpochReport report)
        {
            string name = report.Recipe.Name;
            ProgressTask task = tasks[name];
            task.StartTask();
            task.Value = (_endedRuns.GetValueOrDefault(name) * epochsPerRun) + report.Epoch;
            if (report.Point is not null) _lastPoints[name] = report.Point;
            notes[task] = $"seed {report.Seed}  epoch {report.Epoch}  {Describe(report, _lastPoints.GetValueOrDefault(name))}";
        }

        public void OnRunEnd(RunResult result)
        {
            // A run that stopped early has used up its share of the bar as well.
            int ended = _endedRuns[result.Recipe.Name] = _endedRuns.GetValueOrDefault(result.Recipe.Name) + 1;
            tasks[result.Recipe.Name].Value = ended * epochsPerRun;
        }
    }

    private sealed class PlainProgress(IAnsiConsole console) : IStudyProgress
    {
        private const int EpochsPerLine = 15;

        public void OnEpoch(EpochReport report)
        {
            if (report.Epoch % EpochsPerLine == 0 && report.Epoch < report.Epochs)
                Write(report.Recipe, report.Seed, $"epoch {report.Epoch,3}/{report.Epochs}  {Describe(report, report.Point)}");
        }

        public void OnRunEnd(RunResult result)
        {
            string kept = result.BestEpoch < result.Epochs ? $", kept epoch {result.BestEpoch}" : "";
            Write(
                result.Recipe,
                result.Seed,
                $"done after {result.Epochs} {(result.Epochs == 1 ? "epoch" : "epochs")}{kept}: " +
                $"train {100 * result.Final.Train.Accuracy:0.0}%  test {100 * result.Final.Test.Accuracy:0.0}%  {result.Seconds:0.0} s");
        }

        // Past Spectre's wrapping at 80 columns: a line of a log stays one line.
        private void Write(Recipe recipe, int seed, string text) =>
            console.Profile.Out.Writer.WriteLine($"{recipe.Name,-20}seed {seed}  {text}");
    }
}
