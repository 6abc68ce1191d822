using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>ReLU, forward and backward.</summary>
public sealed class ReluCase : OpCase
{
    public override string Op => "relu";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new ReluProblem("forward", [0], "zero elements"),
        new ReluProblem("forward", [1], "one element"),
        new ReluProblem("forward", [1021], "prime"),
        new ReluProblem("forward", [70001], "several chunks of a core and a tail"),
        new ReluProblem("backward", [0], "zero elements"),
        new ReluProblem("backward", [1], "one element"),
        new ReluProblem("backward", [31, 33], "rows with a tail"),
        new ReluProblem("backward", [70001], "several chunks of a core and a tail"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new ReluProblem("forward", [1 << 24], "64 MB of floats"),
        new ReluProblem("forward", [1 << 20], "4 MB of floats: small"),
        new ReluProblem("forward", [1 << 26], "256 MB of floats: far beyond any cache"),
        new ReluProblem("backward", [1 << 24], "64 MB of floats"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("shapes differ", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            using DeviceTensor<float> y = device.Allocate<float>(5);
            Relu.Forward(stream, x, y);
        }),
        new("partial overlap in backward", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            using DeviceTensor<float> dy = device.Allocate<float>(8);
            Relu.Backward(stream, buffer.View(0, 8), dy, buffer.View(1, 8));
        }),
    ];

    public override Problem? OfLength(long length) => new ReluProblem("backward", [length], "every length");

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("dy", "dx")] : [("x", "y")];

    public override Problem? ForwardOf(Problem problem) =>
        problem.Entry == "backward" ? (ReluProblem)problem with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        long[] shape = ((ReluProblem)problem).Shape;
        return problem.Entry == "forward"
            ? [Input("x", dtype, shape, seed), Output("y", dtype, shape, Tolerance.Exact)]
            : [Input("x", dtype, shape, seed), Input("dy", dtype, shape, seed), Output("dx", dtype, shape, Tolerance.Exact)];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        if (problem.Entry == "forward")
            Relu.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"));
        else
            Relu.Backward(stream, tensors.Get<T>("x"), tensors.Get<T>("dy"), tensors.Get<T>("dx"));
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        if (problem.Entry == "forward")
            ReluReference.Forward(values["x"], values["y"]);
        else
            ReluReference.Backward(values["x"], values["dy"], values["dx"]);
    }
}

/// <summary>A call of ReLU.</summary>
public sealed record ReluProblem(string Entry, long[] Shape, string Reason) : Problem(Entry, Reason)
{
    public override string Text => string.Join('x', Shape);

    public override long Bytes(int elementBytes) =>
        (Entry == "forward" ? 2 : 3) * elementBytes * Shape.Aggregate(1L, (product, dimension) => product * dimension);
}
