using System.Text.Json;
using System.Text.Json.Serialization;

namespace Kernels.Study;

/// <summary>
/// One run in the output of <c>kernels study --json</c>. Accuracies and zero weights are shares from 0 to 1, losses are in nats.
/// </summary>
internal sealed record StudyRow(
    string Recipe,
    string Setting,
    int Seed,
    double TrainAccuracy,
    double ValidationAccuracy,
    double TestAccuracy,
    double Gap,
    double TrainLoss,
    double TestLoss,
    int Epochs,
    int BestEpoch,
    long Parameters,
    double ZeroWeights,
    double Seconds,
    string Device)
{
    /// <summary>Ranks and what a step cost them; absent where there were none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Ranks { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Shards { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Transport { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? StepMilliseconds { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? WaitedMilliseconds { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? StepCalls { get; init; }

    /// <summary>That one rank sent.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? StepBytes { get; init; }
}

/// <summary>
/// One setting of a recipe in the output of <c>kernels study --tune --json</c>: means over seeds, on the images that recipes are tuned by,
/// but for the training accuracy. Chosen where it is the best of its recipe.
/// </summary>
internal sealed record TuningRow(
    string Recipe,
    string Setting,
    bool Chosen,
    double TuningAccuracy,
    double? Deviation,
    double TuningLoss,
    double TrainAccuracy,
    int Seeds,
    double Seconds,
    string Device);

// A run may diverge: its loss is then the text "NaN".
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(StudyRow[]))]
[JsonSerializable(typeof(TuningRow[]))]
internal sealed partial class StudyJson : JsonSerializerContext
{
    public static string Write(IEnumerable<RunResult> runs, string device) =>
        JsonSerializer.Serialize([.. runs.Select(run => Row(run, device))], Default.StudyRowArray);

    public static string Write(IReadOnlyList<TuningScore> scores, string device)
    {
        HashSet<TuningScore> chosen = [.. scores.GroupBy(score => score.Recipe.Name).Select(Tuning.Best)];
        return JsonSerializer.Serialize([.. scores.Select(score => Row(score, chosen.Contains(score), device))], Default.TuningRowArray);
    }

    /// <summary>The recipes, those that a tuning has seen with what it chose for them.</summary>
    /// <exception cref="DatasetException">The file is none that a tuning wrote.</exception>
    public static IReadOnlyList<Recipe> Tuned(IEnumerable<Recipe> recipes, string path)
    {
        try
        {
            TuningRow[] rows = JsonSerializer.Deserialize(File.ReadAllBytes(path), Default.TuningRowArray) ?? [];
            Dictionary<string, string> chosen = rows.Where(row => row.Chosen).ToDictionary(row => row.Recipe, row => row.Setting);
            return
            [
                .. recipes.Select(recipe => recipe.Grid is { } grid && chosen.TryGetValue(recipe.Name, out string? setting)
                    ? grid.Settings.First(other => other.Setting == setting) with { Grid = grid }
                    : recipe),
            ];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException
            or ArgumentException)
        {
            throw new DatasetException(path, $"not the settings that a tuning chose: {e.Message}", e);
        }
    }

    private static TuningRow Row(TuningScore score, bool chosen, string device) => new(
        score.Recipe.Name,
        score.Recipe.Setting,
        chosen,
        Math.Round(score.Accuracy.Mean, 6),
        score.Accuracy.Deviation is { } deviation ? Math.Round(deviation, 6) : null,
        Math.Round(score.Loss, 6),
        Math.Round(score.TrainAccuracy, 6),
        score.Seeds,
        Math.Round(score.Seconds, 3),
        device);

    private static StudyRow Row(RunResult run, string device) => new(
        run.Recipe.Name,
        run.Recipe.Setting,
        run.Seed,
        Math.Round(run.Final.Train.Accuracy, 6),
        Math.Round(run.Final.Validation.Accuracy, 6),
        Math.Round(run.Final.Test.Accuracy, 6),
        Math.Round(run.Gap, 6),
        Math.Round(run.Final.Train.Loss, 6),
        Math.Round(run.Final.Test.Loss, 6),
        run.Epochs,
        run.BestEpoch,
        run.Parameters,
        Math.Round(run.ZeroWeights, 6),
        Math.Round(run.Seconds, 3),
        device)
    {
        Ranks = run.Ranks?.Ranks,
        Shards = run.Ranks?.Shards,
        Transport = run.Ranks?.Transport,
        StepMilliseconds = run.Ranks is { } time ? Math.Round(1e3 * time.Seconds, 4) : null,
        WaitedMilliseconds = run.Ranks is { } waited ? Math.Round(1e3 * waited.Waited, 4) : null,
        StepCalls = run.Ranks is { } calls ? Math.Round(calls.Calls, 2) : null,
        StepBytes = run.Ranks is { } bytes ? Math.Round(bytes.BytesSent) : null,
    };
}
