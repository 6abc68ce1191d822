using System.Text.Json;
using System.Text.Json.Serialization;

namespace Kernels.Study;

/// <summary>
/// Finished runs in a file, a line of JSON for each: a study that was stopped goes on where it ended. A line is added as soon as its run
/// has finished; what a run was with other settings, images or device is not taken for it.
/// </summary>
internal sealed class FinishedRuns
{
    private readonly string _path;
    private readonly string _conditions;
    private readonly Dictionary<(string Recipe, string Setting, int Seed), FinishedRun> _runs = [];

    /// <param name="path">The file; made with the first run that finishes.</param>
    /// <param name="conditions">All that runs depend on besides recipe and seed, in words.</param>
    /// <exception cref="DatasetException">The file is no such file.</exception>
    public FinishedRuns(string path, string conditions)
    {
        (_path, _conditions) = (path, conditions);
        try
        {
            foreach (string line in File.Exists(path) ? File.ReadAllLines(path) : [])
            {
                // The last line may have been cut off.
                if (!line.EndsWith('}')) continue;
                FinishedRun run = JsonSerializer.Deserialize(line, FinishedRunJson.Default.FinishedRun)!;
                if (run.Conditions == conditions) _runs[(run.Recipe, run.Setting, run.Seed)] = run;
            }
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new DatasetException(path, $"not the finished runs of a study: {e.Message}", e);
        }
    }

    /// <summary>The run, if it has finished.</summary>
    public RunResult? Find(Recipe recipe, int seed) => !_runs.TryGetValue((recipe.Name, recipe.Setting, seed), out FinishedRun? run)
        ? null
        : new RunResult(
            recipe, seed, run.Epochs, run.BestEpoch, run.Final, run.Curve, run.Parameters, run.ZeroWeights, run.Seconds)
        {
            Merging = run.Merging,
        };

    /// <summary>Adds a run. To be called from one thread at a time.</summary>
    /// <exception cref="DatasetException">The file cannot be written.</exception>
    public void Add(RunResult run)
    {
        FinishedRun line = new(
            _conditions, run.Recipe.Name, run.Recipe.Setting, run.Seed, run.Epochs, run.BestEpoch, run.Final, run.Curve, run.Parameters,
            run.ZeroWeights, run.Seconds, run.Merging);
        try
        {
            File.AppendAllText(_path, $"{JsonSerializer.Serialize(line, FinishedRunJson.Default.FinishedRun)}\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException(_path, $"cannot be written: {e.Message}", e);
        }
    }
}

/// <summary>A line of the file.</summary>
internal sealed record FinishedRun(
    string Conditions,
    string Recipe,
    string Setting,
    int Seed,
    int Epochs,
    int BestEpoch,
    CurvePoint Final,
    IReadOnlyList<CurvePoint> Curve,
    long Parameters,
    double ZeroWeights,
    double Seconds,
    MergingSheet? Merging = null);

// A run may diverge: its loss is then the text "NaN".
[JsonSourceGenerationOptions(NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(FinishedRun))]
internal sealed partial class FinishedRunJson : JsonSerializerContext;
