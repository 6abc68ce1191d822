using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Convolution and its gradients in both layouts.</summary>
public sealed class Conv2dCase : OpCase
{
    public override string Op => "conv2d";

    public override IReadOnlyList<Problem> Problems { get; } = [.. Forward(), .. Backward()];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        .. new[] { "forward", "backward data", "backward filter" }.SelectMany(entry => new[]
        {
            new Conv2dProblem(entry, 32, 64, 56, 56, 64, 3, 3, "first stage of ResNet") { Padding = (1, 1, 1, 1) },
            new Conv2dProblem(entry, 32, 256, 14, 14, 256, 3, 3, "third stage of ResNet") { Padding = (1, 1, 1, 1) },
            new Conv2dProblem(entry, 32, 128, 56, 56, 128, 3, 3, "depthwise") { Padding = (1, 1, 1, 1), Groups = 128 },
            new Conv2dProblem(entry, 32, 3, 224, 224, 64, 7, 7, "first layer of ResNet") { Padding = (3, 3, 3, 3), Stride = (2, 2) },
        }),
        new Conv2dProblem("forward", 32, 64, 56, 56, 256, 1, 1, "a bottleneck of ResNet"),
        new Conv2dProblem("forward", 32, 64, 56, 56, 64, 3, 3, "first stage of ResNet") { Padding = (1, 1, 1, 1), ChannelsLast = true },
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Refused("stride 0", typeof(ArgumentOutOfRangeException), new() { Stride = (0, 1) }),
        Refused("negative stride", typeof(ArgumentOutOfRangeException), new() { Stride = (1, -1) }),
        Refused("dilation 0", typeof(ArgumentOutOfRangeException), new() { Dilation = (1, 0) }),
        Refused("negative padding", typeof(ArgumentOutOfRangeException), new() { Padding = (0, 0, -1, 0) }),
        Refused("padding that overflows", typeof(ArgumentOutOfRangeException), new() { Padding = (long.MaxValue, 1, 0, 0) }),
        Refused("no groups", typeof(ArgumentOutOfRangeException), new() { Groups = 0 }),
        Refused("groups that do not divide", typeof(ArgumentException), new() { Groups = 3 }),
        Refused("unknown layout", typeof(ArgumentOutOfRangeException), new() { Layout = (TensorLayout)7 }),
        Refused("channels last by shapes of channels first", typeof(ArgumentException), new() { Layout = TensorLayout.ChannelsLast }),
        Refused("settings that all zeros are", typeof(ArgumentOutOfRangeException), default(Conv2dOptions)),
        Refused("inputs of another number", typeof(ArgumentException), new(), filter: [6, 3, 3, 3]),
        Refused("a filter without taps", typeof(ArgumentException), new(), filter: [6, 4, 0, 3]),
        Refused("a filter larger than the padded input", typeof(ArgumentException), new()
        {
            Padding = (1, 0, 0, 0),
        }, filter: [6, 4, 9, 3]),
        Refused("a dilated filter larger than the input", typeof(ArgumentException), new() { Dilation = (1, 3) }),
        Refused("three dimensions", typeof(ArgumentException), new(), x: [4, 7, 5]),
        Refused("output of another shape", typeof(ArgumentException), new(), y: [2, 6, 7, 5]),
        Refused("bias of another length", typeof(ArgumentException), new(), bias: [4]),
        new("a side of 2^29", typeof(ArgumentException), (_, _) => Conv2d.OutputShape([1, 1, 1L << 29, 1], [1, 1, 1, 1])),
        new("sums of 2^31 terms", typeof(ArgumentException), (_, _) =>
            Conv2d.OutputShape([1, 1 << 20, 64, 64], [1, 1 << 20, 64, 64])),
        new("gradient of another shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> filter = device.Allocate<float>(6, 4, 3, 3);
            using DeviceTensor<float> dy = device.Allocate<float>(2, 6, 7, 5);
            using DeviceTensor<float> dx = device.Allocate<float>(2, 4, 7, 5);
            Conv2d.BackwardData(stream, filter, dy, dx);
        }),
        new("gradient of the bias of another length", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 4, 7, 5);
            using DeviceTensor<float> dy = device.Allocate<float>(2, 6, 5, 3);
            using DeviceTensor<float> dFilter = device.Allocate<float>(6, 4, 3, 3);
            using DeviceTensor<float> dBias = device.Allocate<float>(4);
            Conv2d.BackwardFilter(stream, x, dy, dFilter, dBias);
        }),
        new("output overlaps the input", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 4, 7, 5);
            using DeviceTensor<float> filter = device.Allocate<float>(4, 4, 1, 1);
            Conv2d.Forward(stream, x, filter, null, x);
        }),
    ];

    public override Problem? ForwardOf(Problem problem) => problem.Entry.StartsWith("backward", StringComparison.Ordinal)
        ? (Conv2dProblem)problem with
        {
            Entry = "forward",
            HasBias = problem.Entry == "backward filter" && ((Conv2dProblem)problem).HasBias,
        }
        : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "bias" or "dbias" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        Conv2dProblem p = (Conv2dProblem)problem;
        List<TensorSpec> specs = [];
        if (p.Entry != "backward data") specs.Add(Input("x", dtype, p.XShape, seed));
        if (p.Entry != "backward filter") specs.Add(Input("filter", dtype, p.FilterShape, seed));
        if (p.Entry.StartsWith("backward", StringComparison.Ordinal)) specs.Add(Input("dy", dtype, p.YShape, seed));
        switch (p.Entry)
        {
            case "backward data":
                specs.Add(Output("dx", dtype, p.XShape, MatMulCase.SumOfProducts(p.Outputs / p.Groups * p.Area)));
                break;
            case "backward filter":
                specs.Add(Output("dfilter", dtype, p.FilterShape, MatMulCase.SumOfProducts(p.Pixels)));
                if (p.HasBias) specs.Add(Output("dbias", dtype, [p.Outputs], MatMulCase.SumOfProducts(p.Pixels)));
                break;
            default:
                if (p.HasBias) specs.Add(Input("bias", dtype, [p.Outputs], seed));
                specs.Add(Output("y", dtype, p.YShape, MatMulCase.SumOfProducts((p.Channels / p.Groups * p.Area) + 1)));
                break;
        }

        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        Conv2dProblem p = (Conv2dProblem)problem;
        switch (p.Entry)
        {
            case "backward data":
                Conv2d.BackwardData(stream, tensors.Get<T>("filter"), tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.Options);
                break;
            case "backward filter":
                Conv2d.BackwardFilter(
                    stream, tensors.Get<T>("x"), tensors.Get<T>("dy"), tensors.Get<T>("dfilter"), p.HasBias
                        ? tensors.Get<T>("dbias") : null, p.Options);
                break;
            case "forward relu":
                Conv2d.ForwardRelu(
                    stream, tensors.Get<T>("x"), tensors.Get<T>("filter"), p.HasBias ? tensors.Get<T>("bias") : null, tensors.Get<T>("y"),
                    p.Options);
                break;
            default:
                Conv2d.Forward(
                    stream, tensors.Get<T>("x"), tensors.Get<T>("filter"), p.HasBias ? tensors.Get<T>("bias") : null, tensors.Get<T>("y"),
                    p.Options);
                break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        Conv2dProblem p = (Conv2dProblem)problem;
        Conv2dReference reference = p.Reference;
        switch (p.Entry)
        {
            case "backward data":
                reference.BackwardData(values["filter"], values["dy"], values["dx"]);
                break;
            case "backward filter":
                reference.BackwardFilter(values["x"], values["dy"], values["dfilter"], p.HasBias ? values["dbias"] : []);
                break;
            default:
                reference.Forward(
                    values["x"], values["filter"], p.HasBias ? values["bias"] : [], values["y"], rectifies: p.Entry == "forward relu");
                break;
        }
    }

    private static IEnumerable<Problem> Forward() =>
    [
        new Conv2dProblem("forward", 1, 1, 1, 1, 1, 1, 1, "one element"),
        new Conv2dProblem("forward", 2, 0, 4, 4, 3, 3, 3, "no channels: the bias"),
        new Conv2dProblem("forward", 2, 5, 9, 7, 6, 3, 3, "odd maps, padded") { Padding = (1, 1, 1, 1) },
        new Conv2dProblem("forward relu", 1, 67, 3, 45, 66, 1, 1, "one past a tile of channels, of pixels and of taps"),
        .. Odd("forward"),
        new Conv2dProblem("forward", 70001, 1, 1, 1, 2, 1, 1, "more than 65,535 planes"),
    ];

    private static IEnumerable<Problem> Backward() =>
    [
        new Conv2dProblem("backward data", 1, 1, 1, 1, 1, 1, 1, "one element"),
        new Conv2dProblem("backward data", 1, 66, 3, 45, 67, 1, 1, "one past a tile of channels, of pixels and of taps"),
        new Conv2dProblem("backward data", 2, 3, 7, 8, 4, 2, 2, "a stride larger than the filter: places that nothing saw")
        {
            Stride = (3, 3),
        },
        .. Odd("backward data"),
        new Conv2dProblem("backward filter", 0, 2, 4, 4, 3, 3, 3, "an empty batch: the gradients are 0"),
        new Conv2dProblem("backward filter", 1, 1, 1, 1, 1, 1, 1, "one element"),
        new Conv2dProblem("backward filter", 1, 15, 5, 5, 66, 3, 3, "one past a tile of channels, several of taps") { HasBias = false },
        new Conv2dProblem("backward filter", 2, 2, 16, 17, 3, 3, 1, "several splits, the last one short") { Padding = (1, 1, 0, 0) },
        .. Odd("backward filter"),
    ];

    private static IEnumerable<Problem> Odd(string entry)
    {
        Conv2dProblem strided = new(entry, 2, 4, 11, 10, 6, 3, 4, "all settings at once, two groups")
        {
            Stride = (2, 3),
            Dilation = (2, 1),
            Padding = (1, 0, 2, 1),
            Groups = 2,
        };
        return
        [
            strided,
            strided with { ChannelsLast = true },
            new Conv2dProblem(entry, 2, 20, 5, 9, 24, 3, 3, "channels last, padded") { Padding = (1, 1, 1, 1), ChannelsLast = true },
            new Conv2dProblem(entry, 2, 6, 6, 7, 12, 3, 3, "depthwise, two outputs a channel")
            {
                Padding = (1, 1, 1, 1), Groups = 6, HasBias = false,
            },
            new Conv2dProblem(entry, 2, 37, 5, 6, 37, 3, 3, "depthwise, more channels than lanes, strided")
            {
                Padding = (1, 1, 1, 1), Stride = (2, 2), Groups = 37, ChannelsLast = true,
            },
            new Conv2dProblem(entry, 2, 3, 17, 9, 3, 5, 5, "depthwise, more taps than a pass, dilated")
            {
                Padding = (2, 2, 4, 3), Stride = (2, 1), Dilation = (1, 2), Groups = 3,
            },
        ];
    }

    private static BadInput Refused(
        string name, Type exception, Conv2dOptions options, long[]? x = null, long[]? filter = null, long[]? bias = null,
        long[]? y = null) =>
        new(name, exception, (device, stream) =>
        {
            using DeviceTensor<float> xTensor = device.Allocate<float>(x ?? [2, 4, 7, 5]);
            using DeviceTensor<float> filterTensor = device.Allocate<float>(filter ?? [6, 4, 3, 3]);
            using DeviceTensor<float> biasTensor = device.Allocate<float>(bias ?? [6]);
            using DeviceTensor<float> yTensor = device.Allocate<float>(y ?? [2, 6, 5, 3]);
            Conv2d.Forward(stream, xTensor, filterTensor, biasTensor, yTensor, options);
        });
}

/// <summary>A call of a convolution.</summary>
public sealed record Conv2dProblem(
    string Entry, long Batch, long Channels, long Height, long Width, long Outputs, long FilterHeight, long FilterWidth, string Reason)
    : Problem(Entry, Reason)
{
    public (long Y, long X) Stride { get; init; } = (1, 1);

    public (long Y, long X) Dilation { get; init; } = (1, 1);

    public (long Top, long Bottom, long Left, long Right) Padding { get; init; }

    public long Groups { get; init; } = 1;

    public bool ChannelsLast { get; init; }

    public bool HasBias { get; init; } = true;

    /// <summary>Stride, dilation, then padding at the top, bottom, left and right.</summary>
    public long[] Settings => [Stride.Y, Stride.X, Dilation.Y, Dilation.X, Padding.Top, Padding.Bottom, Padding.Left, Padding.Right];

    public override string Text
    {
        get
        {
            string text = $"{Batch}x{Channels}x{Height}x{Width}->{Outputs} {FilterHeight}x{FilterWidth}";
            if (Stride != (1, 1)) text += $" stride={Stride.Y},{Stride.X}";
            if (Dilation != (1, 1)) text += $" dilation={Dilation.Y},{Dilation.X}";
            if (Padding != default) text += $" padding={Padding.Top},{Padding.Bottom},{Padding.Left},{Padding.Right}";
            if (Groups != 1) text += $" groups={Groups}";
            if (ChannelsLast) text += " NHWC";
            return HasBias || Entry == "backward data" ? text : $"{text} no bias";
        }
    }

    public override long Flops => 2 * Pixels * Outputs * (Channels / Groups) * Area;

    public long OutputHeight => Reference.OutputHeight;

    public long OutputWidth => Reference.OutputWidth;

    internal long Area => FilterHeight * FilterWidth;

    internal long Pixels => Batch * OutputHeight * OutputWidth;

    internal long[] XShape => Maps(Channels, Height, Width);

    internal long[] YShape => Maps(Outputs, OutputHeight, OutputWidth);

    internal long[] FilterShape => ChannelsLast
        ? [Outputs, FilterHeight, FilterWidth, Channels / Groups] : [Outputs, Channels / Groups, FilterHeight, FilterWidth];

    internal Conv2dOptions Options => new()
    {
        Stride = Stride,
        Dilation = Dilation,
        Padding = Padding,
        Groups = Groups,
        Layout = ChannelsLast ? TensorLayout.ChannelsLast : TensorLayout.ChannelsFirst,
    };

    internal Conv2dReference Reference => new()
    {
        Batch = (int)Batch,
        Groups = (int)Groups,
        Inputs = (int)(Channels / Groups),
        Height = (int)Height,
        Width = (int)Width,
        Outputs = (int)(Outputs / Groups),
        FilterHeight = (int)FilterHeight,
        FilterWidth = (int)FilterWidth,
        Stride = ((int)Stride.Y, (int)Stride.X),
        Dilation = ((int)Dilation.Y, (int)Dilation.X),
        Padding = ((int)Padding.Top, (int)Padding.Bottom, (int)Padding.Left, (int)Padding.Right),
        ChannelsLast = ChannelsLast,
    };

    public override long Bytes(int elementBytes) =>
        elementBytes * ((Batch * Channels * Height * Width) + (Outputs * (Channels / Groups) * Area) + (Pixels * Outputs));

    private long[] Maps(long channels, long height, long width) =>
        ChannelsLast ? [Batch, height, width, channels] : [Batch, channels, height, width];
}
