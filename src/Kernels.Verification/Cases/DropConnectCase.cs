using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>DropConnect in training, forward and backward, with and without bias, as a whole and as a shard.</summary>
public sealed class DropConnectCase : OpCase
{
    private static readonly RandomKey Key = new(0xfeed_0123_4567, 17);

    public override string Op => "drop-connect";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new DropConnectProblem("forward", 0, 4, 3, "an empty batch", 0.5),
        new DropConnectProblem("forward", 3, 0, 5, "no inputs: biases alone", 0.5),
        new DropConnectProblem("forward", 1, 1, 1, "one element", 0.5),
        new DropConnectProblem("forward", 5, 64, 6, "whole blocks and draws", 0.5),
        new DropConnectProblem("forward", 33, 9, 3, "more examples than a tile; rows start inside a block", 0.3),
        new DropConnectProblem("forward", 3, 9, 35, "more outputs than a tile", 0.3),
        new DropConnectProblem("forward", 3, 135, 2, "several tiles of inputs, draws used in part at both ends", 0.5),
        new DropConnectProblem("forward", 4, 31, 5, "no bias", 0.5) { HasBias = false },
        new DropConnectProblem("forward", 4, 31, 5, "original scaling", 0.25) { Scaling = DropoutScaling.Original },
        new DropConnectProblem("forward", 4, 31, 5, "p = 0 is the linear layer", 0),
        new DropConnectProblem("forward", 4, 31, 5, "p = 1 writes zeros", 1),
        new DropConnectProblem("forward", 4, 31, 5, "a shard of the batch", 0.5) { GlobalStart = (1UL << 40) + 3 },
        new DropConnectProblem("forward", 9, 1021, 37, "long prime rows, several cores", 0.5),
        new DropConnectProblem("forward", 9, 512, 11, "work items that share a sum, whole blocks", 0.5),
        new DropConnectProblem("backward", 0, 4, 3, "an empty batch: gradients of the parameters are 0", 0.5),
        new DropConnectProblem("backward", 1, 1, 1, "one element", 0.5),
        new DropConnectProblem("backward", 5, 64, 6, "whole blocks and draws", 0.5),
        new DropConnectProblem("backward", 67, 9, 3, "more examples than two tiles", 0.3),
        new DropConnectProblem("backward", 3, 9, 35, "more outputs than a tile", 0.3),
        new DropConnectProblem("backward", 3, 135, 2, "several tiles of inputs, draws used in part at both ends", 0.5),
        new DropConnectProblem("backward", 2, 2100, 2, "more inputs than a core sums at a time", 0.5),
        new DropConnectProblem("backward", 4, 31, 5, "no bias, original scaling", 0.25)
        {
            HasBias = false, Scaling = DropoutScaling.Original,
        },
        new DropConnectProblem("backward", 4, 31, 5, "p = 0 is the linear layer", 0),
        new DropConnectProblem("backward", 4, 31, 5, "p = 1 writes zeros", 1),
        new DropConnectProblem("backward", 4, 31, 5, "a shard of the batch", 0.5) { GlobalStart = (1UL << 40) + 3 },
        new DropConnectProblem("backward", 33, 72, 67, "work items that share sums, whole blocks", 0.5),
        new DropConnectProblem("backward", 9, 1021, 37, "long prime rows, several cores", 0.5),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new DropConnectProblem("forward", 50, 784, 512, "first layer of the study", 0.5),
        new DropConnectProblem("backward", 50, 784, 512, "first layer of the study", 0.5),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [5, 3], [5], [2, 5], double.NaN)),
        new("p below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [5, 3], [5], [2, 5], -0.5)),
        new("weight of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [5, 4], [5], [2, 5], 0.5)),
        new("a scalar weight", typeof(ArgumentException), (device, stream) => Forward(device, stream, [], [5], [2, 5], 0.5)),
        new("bias of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [5, 3], [4], [2, 5], 0.5)),
        new("output of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [5, 3], [5], [3, 5], 0.5)),
        new("shard beyond the masks of the weights", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [5, 3], [5], [2, 5], 0.5, new DropConnectOptions { GlobalStart = 1UL << 60 })),
        new("no such scaling", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [5, 3], [5], [2, 5], 0.5, new DropConnectOptions { Scaling = (DropoutScaling)7 })),
        new("gradient overlaps an input", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4, 4);
            using DeviceTensor<float> weight = device.Allocate<float>(4, 4);
            DropConnect.Backward(stream, x, weight, x, null, weight, null, 0.5, Key);
        }),
        new("inference: no samples", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Infer(device, stream, DropConnectActivation.Relu, 0)),
        new("inference: unknown activation", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Infer(device, stream, (DropConnectActivation)9, 1)),
        new("inference: more samples than numbers", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Infer(device, stream, DropConnectActivation.Relu, long.MaxValue)),
        new("inference: variance in place of the output", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3);
            using DeviceTensor<float> weight = device.Allocate<float>(5, 3);
            using DeviceTensor<float> y = device.Allocate<float>(2, 5);
            DropConnect.Infer(stream, x, weight, null, y, null, y, 0.5, DropConnectActivation.Identity, 1, Key);
        }),
    ];

    public override Problem? ForwardOf(Problem problem) =>
        problem.Entry == "backward" ? (DropConnectProblem)problem with { Entry = "forward" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "bias" or "dx" or "dbias" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        DropConnectProblem p = (DropConnectProblem)problem;
        List<TensorSpec> specs = [Input("x", dtype, [p.Examples, p.Inputs], seed), Input("weight", dtype, [p.Outputs, p.Inputs], seed)];
        if (p.Entry == "forward")
        {
            if (p.HasBias) specs.Add(Input("bias", dtype, [p.Outputs], seed));
            specs.Add(Output("y", dtype, [p.Examples, p.Outputs], ScaledSum(p, p.Inputs + 1)));
            return specs;
        }

        specs.Add(Input("dy", dtype, [p.Examples, p.Outputs], seed));
        specs.Add(Output("dx", dtype, [p.Examples, p.Inputs], ScaledSum(p, p.Outputs)));
        specs.Add(Output("dweight", dtype, [p.Outputs, p.Inputs], ScaledSum(p, p.Examples)));
        if (p.HasBias) specs.Add(Output("dbias", dtype, [p.Outputs], ScaledSum(p, p.Examples)));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        DropConnectProblem p = (DropConnectProblem)problem;
        DeviceTensor<T> x = tensors.Get<T>("x"), weight = tensors.Get<T>("weight");
        if (p.Entry == "forward")
        {
            DropConnect.Forward(stream, x, weight, p.HasBias
                ? tensors.Get<T>("bias") : null, tensors.Get<T>("y"), p.DropProbability, tensors.Key(Key), p.Options);
            return;
        }

        DropConnect.Backward(
            stream, x, weight, tensors.Get<T>("dy"), tensors.Get<T>("dx"), tensors.Get<T>("dweight"), p.HasBias
                ? tensors.Get<T>("dbias") : null,
            p.DropProbability, tensors.Key(Key), p.Options);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        DropConnectProblem p = (DropConnectProblem)problem;
        (int examples, int inputs, int outputs) = ((int)p.Examples, (int)p.Inputs, (int)p.Outputs);
        bool inverted = p.Scaling == DropoutScaling.Inverted;
        if (p.Entry == "forward")
        {
            DropConnectReference.Forward(
                values["x"], values["weight"], p.HasBias
                    ? values["bias"] : [], values["y"], examples, inputs, outputs, p.DropProbability, Key.Seed,
                Key.Offset, p.GlobalStart, inverted);
            return;
        }

        DropConnectReference.Backward(
            values["x"], values["weight"], values["dy"], values["dx"], values["dweight"], p.HasBias
                ? values["dbias"] : new double[outputs], examples,
            inputs, outputs, p.DropProbability, Key.Seed, Key.Offset, p.GlobalStart, inverted);
    }

    /// <summary>A sum of products, times the scale; at p = 0 a linear layer, whose bias may come in a second pass.</summary>
    private static Tolerance ScaledSum(DropConnectProblem p, long terms)
    {
        Tolerance sum = MatMulCase.SumOfProducts(terms);
        double scale = p.Scaling == DropoutScaling.Inverted ? Math.Max(1, KeepThreshold.FromDropProbability(p.DropProbability).Scale) : 1;
        return sum with
        {
            Roundings = p.DropProbability == 0 ? 2 : 1,
            ArithmeticRoundings = sum.ArithmeticRoundings + 2,
            Floor = sum.Floor * scale,
        };
    }

    private static void Forward(
        Device device, DeviceStream stream, long[] weightShape, long[] biasShape, long[] yShape, double dropProbability,
        DropConnectOptions options = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(2, 3);
        using DeviceTensor<float> weight = device.Allocate<float>(weightShape);
        using DeviceTensor<float> bias = device.Allocate<float>(biasShape);
        using DeviceTensor<float> y = device.Allocate<float>(yShape);
        DropConnect.Forward(stream, x, weight, bias, y, dropProbability, Key, options);
    }

    private static void Infer(Device device, DeviceStream stream, DropConnectActivation activation, long samples)
    {
        using DeviceTensor<float> x = device.Allocate<float>(2, 3);
        using DeviceTensor<float> weight = device.Allocate<float>(5, 3);
        using DeviceTensor<float> y = device.Allocate<float>(2, 5);
        DropConnect.Infer(stream, x, weight, null, y, null, null, 0.5, activation, samples, Key);
    }
}

/// <summary>A call of DropConnect.</summary>
public record DropConnectProblem(string Entry, long Examples, long Inputs, long Outputs, string Reason, double DropProbability)
    : Problem(Entry, Reason)
{
    public bool HasBias { get; init; } = true;

    public DropoutScaling Scaling { get; init; }

    public ulong GlobalStart { get; init; }

    public DropConnectOptions Options => new() { Scaling = Scaling, GlobalStart = GlobalStart };

    public override string Text => $"{Examples}x{Inputs}->{Outputs} p={DropProbability:0.###}{(HasBias ? "" : " no bias")}"
        + $"{(Scaling == DropoutScaling.Original ? " original" : "")}{(GlobalStart > 0 ? $" start={GlobalStart}" : "")}";

    public override long Flops => (Entry == "backward" ? 4 : 2) * Examples * Inputs * Outputs;

    public override long Bytes(int elementBytes)
    {
        long once = (Examples * Inputs) + (Inputs * Outputs) + (Examples * Outputs);
        return elementBytes * (Entry == "backward" ? 2 * once : once);
    }
}
