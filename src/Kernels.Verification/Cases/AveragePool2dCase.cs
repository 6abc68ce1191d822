using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Average pooling in both layouts: what a window is divided by, and whole maps.</summary>
public sealed class AveragePool2dCase : OpCase
{
    public override string Op => "average-pool2d";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new AveragePool2dProblem("forward", [0, 3, 4, 4], 2, "an empty batch"),
        new AveragePool2dProblem("forward", [1, 1, 1, 1], 1, "one element"),
        new AveragePool2dProblem("forward", [1, 2, 5, 72], 2, "pairs, rows of many eights, the last row in none"),
        new AveragePool2dProblem("forward", [2, 2, 6, 75], 3, "overlapping, two apart, padding counted") { Stride = 2, Padding = 1 },
        new AveragePool2dProblem("forward", [1, 2, 5, 39], 3, "overlapping, one apart, padding left out")
        {
            Stride = 1, Padding = 1, ExcludesPadding = true,
        },
        new AveragePool2dProblem("forward", [2, 2, 19, 11], 3, "3x3 one apart, more rows than an item makes, padding counted")
        {
            Stride = 1, Padding = 1,
        },
        new AveragePool2dProblem("forward", [1, 3, 5, 40], 3, "3x3 one apart, padded unequally, a divisor of the caller's")
        {
            Stride = 1, Padding = new Padding2d(2, 0, 0, 1), Divisor = -2.5,
        },
        new AveragePool2dProblem("forward", [2, 3, 7, 5], 2, "a last window that hangs over") { CeilMode = true },
        new AveragePool2dProblem("forward", [1, 2, 10, 13], new Size2d(3, 2), "dilated, padded unequally, hanging over")
        {
            Stride = new Size2d(2, 3), Dilation = new Size2d(2, 3), Padding = new Padding2d(1, 2, 0, 1), CeilMode = true,
        },
        new AveragePool2dProblem("forward", [1, 2, 5, 5], 3, "a divisor of the caller's") { Stride = 2, Padding = 1, Divisor = -2.5 },
        new AveragePool2dProblem("forward", [2, 7, 6, 3], 3, "channels last, off the vector width, padding left out")
        {
            Layout = TensorLayout.ChannelsLast, Stride = 2, Padding = 1, ExcludesPadding = true,
        },
        new AveragePool2dProblem("forward", [1, 4, 6, 24], 2, "channels last, whole vectors") { Layout = TensorLayout.ChannelsLast },
        new AveragePool2dProblem("forward", [65536, 1, 2, 2], new Size2d(2, 1), "65,536 planes"),
        new AveragePool2dProblem("global", [3, 5, 7, 7], 7, "whole maps, odd"),
        new AveragePool2dProblem("global", [2, 3, 24, 40], new Size2d(24, 40), "whole maps, vectors, more than a team asks for at once"),
        new AveragePool2dProblem("global", [2, 7, 7, 13], 7, "whole maps, channels last, odd") { Layout = TensorLayout.ChannelsLast },
        new AveragePool2dProblem("global", [2, 9, 5, 264], new Size2d(9, 5), "whole maps, channels last, more chunks than lie side by side")
        {
            Layout = TensorLayout.ChannelsLast,
        },
        new AveragePool2dProblem("backward", [1, 2, 5, 72], 2, "pairs, rows of many eights, the last row in none"),
        new AveragePool2dProblem("backward", [2, 2, 6, 75], 3, "overlapping, two apart, padding counted") { Stride = 2, Padding = 1 },
        new AveragePool2dProblem("backward", [1, 2, 5, 39], 3, "overlapping, one apart, padding left out")
        {
            Stride = 1, Padding = 1, ExcludesPadding = true,
        },
        new AveragePool2dProblem("backward", [2, 2, 19, 11], 3, "3x3 one apart, more rows than an item makes, padding counted")
        {
            Stride = 1, Padding = 1,
        },
        new AveragePool2dProblem("backward", [1, 3, 5, 40], 3, "3x3 one apart, padded unequally, a divisor of the caller's")
        {
            Stride = 1, Padding = new Padding2d(2, 0, 0, 1), Divisor = -2.5,
        },
        new AveragePool2dProblem("backward", [2, 3, 7, 5], 2, "a last window that hangs over") { CeilMode = true },
        new AveragePool2dProblem("backward", [1, 2, 10, 13], new Size2d(3, 2), "dilated, padded unequally, hanging over")
        {
            Stride = new Size2d(2, 3), Dilation = new Size2d(2, 3), Padding = new Padding2d(1, 2, 0, 1), CeilMode = true,
        },
        new AveragePool2dProblem("backward", [1, 2, 5, 5], 3, "a divisor of the caller's") { Stride = 2, Padding = 1, Divisor = -2.5 },
        new AveragePool2dProblem("backward", [2, 7, 6, 3], 3, "channels last, off the vector width, padding left out")
        {
            Layout = TensorLayout.ChannelsLast, Stride = 2, Padding = 1, ExcludesPadding = true,
        },
        new AveragePool2dProblem("backward", [1, 4, 6, 24], 2, "channels last, whole vectors") { Layout = TensorLayout.ChannelsLast },
        new AveragePool2dProblem("backward", [70001, 1, 2, 2], new Size2d(2, 1), "70,001 planes"),
        new AveragePool2dProblem("global backward", [3, 5, 7, 7], 7, "whole maps, odd"),
        new AveragePool2dProblem("global backward", [2, 7, 7, 13], 7, "whole maps, channels last") { Layout = TensorLayout.ChannelsLast },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new AveragePool2dProblem("forward", [32, 128, 56, 56], 2, "a transition of DenseNet"),
        new AveragePool2dProblem("forward", [32, 192, 35, 35], 3, "a branch of Inception") { Stride = 1, Padding = 1 },
        new AveragePool2dProblem("forward", [32, 56, 56, 128], 2, "channels last") { Layout = TensorLayout.ChannelsLast },
        new AveragePool2dProblem("global", [64, 2048, 7, 7], 7, "the head of ResNet"),
        new AveragePool2dProblem("global", [64, 7, 7, 2048], 7, "the head of ResNet, channels last") { Layout = TensorLayout.ChannelsLast },
        new AveragePool2dProblem("backward", [32, 128, 56, 56], 2, "a transition of DenseNet"),
        new AveragePool2dProblem("backward", [32, 192, 35, 35], 3, "a branch of Inception") { Stride = 1, Padding = 1 },
        new AveragePool2dProblem("global backward", [64, 2048, 7, 7], 7, "the head of ResNet"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("a divisor of zero", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(
            device, stream, [1, 2, 8, 8], [1, 2, 4, 4], 2, new() { Divisor = 0 })),
        new("a divisor that is no number", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(
            device, stream, [1, 2, 8, 8], [1, 2, 4, 4], 2, new() { Divisor = double.NaN })),
        new("an output of another shape", typeof(ArgumentException), (device, stream) => Forward(
            device, stream, [1, 2, 8, 8], [1, 2, 3, 4], 2)),
        new("zero stride", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(
            device, stream, [1, 2, 8, 8], [1, 2, 4, 4], 2, new() { Stride = 0 })),
        new("a window wholly in the padding", typeof(ArgumentException), (device, stream) => Forward(
            device, stream, [1, 2, 8, 8], [1, 2, 6, 6], 2, new() { Padding = 2 })),
        new("whole maps of nothing", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 0, 4), y = device.Allocate<float>(2, 3);
            AveragePool2d.ForwardGlobal(stream, x, y);
        }),
        new("whole maps in three dimensions", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 4), y = device.Allocate<float>(2, 3);
            AveragePool2d.ForwardGlobal(stream, x, y);
        }),
        new("means of another shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> dx = device.Allocate<float>(2, 3, 4, 4), dy = device.Allocate<float>(3, 2);
            AveragePool2d.BackwardGlobal(stream, dy, dx);
        }),
        new("the output is part of the input", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            AveragePool2d.Forward(stream, buffer.View(0, 1, 1, 4, 4), buffer.View(0, 1, 1, 2, 2), 2);
        }),
    ];

    public override Problem? ForwardOf(Problem problem) => problem switch
    {
        AveragePool2dProblem { Entry: "backward" } p => p with { Entry = "forward" },
        AveragePool2dProblem { Entry: "global backward" } p => p with { Entry = "global" },
        _ => null,
    };

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        AveragePool2dProblem p = (AveragePool2dProblem)problem;
        long[] shape = p.Entry.StartsWith("global", StringComparison.Ordinal) ? p.MeansShape : p.OutputShape;
        if (p.Entry is "forward" or "global")
        {
            // Whole maps are summed in shorter chains.
            long taps = p.Window.Height * p.Window.Width;
            double roundings = 2 + (p.Entry == "global" ? 2 * Math.Sqrt(taps) : taps);
            return
            [
                Input("x", dtype, p.Shape, seed),
                Output("y", dtype, shape, new Tolerance(1, roundings, 2, $"a sum of {taps} elements")),
            ];
        }

        return
        [
            Input("dy", dtype, shape, seed),
            Output("dx", dtype, p.Shape, new Tolerance(1, 2 * p.Overlaps, 2, $"a sum of up to {p.Overlaps} quotients")),
        ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        AveragePool2dProblem p = (AveragePool2dProblem)problem;
        switch (p.Entry)
        {
            case "forward": AveragePool2d.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.Window, p.Options); break;
            case "backward": AveragePool2d.Backward(stream, tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.Window, p.Options); break;
            case "global": AveragePool2d.ForwardGlobal(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.Layout); break;
            default: AveragePool2d.BackwardGlobal(stream, tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.Layout); break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        AveragePool2dProblem p = (AveragePool2dProblem)problem;
        PoolDivisor divisor = new(p.Divisor, !p.ExcludesPadding, (int)p.Padding.Bottom, (int)p.Padding.Right);
        if (p.Entry is "forward" or "global")
            AveragePool2dReference.Forward(p.Geometry, divisor, values["x"], values["y"]);
        else
            AveragePool2dReference.Backward(p.Geometry, divisor, values["dy"], values["dx"]);
    }

    private static void Forward(
        Device device, DeviceStream stream, long[] shape, long[] outputShape, Size2d window, AveragePool2dOptions options = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape), y = device.Allocate<float>(outputShape);
        AveragePool2d.Forward(stream, x, y, window, options);
    }
}

/// <summary>A call of average pooling; of whole maps, with a window as large as the map.</summary>
public sealed record AveragePool2dProblem(string Entry, long[] Shape, Size2d Window, string Reason)
    : Pool2dProblem(Entry, Shape, Window, Reason)
{
    public bool ExcludesPadding { get; init; }

    public double? Divisor { get; init; }

    public override string Text => string.Join(
        ' ', new[] { base.Text, ExcludesPadding ? "padding left out" : "", Divisor is { } by ? $"divisor={by}" : "" }
            .Where(text => text.Length > 0));

    internal long[] MeansShape => [Shape[0], Shape[Layout == TensorLayout.ChannelsFirst ? 1 : 3]];

    internal AveragePool2dOptions Options => new()
    {
        Stride = Stride,
        Padding = Padding,
        Dilation = Dilation,
        CeilMode = CeilMode,
        ExcludesPadding = ExcludesPadding,
        Divisor = Divisor,
        Layout = Layout,
    };

    public override long Bytes(int elementBytes) => (Count(Shape) + Count(OutputShape)) * elementBytes;
}
