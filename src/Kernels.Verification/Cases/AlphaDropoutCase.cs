using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Alpha dropout, forward and backward.</summary>
public sealed class AlphaDropoutCase : OpCase
{
    private static readonly RandomKey Key = new(0xa1fa_0000_0001, 5);

    public override string Op => "alpha-dropout";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new DropoutProblem("forward", [0], "zero elements", 0.5),
        new DropoutProblem("forward", [1], "one element", 0.5),
        new DropoutProblem("forward", [1021], "prime", 0.1),
        new DropoutProblem("forward", [3, 5, 7], "three dimensions, odd", 0.3),
        new DropoutProblem("forward", [257], "p = 0 copies", 0),
        new DropoutProblem("forward", [257], "p = 1 writes zeros", 1),
        new DropoutProblem("forward", [300], "shard off a block boundary", 0.4) { GlobalStart = 13 },
        new DropoutProblem("forward", [70001], "several chunks of a core and a tail", 0.05),
        new DropoutProblem("backward", [1021], "prime", 0.1),
        new DropoutProblem("backward", [257], "p = 0 copies", 0),
        new DropoutProblem("backward", [257], "p = 1 writes zeros", 1),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new DropoutProblem("forward", [1 << 24], "64 MB of floats", 0.1),
        new DropoutProblem("backward", [1 << 24], "64 MB of floats", 0.1),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, 4, double.NaN)),
        new("p above 1", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, 4, 1.5)),
        new("lengths differ", typeof(ArgumentException), (device, stream) => Forward(device, stream, 5, 0.5)),
        new("p above 1 in backward", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> dy = device.Allocate<float>(4);
            AlphaDropout.Backward(stream, dy, dy, 1.5, Key);
        }),
    ];

    public override Problem? OfLength(long length) => new DropoutProblem("forward", [length], "every length", 0.5);

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("dy", "dx")] : [("x", "y")];

    public override Problem? ForwardOf(Problem problem) =>
        problem is DropoutProblem { Entry: "backward" } backward ? backward with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        DropoutProblem p = (DropoutProblem)problem;
        (string source, string destination) = InPlacePairs(problem)[0];
        Tolerance tolerance = new(1, 4, 4, "an affine map with rounded coefficients, whose terms may cancel");
        return [Input(source, dtype, p.Shape, seed),
            Output(destination, dtype, p.Shape, p.DropProbability is 0 or 1 ? Tolerance.Exact : tolerance)];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        DropoutProblem p = (DropoutProblem)problem;
        if (p.Entry == "forward")
            AlphaDropout.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.DropProbability, tensors.Key(Key), p.GlobalStart);
        else
            AlphaDropout.Backward(stream, tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.DropProbability, tensors.Key(Key), p.GlobalStart);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        DropoutProblem p = (DropoutProblem)problem;
        if (p.Entry == "forward")
            AlphaDropoutReference.Forward(values["x"], values["y"], p.DropProbability, Key.Seed, Key.Offset, p.GlobalStart);
        else
            AlphaDropoutReference.Backward(values["dy"], values["dx"], p.DropProbability, Key.Seed, Key.Offset, p.GlobalStart);
    }

    private static void Forward(Device device, DeviceStream stream, long outputLength, double dropProbability)
    {
        using DeviceTensor<float> x = device.Allocate<float>(4);
        using DeviceTensor<float> y = device.Allocate<float>(outputLength);
        AlphaDropout.Forward(stream, x, y, dropProbability, Key);
    }
}
