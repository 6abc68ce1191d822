using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Weight dropout, forward and backward.</summary>
public sealed class DropWeightCase : OpCase
{
    private static readonly RandomKey Key = new(0xd209_3e19_0007, 5);

    public override string Op => "drop-weight";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new DropoutProblem("forward", [0, 8], "zero elements", 0.5),
        new DropoutProblem("forward", [1, 1], "one element", 0.5),
        new DropoutProblem("forward", [60, 15], "AWD-LSTM's shape in small, odd rows", 0.5),
        new DropoutProblem("forward", [32, 16], "whole blocks", 0.3),
        new DropoutProblem("forward", [7, 9], "p = 0 copies", 0),
        new DropoutProblem("forward", [7, 9], "p = 1 writes zeros", 1),
        new DropoutProblem("forward", [10, 15], "rows of a shard, off a block boundary", 0.5) { GlobalStart = 45 },
        new DropoutProblem("backward", [60, 15], "AWD-LSTM's shape in small, odd rows", 0.5),
        new DropoutProblem("backward", [10, 15], "rows of a shard, off a block boundary", 0.5) { GlobalStart = 45 },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new DropoutProblem("forward", [4600, 1150], "AWD-LSTM's hidden-to-hidden matrix", 0.5),
        new DropoutProblem("backward", [4600, 1150], "AWD-LSTM's hidden-to-hidden matrix", 0.5),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [4, 3], [4, 3], double.NaN)),
        new("p above 1", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [4, 3], [4, 3], 1.5)),
        new("shapes differ", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 3], [3, 4], 0.5)),
        new("shard beyond 2^64", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> weight = device.Allocate<float>(4);
            DropWeight.Backward(stream, weight, weight, 0.5, Key, ulong.MaxValue - 3);
        }),
    ];

    public override Problem? OfLength(long length) => new DropoutProblem("forward", [length], "every length", 0.5);

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("ddropped", "dweight")] : [("weight", "dropped")];

    public override Problem? ForwardOf(Problem problem) =>
        problem is DropoutProblem { Entry: "backward" } backward ? backward with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        DropoutProblem p = (DropoutProblem)problem;
        (string source, string destination) = InPlacePairs(problem)[0];
        return
        [
            Input(source, dtype, p.Shape, seed),
            Output(destination, dtype, p.Shape,
                new Tolerance(1, 1.01, 0, "the scale is rounded to the arithmetic type, the product to the stored one")),
        ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        DropoutProblem p = (DropoutProblem)problem;
        if (p.Entry == "forward")
        {
            DropWeight.Forward(stream, tensors.Get<T>("weight"), tensors.Get<T>("dropped"), p.DropProbability, tensors.Key(Key),
                p.GlobalStart);
        }
        else
        {
            DropWeight.Backward(stream, tensors.Get<T>("ddropped"), tensors.Get<T>("dweight"), p.DropProbability, tensors.Key(Key),
                p.GlobalStart);
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        DropoutProblem p = (DropoutProblem)problem;
        (string source, string destination) = InPlacePairs(problem)[0];
        DropoutReference.Apply(values[source], values[destination], p.DropProbability, Key.Seed, Key.Offset, p.GlobalStart);
    }

    private static void Forward(Device device, DeviceStream stream, long[] weightShape, long[] droppedShape, double dropProbability)
    {
        using DeviceTensor<float> weight = device.Allocate<float>(weightShape);
        using DeviceTensor<float> dropped = device.Allocate<float>(droppedShape);
        DropWeight.Forward(stream, weight, dropped, dropProbability, Key);
    }
}
