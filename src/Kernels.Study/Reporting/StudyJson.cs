using System.Text.Json;
using System.Text.Json.Serialization;

namespace Kernels.Study;

/// <summary>
/// One run in the output of <c>kernels study --json</c>. Accuracies and zero weights are shares from 0 to 1, losses are in nats.
/// </summary>
internal sealed record StudyRow(
    string Recipe,
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
    string Device);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(StudyRow[]))]
internal sealed partial class StudyJson : JsonSerializerContext
{
    public static string Write(IEnumerable<RunResult> runs, string device) =>
        JsonSerializer.Serialize([.. runs.Select(run => Row(run, device))], Default.StudyRowArray);

    private static StudyRow Row(RunResult run, string device) => new(
        run.Recipe.Name,
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
        device);
}
