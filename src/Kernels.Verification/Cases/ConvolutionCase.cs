using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>
/// A convolution as a layer, or its transpose. The problem is the convolution's: its x is the layer's output where that is transposed.
/// </summary>
public abstract class ConvolutionCase(bool isTransposed) : OpCase
{
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
        (long[] x, long[] y) = isTransposed ? (p.YShape, p.XShape) : (p.XShape, p.YShape);
        (long inputs, long outputs) = isTransposed ? (p.Outputs, p.Channels) : (p.Channels, p.Outputs);
        List<TensorSpec> specs = [];
        if (p.Entry != "backward data") specs.Add(Input("x", dtype, x, seed));
        if (p.Entry != "backward filter") specs.Add(Input("filter", dtype, p.FilterShape, seed));
        if (p.Entry.StartsWith("backward", StringComparison.Ordinal)) specs.Add(Input("dy", dtype, y, seed));
        switch (p.Entry)
        {
            case "backward data":
                specs.Add(Output("dx", dtype, x, SumOfTaps(p, dtype, outputs / p.Groups * p.Area)));
                break;
            case "backward filter":
                specs.Add(Output("dfilter", dtype, p.FilterShape, SumOfTaps(p, dtype, p.Pixels)));
                if (p.HasBias)
                    specs.Add(Output("dbias", dtype, [outputs], MatMulCase.SumOfProducts(Count(y) / Math.Max(1, outputs))));
                break;
            default:
                if (p.HasBias) specs.Add(Input("bias", dtype, [outputs], seed));
                specs.Add(Output("y", dtype, y, SumOfTaps(p, dtype, (inputs / p.Groups * p.Area) + 1)));
                break;
        }

        return specs;
    }

    /// <summary>What is transformed is larger than what it is made of, and so are the errors of its products.</summary>
    private static Tolerance SumOfTaps(Conv2dProblem p, DType dtype, long terms)
    {
        Tolerance sum = MatMulCase.SumOfProducts(terms);
        if (p.Algorithm == Conv2dAlgorithm.Direct || dtype != DType.Float32) return sum;
        return sum with { ArithmeticRoundings = 4 * sum.ArithmeticRoundings, Cause = $"transforms and a sum of {terms} products" };
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        Conv2dProblem p = (Conv2dProblem)problem;
        switch (p.Entry)
        {
            case "backward data":
                BackwardData(stream, tensors.Get<T>("filter"), tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.Options);
                break;
            case "backward filter":
                BackwardFilter(
                    stream, tensors.Get<T>("x"), tensors.Get<T>("dy"), tensors.Get<T>("dfilter"),
                    p.HasBias ? tensors.Get<T>("dbias") : null, p.Options);
                break;
            default:
                Forward(
                    stream, tensors.Get<T>("x"), tensors.Get<T>("filter"), p.HasBias ? tensors.Get<T>("bias") : null, tensors.Get<T>("y"),
                    rectifies: p.Entry == "forward relu", p.Options);
                break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        Conv2dProblem p = (Conv2dProblem)problem;
        Conv2dReference convolution = p.Reference;
        switch (p.Entry)
        {
            case "backward data" when isTransposed:
                convolution.Forward(values["dy"], values["filter"], [], values["dx"], rectifies: false);
                break;
            case "backward data":
                convolution.BackwardData(values["filter"], values["dy"], values["dx"]);
                break;
            case "backward filter" when isTransposed:
                convolution.BackwardFilter(values["dy"], values["x"], values["dfilter"], []);
                if (p.HasBias) convolution.SumsOfX(values["dy"], values["dbias"]);
                break;
            case "backward filter":
                convolution.BackwardFilter(values["x"], values["dy"], values["dfilter"], p.HasBias ? values["dbias"] : []);
                break;
            case "forward" when isTransposed:
                convolution.BackwardData(values["filter"], values["x"], values["y"]);
                if (p.HasBias) convolution.AddToX(values["bias"], values["y"]);
                break;
            default:
                convolution.Forward(
                    values["x"], values["filter"], p.HasBias ? values["bias"] : [], values["y"], rectifies: p.Entry == "forward relu");
                break;
        }
    }

    /// <summary>Calls the layer.</summary>
    protected abstract void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> filter, DeviceTensor<T>? bias, DeviceTensor<T> y, bool rectifies,
        Conv2dOptions options)
        where T : unmanaged;

    /// <summary>Calls the layer for its input's gradient.</summary>
    protected abstract void BackwardData<T>(
        DeviceStream stream, DeviceTensor<T> filter, DeviceTensor<T> dy, DeviceTensor<T> dx, Conv2dOptions options)
        where T : unmanaged;

    /// <summary>Calls the layer for its parameters' gradients.</summary>
    protected abstract void BackwardFilter<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> dy, DeviceTensor<T> dFilter, DeviceTensor<T>? dBias,
        Conv2dOptions options)
        where T : unmanaged;
}

/// <summary>A call of a convolution.</summary>
public sealed record Conv2dProblem(
    string Entry, long Batch, long Channels, long Height, long Width, long Outputs, long FilterHeight, long FilterWidth, string Reason)
    : Problem(Entry, Reason)
{
    public Size2d Stride { get; init; } = 1;

    public Size2d Dilation { get; init; } = 1;

    public Padding2d Padding { get; init; }

    public long Groups { get; init; } = 1;

    public bool ChannelsLast { get; init; }

    public bool HasBias { get; init; } = true;

    public Conv2dAlgorithm Algorithm { get; init; }

    /// <summary>Stride, dilation, then padding at the top, bottom, left and right.</summary>
    public long[] Settings =>
    [
        Stride.Height, Stride.Width, Dilation.Height, Dilation.Width, Padding.Top, Padding.Bottom, Padding.Left, Padding.Right,
    ];

    public override string Text
    {
        get
        {
            string text = $"{Batch}x{Channels}x{Height}x{Width}->{Outputs} {FilterHeight}x{FilterWidth}";
            if (Stride != 1) text += $" stride={Stride.Height},{Stride.Width}";
            if (Dilation != 1) text += $" dilation={Dilation.Height},{Dilation.Width}";
            if (Padding != default) text += $" padding={Padding.Top},{Padding.Bottom},{Padding.Left},{Padding.Right}";
            if (Groups != 1) text += $" groups={Groups}";
            if (ChannelsLast) text += " NHWC";
            if (Algorithm != Conv2dAlgorithm.Direct) text += $" {Algorithm}";
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
        Algorithm = Algorithm,
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
        Stride = ((int)Stride.Height, (int)Stride.Width),
        Dilation = ((int)Dilation.Height, (int)Dilation.Width),
        Padding = ((int)Padding.Top, (int)Padding.Bottom, (int)Padding.Left, (int)Padding.Right),
        ChannelsLast = ChannelsLast,
    };

    public override long Bytes(int elementBytes) =>
        elementBytes * ((Batch * Channels * Height * Width) + (Outputs * (Channels / Groups) * Area) + (Pixels * Outputs));

    private long[] Maps(long channels, long height, long width) =>
        ChannelsLast ? [Batch, height, width, channels] : [Batch, channels, height, width];
}
