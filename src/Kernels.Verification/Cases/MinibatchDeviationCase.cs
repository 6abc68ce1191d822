using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The minibatch standard deviation, forward and backward, in both layouts.</summary>
public sealed class MinibatchDeviationCase : OpCase
{
    public override string Op => "minibatch-deviation";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new MinibatchDeviationProblem("forward", [0, 3, 2, 2], 4, "no samples"),
        new MinibatchDeviationProblem("forward", [2, 0, 2, 2], 1, "no channels"),
        new MinibatchDeviationProblem("forward", [1, 1], 1, "one sample, one feature"),
        new MinibatchDeviationProblem("forward", [6, 5, 3], 3, "odd sides, two sets"),
        new MinibatchDeviationProblem("forward", [8, 129, 4, 4], 4, "whole octets, a part and a bit"),
        new MinibatchDeviationProblem("forward", [4, 3, 2, 4], 4, "channels last") { Layout = TensorLayout.ChannelsLast },
        new MinibatchDeviationProblem("backward", [6, 5, 3], 3, "odd sides, two sets"),
        new MinibatchDeviationProblem("backward", [8, 129, 4, 4], 4, "whole octets, a part and a bit"),
        new MinibatchDeviationProblem("backward", [4, 3, 2, 4], 4, "channels last") { Layout = TensorLayout.ChannelsLast },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new MinibatchDeviationProblem("forward", [64, 512, 4, 4], 4, "the last map of StyleGAN's discriminator"),
        new MinibatchDeviationProblem("backward", [64, 512, 4, 4], 4, "the last map of StyleGAN's discriminator"),
        new MinibatchDeviationProblem("forward", [256, 256, 16, 16], 4, "a large map"),
        new MinibatchDeviationProblem("backward", [256, 256, 16, 16], 4, "a large map"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("a size that does not divide the batch", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [6, 2, 4], [6, 3, 4], 4)),
        new("a size of 0", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [6, 2, 4], [6, 3, 4], 0)),
        new("an epsilon of NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [6, 2, 4], [6, 3, 4], 2, new() { Epsilon = double.NaN })),
        new("an epsilon of 0", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [6, 2, 4], [6, 3, 4], 2, new() { Epsilon = 0 })),
        new("no such layout", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [6, 2, 4], [6, 3, 4], 2, new() { Layout = (TensorLayout)3 })),
        new("the channel in another place", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [6, 2, 4], [6, 2, 5], 2)),
        new("more channels than an int can number", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [0, 1L << 31], [0, (1L << 31) + 1], 2)) { Argument = "x", Says = "2^31 - 1 channels" },
        new("no channels", typeof(ArgumentException), (device, stream) => Forward(device, stream, [6], [6], 2)),
        new("one dimension has no channels to join", typeof(ArgumentException), (_, _) => MinibatchDeviation.OutputShape([6])),
        new("overlap", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            MinibatchDeviation.Forward(stream, buffer.View(0, 2, 4), buffer.View(4, 2, 5), 2);
        }),
        new("an infinite epsilon", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [6, 2, 4], [6, 3, 4], 2, new() { Epsilon = double.PositiveInfinity })),
    ];

    /// <summary>Distances are squared.</summary>
    public override double LargestInput(DType dtype) => dtype switch
    {
        DType.Float16 => Elements.Largest(dtype),
        DType.Float64 => 1e150,
        _ => 1e18,
    };

    public override Problem? ForwardOf(Problem problem) => problem.Entry == "backward" ? problem with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        MinibatchDeviationProblem p = (MinibatchDeviationProblem)problem;
        TensorSpec x = Input("x", dtype, p.Shape, seed);
        Tolerance moments = new(1, 24, 1, "a mean of roots of variances");
        return p.Entry == "forward"
            ? [x, Output("y", dtype, p.OutputShape, moments)]
            : [x, Input("dy", dtype, p.OutputShape, seed), Output("dx", dtype, p.Shape, moments)];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        MinibatchDeviationProblem p = (MinibatchDeviationProblem)problem;
        MinibatchDeviationOptions options = new() { Layout = p.Layout };
        DeviceTensor<T> x = tensors.Get<T>("x");
        if (p.Entry == "forward")
            MinibatchDeviation.Forward(stream, x, tensors.Get<T>("y"), p.GroupSize, options);
        else
            MinibatchDeviation.Backward(stream, x, tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.GroupSize, options);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        MinibatchDeviationProblem p = (MinibatchDeviationProblem)problem;
        bool isLast = p.Layout == TensorLayout.ChannelsLast;
        int channels = (int)(isLast ? p.Shape[^1] : p.Shape[1]);
        int positions = (int)(isLast ? Count(p.Shape[1..^1]) : Count(p.Shape[2..]));
        MinibatchDeviationReference reference = new((int)p.Shape[0], channels, positions, isLast, (int)p.GroupSize, 1e-8);
        if (p.Entry == "forward")
            reference.Forward(values["x"], values["y"]);
        else
            reference.Backward(values["x"], values["dy"], values["dx"]);
    }

    private static void Forward(
        Device device, DeviceStream stream, long[] shape, long[] outputShape, long groupSize, MinibatchDeviationOptions options = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape), y = device.Allocate<float>(outputShape);
        MinibatchDeviation.Forward(stream, x, y, groupSize, options);
    }
}

/// <summary>A call of the minibatch standard deviation.</summary>
public sealed record MinibatchDeviationProblem(string Entry, long[] Shape, long GroupSize, string Reason) : Problem(Entry, Reason)
{
    public TensorLayout Layout { get; init; }

    public override string Text =>
        $"{string.Join('x', Shape)}{(Layout == TensorLayout.ChannelsLast ? " NHWC" : "")} groups of {GroupSize}";

    internal long[] OutputShape => MinibatchDeviation.OutputShape(Shape, Layout);

    /// <summary>x is read and y written; backward reads dy besides.</summary>
    public override long Bytes(int elementBytes) =>
        (Entry == "forward" ? 2 : 3) * elementBytes * Shape.Aggregate(1L, (product, length) => product * length);
}
