using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Adaptive dropout: training, inference, the three estimators, and probabilities of one's own.</summary>
public sealed class AdaptiveDropoutCase : OpCase
{
    /// <summary>Pre-activations are uniform in +-this.</summary>
    private const double Magnitude = 4;

    private static readonly RandomKey Key = new(0xada9_71fe_0003, 12);

    public override string Op => "adaptive-dropout";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new AdaptiveProblem("forward", [0], "zero elements"),
        new AdaptiveProblem("forward", [1], "one element"),
        new AdaptiveProblem("forward", [1021], "prime"),
        new AdaptiveProblem("forward", [4, 3, 35], "three dimensions, odd"),
        new AdaptiveProblem("forward", [300], "shard off a block boundary") { GlobalStart = (1UL << 33) + 3 },
        new AdaptiveProblem("forward", [300], "alpha = 0: one probability for all") { Alpha = 0 },
        new AdaptiveProblem("forward", [300], "steep: most decisions are certain") { Alpha = -40 },
        new AdaptiveProblem("forward", [70001], "several chunks of a core and a tail"),
        new AdaptiveProblem("infer", [1021], "prime"),
        new AdaptiveProblem("backward", [0], "zero elements"),
        new AdaptiveProblem("backward", [1021], "the mask as a constant"),
        new AdaptiveProblem("backward", [1021], "straight through") { Estimator = AdaptiveEstimator.StraightThrough },
        new AdaptiveProblem("backward", [1021], "expectation") { Estimator = AdaptiveEstimator.Expectation },
        new AdaptiveProblem("backward", [300], "shard off a block boundary")
        {
            Estimator = AdaptiveEstimator.StraightThrough, GlobalStart = 77,
        },
        new AdaptiveProblem("backward", [70001], "several chunks of a core and a tail") { Estimator = AdaptiveEstimator.Expectation },
        new AdaptiveProblem("forward-per-element", [1021], "prime"),
        new AdaptiveProblem("forward-per-element", [300], "original scaling, shard off a block boundary")
        {
            Scaling = DropoutScaling.Original, GlobalStart = 13,
        },
        new AdaptiveProblem("backward-per-element", [1021], "prime"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new AdaptiveProblem("forward", [1 << 24], "64 MB of floats"),
        new AdaptiveProblem("infer", [1 << 24], "64 MB of floats"),
        new AdaptiveProblem("backward", [1 << 24], "64 MB of floats") { Estimator = AdaptiveEstimator.StraightThrough },
        new AdaptiveProblem("forward-per-element", [1 << 24], "64 MB of floats"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("alpha is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, 4, double.NaN, 0)),
        new("beta is infinite", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, 4, 1, double.PositiveInfinity)),
        new("lengths differ", typeof(ArgumentException), (device, stream) => Forward(device, stream, 5, 1, 0)),
        new("unknown estimator", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            AdaptiveDropout.Backward(stream, x, x, x, x, null, 1, 0, (AdaptiveEstimator)5, Key);
        }),
        new("alpha is NaN in backward", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4), dx = device.Allocate<float>(4);
            AdaptiveDropout.Backward(stream, x, x, x, dx, null, double.NaN, 0, AdaptiveEstimator.Expectation, Key);
        }),
        new("beta is infinite in backward", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4), dx = device.Allocate<float>(4);
            AdaptiveDropout.Backward(stream, x, x, x, dx, null, 1, double.PositiveInfinity, AdaptiveEstimator.Expectation, Key);
        }),
        new("one tensor for both gradients", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            AdaptiveDropout.Backward(stream, x, x, x, x, x, 1, 0, AdaptiveEstimator.Expectation, Key);
        }),
        new("no such scaling", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4), probabilities = device.Allocate<float>(4);
            AdaptiveDropout.ForwardPerElement(stream, x, probabilities, x, Key, new() { Scaling = (DropoutScaling)7 });
        }),
        new("probabilities of another length", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            using DeviceTensor<float> probabilities = device.Allocate<float>(3);
            AdaptiveDropout.ForwardPerElement(stream, x, probabilities, x, Key);
        }),
    ];

    public override Problem? OfLength(long length) => new AdaptiveProblem("forward", [length], "every length");

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) => problem.Entry switch
    {
        "backward" => [("dy", "dx"), ("pre", "dpre")],
        "backward-per-element" => [("dy", "dx")],
        _ => [("x", "y")],
    };

    /// <summary>The expectation's gradient is that of inference; straight-through is the derivative of nothing.</summary>
    public override Problem? ForwardOf(Problem problem) => problem switch
    {
        AdaptiveProblem { Entry: "backward", Estimator: AdaptiveEstimator.MaskConstant } p => p with { Entry = "forward" },
        AdaptiveProblem { Entry: "backward", Estimator: AdaptiveEstimator.Expectation } p => p with { Entry = "infer" },
        AdaptiveProblem { Entry: "backward-per-element" } p => p with { Entry = "forward-per-element" },
        _ => null,
    };

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "dpre" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        AdaptiveProblem p = (AdaptiveProblem)problem;
        if (p.Entry.EndsWith("per-element", StringComparison.Ordinal))
        {
            double[] probabilities = Elements.Uniform(dtype, p.Count, seed, "probabilities", 0, 1);
            for (int i = 5; i < probabilities.Length; i += 11) probabilities[i] = i % 3 - 0.5;
            (string source, string destination) = InPlacePairs(problem)[0];
            return
            [
                Input(source, dtype, p.Shape, seed),
                new TensorSpec("probabilities", dtype, p.Shape, TensorRole.Input, probabilities),
                Output(destination, dtype, p.Shape, new Tolerance(1, 4, 0, "a quotient and a product")),
            ];
        }

        // exp turns the rounding of z, whose size is in front, into a relative error.
        double z = (Math.Abs(p.Alpha) * Magnitude) + Math.Abs(p.Beta);
        Tolerance weighted = new(1, 8 + (2 * z), 0, "an exponential of a rounded argument");
        TensorSpec x = Input("x", dtype, p.Shape, seed), pre = Input("pre", dtype, p.Shape, seed, -Magnitude, Magnitude);
        if (p.Entry != "backward") return [x, pre, Output("y", dtype, p.Shape, p.Entry == "forward" ? Tolerance.Exact : weighted)];
        return
        [
            x, pre, Input("dy", dtype, p.Shape, seed),
            Output("dx", dtype, p.Shape, p.Estimator == AdaptiveEstimator.Expectation ? weighted : Tolerance.Exact),
            Output("dpre", dtype, p.Shape, p.Estimator == AdaptiveEstimator.MaskConstant ? Tolerance.Exact : weighted),
        ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        AdaptiveProblem p = (AdaptiveProblem)problem;
        switch (p.Entry)
        {
            case "forward":
                AdaptiveDropout.Forward(
                    stream, tensors.Get<T>("x"), tensors.Get<T>("pre"), tensors.Get<T>("y"), p.Alpha, p.Beta, tensors.Key(Key),
                    p.GlobalStart);
                break;
            case "infer":
                AdaptiveDropout.Infer(stream, tensors.Get<T>("x"), tensors.Get<T>("pre"), tensors.Get<T>("y"), p.Alpha, p.Beta);
                break;
            case "backward":
                AdaptiveDropout.Backward(
                    stream, tensors.Get<T>("x"), tensors.Get<T>("pre"), tensors.Get<T>("dy"), tensors.Get<T>("dx"), tensors.Get<T>("dpre"),
                    p.Alpha, p.Beta, p.Estimator, tensors.Key(Key), p.GlobalStart);
                break;
            case "forward-per-element":
                AdaptiveDropout.ForwardPerElement(
                    stream, tensors.Get<T>("x"), tensors.Get<T>("probabilities"), tensors.Get<T>("y"), tensors.Key(Key),
                    new() { Scaling = p.Scaling, GlobalStart = p.GlobalStart });
                break;
            default:
                AdaptiveDropout.BackwardPerElement(
                    stream, tensors.Get<T>("dy"), tensors.Get<T>("probabilities"), tensors.Get<T>("dx"), tensors.Key(Key),
                    new() { Scaling = p.Scaling, GlobalStart = p.GlobalStart });
                break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        AdaptiveProblem p = (AdaptiveProblem)problem;
        (ulong seed, ulong offset) = Key;
        switch (p.Entry, p.Estimator)
        {
            case ("forward", _):
                AdaptiveDropoutReference.Forward(values["x"], values["pre"], values["y"], p.Alpha, p.Beta, seed, offset, p.GlobalStart);
                break;
            case ("infer", _):
                AdaptiveDropoutReference.Infer(values["x"], values["pre"], values["y"], p.Alpha, p.Beta);
                break;
            case ("backward", AdaptiveEstimator.MaskConstant):
                AdaptiveDropoutReference.BackwardMaskConstant(
                    values["pre"], values["dy"], values["dx"], values["dpre"], p.Alpha, p.Beta, seed, offset, p.GlobalStart);
                break;
            case ("backward", AdaptiveEstimator.StraightThrough):
                AdaptiveDropoutReference.BackwardStraightThrough(
                    values["x"], values["pre"], values["dy"], values["dx"], values["dpre"], p.Alpha, p.Beta, seed, offset, p.GlobalStart);
                break;
            case ("backward", _):
                AdaptiveDropoutReference.BackwardExpectation(
                    values["x"], values["pre"], values["dy"], values["dx"], values["dpre"], p.Alpha, p.Beta);
                break;
            default:
                (string source, string destination) = InPlacePairs(problem)[0];
                AdaptiveDropoutReference.PerElement(
                    values[source], values["probabilities"], values[destination], p.Scaling == DropoutScaling.Inverted, seed, offset,
                    p.GlobalStart);
                break;
        }
    }

    private static void Forward(Device device, DeviceStream stream, long preLength, double alpha, double beta)
    {
        using DeviceTensor<float> x = device.Allocate<float>(4);
        using DeviceTensor<float> pre = device.Allocate<float>(preLength);
        AdaptiveDropout.Forward(stream, x, pre, x, alpha, beta, Key);
    }
}

/// <summary>A call of adaptive dropout.</summary>
public sealed record AdaptiveProblem(string Entry, long[] Shape, string Reason) : Problem(Entry, Reason)
{
    public double Alpha { get; init; } = 1.5;

    public double Beta { get; init; } = 0.25;

    public AdaptiveEstimator Estimator { get; init; }

    public DropoutScaling Scaling { get; init; }

    public ulong GlobalStart { get; init; }

    public long Count => Shape.Aggregate(1L, (product, dimension) => product * dimension);

    public override string Text => $"{string.Join('x', Shape)} alpha={Alpha:0.##}{(Entry == "backward" ? $" {Estimator}" : "")}"
        + $"{(Scaling == DropoutScaling.Original ? " original" : "")}{(GlobalStart > 0 ? $" start={GlobalStart}" : "")}";

    /// <summary>Two reads and a write; backward reads three and writes two, unless the mask is a constant.</summary>
    public override long Bytes(int elementBytes) =>
        elementBytes * Count * (Entry == "backward" ? Estimator == AdaptiveEstimator.MaskConstant ? 4 : 5 : 3);
}
