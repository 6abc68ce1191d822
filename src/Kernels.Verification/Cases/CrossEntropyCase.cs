using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>
/// Softmax cross-entropy: losses alone, and with the gradient, in every combination that has a way of its own to go wrong.
/// </summary>
public sealed partial class CrossEntropyCase : OpCase
{
    internal const double Scale = 0.25;

    public override string Op => "cross-entropy";

    public override IReadOnlyList<Problem> Problems { get; } = [.. OfEntry("forward"), .. OfEntry("backward")];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new CrossEntropyProblem("backward", 4096, 1000, "ImageNet's classes, smoothed") { Smoothing = 0.1 },
        new CrossEntropyProblem("backward", 50, 10, "a batch of the study"),
        new CrossEntropyProblem("backward", 65536, 10, "many short rows") { Smoothing = 0.1 },
        new CrossEntropyProblem("backward", 128, 131072, "a large vocabulary") { Smoothing = 0.1 },
        new CrossEntropyProblem("backward", 4096, 1000, "plain") { },
        new CrossEntropyProblem("backward", 4096, 1000, "soft targets") { Targets = TargetKind.Soft, Smoothing = 0.1 },
        new CrossEntropyProblem("backward", 4096, 1000, "everything")
        {
            Smoothing = 0.1, HasWeights = true, IgnoreIndex = 3, ZLoss = 1e-4, ConfidencePenalty = 0.1, Reduction = LossReduction.Mean,
        },
        new CrossEntropyProblem("backward", 4096, 32000, "a vocabulary: far beyond any cache"),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("logits", "dlogits")] : [];

    public override Problem? ForwardOf(Problem problem) =>
        problem is CrossEntropyProblem { Entry: "backward", IsDifferentiable: true } p ? p with { Entry = "forward" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "dlosses" or "normalizer" or "weights"
            || (tensor == "labels" && problem is CrossEntropyProblem { Targets: TargetKind.Soft })
            ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        CrossEntropyProblem p = (CrossEntropyProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        List<TensorSpec> specs = [new TensorSpec("logits", dtype, [p.Rows, p.Classes], TensorRole.Input, Logits(p, dtype, seed))];
        if (p.Targets != TargetKind.Soft || p.IgnoreIndex is not null) specs.Add(Labels(p, "labels", seed));
        if (p.Targets == TargetKind.Mixed)
        {
            specs.Add(Labels(p, "others", seed));
            specs.Add(Input("shares", real, [p.Rows], seed, 0, 1));
        }

        // They add up to about 1, and among extremes to little enough for a finite loss.
        double likely = (p.HasExtremes ? 0.5 : 2.0) / Math.Max(1, p.Classes);
        if (p.Targets == TargetKind.Soft) specs.Add(Input("probabilities", dtype, [p.Rows, p.Classes], seed, 0, likely));
        if (p.HasBadTargets) (specs[^1].Values[0], specs[^1].Values[4]) = (double.NaN, double.PositiveInfinity);
        if (p.HasWeights) specs.Add(Input("weights", real, [p.Classes], seed, 0.25, 2));

        // exp turns an error of its argument, up to the logits' size, into a relative one; so does the logarithm back.
        double size = Math.Max(1, p.Magnitude) + (p.ZLoss * p.Magnitude * p.Magnitude) + p.ConfidencePenalty;
        // In double the reference's own sums are no more exact than the op's.
        double weight = p.HasWeights ? 2 : 1, roundings = 8 + (dtype == DType.Float64 ? p.Classes : Math.Sqrt(p.Classes)) + p.Magnitude;
        if (p.Entry == "backward" && p.LossGradients > 0) specs.Add(Input("dlosses", real, [p.LossGradients], seed));

        // A loss gradient for each row is up to 2, and the slopes' other terms are as large as the losses'.
        double slope = p.Scale * weight * (1 + (2 * p.ZLoss * (p.Magnitude + 8)) + (8 * p.ConfidencePenalty))
            * (p.LossGradients > 0 ? 2 : 1);
        if (p.Reduction == LossReduction.None)
        {
            specs.Add(Output("losses", real, [p.Rows], new Tolerance(1, roundings, weight * size, "exp and log of differences of logits")));
        }
        else
        {
            double terms = p.Reduction == LossReduction.Sum ? Math.Max(1, p.Rows) : 1;
            specs.Add(
                Output("losses", real, [1], new Tolerance(1, roundings + Math.Sqrt(p.Rows), weight * size * terms, "a sum of losses")));
        }

        if (p.HasNormalizer)
            specs.Add(Output("normalizer", real, [1], new Tolerance(1, 4 + Math.Sqrt(p.Rows), weight, "a sum of weights")));
        if (p.Entry == "backward")
        {
            specs.Add(Output("dlogits", dtype, [p.Rows, p.Classes],
                new Tolerance(1, roundings, slope, "a difference of probabilities of the size of the scale")));
        }

        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        if (typeof(T) == typeof(double))
            Run<T, double>(stream, (CrossEntropyProblem)problem, tensors);
        else
            Run<T, float>(stream, (CrossEntropyProblem)problem, tensors);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        CrossEntropyProblem p = (CrossEntropyProblem)problem;
        CrossEntropyReference reference = new((int)p.Rows, (int)p.Classes)
        {
            Labels = values.Has("labels") ? values.Integers("labels") : null,
            OtherLabels = values.Has("others") ? values.Integers("others") : null,
            Shares = values.Has("shares") ? values["shares"] : null,
            Probabilities = values.Has("probabilities") ? values["probabilities"] : null,
            ClassWeights = p.HasWeights ? values["weights"] : null,
            IgnoreIndex = p.IgnoreIndex,
            Smoothing = p.Smoothing,
            OthersOnly = p.Convention == LabelSmoothing.OtherClasses,
            ZLoss = p.ZLoss,
            ConfidencePenalty = p.ConfidencePenalty,
            EntropyThreshold = p.EntropyThreshold,
            EmptyMean = p.EmptyMean == EmptyMean.Zero ? 0 : double.NaN,
        };
        double[] losses = reference.Losses(values["logits"]);
        if (p.Reduction == LossReduction.None)
            losses.CopyTo(values["losses"], 0);
        else
            values["losses"][0] = p.Reduction == LossReduction.Sum ? losses.Sum() : reference.Mean(losses.Sum());
        if (p.HasNormalizer) values["normalizer"][0] = reference.Normalizer();
        if (p.Entry != "backward") return;
        double[]? lossGradient = p.LossGradients > 0 ? values["dlosses"] : null;
        reference.Backward(values["logits"], values["dlogits"], p.Scale, lossGradient, p.Reduction == LossReduction.Mean);
    }

    /// <summary>The factor of the gradient; the gradient of the losses' sum is that of the op divided by it.</summary>
    public override double GradientScale => Scale;

    private static void Run<T, TReal>(DeviceStream stream, CrossEntropyProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        DeviceTensor<T> logits = tensors.Get<T>("logits");
        DeviceTensor<TReal> losses = tensors.Get<TReal>("losses");
        DeviceTensor<TReal>? weights = p.HasWeights ? tensors.Get<TReal>("weights") : null, normalizer = p.HasNormalizer
            ? tensors.Get<TReal>("normalizer") : null;
        CrossEntropyTargets targets = p.Targets switch
        {
            TargetKind.Hard => tensors.Get<int>("labels"),
            TargetKind.Mixed =>
                CrossEntropyTargets.Mixed(tensors.Get<int>("labels"), tensors.Get<int>("others"), tensors.Get<TReal>("shares")),
            _ => CrossEntropyTargets.Soft(tensors.Get<T>("probabilities"), p.IgnoreIndex is null ? null : tensors.Get<int>("labels")),
        };
        if (p.Entry == "forward")
        {
            CrossEntropy.Forward(stream, logits, targets, weights, losses, normalizer, p.Options);
        }
        else
        {
            DeviceTensor<TReal>? lossGradient = p.LossGradients > 0 ? tensors.Get<TReal>("dlosses") : null;
            CrossEntropy.ForwardBackward(
                stream, logits, targets, weights, lossGradient, losses, tensors.Get<T>("dlogits"), normalizer, p.Scale, p.Options);
        }

        if (p.HasBadLabels) ExpectReport(stream);
    }

    /// <summary>Labels outside the classes are reported once, at the first synchronisation.</summary>
    private static void ExpectReport(DeviceStream stream)
    {
        try
        {
            stream.Synchronize();
        }
        catch (DeviceDataException e) when (e.Index == 0)
        {
            return;
        }

        throw new InvalidOperationException("The label outside the classes was not reported.");
    }

    private static IEnumerable<Problem> OfEntry(string entry) =>
    [
        new CrossEntropyProblem(entry, 0, 10, "no rows"),
        new CrossEntropyProblem(entry, 1, 1, "one class: the loss is 0"),
        new CrossEntropyProblem(entry, 50, 10, "a batch of the study"),
        new CrossEntropyProblem(entry, 7, 8, "one work item a row"),
        new CrossEntropyProblem(entry, 5, 64, "whole vectors, rows that share a warp"),
        new CrossEntropyProblem(entry, 3, 1000, "whole vectors, rows of several stretches") { Smoothing = 0.1 },
        new CrossEntropyProblem(entry, 3, 1021, "prime, the longest kind of short row"),
        new CrossEntropyProblem(entry, 2, 2048, "a work group a row, all of it in registers") { Smoothing = 0.1 },
        new CrossEntropyProblem(entry, 2, 4099, "a work group a row, prime, several stretches")
        {
            Smoothing = 0.1, ConfidencePenalty = 0.5,
        },
        new CrossEntropyProblem(entry, 1, 262144, "the longest row promised") { Smoothing = 0.1 },
        new CrossEntropyProblem(entry, 70000, 3, "more than 65,535 rows, and sums in two steps")
        {
            Reduction = LossReduction.Mean, HasNormalizer = true, IgnoreIndex = 1,
        },
        new CrossEntropyProblem(entry, 20, 10, "large logits do not overflow") { Magnitude = 4000, Smoothing = 0.1 },
        new CrossEntropyProblem(entry, 20, 10, "a range of logits beyond the largest number") { HasExtremes = true },
        new CrossEntropyProblem(entry, 20, 21, "a range beyond the largest number, smoothed") { HasExtremes = true, Smoothing = 0.1 },
        new CrossEntropyProblem(entry, 20, 21, "a range beyond the largest number, with a penalty")
        {
            HasExtremes = true, ConfidencePenalty = 0.3,
        },
        new CrossEntropyProblem(entry, 20, 21, "a range beyond the largest number, two labels and weights")
        {
            HasExtremes = true, Targets = TargetKind.Mixed, HasWeights = true, Smoothing = 0.1, Convention = LabelSmoothing.OtherClasses,
        },
        new CrossEntropyProblem(entry, 3, 1100, "a range beyond the largest number, probabilities of a long row")
        {
            HasExtremes = true, Targets = TargetKind.Soft,
        },
        new CrossEntropyProblem(entry, 20, 10, "labels outside the classes") { HasBadLabels = true },
        new CrossEntropyProblem(entry, 20, 10, "second labels outside the classes") { HasBadLabels = true, Targets = TargetKind.Mixed },
        new CrossEntropyProblem(entry, 9, 21, "smoothing over all classes") { Smoothing = 0.1 },
        new CrossEntropyProblem(entry, 9, 21, "smoothing over the other classes")
        {
            Smoothing = 0.1, Convention = LabelSmoothing.OtherClasses,
        },
        new CrossEntropyProblem(entry, 9, 1, "smoothing over no other class") { Smoothing = 0.1, Convention = LabelSmoothing.OtherClasses },
        new CrossEntropyProblem(entry, 9, 21, "nothing but smoothing") { Smoothing = 1 },
        new CrossEntropyProblem(entry, 9, 21, "probabilities that smoothing leaves nothing of")
        {
            Smoothing = 1, Targets = TargetKind.Soft, HasBadTargets = true,
        },
        new CrossEntropyProblem(entry, 9, 24, "class weights") { HasWeights = true, Reduction = LossReduction.Mean, HasNormalizer = true },
        new CrossEntropyProblem(entry, 9, 21, "class weights, smoothing and an ignored class")
        {
            HasWeights = true, Smoothing = 0.2, IgnoreIndex = 2, Reduction = LossReduction.Mean,
        },
        new CrossEntropyProblem(entry, 9, 1021, "an ignore index outside the classes, rows of several stretches")
        {
            IgnoreIndex = -100, HasIgnoredRows = true, Reduction = LossReduction.Mean,
        },
        new CrossEntropyProblem(entry, 9, 21, "a sum, and its normalizer")
        {
            HasIgnoredRows = true, IgnoreIndex = 255, Reduction = LossReduction.Sum, HasNormalizer = true,
        },
        new CrossEntropyProblem(entry, 9, 21, "two labels") { Targets = TargetKind.Mixed, Smoothing = 0.1 },
        new CrossEntropyProblem(entry, 9, 21, "two labels, of which some are ignored, with weights")
        {
            Targets = TargetKind.Mixed, Smoothing = 0.1, HasIgnoredRows = true, IgnoreIndex = -1, HasWeights = true,
                Reduction = LossReduction.Mean, HasNormalizer = true,
        },
        new CrossEntropyProblem(entry, 9, 21, "shares that are no number, in a mean")
        {
            Targets = TargetKind.Mixed, HasBadTargets = true, Reduction = LossReduction.Mean,
        },
        new CrossEntropyProblem(entry, 9, 21, "shares that are no number, in a mean with its normalizer")
        {
            Targets = TargetKind.Mixed, HasBadTargets = true, Reduction = LossReduction.Mean, HasNormalizer = true,
        },
        new CrossEntropyProblem(entry, 9, 21, "shares that are no number, in a mean by weights")
        {
            Targets = TargetKind.Mixed, HasBadTargets = true, HasWeights = true, Reduction = LossReduction.Mean, HasNormalizer = true,
        },
        new CrossEntropyProblem(entry, 9, 24, "probabilities") { Targets = TargetKind.Soft, Smoothing = 0.1 },
        new CrossEntropyProblem(entry, 9, 21, "probabilities, of which some rows are ignored, with weights")
        {
            Targets = TargetKind.Soft, Smoothing = 0.1, HasIgnoredRows = true, IgnoreIndex = -1, HasWeights = true,
                Reduction = LossReduction.Mean, HasNormalizer = true,
        },
        new CrossEntropyProblem(entry, 3, 1100, "probabilities of a long row")
        {
            Targets = TargetKind.Soft, HasWeights = true, Smoothing = 0.1,
        },
        new CrossEntropyProblem(entry, 2, 33000, "probabilities of few long rows, in pieces")
        {
            Targets = TargetKind.Soft, HasWeights = true, Smoothing = 0.1,
        },
        new CrossEntropyProblem(entry, 2, 16411, "two labels of few long rows, in pieces")
        {
            Targets = TargetKind.Mixed, HasWeights = true, Smoothing = 0.1, ConfidencePenalty = 0.3,
        },
        new CrossEntropyProblem(entry, 2, 16411, "a range beyond the largest number, in pieces") { HasExtremes = true, Smoothing = 0.1 },
        new CrossEntropyProblem(entry, 9, 21, "z-loss") { ZLoss = 0.01 },
        new CrossEntropyProblem(entry, 9, 21, "confidence penalty") { ConfidencePenalty = 0.3 },
        new CrossEntropyProblem(entry, 19, 21, "confidence penalty with a threshold amid the rows' entropies")
        {
            ConfidencePenalty = 0.3, EntropyThreshold = 2.4,
        },
        new CrossEntropyProblem(entry, 9, 21, "all at once")
        {
            Smoothing = 0.1, HasWeights = true, IgnoreIndex = 2, ZLoss = 0.01, ConfidencePenalty = 0.3, EntropyThreshold = 2.4,
                Reduction = LossReduction.Mean,
        },
        new CrossEntropyProblem(entry, 12, 21, "masked classes, some of them labels") { Masked = true, Smoothing = 0.1 },
        new CrossEntropyProblem(entry, 12, 24, "masked classes of the other convention, with a penalty")
        {
            Masked = true, Smoothing = 0.1, Convention = LabelSmoothing.OtherClasses, ConfidencePenalty = 0.3,
        },
        new CrossEntropyProblem(entry, 5, 10, "all rows ignored: the mean is 0")
        {
            AllIgnored = true, IgnoreIndex = -100, Reduction = LossReduction.Mean, HasNormalizer = true,
        },
        new CrossEntropyProblem(entry, 5, 10, "all rows ignored: the mean is NaN")
        {
            AllIgnored = true, IgnoreIndex = -100, Reduction = LossReduction.Mean, EmptyMean = EmptyMean.NaN,
        },
        new CrossEntropyProblem(entry, 0, 10, "the mean of no rows is 0") { Reduction = LossReduction.Mean, HasNormalizer = true },
        new CrossEntropyProblem(entry, 0, 10, "the mean of no rows is NaN") { Reduction = LossReduction.Mean, EmptyMean = EmptyMean.NaN },
        .. entry == "forward" ? (IEnumerable<Problem>)[] :
        [
            new CrossEntropyProblem(entry, 9, 21, "a gradient for each loss") { LossGradients = 9, Smoothing = 0.1 },
            new CrossEntropyProblem(entry, 12, 21, "masked classes, gradients of either sign") { Masked = true, LossGradients = 12 },
            new CrossEntropyProblem(entry, 12, 21, "masked classes, gradients of either sign, weights")
            {
                Masked = true, HasWeights = true, LossGradients = 12,
            },
            new CrossEntropyProblem(entry, 9, 21, "a gradient for the mean") { LossGradients = 1, Reduction = LossReduction.Mean },
        ],
    ];

    private static double[] Logits(CrossEntropyProblem p, DType dtype, ulong seed)
    {
        double[] logits = Elements.Uniform(dtype, p.Rows * p.Classes, seed, "logits", -p.Magnitude, p.Magnitude);
        if (p.HasExtremes) return Elements.Extremes(dtype, logits.Length, seed);
        if (!p.Masked) return logits;
        double[] choice = Elements.Uniform(DType.Float64, logits.Length, seed, "masked", 0, 4);
        for (int i = 0; i < logits.Length; i++) logits[i] = choice[i] < 1 ? double.NegativeInfinity : logits[i];

        // Labels are left, but for one; a row of one class, and one of none.
        double[] labels = Labels(p, "labels", seed).Values;
        for (int row = 0; row < p.Rows; row++) logits[(row * p.Classes) + (int)labels[row]] = row == 2 ? double.NegativeInfinity : 0.5;
        for (int k = 0; k < p.Classes; k++) logits[k] = k == (int)labels[0] ? 0.5 : double.NegativeInfinity;
        logits.AsSpan((int)p.Classes, (int)p.Classes).Fill(double.NegativeInfinity);
        return logits;
    }

    private static TensorSpec Labels(CrossEntropyProblem p, string name, ulong seed)
    {
        double[] labels = Elements.Integers(p.Rows, (int)p.Classes, seed, name);
        if (p.HasBadLabels) (labels[0], labels[1], labels[^1]) = (-1, p.Classes, int.MaxValue);

        // For two labels: both, the first, and the second.
        if (p.HasIgnoredRows) labels[1] = labels[name == "labels" ? 2 : 3] = labels[4] = p.IgnoreIndex!.Value;
        if (p.AllIgnored) labels.AsSpan().Fill(p.IgnoreIndex!.Value);
        return new TensorSpec(name, DType.Int32, [p.Rows], TensorRole.Input, labels);
    }
}

/// <summary>The kind of targets of a problem.</summary>
public enum TargetKind
{
    Hard,
    Mixed,
    Soft,
}

/// <summary>A call of cross-entropy.</summary>
public sealed record CrossEntropyProblem(string Entry, long Rows, long Classes, string Reason) : Problem(Entry, Reason)
{
    /// <summary>Logits are uniform in +-this.</summary>
    public double Magnitude { get; init; } = 3;

    public TargetKind Targets { get; init; }

    public double Smoothing { get; init; }

    public LabelSmoothing Convention { get; init; }

    public LossReduction Reduction { get; init; }

    public EmptyMean EmptyMean { get; init; }

    public int? IgnoreIndex { get; init; }

    /// <summary>True when labels have the ignore index although it is no class.</summary>
    public bool HasIgnoredRows { get; init; }

    public bool AllIgnored { get; init; }

    public bool HasBadLabels { get; init; }

    /// <summary>True when a share or a probability is NaN and another one infinite.</summary>
    public bool HasBadTargets { get; init; }

    public bool HasWeights { get; init; }

    public bool HasNormalizer { get; init; }

    public double ZLoss { get; init; }

    public double ConfidencePenalty { get; init; }

    public double? EntropyThreshold { get; init; }

    /// <summary>True when a quarter of the logits are -infinity.</summary>
    public bool Masked { get; init; }

    /// <summary>Elements of the loss's gradient in device memory, or 0 for none.</summary>
    public long LossGradients { get; init; }

    public CrossEntropyOptions Options => new()
    {
        Smoothing = Smoothing,
        SmoothingConvention = Convention,
        IgnoreIndex = IgnoreIndex,
        Reduction = Reduction,
        EmptyMean = EmptyMean,
        ZLoss = ZLoss,
        ConfidencePenalty = ConfidencePenalty,
        EntropyThreshold = EntropyThreshold,
    };

    public override string Text =>
        $"{Rows}x{Classes}{(Targets == TargetKind.Hard ? "" : $" {Targets.ToString().ToLowerInvariant()}")}"
        + $"{(Smoothing == 0 ? "" : $" smoothing={Smoothing:0.##}")}{(Convention == LabelSmoothing.OtherClasses ? " others" : "")}"
        + $"{(Reduction == LossReduction.None ? "" : $" {Reduction.ToString().ToLowerInvariant()}")}{(HasWeights ? " weights" : "")}"
        + $"{(IgnoreIndex is null ? "" : $" ignore={IgnoreIndex}")}{(ZLoss == 0 ? "" : $" z={ZLoss:0.####}")}"
        + $"{(ConfidencePenalty == 0 ? "" : $" penalty={ConfidencePenalty:0.##}")}"
        + $"{(EntropyThreshold is null ? "" : $" threshold={EntropyThreshold:0.##}")}";

    /// <summary>True when finite differences apply: no loss is NaN or infinite, and there is a gradient.</summary>
    internal bool IsDifferentiable =>
        !HasBadLabels && !HasBadTargets && !HasExtremes && !Masked && EmptyMean != EmptyMean.NaN
        && (Rows > 0 || Reduction == LossReduction.None);

    /// <summary>
    /// The host's factor of the gradient. Where the losses have gradients of their own it is 1, as the check by differences expects.
    /// </summary>
    internal double Scale => LossGradients > 0 ? 1 : CrossEntropyCase.Scale;

    public override long Bytes(int elementBytes)
    {
        long matrices = (Entry == "forward" ? 1 : 2) + (Targets == TargetKind.Soft ? 1 : 0);
        long perRow = (Targets == TargetKind.Mixed ? 12 : 4) + (Reduction == LossReduction.None ? 4 : 8);
        return (elementBytes * Rows * matrices * Classes) + (Rows * perRow) + (HasWeights ? 4 * Classes : 0);
    }
}
