using System.Runtime.InteropServices;
using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>
/// Early stopping over histories of metrics that a device holds, as a training loop uses it: the metrics come down, the machine decides after each, the
/// decisions go up again. It launches nothing; what is checked is that a history gets the same decisions whatever device and type it was stored in.
/// </summary>
public sealed class EarlyStoppingCase : OpCase
{
    public override string Op => "early-stopping";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new EarlyStoppingProblem(0, new(), "no evaluations"),
        new EarlyStoppingProblem(1, new() { Patience = 1 }, "one evaluation"),
        new EarlyStoppingProblem(61, new() { Patience = 4 }, "patience, past several stops"),
        new EarlyStoppingProblem(61, new() { Patience = 3, MinimumDelta = 0.125 }, "minimum delta in the metric's unit"),
        new EarlyStoppingProblem(
            61, new() { Mode = MetricMode.Maximize, Patience = 3, MinimumDelta = 0.25, MinimumDeltaUnit = DeltaUnit.Relative },
            "higher is better, minimum delta relative to the best"),
        new EarlyStoppingProblem(40, new() { Patience = 5, WarmUp = 12, Baseline = -1 }, "a baseline that is not reached"),
        new EarlyStoppingProblem(40, new() { Patience = 12, Baseline = 0.75, WarmUp = 2 }, "a baseline that is reached"),
        new EarlyStoppingProblem(40, new() { StoppingThreshold = 0.5, DivergenceThreshold = 1.75, WarmUp = 1 }, "thresholds, after a warm-up"),
        new EarlyStoppingProblem(40, new() { Patience = 3 }, "NaN counts as no improvement") { NaNEvery = 3 },
        new EarlyStoppingProblem(40, new() { Patience = 3, NaN = NaNPolicy.Ignore, SuccessiveStrips = 1, StripLength = 2 }, "NaN is ignored") { NaNEvery = 3 },
        new EarlyStoppingProblem(40, new() { Patience = 3, NaN = NaNPolicy.Stop, WarmUp = 5 }, "NaN stops, after the warm-up") { NaNEvery = 4 },
        new EarlyStoppingProblem(60, new() { Patience = null, GeneralizationLoss = 20 }, "Prechelt's GL"),
        new EarlyStoppingProblem(60, new() { Patience = null, ProgressQuotient = 0.25 }, "Prechelt's PQ"),
        new EarlyStoppingProblem(60, new() { Patience = null, SuccessiveStrips = 2, StripLength = 3 }, "Prechelt's UP"),
    ];

    /// <summary>None: an evaluation takes far longer than the decision about it.</summary>
    public override IReadOnlyList<Problem> BenchProblems => [];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Refused("no patience at all", new() { Patience = 0 }),
        Refused("minimum delta is NaN", new() { MinimumDelta = double.NaN }),
        Refused("a threshold is infinite", new() { StoppingThreshold = double.PositiveInfinity }),
        Refused("a strip without progress", new() { ProgressQuotient = 1, StripLength = 1 }),
        Refused("an unknown policy", new() { NaN = (NaNPolicy)3 }),
        new("a baseline without a patience", typeof(ArgumentException), (_, _) => _ = new EarlyStopping(new() { Patience = null, Baseline = 1 })),
        new("a state of no run", typeof(ArgumentException), (_, _) => _ = new EarlyStopping(new(), new() { BestEvaluation = 2, BestMetric = 1 })),
    ];

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        EarlyStoppingProblem p = (EarlyStoppingProblem)problem;

        // Training errors fall; metrics of held-out data fall less, and rise in the end. Both wander.
        double[] metrics = Elements.Uniform(DType.Float64, p.Length, seed, "metrics", 0, 0.5);
        double[] trainingErrors = Elements.Uniform(DType.Float64, p.Length, seed, "training errors", 0, 0.25);
        for (int i = 0; i < p.Length; i++)
        {
            metrics[i] = p.NaNEvery > 0 && i % p.NaNEvery == 0 ? double.NaN : Elements.Round(dtype, metrics[i] + (4.0 / (4 + i)) + (i / 64.0));
            trainingErrors[i] = Elements.Round(dtype, trainingErrors[i] + (4.0 / (4 + i)));
        }

        return
        [
            new TensorSpec("metrics", dtype, [p.Length], TensorRole.Input, metrics),
            new TensorSpec("training errors", dtype, [p.Length], TensorRole.Input, trainingErrors),
            new TensorSpec("reasons", DType.Int32, [p.Length], TensorRole.Output, []),
            new TensorSpec("best", DType.Int32, [p.Length], TensorRole.Output, []),
        ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        T[] metrics = tensors.Get<T>("metrics").ToArray(stream), trainingErrors = tensors.Get<T>("training errors").ToArray(stream);
        int[] reasons = new int[metrics.Length], best = new int[metrics.Length];
        EarlyStopping stopping = new(((EarlyStoppingProblem)problem).Options);
        for (int i = 0; i < metrics.Length; i++)
        {
            stopping.Update(Value(metrics, i), Value(trainingErrors, i));
            (reasons[i], best[i]) = ((int)stopping.Reason, stopping.BestEvaluation);
        }

        stream.Upload(reasons, tensors.Get<int>("reasons"));
        stream.Upload(best, tensors.Get<int>("best"));

        static double Value(T[] values, int index) => Elements.FromBytes(Kernels.DTypes.Of<T>(), MemoryMarshal.AsBytes(values.AsSpan()), index);
    }

    public override void Reference(Problem problem, ReferenceValues values) => EarlyStoppingReference.Run(
        Rules(((EarlyStoppingProblem)problem).Options), values["metrics"], values["training errors"], values["reasons"], values["best"]);

    /// <summary>The options as the reference takes them.</summary>
    internal static EarlyStoppingRules Rules(EarlyStoppingOptions options) => new()
    {
        Maximize = options.Mode == MetricMode.Maximize,
        Patience = options.Patience ?? 0,
        MinimumDelta = options.MinimumDelta,
        RelativeDelta = options.MinimumDeltaUnit == DeltaUnit.Relative,
        WarmUp = options.WarmUp,
        Baseline = options.Baseline ?? double.NaN,
        IgnoreNaN = options.NaN == NaNPolicy.Ignore,
        StopAtNaN = options.NaN == NaNPolicy.Stop,
        Divergence = options.DivergenceThreshold ?? double.NaN,
        Goal = options.StoppingThreshold ?? double.NaN,
        GeneralizationLoss = options.GeneralizationLoss ?? double.NaN,
        ProgressQuotient = options.ProgressQuotient ?? double.NaN,
        SuccessiveStrips = options.SuccessiveStrips ?? 0,
        StripLength = options.StripLength,
    };

    private static BadInput Refused(string name, EarlyStoppingOptions options) =>
        new(name, typeof(ArgumentOutOfRangeException), (_, _) => _ = new EarlyStopping(options));
}

/// <summary>A history of this many evaluations.</summary>
public sealed record EarlyStoppingProblem(int Length, EarlyStoppingOptions Options, string Reason) : Problem("update", Reason)
{
    /// <summary>The first metric and every so many after it are NaN; 0 for none.</summary>
    public int NaNEvery { get; init; }

    public override string Text => $"{Length} evaluations";

    public override long Bytes(int elementBytes) => (2L * elementBytes * Length) + (8L * Length);
}
