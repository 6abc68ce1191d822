using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Max pooling in both layouts: every way windows can lie, ties, and indices of both sizes.</summary>
public sealed class MaxPool2dCase : OpCase
{
    public override string Op => "max-pool2d";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new MaxPool2dProblem("forward", [0, 3, 4, 4], 2, "an empty batch"),
        new MaxPool2dProblem("forward", [1, 1, 1, 1], 1, "one element"),
        new MaxPool2dProblem("forward", [2, 3, 8, 8], 2, "pairs, rows of one eight"),
        new MaxPool2dProblem("forward", [1, 2, 5, 72], 2, "pairs, rows of many eights, the last row in none"),
        new MaxPool2dProblem("forward", [1, 3, 7, 16], 3, "a stem of ResNet, an odd height") { Stride = 2, Padding = 1 },
        new MaxPool2dProblem("forward", [2, 2, 6, 75], 3, "overlapping, two apart, off the vector width") { Stride = 2, Padding = 1 },
        new MaxPool2dProblem("forward", [1, 2, 5, 39], 3, "overlapping, one apart") { Stride = 1, Padding = 1 },
        new MaxPool2dProblem("forward", [2, 3, 7, 5], 2, "a last window that hangs over") { CeilMode = true },
        new MaxPool2dProblem("forward", [1, 2, 10, 13], new Size2d(3, 2), "dilated, padded unequally, strides that differ")
        {
            Stride = new Size2d(1, 3), Dilation = new Size2d(2, 3), Padding = new Padding2d(1, 2, 0, 1),
        },
        new MaxPool2dProblem("forward", [2, 3, 9, 9], 3, "integers: most windows have a tie") { Stride = 2, Padding = 1, HasTies = true },
        new MaxPool2dProblem("forward", [1, 2, 18, 17], new Size2d(17, 16), "more elements than a byte can number"),
        new MaxPool2dProblem("forward", [65536, 1, 2, 2], 2, "65,536 planes"),
        new MaxPool2dProblem("forward", [2, 5, 7, 3], 2, "channels last, off the vector width, ties")
        {
            Layout = TensorLayout.ChannelsLast, HasTies = true,
        },
        new MaxPool2dProblem("forward", [1, 6, 7, 24], 3, "channels last, whole vectors")
        {
            Layout = TensorLayout.ChannelsLast, Stride = 2, Padding = 1, CeilMode = true,
        },
        new MaxPool2dProblem("infer", [1, 3, 8, 8], 2, "pairs"),
        new MaxPool2dProblem("infer", [1, 5, 6, 8], 3, "channels last") { Layout = TensorLayout.ChannelsLast, Stride = 1 },
        new MaxPool2dProblem("backward", [2, 3, 8, 8], 2, "pairs, rows of one eight"),
        new MaxPool2dProblem("backward", [1, 2, 5, 72], 2, "pairs, rows of many eights, the last row in none"),
        new MaxPool2dProblem("backward", [1, 3, 7, 16], 3, "a stem of ResNet, an odd height") { Stride = 2, Padding = 1 },
        new MaxPool2dProblem("backward", [2, 2, 6, 75], 3, "overlapping, two apart, off the vector width") { Stride = 2, Padding = 1 },
        new MaxPool2dProblem("backward", [1, 2, 7, 9], 3, "overlapping, two apart, the last row and column in none")
        {
            Stride = 2, Padding = (1, 0, 1, 0),
        },
        new MaxPool2dProblem("backward", [1, 2, 5, 39], 3, "overlapping, one apart") { Stride = 1, Padding = 1 },
        new MaxPool2dProblem("backward", [2, 3, 7, 5], 2, "a last window that hangs over") { CeilMode = true },
        new MaxPool2dProblem("backward", [1, 2, 10, 13], new Size2d(3, 2), "dilated, padded unequally, strides that differ")
        {
            Stride = new Size2d(1, 3), Dilation = new Size2d(2, 3), Padding = new Padding2d(1, 2, 0, 1),
        },
        new MaxPool2dProblem("backward", [2, 3, 9, 9], 3, "integers: most windows have a tie") { Stride = 2, Padding = 1, HasTies = true },
        new MaxPool2dProblem("backward", [1, 2, 18, 17], new Size2d(17, 16), "more elements than a byte can number"),
        new MaxPool2dProblem("backward", [70001, 1, 2, 2], 2, "70,001 planes"),
        new MaxPool2dProblem("backward", [2, 5, 7, 3], 2, "channels last, off the vector width") { Layout = TensorLayout.ChannelsLast },
        new MaxPool2dProblem("backward", [1, 6, 7, 24], 3, "channels last, whole vectors")
        {
            Layout = TensorLayout.ChannelsLast, Stride = 2, Padding = 1, CeilMode = true,
        },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new MaxPool2dProblem("forward", [32, 64, 112, 112], 2, "the first pool of a small network"),
        new MaxPool2dProblem("forward", [32, 64, 112, 112], 3, "the pool of ResNet") { Stride = 2, Padding = 1 },
        new MaxPool2dProblem("forward", [32, 256, 20, 20], 5, "a pyramid of YOLO: overlapping, one apart") { Stride = 1, Padding = 2 },
        new MaxPool2dProblem("forward", [32, 112, 112, 64], 3, "channels last")
        {
            Layout = TensorLayout.ChannelsLast, Stride = 2, Padding = 1,
        },
        new MaxPool2dProblem("backward", [32, 64, 112, 112], 2, "the first pool of a small network"),
        new MaxPool2dProblem("backward", [32, 64, 112, 112], 3, "the pool of ResNet") { Stride = 2, Padding = 1 },
        new MaxPool2dProblem("backward", [32, 112, 112, 64], 3, "channels last")
        {
            Layout = TensorLayout.ChannelsLast, Stride = 2, Padding = 1,
        },
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("three dimensions", typeof(ArgumentException), (device, stream) => Infer(device, stream, [2, 8, 8], [2, 4, 4], 2)),
        new("an output of another shape", typeof(ArgumentException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 4, 3], 2)),
        new("the other layout", typeof(ArgumentException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 4, 4], 2, new() { Layout = TensorLayout.ChannelsLast })),
        new("no such layout", typeof(ArgumentOutOfRangeException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 4, 4], 2, new() { Layout = (TensorLayout)7 })),
        new("a window larger than the padded map", typeof(ArgumentException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 1, 1], 11, new() { Padding = 1 })),
        new("a window of no rows", typeof(ArgumentOutOfRangeException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 4, 4], new Size2d(0, 2))),
        new("zero stride", typeof(ArgumentOutOfRangeException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 4, 4], 2, new() { Stride = 0 })),
        new("a negative padding", typeof(ArgumentOutOfRangeException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 4, 4], 2, new() { Padding = -1 })),
        .. from side in (((string Name, Padding2d Padding)[])
           [
               ("before the map of the rows", (-1, 0, 0, 0)), ("after the map of the rows", (0, -1, 0, 0)),
               ("before the map of the columns", (0, 0, -1, 0)), ("after the map of the columns", (0, 0, 0, -1)),
           ])
           select new BadInput($"a negative padding {side.Name}", typeof(ArgumentOutOfRangeException), (device, stream) => Infer(
               device, stream, [1, 2, 8, 8], [1, 2, 4, 4], 2, new() { Padding = side.Padding })) { Says = $"padding {side.Name} is -1" },
        new("zero dilation", typeof(ArgumentOutOfRangeException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 4, 4], 2, new() { Dilation = 0 })) { Says = "dilation of the rows is 0" },
        new("a stride beyond 32 bits", typeof(ArgumentOutOfRangeException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 1, 1], 2, new() { Stride = 1L << 40 })),
        new("a padding beyond 32 bits in all", typeof(ArgumentException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 1, 1], 2, new() { Padding = 1 << 30 })),
        new("a window wholly in the padding", typeof(ArgumentException), (device, stream) => Infer(
            device, stream, [1, 2, 8, 8], [1, 2, 6, 6], 2, new() { Padding = 2 })),
        new("dilated windows that step over the map", typeof(ArgumentException), (device, stream) => Infer(
            device, stream, [1, 2, 1, 1], [1, 2, 1, 1], 2, new() { Padding = 1, Dilation = 2 })),
        new("a map without rows", typeof(ArgumentException), (device, stream) => Infer(
            device, stream, [1, 2, 0, 4], [1, 2, 1, 2], 2, new() { Padding = new Padding2d(1, 1, 0, 0) })),
        new("more elements than a byte can number", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(1, 1, 17, 17), y = device.Allocate<float>(1, 1, 1, 1);
            using DeviceTensor<byte> indices = device.Allocate<byte>(1, 1, 1, 1);
            MaxPool2d.Forward(stream, x, y, indices, 17);
        }),
        new("the output is part of the input", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            MaxPool2d.Infer(stream, buffer.View(0, 1, 1, 4, 4), buffer.View(0, 1, 1, 2, 2), 2);
        }),
    ];

    /// <summary>Indices are state of the forward call; ties have no derivative.</summary>
    public override Problem? ForwardOf(Problem problem) =>
        problem is MaxPool2dProblem { Entry: "backward", HasTies: false } p ? p with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        MaxPool2dProblem p = (MaxPool2dProblem)problem;
        TensorSpec x = Input("x", dtype, p.Shape, seed);
        x = x with { Values = [.. x.Values.Select((value, i) => p.HasTies ? Math.Round(value / 2) : Apart(value, i, p, dtype))] };
        long[] shape = p.OutputShape;
        switch (p.Entry)
        {
            case "forward":
                return
                [
                    x, Output("y", dtype, shape, Tolerance.Exact),
                    new TensorSpec("indices", p.IndexType, shape, TensorRole.Output, []),
                ];
            case "infer": return [x, Output("y", dtype, shape, Tolerance.Exact)];
            default:
                double[] indices = new double[Count(shape)];
                MaxPool2dReference.Forward(p.Geometry, x.Values, new double[indices.Length], indices);
                Tolerance sum = new(1, p.Overlaps, 2, $"a sum of up to {p.Overlaps} gradients");
                return
                [
                    new TensorSpec("indices", p.IndexType, shape, TensorRole.Input, indices),
                    Input("dy", dtype, shape, seed),
                    Output("dx", dtype, p.Shape, p.Overlaps > 1 ? sum : Tolerance.Exact),
                ];
        }
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        MaxPool2dProblem p = (MaxPool2dProblem)problem;
        bool isByte = p.IndexType == DType.UInt8;
        switch (p.Entry)
        {
            case "forward" when isByte:
                MaxPool2d.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), tensors.Get<byte>("indices"), p.Window, p.Options);
                break;
            case "forward":
                MaxPool2d.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), tensors.Get<int>("indices"), p.Window, p.Options);
                break;
            case "infer": MaxPool2d.Infer(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.Window, p.Options); break;
            case "backward" when isByte:
                MaxPool2d.Backward(stream, tensors.Get<byte>("indices"), tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.Window, p.Options);
                break;
            default:
                MaxPool2d.Backward(stream, tensors.Get<int>("indices"), tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.Window, p.Options);
                break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        MaxPool2dProblem p = (MaxPool2dProblem)problem;
        if (p.Entry == "backward")
            MaxPool2dReference.Backward(p.Geometry, values["indices"], values["dy"], values["dx"]);
        else
            MaxPool2dReference.Forward(p.Geometry, values["x"], values["y"], p.Entry == "forward" ? values["indices"] : null);
    }

    /// <summary>Elements of a window are no closer to each other than a small step, which could make another one the largest.</summary>
    private static double Apart(double value, int i, MaxPool2dProblem problem, DType dtype)
    {
        const double Steps = 16;
        Pool2dShape maps = problem.Geometry;
        (int rows, int columns) = ((maps.Window.Height * maps.Dilation.Height) + 1, (maps.Window.Width * maps.Dilation.Width) + 1);
        (int line, int column) = Math.DivRem(i / maps.Inner, maps.Width);
        int place = (line % maps.Height % rows * columns) + (column % columns);
        return Elements.Round(dtype, (Math.Round(value * Steps) + ((double)place / (rows * columns))) / Steps);
    }

    private static void Infer(
        Device device, DeviceStream stream, long[] shape, long[] outputShape, Size2d window, MaxPool2dOptions options = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape), y = device.Allocate<float>(outputShape);
        MaxPool2d.Infer(stream, x, y, window, options);
    }
}

/// <summary>A call of pooling over maps.</summary>
/// <param name="Shape">That of x.</param>
/// <param name="Window">Rows and columns of a window.</param>
public abstract record Pool2dProblem(string Entry, long[] Shape, Size2d Window, string Reason) : Problem(Entry, Reason)
{
    public Size2d? Stride { get; init; }

    public Size2d? Dilation { get; init; }

    public Padding2d Padding { get; init; }

    public bool CeilMode { get; init; }

    public TensorLayout Layout { get; init; }

    public override string Text
    {
        get
        {
            string[] settings =
            [
                string.Join('x', Shape), $"window={Window}", Stride is { } stride ? $"stride={stride}" : "",
                Padding == default ? "" : $"padding={Padding.Top},{Padding.Bottom},{Padding.Left},{Padding.Right}",
                Dilation is { } dilation ? $"dilation={dilation}" : "", CeilMode ? "ceil" : "",
                Layout == TensorLayout.ChannelsLast ? "channels last" : "",
            ];
            return string.Join(' ', settings.Where(text => text.Length > 0));
        }
    }

    public long OutputHeight => Geometry.OutHeight;

    public long OutputWidth => Geometry.OutWidth;

    internal long[] OutputShape => Layout == TensorLayout.ChannelsFirst
        ? [Shape[0], Shape[1], OutputHeight, OutputWidth] : [Shape[0], OutputHeight, OutputWidth, Shape[3]];

    /// <summary>The most windows that an element is in.</summary>
    internal int Overlaps => Along(Window.Height, (Stride ?? Window).Height) * Along(Window.Width, (Stride ?? Window).Width);

    internal Pool2dShape Geometry
    {
        get
        {
            bool first = Layout == TensorLayout.ChannelsFirst;
            Size2d stride = Stride ?? Window, dilation = Dilation ?? 1;
            (int height, int width) = first ? ((int)Shape[2], (int)Shape[3]) : ((int)Shape[1], (int)Shape[2]);
            int rows = Pool2dShape.Outputs(
                height, (int)Window.Height, (int)stride.Height, (int)Padding.Top, (int)Padding.Bottom, (int)dilation.Height, CeilMode);
            int columns = Pool2dShape.Outputs(
                width, (int)Window.Width, (int)stride.Width, (int)Padding.Left, (int)Padding.Right, (int)dilation.Width, CeilMode);
            return new Pool2dShape(
                (int)(first ? Shape[0] * Shape[1] : Shape[0]), height, width, first ? 1 : (int)Shape[3], rows, columns)
            {
                Window = ((int)Window.Height, (int)Window.Width),
                Stride = ((int)stride.Height, (int)stride.Width),
                Dilation = ((int)dilation.Height, (int)dilation.Width),
                Padding = ((int)Padding.Top, (int)Padding.Left),
            };
        }
    }

    protected static long Count(long[] shape) => shape.Aggregate(1L, (product, dimension) => product * dimension);

    private static int Along(long window, long stride) => (int)((window + stride - 1) / stride);
}

/// <summary>A call of max pooling.</summary>
public sealed record MaxPool2dProblem(string Entry, long[] Shape, Size2d Window, string Reason)
    : Pool2dProblem(Entry, Shape, Window, Reason)
{
    /// <summary>Whether x has three values only.</summary>
    public bool HasTies { get; init; }

    internal DType IndexType => Window.Height * Window.Width <= 256 ? DType.UInt8 : DType.Int32;

    internal MaxPool2dOptions Options => new()
    {
        Stride = Stride,
        Padding = Padding,
        Dilation = Dilation,
        CeilMode = CeilMode,
        Layout = Layout,
    };

    public override long Bytes(int elementBytes)
    {
        long outputs = Count(OutputShape);
        return ((Count(Shape) + outputs) * elementBytes) + (Entry == "infer" ? 0 : outputs * IndexType.SizeInBytes());
    }
}
