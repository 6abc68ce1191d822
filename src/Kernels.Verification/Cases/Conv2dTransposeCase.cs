using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The transposed convolution. A problem is that of the convolution from y to x.</summary>
public sealed class Conv2dTransposeCase : OpCase
{
    public override string Op => "conv2d-transpose";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        .. new[] { "forward", "backward data", "backward filter" }.SelectMany(entry => new[]
        {
            new Conv2dProblem(entry, 1, 1, 1, 1, 1, 1, 1, "one element"),
            new Conv2dProblem(entry, 2, 4, 8, 9, 6, 4, 3, "twice as large, two groups")
            {
                Stride = (2, 2), Padding = (1, 1, 0, 1), Groups = 2,
            },
            new Conv2dProblem(entry, 2, 33, 5, 8, 3, 3, 3, "channels last, dilated")
            {
                Stride = (1, 2), Dilation = (1, 2), Padding = (1, 0, 2, 2), ChannelsLast = true,
            },
            new Conv2dProblem(entry, 2, 5, 7, 6, 5, 3, 3, "depthwise, no bias")
            {
                Stride = (2, 2), Padding = (1, 1, 1, 1), Groups = 5, HasBias = false,
            },
        }),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        .. new[] { "forward", "backward data", "backward filter" }.Select(entry =>
            new Conv2dProblem(entry, 32, 64, 56, 56, 128, 4, 4, "twice as large") { Padding = (1, 1, 1, 1), Stride = (2, 2) }),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("stride 0", typeof(ArgumentOutOfRangeException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 3, 3], [2, 4, 3, 3], new() { Stride = (0, 1) })),
        new("as many more rows as the stride", typeof(ArgumentOutOfRangeException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 3, 3], [2, 4, 3, 3], new() { Stride = (2, 2) }, (2, 0))),
        new("channels of another number", typeof(ArgumentException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 3, 3, 3], [2, 4, 3, 3])),
        new("smaller than its padding", typeof(ArgumentException), (_, _) =>
            Conv2dTranspose.OutputShape([1, 2, 1, 1], [2, 4, 1, 1], new() { Padding = (2, 2, 0, 0) })),
        new("output of a shape that leads elsewhere", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [1, 4, 6, 5], 4)),
        new("bias of the inputs", typeof(ArgumentException), (device, stream) => Forward(device, stream, [1, 4, 5, 5], 2)),
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
        // The convolution's y is our x.
        Conv2dProblem p = (Conv2dProblem)problem;
        List<TensorSpec> specs = [];
        if (p.Entry != "backward data") specs.Add(Input("x", dtype, p.YShape, seed));
        if (p.Entry != "backward filter") specs.Add(Input("filter", dtype, p.FilterShape, seed));
        if (p.Entry != "forward") specs.Add(Input("dy", dtype, p.XShape, seed));
        switch (p.Entry)
        {
            case "backward data":
                specs.Add(Output("dx", dtype, p.YShape, MatMulCase.SumOfProducts(p.Channels / p.Groups * p.Area)));
                break;
            case "backward filter":
                specs.Add(Output("dfilter", dtype, p.FilterShape, MatMulCase.SumOfProducts(p.Pixels)));
                if (p.HasBias)
                    specs.Add(Output("dbias", dtype, [p.Channels], MatMulCase.SumOfProducts(p.Batch * p.Height * p.Width)));
                break;
            default:
                if (p.HasBias) specs.Add(Input("bias", dtype, [p.Channels], seed));
                specs.Add(Output("y", dtype, p.XShape, MatMulCase.SumOfProducts((p.Outputs / p.Groups * p.Area) + 1)));
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
                Conv2dTranspose.BackwardData(stream, tensors.Get<T>("filter"), tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.Options);
                break;
            case "backward filter":
                Conv2dTranspose.BackwardFilter(
                    stream, tensors.Get<T>("x"), tensors.Get<T>("dy"), tensors.Get<T>("dfilter"), p.HasBias
                        ? tensors.Get<T>("dbias") : null, p.Options);
                break;
            default:
                Conv2dTranspose.Forward(
                    stream, tensors.Get<T>("x"), tensors.Get<T>("filter"), p.HasBias ? tensors.Get<T>("bias") : null, tensors.Get<T>("y"),
                    p.Options);
                break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        Conv2dProblem p = (Conv2dProblem)problem;
        Conv2dReference convolution = p.Reference;
        switch (p.Entry)
        {
            case "backward data":
                convolution.Forward(values["dy"], values["filter"], [], values["dx"], rectifies: false);
                break;
            case "backward filter":
                convolution.BackwardFilter(values["dy"], values["x"], values["dfilter"], []);
                if (p.HasBias) convolution.SumsOfX(values["dy"], values["dbias"]);
                break;
            default:
                convolution.BackwardData(values["filter"], values["x"], values["y"]);
                if (p.HasBias) convolution.AddToX(values["bias"], values["y"]);
                break;
        }
    }

    private static void Forward(Device device, DeviceStream stream, long[] y, long outputs)
    {
        using DeviceTensor<float> x = device.Allocate<float>(1, 2, 3, 3);
        using DeviceTensor<float> filter = device.Allocate<float>(2, 4, 3, 3);
        using DeviceTensor<float> bias = device.Allocate<float>(outputs);
        using DeviceTensor<float> yTensor = device.Allocate<float>(y);
        Conv2dTranspose.Forward(stream, x, filter, bias, yTensor);
    }
}
