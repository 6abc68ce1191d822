using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Upsampling by integers in both layouts.</summary>
public sealed class NearestUpsampleCase : OpCase
{
    public override string Op => "nearest-upsample";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        .. OfEntry("forward"),
        .. OfEntry("backward"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new NearestUpsampleProblem("forward", [32, 128, 28, 28], 2, "a layer of a generator"),
        new NearestUpsampleProblem("forward", [32, 28, 28, 128], 2, "channels last") { Layout = TensorLayout.ChannelsLast },
        new NearestUpsampleProblem("forward", [64, 64, 7, 7], 2, "a small generator, rows of no whole vectors"),
        new NearestUpsampleProblem("backward", [32, 128, 28, 28], 2, "a layer of a generator"),
        new NearestUpsampleProblem("backward", [32, 28, 28, 128], 2, "channels last") { Layout = TensorLayout.ChannelsLast },
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("a factor of zero", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [1, 2, 3, 4], [1, 2, 0, 4], new Size2d(0, 1))),
        new("an output of another shape", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [1, 2, 3, 4], [1, 2, 6, 4], 2)),
        new("a row of more than 2^31 - 1", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [0, 1, 1, 2], [0, 1, 1, 2L * int.MaxValue], new Size2d(1, int.MaxValue))),
        new("three dimensions", typeof(ArgumentException), (device, stream) => Forward(device, stream, [2, 3, 4], [2, 6, 8], 2)),
        new("a layout that does not exist", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [1, 2, 3, 4], [1, 2, 6, 8], 2, (TensorLayout)7)),
        new("the output is part of the input", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            NearestUpsample.Forward(stream, buffer.View(0, 1, 1, 2, 2), buffer.View(0, 1, 1, 4, 4), 2);
        }),
        new("a factor of zero columns", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [1, 2, 3, 4], [1, 2, 3, 0], new Size2d(1, 0))),
        new("a factor whose square is more than 2^31 - 1", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [0, 1, 1, 1], [0, 1, 1 << 16, 1 << 16], new Size2d(1 << 16, 1 << 16))),
        new("a column of more than 2^31 - 1", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [0, 1, 2, 1], [0, 1, 2L * int.MaxValue, 1], new Size2d(int.MaxValue, 1))),
    ];

    public override Problem? ForwardOf(Problem problem) =>
        problem is NearestUpsampleProblem { Entry: "backward" } p ? p with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        NearestUpsampleProblem p = (NearestUpsampleProblem)problem;
        long cells = p.Factor.Height * p.Factor.Width;
        return p.Entry == "forward"
            ? [Input("x", dtype, p.Shape, seed), Output("y", dtype, p.OutputShape, Tolerance.Exact)]
            :
            [
                Input("dy", dtype, p.OutputShape, seed),
                Output("dx", dtype, p.Shape, cells == 1 ? Tolerance.Exact : new Tolerance(1, cells, 2, $"a sum of {cells} gradients")),
            ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        NearestUpsampleProblem p = (NearestUpsampleProblem)problem;
        if (p.Entry == "forward")
            NearestUpsample.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.Factor, p.Layout);
        else
            NearestUpsample.Backward(stream, tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.Factor, p.Layout);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        NearestUpsampleProblem p = (NearestUpsampleProblem)problem;
        bool first = p.Layout == TensorLayout.ChannelsFirst;
        int planes = (int)(first ? p.Shape[0] * p.Shape[1] : p.Shape[0]), inner = first ? 1 : (int)p.Shape[3];
        (int height, int width) = first ? ((int)p.Shape[2], (int)p.Shape[3]) : ((int)p.Shape[1], (int)p.Shape[2]);
        (int rows, int columns) = ((int)p.Factor.Height, (int)p.Factor.Width);
        if (p.Entry == "forward")
            NearestUpsampleReference.Forward(values["x"], values["y"], planes, height, width, inner, rows, columns);
        else
            NearestUpsampleReference.Backward(values["dy"], values["dx"], planes, height, width, inner, rows, columns);
    }

    private static IEnumerable<Problem> OfEntry(string entry) =>
    [
        new NearestUpsampleProblem(entry, [0, 3, 4, 4], 2, "an empty batch"),
        new NearestUpsampleProblem(entry, [2, 3, 0, 4], 2, "maps without rows"),
        new NearestUpsampleProblem(entry, [2, 3, 3, 5], 1, "a factor of one"),
        new NearestUpsampleProblem(entry, [1, 2, 5, 36], 2, "blocks of 2x2, rows of many eights"),
        new NearestUpsampleProblem(entry, [2, 3, 7, 7], 2, "blocks of 2x2, odd rows"),
        new NearestUpsampleProblem(entry, [1, 2, 3, 21], new Size2d(1, 3), "another factor for each axis"),
        new NearestUpsampleProblem(entry, [5, 3, 1, 1], new Size2d(3, 4), "whole maps of one cell"),
        new NearestUpsampleProblem(entry, [2, 3, 5, 7], 2, "channels last, off the vector width") { Layout = TensorLayout.ChannelsLast },
        new NearestUpsampleProblem(entry, [1, 3, 4, 24], 2, "channels last, whole vectors") { Layout = TensorLayout.ChannelsLast },
    ];

    private static void Forward(
        Device device, DeviceStream stream, long[] shape, long[] outputShape, Size2d factor, TensorLayout layout = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape), y = device.Allocate<float>(outputShape);
        NearestUpsample.Forward(stream, x, y, factor, layout);
    }
}

/// <summary>A call of upsampling.</summary>
/// <param name="Shape">That of x.</param>
/// <param name="Factor">How many times rows and columns are repeated.</param>
public sealed record NearestUpsampleProblem(string Entry, long[] Shape, Size2d Factor, string Reason) : Problem(Entry, Reason)
{
    public TensorLayout Layout { get; init; }

    public override string Text =>
        $"{string.Join('x', Shape)} factor={Factor}{(Layout == TensorLayout.ChannelsLast ? " channels last" : "")}";

    internal long[] OutputShape => NearestUpsample.OutputShape(Shape, Factor, Layout);

    public override long Bytes(int elementBytes) => elementBytes * (1 + (Factor.Height * Factor.Width))
        * Shape.Aggregate(1L, (product, dimension) => product * dimension);
}
