using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The linear layer, forward and backward, with and without bias.</summary>
public sealed class LinearCase : OpCase
{
    public override string Op => "linear";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new LinearProblem("forward", 0, 4, 3, "an empty batch"),
        new LinearProblem("forward", 1, 1, 1, "one element"),
        new LinearProblem("forward", 50, 101, 67, "a batch of the study, odd sizes"),
        new LinearProblem("forward", 33, 65, 10, "fewer outputs than a vector") { HasBias = false },
        new LinearProblem("forward", 9, 7, 24, "rows of whole octets"),
        new LinearProblem("backward", 0, 4, 3, "an empty batch: gradients of the parameters are 0"),
        new LinearProblem("backward", 1, 1, 1, "one element"),
        new LinearProblem("backward", 50, 67, 101, "a batch of the study, odd sizes"),
        new LinearProblem("backward", 1031, 5, 33, "many rows, one column past a block of 32"),
        new LinearProblem("backward", 9, 7, 300, "several column blocks") { HasBias = true },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new LinearProblem("forward", 50, 784, 512, "first layer of the study"),
        new LinearProblem("backward", 50, 784, 512, "first layer of the study"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("weight of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [2, 3], [5, 4], [5], [2, 5])),
        new("bias of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [2, 3], [5, 3], [4], [2, 5])),
        new("output of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [2, 3], [5, 3], [5], [3, 5])),
        new("one dimension", typeof(ArgumentException), (device, stream) => Forward(device, stream, [3], [5, 3], [5], [1, 5])),
    ];

    public override Problem? ForwardOf(Problem problem) =>
        problem.Entry == "backward" ? (LinearProblem)problem with { Entry = "forward" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "bias" or "dx" or "dbias" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        LinearProblem p = (LinearProblem)problem;
        List<TensorSpec> specs = [Input("x", dtype, [p.Rows, p.Inputs], seed), Input("weight", dtype, [p.Outputs, p.Inputs], seed)];
        if (p.Entry == "forward")
        {
            if (p.HasBias) specs.Add(Input("bias", dtype, [p.Outputs], seed));
            // Where a vendor multiplies, the bias comes in a second pass over a rounded product.
            specs.Add(Output("y", dtype, [p.Rows, p.Outputs], MatMulCase.SumOfProducts(p.Inputs + 1) with { Roundings = 2 }));
            return specs;
        }

        specs.Add(Input("dy", dtype, [p.Rows, p.Outputs], seed));
        specs.Add(Output("dx", dtype, [p.Rows, p.Inputs], MatMulCase.SumOfProducts(p.Outputs)));
        specs.Add(Output("dweight", dtype, [p.Outputs, p.Inputs], MatMulCase.SumOfProducts(p.Rows)));
        if (p.HasBias) specs.Add(Output("dbias", dtype, [p.Outputs], MatMulCase.SumOfProducts(p.Rows)));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        LinearProblem p = (LinearProblem)problem;
        DeviceTensor<T> x = tensors.Get<T>("x"), weight = tensors.Get<T>("weight");
        if (p.Entry == "forward")
        {
            Linear.Forward(stream, x, weight, p.HasBias ? tensors.Get<T>("bias") : null, tensors.Get<T>("y"));
            return;
        }

        Linear.Backward(
            stream, x, weight, tensors.Get<T>("dy"), tensors.Get<T>("dx"), tensors.Get<T>("dweight"), p.HasBias
                ? tensors.Get<T>("dbias") : null);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        LinearProblem p = (LinearProblem)problem;
        (int rows, int inputs, int outputs) = ((int)p.Rows, (int)p.Inputs, (int)p.Outputs);
        if (p.Entry == "forward")
        {
            LinearReference.Forward(values["x"], values["weight"], p.HasBias ? values["bias"] : [], values["y"], rows, inputs, outputs);
            return;
        }

        double[] dBias = p.HasBias ? values["dbias"] : new double[outputs];
        LinearReference.Backward(
            values["x"], values["weight"], values["dy"], values["dx"], values["dweight"], dBias, rows, inputs, outputs);
    }

    private static void Forward(Device device, DeviceStream stream, long[] xShape, long[] weightShape, long[] biasShape, long[] yShape)
    {
        using DeviceTensor<float> x = device.Allocate<float>(xShape);
        using DeviceTensor<float> weight = device.Allocate<float>(weightShape);
        using DeviceTensor<float> bias = device.Allocate<float>(biasShape);
        using DeviceTensor<float> y = device.Allocate<float>(yShape);
        Linear.Forward(stream, x, weight, bias, y);
    }
}

/// <summary>A call of the linear layer.</summary>
public sealed record LinearProblem(string Entry, long Rows, long Inputs, long Outputs, string Reason) : Problem(Entry, Reason)
{
    public bool HasBias { get; init; } = true;

    public override string Text => $"{Rows}x{Inputs}->{Outputs}{(HasBias ? "" : " no bias")}";

    public override long Flops => (Entry == "forward" ? 2 : 4) * Rows * Inputs * Outputs;

    public override long Bytes(int elementBytes)
    {
        long once = (Rows * Inputs) + (Inputs * Outputs) + (Rows * Outputs);
        return elementBytes * (Entry == "forward" ? once : 2 * once);
    }
}
