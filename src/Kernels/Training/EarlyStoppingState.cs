using System.Text.Json;
using System.Text.Json.Serialization;

namespace Kernels;

/// <summary>
/// All that an <see cref="EarlyStopping"/> remembers, to be kept with a checkpoint. With the same options it decides from here on what it
/// would have decided. Numbers of evaluations count from 0. The values of a new state are those before the first evaluation; a text must
/// have every one of them.
/// </summary>
public sealed record EarlyStoppingState
{
    /// <summary>Evaluations so far, ignored ones included.</summary>
    [JsonRequired]
    public int Evaluations { get; init; }

    /// <summary>Evaluations so far that were not ignored.</summary>
    [JsonRequired]
    public int CountedEvaluations { get; init; }

    /// <summary>Number of the best evaluation; -1 before the first.</summary>
    [JsonRequired]
    public int BestEvaluation { get; init; } = -1;

    /// <summary>The best metric; NaN before the first.</summary>
    [JsonRequired]
    public double BestMetric { get; init; } = double.NaN;

    /// <summary>Evaluations in a row, after the warm-up, that did not improve.</summary>
    [JsonRequired]
    public int EvaluationsWithoutImprovement { get; init; }

    /// <summary>The verdict of the last evaluation that was not ignored.</summary>
    [JsonRequired]
    public EarlyStoppingReason Reason { get; init; }

    /// <summary>True once a metric has reached the baseline.</summary>
    [JsonRequired]
    public bool HasReachedBaseline { get; init; }

    /// <summary>The best metric whatever the minimum delta, against which generalization loss is measured; NaN before the first.</summary>
    [JsonRequired]
    public double Optimum { get; init; } = double.NaN;

    /// <summary>Evaluations of the strip that has begun.</summary>
    [JsonRequired]
    public int StripEvaluations { get; init; }

    /// <summary>Sum of the strip's training errors.</summary>
    [JsonRequired]
    public double StripTrainingSum { get; init; }

    /// <summary>The lowest of the strip's training errors.</summary>
    [JsonRequired]
    public double StripTrainingMinimum { get; init; } = double.PositiveInfinity;

    /// <summary>The metric at the end of the last strip; NaN before the first.</summary>
    [JsonRequired]
    public double LastStripMetric { get; init; } = double.NaN;

    /// <summary>Strips in a row at whose end the metric was worse than at the end of the strip before.</summary>
    [JsonRequired]
    public int WorseStrips { get; init; }

    /// <summary>The state as JSON; NaN and infinities are strings in it.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, EarlyStoppingJson.Default.EarlyStoppingState);

    /// <summary>The state that <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="JsonException">The text is not such a state, or a value is missing.</exception>
    public static EarlyStoppingState FromJson(string json) =>
        JsonSerializer.Deserialize(json, EarlyStoppingJson.Default.EarlyStoppingState) ?? throw new JsonException("The state is null.");

    internal void Validate()
    {
        bool isPossible = StripEvaluations >= 0 && WorseStrips >= 0 && EvaluationsWithoutImprovement >= 0 && Enum.IsDefined(Reason)
            && CountedEvaluations >= StripEvaluations && CountedEvaluations >= EvaluationsWithoutImprovement
                && CountedEvaluations >= WorseStrips
            && Evaluations >= CountedEvaluations && BestEvaluation >= -1 && BestEvaluation < Evaluations
            && (BestEvaluation >= 0) == double.IsFinite(BestMetric) && (BestEvaluation >= 0) == double.IsFinite(Optimum);
        if (!isPossible) throw new ArgumentException($"{nameof(EarlyStopping)}: no run ends in the state {this}.", "state");
    }
}

/// <summary>The serialiser, made by the compiler, so that it also works where code is compiled ahead of time.</summary>
[JsonSourceGenerationOptions(
    AllowDuplicateProperties = false, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(EarlyStoppingState))]
internal sealed partial class EarlyStoppingJson : JsonSerializerContext;
