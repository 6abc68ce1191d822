using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Mean squared error, its gradient, and the gradient added to another.</summary>
public sealed class MeanSquaredErrorCase : OpCase
{
    public override string Op => "mean-squared-error";

    public override double GradientScale => MeanSquaredErrorProblem.UsualScale;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new MeanSquaredErrorProblem("forward", [0, 3], "no elements: 0"),
        new MeanSquaredErrorProblem("forward", [1], "one element"),
        new MeanSquaredErrorProblem("forward", [31, 33], "rows with a tail"),
        new MeanSquaredErrorProblem("backward", [0, 3], "no elements: 0"),
        new MeanSquaredErrorProblem("backward", [1], "one element"),
        new MeanSquaredErrorProblem("backward", [31, 33], "rows with a tail"),
        new MeanSquaredErrorProblem("backward", [4, 8, 8], "whole vectors, a gradient of the loss") { HasLossGradient = true },
        new MeanSquaredErrorProblem("accumulate", [29, 37], "added to another gradient") { Scale = 1000 },
        new MeanSquaredErrorProblem("backward", [70001], "several parts and a tail"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new MeanSquaredErrorProblem("backward", [1 << 24], "64 MB of floats"),
        new MeanSquaredErrorProblem("forward", [1 << 24], "64 MB of floats"),
        new MeanSquaredErrorProblem("backward", [64, 1, 28, 28], "a batch of small images"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("targets of another shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> predictions = device.Allocate<float>(4, 3), targets = device.Allocate<float>(3, 4);
            using DeviceTensor<float> loss = device.Allocate<float>(1);
            MeanSquaredError.Forward(stream, predictions, targets, loss);
        }),
        new("a loss for each row", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> predictions = device.Allocate<float>(4, 3), targets = device.Allocate<float>(4, 3);
            using DeviceTensor<float> losses = device.Allocate<float>(4);
            MeanSquaredError.Forward(stream, predictions, targets, losses);
        }),
        new("a gradient in place of the targets", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> predictions = device.Allocate<float>(4), targets = device.Allocate<float>(4);
            using DeviceTensor<float> loss = device.Allocate<float>(1);
            MeanSquaredError.ForwardBackward(stream, predictions, targets, null, loss, targets, 1);
        }),
        new("accumulates in place of the predictions", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> predictions = device.Allocate<float>(4), targets = device.Allocate<float>(4);
            using DeviceTensor<float> loss = device.Allocate<float>(1);
            MeanSquaredError.ForwardBackward(stream, predictions, targets, null, loss, predictions, 1, accumulates: true);
        }),
        new("an infinite scale", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> predictions = device.Allocate<float>(4), targets = device.Allocate<float>(4);
            using DeviceTensor<float> loss = device.Allocate<float>(1);
            MeanSquaredError.ForwardBackward(stream, predictions, targets, null, loss, predictions, double.PositiveInfinity);
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("predictions", "dpredictions")] : [];

    public override Problem? ForwardOf(Problem problem) =>
        problem is MeanSquaredErrorProblem { Entry: "backward", HasLossGradient: false, Count: > 0 } p
            ? p with { Entry = "forward" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor == "dloss" ? ArgumentUse.Optional : ArgumentUse.Required;

    /// <summary>Squares are added in the arithmetic type.</summary>
    public override double LargestInput(DType dtype) => dtype switch
    {
        DType.Float64 => Math.ScaleB(1, 500),
        DType.Float16 => Elements.Largest(dtype),
        _ => Math.ScaleB(1, 60),
    };

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        MeanSquaredErrorProblem p = (MeanSquaredErrorProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        long count = Math.Max(1, p.Count);
        List<TensorSpec> specs = [Input("predictions", dtype, p.Shape, seed), Input("targets", dtype, p.Shape, seed)];
        if (p.HasLossGradient) specs.Add(Input("dloss", real, [1], seed));
        // In double the reference's own sum is no more exact than the op's.
        double roundings = 8 + (dtype == DType.Float64 ? count : Math.Sqrt(count));
        specs.Add(Output("loss", real, [1], new Tolerance(0, roundings, 1, "a sum of squares")));
        Tolerance gradient = new(1, 6, 8.0 / count, "a difference with a rounded factor");
        if (p.Entry == "backward") specs.Add(Output("dpredictions", dtype, p.Shape, gradient));
        if (p.Entry == "accumulate")
        {
            TensorSpec before = Input("dpredictions", dtype, p.Shape, seed);
            specs.Add(before with { Role = TensorRole.InOut, Tolerance = gradient with { Floor = 6 } });
        }

        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        if (typeof(T) == typeof(double))
            Run<T, double>(stream, (MeanSquaredErrorProblem)problem, tensors);
        else
            Run<T, float>(stream, (MeanSquaredErrorProblem)problem, tensors);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        MeanSquaredErrorProblem p = (MeanSquaredErrorProblem)problem;
        values["loss"][0] = MeanSquaredErrorReference.Loss(values["predictions"], values["targets"]);
        if (p.Entry == "forward") return;
        double factor = p.HasLossGradient ? values["dloss"][0] : 1, scale = double.IsFinite(factor) ? p.Scale * factor : double.NaN;
        MeanSquaredErrorReference.AddGradient(values["predictions"], values["targets"], values["dpredictions"], scale);
    }

    private static void Run<T, TReal>(DeviceStream stream, MeanSquaredErrorProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        DeviceTensor<T> predictions = tensors.Get<T>("predictions"), targets = tensors.Get<T>("targets");
        DeviceTensor<TReal> loss = tensors.Get<TReal>("loss");
        if (p.Entry == "forward")
        {
            MeanSquaredError.Forward(stream, predictions, targets, loss);
            return;
        }

        DeviceTensor<TReal>? lossGradient = p.HasLossGradient ? tensors.Get<TReal>("dloss") : null;
        MeanSquaredError.ForwardBackward(
            stream, predictions, targets, lossGradient, loss, tensors.Get<T>("dpredictions"), p.Scale,
            accumulates: p.Entry == "accumulate");
    }
}

/// <summary>A call of the mean squared error.</summary>
public sealed record MeanSquaredErrorProblem(string Entry, long[] Shape, string Reason) : Problem(Entry, Reason)
{
    public const double UsualScale = -0.5;

    public bool HasLossGradient { get; init; }

    public double Scale { get; init; } = UsualScale;

    public override string Text => string.Join('x', Shape);

    internal long Count => Shape.Aggregate(1L, (product, dimension) => product * dimension);

    public override long Bytes(int elementBytes) => (Entry switch { "forward" => 2, "backward" => 3, _ => 4 }) * elementBytes * Count;
}
