namespace Kernels.Verification;

/// <summary>The transposed convolution. A problem is that of the convolution from y to x.</summary>
public sealed class Conv2dTransposeCase() : ConvolutionCase(isTransposed: true)
{
    public override string Op => "conv2d-transpose";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        .. new[] { "forward", "backward data", "backward filter" }.SelectMany(entry => new[]
        {
            new Conv2dProblem(entry, 1, 1, 1, 1, 1, 1, 1, "one element"),
            new Conv2dProblem(entry, 2, 4, 8, 9, 6, 4, 3, "twice as large, two groups")
            {
                Stride = 2, Padding = (1, 1, 0, 1), Groups = 2,
            },
            new Conv2dProblem(entry, 2, 33, 5, 8, 3, 3, 3, "channels last, dilated")
            {
                Stride = (1, 2), Dilation = (1, 2), Padding = (1, 0, 2, 2), ChannelsLast = true,
            },
            new Conv2dProblem(entry, 2, 5, 7, 6, 5, 3, 3, "depthwise, no bias")
            {
                Stride = 2, Padding = 1, Groups = 5, HasBias = false,
            },
        }),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        .. new[] { "forward", "backward data", "backward filter" }.Select(entry =>
            new Conv2dProblem(entry, 32, 64, 56, 56, 128, 4, 4, "twice as large") { Padding = 1, Stride = 2 }),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("stride 0", typeof(ArgumentOutOfRangeException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 3, 3], [2, 4, 3, 3], new() { Stride = (0, 1) })),
        new("as many more rows as the stride", typeof(ArgumentOutOfRangeException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 3, 3], [2, 4, 3, 3], new() { Stride = 2 }, (2, 0))),
        new("channels of another number", typeof(ArgumentException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 3, 3, 3], [2, 4, 3, 3])),
        new("smaller than its padding", typeof(ArgumentException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 1, 1], [2, 4, 1, 1], new() { Padding = (2, 2, 0, 0) })),
        new("two dimensions", typeof(ArgumentException), (_, _) => Conv2dTranspose.OutputShape([3, 3], [2, 4, 1, 1])),
        new("a side of 2^29", typeof(ArgumentException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 1L << 29, 1], [2, 4, 1, 1], new() { Stride = 1 << 28 })),
        new("a side of 2^29 in the output", typeof(ArgumentException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 3, 1], [2, 4, 1, 1], new() { Stride = 1 << 28 })),
        new("channels that overflow", typeof(ArgumentException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 1, 1], [2, 4, 1, 1], new() { Groups = 1L << 62 })),
        new("output of a shape that leads elsewhere", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [1, 4, 6, 5], 4)),
        new("bias of the inputs", typeof(ArgumentException), (device, stream) => Forward(device, stream, [1, 4, 5, 5], 2)),
        new("rows cut off by the output's padding", typeof(ArgumentOutOfRangeException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 3, 3], [2, 4, 3, 3], new() { Stride = 2 }, (-1, 0))),
        new("columns cut off by the output's padding", typeof(ArgumentOutOfRangeException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 3, 3], [2, 4, 3, 3], new() { Stride = 2 }, (0, -1))),
        new("as many more columns as the stride", typeof(ArgumentOutOfRangeException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 3, 3], [2, 4, 3, 3], new() { Stride = 2 }, (0, 2))),
        new("narrower than its padding", typeof(ArgumentException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 1, 1], [2, 4, 1, 1], new() { Padding = (0, 0, 2, 2) })),
    ];

    protected override void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> filter, DeviceTensor<T>? bias, DeviceTensor<T> y, bool rectifies,
        Conv2dOptions options) => Conv2dTranspose.Forward(stream, x, filter, bias, y, options);

    protected override void BackwardData<T>(
        DeviceStream stream, DeviceTensor<T> filter, DeviceTensor<T> dy, DeviceTensor<T> dx, Conv2dOptions options) =>
        Conv2dTranspose.BackwardData(stream, filter, dy, dx, options);

    protected override void BackwardFilter<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> dy, DeviceTensor<T> dFilter, DeviceTensor<T>? dBias,
        Conv2dOptions options) => Conv2dTranspose.BackwardFilter(stream, x, dy, dFilter, dBias, options);

    private static void Forward(Device device, DeviceStream stream, long[] y, long outputs)
    {
        using DeviceTensor<float> x = device.Allocate<float>(1, 2, 3, 3);
        using DeviceTensor<float> filter = device.Allocate<float>(2, 4, 3, 3);
        using DeviceTensor<float> bias = device.Allocate<float>(outputs);
        using DeviceTensor<float> yTensor = device.Allocate<float>(y);
        Conv2dTranspose.Forward(stream, x, filter, bias, yTensor);
    }
}
