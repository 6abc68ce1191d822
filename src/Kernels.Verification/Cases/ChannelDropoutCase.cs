using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Channel dropout in both layouts, and decisions shared along other axes.</summary>
public sealed class ChannelDropoutCase : OpCase
{
    private static readonly RandomKey Key = new(0xc4a2_2e1_0001, 9);

    public override string Op => "channel-dropout";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new SharedDropoutProblem("forward", [0, 3, 5], [2], "an empty batch", 0.5),
        new SharedDropoutProblem("forward", [1, 1], [], "one element", 0.5),
        new SharedDropoutProblem("forward", [4, 6, 5, 7], [2, 3], "maps off the vector width, channels first", 0.3),
        new SharedDropoutProblem("forward", [4, 5, 7, 6], [1, 2], "the same units, channels last", 0.3),
        new SharedDropoutProblem("forward", [3, 16, 8, 8], [2, 3], "whole vectors in a map", 0.5),
        new SharedDropoutProblem("forward", [2, 9, 64], [1], "whole vectors of channels", 0.5),
        new SharedDropoutProblem("forward", [2, 9, 64], [1], "whole vectors, a shard off a block boundary", 0.5) { GlobalStart = 13 },
        new SharedDropoutProblem("forward", [2, 3, 9, 8], [1], "blocks that few copies share", 0.5),
        new SharedDropoutProblem("forward", [3, 7, 104], [2], "thirteen blocks in a run, a shard", 0.5) { GlobalStart = 13 },
        new SharedDropoutProblem("forward", [3, 5, 2, 3, 4], [2, 3, 4], "three spatial dimensions", 0.5),
        new SharedDropoutProblem("forward", [4, 6, 35], [0, 2], "shared along batch and space: two runs", 0.5),
        new SharedDropoutProblem("forward", [4, 6, 5], [0, 1, 2], "one decision for all", 0.5),
        new SharedDropoutProblem("forward", [300, 301, 2], [2], "many short runs", 0.1),
        new SharedDropoutProblem("forward", [2, 700, 3], [1], "many short rows of units, a shard", 0.3) { GlobalStart = 3 },
        new SharedDropoutProblem("forward", [2, 3, 2077], [1], "few long rows of units, a shard", 0.3) { GlobalStart = 13 },
        new SharedDropoutProblem("forward", [4, 6, 9], [2], "p = 0 copies", 0),
        new SharedDropoutProblem("forward", [4, 6, 9], [2], "p = 1 writes zeros", 1),
        new SharedDropoutProblem("forward", [4, 6, 9], [2], "a shard off a block boundary", 0.5) { GlobalStart = 13 },
        new SharedDropoutProblem("backward", [4, 6, 5, 7], [2, 3], "maps off the vector width", 0.3),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new SharedDropoutProblem("forward", [32, 64, 56, 56], [2, 3], "ResNet's first stage, channels first", 0.1),
        new SharedDropoutProblem("forward", [32, 56, 56, 64], [1, 2], "channels last", 0.1),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Apply(device, stream, [2, 3, 4], [2], double.NaN)),
        new("no such axis", typeof(ArgumentException), (device, stream) => Apply(device, stream, [2, 3, 4], [3], 0.5)),
        new("negative axis", typeof(ArgumentException), (device, stream) => Apply(device, stream, [2, 3, 4], [-1], 0.5)),
        new("an axis twice", typeof(ArgumentException), (device, stream) => Apply(device, stream, [2, 3, 4], [1, 1], 0.5)),
        new("three runs", typeof(ArgumentException), (device, stream) => Apply(device, stream, [2, 3, 4, 5, 6], [0, 2, 4], 0.5)),
        new("no such layout", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 4);
            ChannelDropout.Forward(stream, x, x, 0.5, Key, new() { Layout = (TensorLayout)7 });
        }),
        new("no channels", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            ChannelDropout.Forward(stream, x, x, 0.5, Key);
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("dy", "dx")] : [("x", "y")];

    public override Problem? ForwardOf(Problem problem) =>
        problem is SharedDropoutProblem { Entry: "backward" } backward ? backward with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        SharedDropoutProblem p = (SharedDropoutProblem)problem;
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
        SharedDropoutProblem p = (SharedDropoutProblem)problem;
        (string source, string destination) = InPlacePairs(problem)[0];
        ChannelDropout.Apply(stream, tensors.Get<T>(source), tensors.Get<T>(destination), p.SharedAxes, p.DropProbability, tensors.Key(Key),
            p.GlobalStart);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        SharedDropoutProblem p = (SharedDropoutProblem)problem;
        (string source, string destination) = InPlacePairs(problem)[0];
        ChannelDropoutReference.Apply(
            values[source], values[destination], p.Shape, p.SharedAxes, p.DropProbability, Key.Seed, Key.Offset, p.GlobalStart);
    }

    private static void Apply(Device device, DeviceStream stream, long[] shape, int[] axes, double dropProbability)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape);
        ChannelDropout.Apply(stream, x, x, axes, dropProbability, Key);
    }
}

/// <summary>A call of dropout with shared decisions.</summary>
public sealed record SharedDropoutProblem(string Entry, long[] Shape, int[] SharedAxes, string Reason, double DropProbability)
    : Problem(Entry, Reason)
{
    public ulong GlobalStart { get; init; }

    public override string Text => $"{string.Join('x', Shape)} p={DropProbability:0.###} shared={string.Join(',', SharedAxes)}";

    public override long Bytes(int elementBytes) => 2 * elementBytes * Shape.Aggregate(1L, (product, dimension) => product * dimension);
}
