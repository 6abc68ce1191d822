using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Dropout, forward, backward and inference, both scalings, as a whole and as a shard.</summary>
public sealed class DropoutCase : OpCase
{
    private static readonly RandomKey Key = new(0x0123456789abcdef, 42);

    public override string Op => "dropout";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new DropoutProblem("forward", [0], "zero elements", 0.5),
        new DropoutProblem("forward", [1], "one element", 0.5),
        new DropoutProblem("forward", [7], "less than a Philox block", 0.5),
        new DropoutProblem("forward", [8], "one Philox block", 0.5),
        new DropoutProblem("forward", [1021], "prime", 0.1),
        new DropoutProblem("forward", [3, 0, 5], "zero in the middle", 0.5),
        new DropoutProblem("forward", [2, 3, 5, 7], "four dimensions, odd", 0.3),
        new DropoutProblem("forward", [70000], "several chunks of a core", 0.15),
        new DropoutProblem("forward", [(65536 * 8) + 9], "more than 65,535 Philox blocks", 0.9),
        new DropoutProblem("forward", [257], "p = 0 copies", 0),
        new DropoutProblem("forward", [257], "p = 1 writes zeros", 1),
        new DropoutProblem("forward", [513], "the smallest p, threshold 65535", 1e-9),
        new DropoutProblem("forward", [513], "the largest p, threshold 1", 1 - 1e-9),
        new DropoutProblem("forward", [300], "shard whose block numbers exceed 32 bits", 0.4) { GlobalStart = 1UL << 36 },
        new DropoutProblem("forward", [300], "such a shard off a block boundary", 0.4) { GlobalStart = (1UL << 36) + 3 },
        new DropoutProblem("forward", [3], "shard within one block", 0.4) { GlobalStart = 2 },
        new DropoutProblem("forward", [333], "original scaling", 0.25) { Scaling = DropoutScaling.Original },
        new DropoutProblem("backward", [1021], "prime", 0.1),
        new DropoutProblem("backward", [4, 33], "rows with a tail", 0.5),
        new DropoutProblem("backward", [333], "original scaling", 0.25) { Scaling = DropoutScaling.Original },
        new DropoutProblem("infer", [1021], "inverted scaling is the identity", 0.1),
        new DropoutProblem("infer", [1021], "original scaling multiplies by the keep probability", 0.1)
        {
            Scaling = DropoutScaling.Original,
        },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new DropoutProblem("forward", [1 << 24], "64 MB of floats", 0.1),
        new DropoutProblem("forward", [1 << 20], "4 MB of floats: small", 0.1),
        new DropoutProblem("forward", [1 << 22], "16 MB of floats: input and output fit into the cache of a large GPU", 0.1),
        new DropoutProblem("forward", [1 << 26], "256 MB of floats: far beyond any cache", 0.1),
        new DropoutProblem("forward", [(1 << 24) - 1], "odd length", 0.1),
        new DropoutProblem("backward", [1 << 24], "64 MB of floats", 0.1),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [4], [4], double.NaN)),
        new("p below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [4], [4], -0.1)),
        new("p above 1", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [4], [4], 1.1)),
        new("p is infinite", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4], [4], double.PositiveInfinity)),
        new("shapes differ", typeof(ArgumentException), (device, stream) => Forward(device, stream, [2, 3], [3, 2], 0.5)),
        new("lengths differ", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4], [5], 0.5)),
        new("partial overlap", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            Dropout.Forward(stream, buffer.View(0, 8), buffer.View(4, 8), 0.5, Key);
        }),
        new("integers", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<int> x = device.Allocate<int>(4);
            Dropout.Forward(stream, x, x, 0.5, Key);
        }),
        new("shard beyond 2^64", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            Dropout.Forward(stream, x, x, 0.5, Key, new DropoutOptions { GlobalStart = ulong.MaxValue - 3 });
        }),
        new("device key of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            using DeviceTensor<ulong> key = device.Allocate<ulong>(3);
            Dropout.Forward(stream, x, x, 0.5, key);
        }),
        new("mask of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(33);
            using DeviceTensor<uint> mask = device.Allocate<uint>(1);
            Dropout.ApplyMask(stream, x, mask, x, 0.5);
        }),
        new("negative mask length", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<uint> mask = device.Allocate<uint>(1);
            Dropout.ExportMask(stream, mask, -1, 0.5, Key);
        }),
        new("mask words of a wrong number", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<uint> mask = device.Allocate<uint>(1);
            Dropout.ExportMask(stream, mask, 33, 0.5, Key);
        }),
        new("mask beyond 2^64", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<uint> mask = device.Allocate<uint>(1);
            Dropout.ExportMask(stream, mask, 32, 0.5, Key, new DropoutOptions { GlobalStart = ulong.MaxValue });
        }),
        new("no mask", typeof(ArgumentNullException), (device, stream) => Dropout.ExportMask(stream, null!, 32, 0.5, Key)),
        new("a mask to apply that is null", typeof(ArgumentNullException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(32);
            Dropout.ApplyMask(stream, x, null!, x, 0.5);
        }),
        new("no such scaling", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            Dropout.Forward(stream, x, x, 0.5, Key, new DropoutOptions { Scaling = (DropoutScaling)7 });
        })
        {
            Argument = "Scaling",
        },
        new("no such scaling at inference", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            Dropout.Infer(stream, x, x, 0.5, (DropoutScaling)7);
        })
        {
            Argument = "scaling",
        },
        new("no such scaling under a mask", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(32);
            using DeviceTensor<uint> mask = device.Allocate<uint>(1);
            Dropout.ApplyMask(stream, x, mask, x, 0.5, (DropoutScaling)7);
        })
        {
            Argument = "scaling",
        },
        new("a masked result of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(32), y = device.Allocate<float>(31);
            using DeviceTensor<uint> mask = device.Allocate<uint>(1);
            Dropout.ApplyMask(stream, x, mask, y, 0.5);
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
        DropoutOptions options = new() { Scaling = p.Scaling, GlobalStart = p.GlobalStart };
        switch (p.Entry)
        {
            case "forward":
                Dropout.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.DropProbability, tensors.Key(Key), options);
                break;
            case "backward":
                Dropout.Backward(stream, tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.DropProbability, tensors.Key(Key), options);
                break;
            default: Dropout.Infer(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.DropProbability, p.Scaling); break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        DropoutProblem p = (DropoutProblem)problem;
        bool inverted = p.Scaling == DropoutScaling.Inverted;
        (string source, string destination) = InPlacePairs(problem)[0];
        if (p.Entry == "infer")
            DropoutReference.Infer(values[source], values[destination], p.DropProbability, inverted);
        else
            DropoutReference.Apply(values[source], values[destination], p.DropProbability, Key.Seed, Key.Offset, p.GlobalStart, inverted);
    }

    private static void Forward(Device device, DeviceStream stream, long[] xShape, long[] yShape, double dropProbability)
    {
        using DeviceTensor<float> x = device.Allocate<float>(xShape);
        using DeviceTensor<float> y = device.Allocate<float>(yShape);
        Dropout.Forward(stream, x, y, dropProbability, Key);
    }
}

/// <summary>A call of dropout.</summary>
public sealed record DropoutProblem(string Entry, long[] Shape, string Reason, double DropProbability) : Problem(Entry, Reason)
{
    public ulong GlobalStart { get; init; }

    public DropoutScaling Scaling { get; init; }

    public override string Text =>
        $"{string.Join('x', Shape)} p={DropProbability:0.###}{(GlobalStart > 0 ? $" start={GlobalStart}" : "")}"
        + $"{(Scaling == DropoutScaling.Original ? " original" : "")}";

    public override long Bytes(int elementBytes) => 2 * elementBytes * Shape.Aggregate(1L, (product, dimension) => product * dimension);
}
