namespace Kernels.Verification;

/// <summary>Convolution and its gradients in both layouts.</summary>
public sealed class Conv2dCase() : ConvolutionCase(isTransposed: false)
{
    public override string Op => "conv2d";

    public override IReadOnlyList<Problem> Problems { get; } = [.. Forward(), .. Backward()];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        .. new[] { "forward", "backward data", "backward filter" }.SelectMany(entry => new[]
        {
            new Conv2dProblem(entry, 32, 64, 56, 56, 64, 3, 3, "first stage of ResNet") { Padding = 1 },
            new Conv2dProblem(entry, 32, 256, 14, 14, 256, 3, 3, "third stage of ResNet") { Padding = 1 },
            new Conv2dProblem(entry, 32, 128, 56, 56, 128, 3, 3, "depthwise") { Padding = 1, Groups = 128 },
            new Conv2dProblem(entry, 32, 3, 224, 224, 64, 7, 7, "first layer of ResNet") { Padding = 3, Stride = 2 },
        }),
        new Conv2dProblem("forward", 32, 64, 56, 56, 256, 1, 1, "a bottleneck of ResNet"),
        .. new[] { "forward", "backward data", "backward filter" }.SelectMany(entry => new[]
        {
            new Conv2dProblem(entry, 32, 64, 56, 56, 64, 3, 3, "first stage of ResNet")
            {
                Padding = 1, Algorithm = Conv2dAlgorithm.Winograd,
            },
            new Conv2dProblem(entry, 32, 256, 14, 14, 256, 3, 3, "third stage of ResNet")
            {
                Padding = 1, Algorithm = Conv2dAlgorithm.Winograd,
            },
        }),
        .. new[] { "forward", "backward data", "backward filter" }.SelectMany(entry => new[]
        {
            new Conv2dProblem(entry, 32, 64, 56, 56, 64, 3, 3, "first stage of ResNet") { Padding = 1, ChannelsLast = true },
            new Conv2dProblem(entry, 32, 256, 14, 14, 256, 3, 3, "third stage of ResNet") { Padding = 1, ChannelsLast = true },
            new Conv2dProblem(entry, 32, 64, 56, 56, 256, 1, 1, "a bottleneck of ResNet") { ChannelsLast = true },
            new Conv2dProblem(entry, 32, 128, 56, 56, 128, 3, 3, "depthwise") { Padding = 1, Groups = 128, ChannelsLast = true },
        }),
        .. new[] { "forward", "backward data", "backward filter" }.SelectMany(entry => new[]
        {
            new Conv2dProblem(entry, 32, 128, 56, 56, 128, 3, 3, "depthwise, where MobileNet's images shrink")
            {
                Padding = 1, Stride = 2, Groups = 128,
            },
            new Conv2dProblem(entry, 32, 128, 56, 56, 128, 3, 3, "depthwise, where MobileNet's images shrink")
            {
                Padding = 1, Stride = 2, Groups = 128, ChannelsLast = true,
            },
            new Conv2dProblem(entry, 32, 96, 56, 56, 96, 7, 7, "first stage of ConvNeXt")
            {
                Padding = 3, Groups = 96, ChannelsLast = true,
            },
        }),
    ];

    public override IEnumerable<Problem> BenchProblemsOn(DeviceKind kind) =>
        BenchProblems.Where(problem => kind == DeviceKind.Cpu || ((Conv2dProblem)problem).Algorithm == Conv2dAlgorithm.Direct);

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Refused("stride 0", typeof(ArgumentOutOfRangeException), new() { Stride = (0, 1) }),
        Refused("negative stride", typeof(ArgumentOutOfRangeException), new() { Stride = (1, -1) }),
        Refused("dilation 0", typeof(ArgumentOutOfRangeException), new() { Dilation = (1, 0) }),
        Refused("negative padding above", typeof(ArgumentOutOfRangeException), new() { Padding = (-1, 0, 0, 0) }),
        Refused("negative padding below", typeof(ArgumentOutOfRangeException), new() { Padding = (0, -1, 0, 0) }),
        Refused("negative padding on the left", typeof(ArgumentOutOfRangeException), new() { Padding = (0, 0, -1, 0) }),
        Refused("negative padding on the right", typeof(ArgumentOutOfRangeException), new() { Padding = (0, 0, 0, -1) }),
        Refused("dilation 0 of the rows", typeof(ArgumentOutOfRangeException), new() { Dilation = (0, 1) }),
        Refused("padding that overflows", typeof(ArgumentOutOfRangeException), new() { Padding = (long.MaxValue, 1, 0, 0) }),
        Refused("no groups", typeof(ArgumentOutOfRangeException), new() { Groups = 0 }),
        Refused("groups that do not divide", typeof(ArgumentException), new() { Groups = 3 }),
        Refused("unknown layout", typeof(ArgumentOutOfRangeException), new() { Layout = (TensorLayout)7 }),
        Refused("unknown algorithm", typeof(ArgumentOutOfRangeException), new() { Algorithm = (Conv2dAlgorithm)2 }),
        Refused("channels last by shapes of channels first", typeof(ArgumentException), new() { Layout = TensorLayout.ChannelsLast }),
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
        new("a negative dimension", typeof(ArgumentException), (_, _) => Conv2d.OutputShape([1, 1, -3, 1], [1, 1, 1, 1])),
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

    protected override void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> filter, DeviceTensor<T>? bias, DeviceTensor<T> y, bool rectifies,
        Conv2dOptions options)
    {
        if (rectifies)
            Conv2d.ForwardRelu(stream, x, filter, bias, y, options);
        else
            Conv2d.Forward(stream, x, filter, bias, y, options);
    }

    protected override void BackwardData<T>(
        DeviceStream stream, DeviceTensor<T> filter, DeviceTensor<T> dy, DeviceTensor<T> dx, Conv2dOptions options) =>
        Conv2d.BackwardData(stream, filter, dy, dx, options);

    protected override void BackwardFilter<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> dy, DeviceTensor<T> dFilter, DeviceTensor<T>? dBias,
        Conv2dOptions options) => Conv2d.BackwardFilter(stream, x, dy, dFilter, dBias, options);

    private static IEnumerable<Problem> Forward() =>
    [
        new Conv2dProblem("forward", 1, 1, 1, 1, 1, 1, 1, "one element"),
        new Conv2dProblem("forward", 2, 0, 4, 4, 3, 3, 3, "no channels: the bias"),
        new Conv2dProblem("forward", 2, 5, 9, 7, 6, 3, 3, "odd maps, padded") { Padding = 1 },
        new Conv2dProblem("forward relu", 1, 67, 3, 45, 66, 1, 1, "one past a tile of channels, of pixels and of taps"),
        .. Odd("forward"),
        .. InTiles("forward"),
        new Conv2dProblem("forward relu", 1, 3, 11, 37, 4, 3, 3, "few outputs, strided, more rows than a tile") { Stride = 2, Padding = 1 },
        new Conv2dProblem("forward", 1, 86, 5, 9, 2, 3, 3, "few outputs, more steps than a slice") { Padding = 1 },
        new Conv2dProblem("forward relu", 1, 3, 9, 8, 3, 3, 3, "depthwise, rows in fours, rectified") { Padding = 1, Groups = 3 },
        new Conv2dProblem("forward", 70001, 1, 1, 1, 2, 1, 1, "more than 65,535 planes"),
    ];

    private static IEnumerable<Problem> Backward() =>
    [
        new Conv2dProblem("backward data", 1, 1, 1, 1, 1, 1, 1, "one element"),
        new Conv2dProblem("backward data", 1, 66, 3, 45, 67, 1, 1, "one past a tile of channels, of pixels and of taps"),
        new Conv2dProblem("backward data", 2, 3, 7, 8, 4, 2, 2, "a stride larger than the filter: places that nothing saw")
        {
            Stride = 3,
        },
        .. Odd("backward data"),
        .. InTiles("backward data"),
        new Conv2dProblem("backward data", 1, 3, 9, 37, 50, 5, 4, "few inputs, more taps than a chain") { Stride = 2, Padding = 2 },
        new Conv2dProblem("backward data", 1, 4, 5, 9, 86, 3, 3, "few inputs, more steps than a slice") { Padding = 1 },
        new Conv2dProblem("backward data", 65536, 1, 1, 1, 1, 1, 1, "65,536 planes"),
        new Conv2dProblem("backward filter", 0, 2, 4, 4, 3, 3, 3, "an empty batch: the gradients are 0"),
        new Conv2dProblem("backward filter", 1, 1, 1, 1, 1, 1, 1, "one element"),
        new Conv2dProblem("backward filter", 1, 15, 5, 5, 66, 3, 3, "one past a tile of channels, several of taps") { HasBias = false },
        new Conv2dProblem("backward filter", 70001, 1, 1, 1, 1, 1, 1, "70,001 planes, many splits"),
        new Conv2dProblem("backward filter", 2, 2, 16, 17, 3, 3, 1, "several splits, the last one short") { Padding = (1, 1, 0, 0) },
        new Conv2dProblem("backward filter", 2, 2, 33, 64, 2, 3, 3, "depthwise, two splits") { Padding = 1, Groups = 2 },
        .. Odd("backward filter"),
        .. InTiles("backward filter"),
    ];

    private static IEnumerable<Problem> Odd(string entry)
    {
        Conv2dProblem strided = new(entry, 2, 10, 11, 10, 12, 3, 4, "all settings at once, two groups")
        {
            Stride = (2, 3),
            Dilation = (2, 1),
            Padding = (1, 0, 2, 1),
            Groups = 2,
        };
        return
        [
            strided,
            strided with { ChannelsLast = true, Channels = 4, Outputs = 6, Reason = "few channels, all settings at once, two groups" },
            new Conv2dProblem(entry, 2, 20, 5, 9, 24, 3, 3, "channels last, padded") { Padding = 1, ChannelsLast = true },
            // The first has several slices of taps and the last is short; each has a tile of pixels and one that is not full.
            new Conv2dProblem(entry, 2, 24, 9, 8, 72, 3, 3, "channels last in eights, one past a tile of channels")
            {
                Padding = 1, ChannelsLast = true,
            },
            new Conv2dProblem(entry, 2, 16, 19, 18, 16, 3, 2, "channels last in eights, all settings at once, two groups")
            {
                Stride = (1, 2), Dilation = (2, 1), Padding = (2, 1, 0, 1), Groups = 2, ChannelsLast = true,
            },
            // Work enough for tensor cores to take other layouts.
            new Conv2dProblem(entry, 2, 43, 17, 16, 45, 3, 3, "much work, channels first") { Padding = 1 },
            new Conv2dProblem(entry, 2, 62, 12, 9, 66, 5, 5, "much work, channels last, two groups")
            {
                Padding = 2, Groups = 2, ChannelsLast = true,
            },
            new Conv2dProblem(entry, 2, 6, 6, 7, 12, 3, 3, "depthwise, two outputs a channel")
            {
                Padding = 1, Groups = 6, HasBias = false,
            },
            new Conv2dProblem(entry, 2, 3, 6, 7, 6, 3, 3, "depthwise, two outputs a channel, channels last")
            {
                Padding = 1, Groups = 3, ChannelsLast = true,
            },
            new Conv2dProblem(entry, 2, 69, 5, 6, 69, 3, 3, "depthwise, more channels than four vectors, strided")
            {
                Padding = 1, Stride = 2, Groups = 69, ChannelsLast = true,
            },
            new Conv2dProblem(entry, 2, 69, 5, 6, 69, 3, 3, "depthwise, channels last, rows in twos and one")
            {
                Padding = 1, Groups = 69, ChannelsLast = true,
            },
            new Conv2dProblem(entry, 3, 35, 2, 3, 35, 3, 3, "depthwise, channels last, columns that see no pixel")
            {
                Padding = (1, 2, 3, 0), Groups = 35, ChannelsLast = true,
            },
            new Conv2dProblem(entry, 2, 5, 17, 12, 5, 3, 3, "depthwise, rows in fours, one past eight of them twice")
            {
                Padding = 1, Groups = 5,
            },
            new Conv2dProblem(entry, 2, 3, 10, 11, 3, 3, 3, "depthwise, rows not in fours") { Padding = (2, 0, 0, 3), Groups = 3 },
            // The first filter serves a run of places as it is, the other is loaded for each of them anew.
            new Conv2dProblem(entry, 20, 3, 4, 15, 3, 3, 1, "depthwise, a run of places") { Groups = 3, HasBias = false },
            new Conv2dProblem(entry, 20, 3, 5, 15, 3, 4, 1, "depthwise, a run of places, more rows of taps than a step")
            {
                Padding = (1, 0, 0, 0), Groups = 3, HasBias = false,
            },
            new Conv2dProblem(entry, 2, 3, 17, 9, 3, 5, 5, "depthwise, more taps than a pass, dilated")
            {
                Padding = (2, 2, 4, 3), Stride = (2, 1), Dilation = (1, 2), Groups = 3,
            },
        ];
    }

    /// <summary>Tiles that reach over every side, images that share a task, channels that fill neither a vector nor a panel.</summary>
    private static IEnumerable<Problem> InTiles(string entry)
    {
        Conv2dProblem problem = new(entry, 3, 20, 13, 11, 36, 3, 3, "in tiles of 4x4 results")
        {
            Padding = (0, 2, 1, 0),
            Algorithm = Conv2dAlgorithm.Winograd,
        };
        return
        [
            problem,
            problem with
            {
                Channels = 40, Outputs = 72, Groups = 2, ChannelsLast = true, HasBias = false, Padding = 1,
                Reason = "in tiles of 4x4 results, channels last, two groups",
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
