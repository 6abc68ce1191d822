using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Stochastic depth per row and per batch, plain and with ReLU, forward, backward and at inference.</summary>
public sealed class StochasticDepthCase : OpCase
{
    private static readonly RandomKey Key = new(0x5d0c_4a57_1c00, 5);

    public override string Op => "stochastic-depth";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new StochasticDepthProblem("forward", [0, 5], "no rows", 0.5),
        new StochasticDepthProblem("forward", [3, 0], "empty rows", 0.5),
        new StochasticDepthProblem("forward", [], "a scalar is one row", 0.5),
        new StochasticDepthProblem("forward", [1, 1], "one element", 0.5),
        new StochasticDepthProblem("forward", [13, 7], "rows shorter than an octet", 0.4),
        new StochasticDepthProblem("forward", [1021], "rows of one element, prime", 0.3),
        new StochasticDepthProblem("forward", [9, 4, 5, 7], "four dimensions, odd", 0.4),
        new StochasticDepthProblem("forward", [17, 64], "rows of whole octets", 0.5),
        new StochasticDepthProblem("forward", [5, 33331], "rows across chunks of a core", 0.5),
        new StochasticDepthProblem("forward", [70001, 3], "more than 65,535 rows", 0.2),
        new StochasticDepthProblem("forward", [13, 37], "ReLU", 0.4) { Relu = true },
        new StochasticDepthProblem("forward", [13, 37], "original scaling", 0.4) { Scaling = DropoutScaling.Original },
        new StochasticDepthProblem("forward", [13, 37], "one decision for all", 0.4) { Mode = StochasticDepthMode.Batch },
        new StochasticDepthProblem("forward", [13, 37], "one decision for all, as in the paper", 0.7)
        {
            Mode = StochasticDepthMode.Batch, Scaling = DropoutScaling.Original, Relu = true,
        },
        new StochasticDepthProblem("forward", [6, 37], "p = 0 keeps all", 0),
        new StochasticDepthProblem("forward", [6, 37], "p = 1: survival 0", 1),
        new StochasticDepthProblem("forward", [6, 37], "p = 1 with ReLU", 1) { Relu = true },
        new StochasticDepthProblem("forward", [13, 37], "a shard off a block boundary", 0.4) { GlobalStart = (1UL << 33) + 3 },
        new StochasticDepthProblem("backward", [13, 7], "rows shorter than an octet", 0.4),
        new StochasticDepthProblem("backward", [17, 64], "rows of whole octets, original scaling", 0.5)
        {
            Scaling = DropoutScaling.Original,
        },
        new StochasticDepthProblem("backward", [13, 37], "ReLU", 0.4) { Relu = true },
        new StochasticDepthProblem("backward", [17, 64], "ReLU, rows of whole octets", 0.4) { Relu = true },
        new StochasticDepthProblem("backward", [13, 37], "one decision for all", 0.4) { Mode = StochasticDepthMode.Batch },
        new StochasticDepthProblem("backward", [6, 37], "p = 1: survival 0", 1),
        new StochasticDepthProblem("backward branch", [13, 37], "the skip connection's gradient is not needed", 0.4),
        new StochasticDepthProblem("backward branch", [17, 64], "nor with ReLU", 0.4) { Relu = true },
        new StochasticDepthProblem("infer", [13, 37], "inverted scaling adds the branch", 0.4),
        new StochasticDepthProblem("infer", [13, 37], "original scaling multiplies by the survival probability", 0.4)
        {
            Scaling = DropoutScaling.Original, Relu = true,
        },
        new StochasticDepthProblem("infer", [6, 37], "survival 0, original scaling", 1) { Scaling = DropoutScaling.Original },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new StochasticDepthProblem("forward", [32, 256, 28, 28], "ResNet's second stage", 0.2),
        new StochasticDepthProblem("forward", [32, 256, 28, 28], "with ReLU", 0.2) { Relu = true },
        new StochasticDepthProblem("backward", [32, 256, 28, 28], "with ReLU", 0.2) { Relu = true },
        new StochasticDepthProblem("backward branch", [32, 256, 28, 28], "plain", 0.2),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [2, 3], [2, 3], double.NaN)),
        new("p above 1", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [2, 3], [2, 3], 1.5)),
        new("shapes differ", typeof(ArgumentException), (device, stream) => Forward(device, stream, [2, 3], [3, 2], 0.5)),
        new("ReLU without y", typeof(ArgumentNullException), (device, stream) =>
        {
            using DeviceTensor<float> dy = device.Allocate<float>(2, 3);
            StochasticDepth.Backward(stream, null, dy, null, dy, 0.5, Key, new StochasticDepthOptions { Relu = true });
        }),
        new("no such mode", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 3], [2, 3], 0.5, new() { Mode = (StochasticDepthMode)7 })) { Argument = "Mode" },
        new("no such scaling", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 3], [2, 3], 0.5, new() { Scaling = (DropoutScaling)7 })) { Argument = "Scaling" },
        new("no such scaling at inference", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3), f = device.Allocate<float>(2, 3);
            StochasticDepth.Infer(stream, x, f, x, 0.5, new() { Scaling = (DropoutScaling)7 });
        })
        {
            Argument = "Scaling",
        },
        new("no such scaling in backward", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> dy = device.Allocate<float>(2, 3);
            StochasticDepth.Backward(stream, null, dy, null, dy, 0.5, Key, new() { Scaling = (DropoutScaling)7 });
        })
        {
            Argument = "Scaling",
        },
        new("both gradients in one tensor", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> dy = device.Allocate<float>(2, 3);
            StochasticDepth.Backward(stream, null, dy, dy, dy, 0.5, Key);
        }),
        new("partial overlap", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            StochasticDepth.Forward(stream, buffer.View(0, 8), buffer.View(8, 8), buffer.View(4, 8), 0.5, Key);
        }),
        new("shard beyond 2^64", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            StochasticDepth.Forward(stream, x, x, x, 0.5, Key, new StochasticDepthOptions { GlobalStart = ulong.MaxValue - 3 });
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) => problem.Entry switch
    {
        "backward" => [("dy", "dx")],
        "backward branch" => [("dy", "df")],
        _ => [("x", "y")],
    };

    public override Problem? ForwardOf(Problem problem) =>
        problem is StochasticDepthProblem { Entry: "backward" or "backward branch" } backward ? backward with { Entry = "forward" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "dx" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        StochasticDepthProblem p = (StochasticDepthProblem)problem;
        if (!p.Entry.StartsWith("backward", StringComparison.Ordinal))
        {
            Tolerance sum = new(1, 3 * (1 + p.LargestFactor), 2, "a fused multiply-add with a rounded scale; the terms may cancel");
            return [Input("x", dtype, p.Shape, seed), Input("f", dtype, p.Shape, seed), Output("y", dtype, p.Shape, sum)];
        }

        Tolerance product = new(1, 1.01, 0, "the scale is rounded to the arithmetic type, the product to the stored one");
        List<TensorSpec> specs = [Input("dy", dtype, p.Shape, seed), Output("df", dtype, p.Shape, product)];
        if (p.Relu) specs.Insert(0, new TensorSpec("y", dtype, p.Shape, TensorRole.Input, Sums(p, dtype, seed)));
        if (p.Entry == "backward") specs.Add(Output("dx", dtype, p.Shape, Tolerance.Exact));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        StochasticDepthProblem p = (StochasticDepthProblem)problem;
        DeviceTensor<T> Get(string name) => tensors.Get<T>(name);
        switch (p.Entry)
        {
            case "forward":
                StochasticDepth.Forward(stream, Get("x"), Get("f"), Get("y"), p.DropProbability, tensors.Key(Key), p.Options);
                break;
            case "infer": StochasticDepth.Infer(stream, Get("x"), Get("f"), Get("y"), p.DropProbability, p.Options); break;
            default:
                DeviceTensor<T>? y = p.Relu ? Get("y") : null, dx = p.Entry == "backward" ? Get("dx") : null;
                StochasticDepth.Backward(stream, y, Get("dy"), dx, Get("df"), p.DropProbability, tensors.Key(Key), p.Options);
                break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        StochasticDepthProblem p = (StochasticDepthProblem)problem;
        double[] factors = Factors(p);
        if (p.Entry.StartsWith("backward", StringComparison.Ordinal))
        {
            StochasticDepthReference.Backward(
                p.Relu ? values["y"] : [], values["dy"], values["df"], p.Entry == "backward" ? values["dx"] : [], factors, p.Relu);
            return;
        }

        StochasticDepthReference.Forward(values["x"], values["f"], values["y"], factors, p.Relu);
    }

    private static double[] Factors(StochasticDepthProblem p)
    {
        int rows = p.Shape.Length == 0 ? 1 : (int)p.Shape[0];
        bool inverted = p.Scaling == DropoutScaling.Inverted;
        if (p.Entry != "infer")
        {
            return StochasticDepthReference.Factors(
                rows, p.DropProbability, inverted, p.Mode == StochasticDepthMode.Batch, Key.Seed, Key.Offset, p.GlobalStart);
        }

        return [.. Enumerable.Repeat(inverted ? 1 : DropoutReference.Threshold(p.DropProbability) / 65536.0, rows)];
    }

    /// <summary>
    /// x + b f of the forward call with the same values, as stored. Its sign is that of y, and the gradient check can keep it away from 0.
    /// </summary>
    private static double[] Sums(StochasticDepthProblem p, DType dtype, ulong seed)
    {
        double[] sums = new double[Count(p.Shape)];
        StochasticDepthReference.Forward(
            Input("x", dtype, p.Shape, seed).Values, Input("f", dtype, p.Shape, seed).Values, sums, Factors(p), relu: false);
        return [.. sums.Select(sum => Elements.Round(dtype, sum))];
    }

    private static void Forward(
        Device device, DeviceStream stream, long[] xShape, long[] fShape, double dropProbability, StochasticDepthOptions options = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(xShape);
        using DeviceTensor<float> f = device.Allocate<float>(fShape);
        StochasticDepth.Forward(stream, x, f, x, dropProbability, Key, options);
    }
}

/// <summary>A call of stochastic depth.</summary>
public sealed record StochasticDepthProblem(string Entry, long[] Shape, string Reason, double DropProbability) : Problem(Entry, Reason)
{
    public StochasticDepthMode Mode { get; init; }

    public DropoutScaling Scaling { get; init; }

    public bool Relu { get; init; }

    public ulong GlobalStart { get; init; }

    public override string Text =>
        $"{string.Join('x', Shape)} p={DropProbability:0.###}{(Mode == StochasticDepthMode.Batch ? " batch" : "")}"
        + $"{(Scaling == DropoutScaling.Original ? " original" : "")}{(Relu ? " relu" : "")}";

    internal StochasticDepthOptions Options => new() { Mode = Mode, Scaling = Scaling, Relu = Relu, GlobalStart = GlobalStart };

    /// <summary>The largest number that f is multiplied by.</summary>
    internal double LargestFactor => DropProbability is > 0 and < 1 ? 1 / (1 - DropProbability) : 1;

    /// <summary>
    /// Forward reads x, writes y and reads the kept rows of f. Backward writes df, reads dy (of the kept rows, if that is all there is to
    /// do) and, with ReLU, y.
    /// </summary>
    public override long Bytes(int elementBytes)
    {
        double keep = Mode == StochasticDepthMode.Row ? 1 - DropProbability : 1;
        double passes = Entry switch
        {
            "backward" => Relu ? 4 : 3,
            "backward branch" => Relu ? 1 + (2 * keep) : 1 + keep,
            "infer" => 3,
            _ => 2 + keep,
        };
        return (long)(passes * elementBytes * Shape.Aggregate(1L, (product, dimension) => product * dimension));
    }
}
