using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>DropConnect at inference, with each activation. Its bad inputs are those of <see cref="DropConnectCase"/>.</summary>
public sealed class DropConnectInferenceCase : OpCase
{
    private static readonly RandomKey Key = new(0x1f_e2e_0005, 23);

    public override string Op => "drop-connect-inference";

    public override bool TakesKey => true;

    public override string ApiName => "DropConnect.Infer";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new DropConnectInferenceProblem(0, 4, 3, "an empty batch", 0.5, DropConnectActivation.Relu, 8),
        new DropConnectInferenceProblem(3, 0, 5, "no inputs: biases alone", 0.5, DropConnectActivation.Identity, 8),
        new DropConnectInferenceProblem(1, 1, 1, "one element, one sample", 0.5, DropConnectActivation.Identity, 1),
        new DropConnectInferenceProblem(3, 17, 5, "an odd number of samples, original scaling", 0.5, DropConnectActivation.Relu, 7)
        {
            Scaling = DropoutScaling.Original,
        },
        new DropConnectInferenceProblem(3, 17, 5, "an odd number of samples, inverted scaling", 0.3, DropConnectActivation.Relu, 7),
        new DropConnectInferenceProblem(2, 70, 3, "many samples, several tiles of inputs", 0.5, DropConnectActivation.Tanh, 100)
        {
            Scaling = DropoutScaling.Original,
        },
        new DropConnectInferenceProblem(2, 33, 3, "sigmoid", 0.5, DropConnectActivation.Sigmoid, 64),
        new DropConnectInferenceProblem(34, 5, 35, "more examples and outputs than a tile", 0.2, DropConnectActivation.Tanh, 2),
        new DropConnectInferenceProblem(9, 512, 11, "work items that share a pair", 0.5, DropConnectActivation.Relu, 37),
        new DropConnectInferenceProblem(9, 299, 11, "work items that share a pair, odd rows", 0.5, DropConnectActivation.Relu, 37),
        new DropConnectInferenceProblem(4, 9, 5, "no bias", 0.5, DropConnectActivation.Identity, 16) { HasBias = false },
        new DropConnectInferenceProblem(4, 9, 5, "no moments wanted", 0.5, DropConnectActivation.Relu, 16) { HasMoments = false },
        new DropConnectInferenceProblem(4, 9, 5, "p = 0: the activation of the mean", 0, DropConnectActivation.Tanh, 16),
        new DropConnectInferenceProblem(4, 9, 5, "p = 1: the activation of 0", 1, DropConnectActivation.Sigmoid, 16),
        new DropConnectInferenceProblem(4, 9, 5, "a shard of the batch", 0.5, DropConnectActivation.Relu, 5) { GlobalStart = 1000003 },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
        [new DropConnectInferenceProblem(50, 784, 512, "first layer of the study", 0.5, DropConnectActivation.Relu, 100)];

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "bias" or "mean" or "variance" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        DropConnectInferenceProblem p = (DropConnectInferenceProblem)problem;
        KeepThreshold keep = KeepThreshold.FromDropProbability(p.DropProbability);
        bool inverted = p.Scaling == DropoutScaling.Inverted;
        double deviation = Math.Sqrt(keep.DropProbability * (inverted ? keep.Scale : keep.KeepProbability));
        Tolerance mean = MatMulCase.SumOfProducts(p.Inputs + 1);
        mean = mean with { ArithmeticRoundings = mean.ArithmeticRoundings + 2 };

        // Normal numbers reach 6.8 and are roundings to float also where double is stored, as is the sum of the samples on the way to their
        // mean.
        double inFloat = dtype == DType.Float64 ? Tolerance.UnitRoundoff(DType.Float32) / Tolerance.UnitRoundoff(DType.Float64) : 1;
        double normals = deviation == 0 ? 0 : (8 + Math.Sqrt(p.Samples)) * inFloat;
        Tolerance sampled = new(1, mean.ArithmeticRoundings + normals + 8, 1 + (mean.Floor * (1 + (6.8 * deviation))),
            "a mean over normal numbers made in float");

        List<TensorSpec> specs = [Input("x", dtype, [p.Examples, p.Inputs], seed), Input("weight", dtype, [p.Outputs, p.Inputs], seed)];
        if (p.HasBias) specs.Add(Input("bias", dtype, [p.Outputs], seed));
        if (p.HasMoments)
        {
            specs.Add(Output("mean", dtype, [p.Examples, p.Outputs], mean));
            specs.Add(
                Output("variance", dtype, [p.Examples, p.Outputs], new Tolerance(1, mean.ArithmeticRoundings + 4, 0, "a sum of squares")));
        }

        specs.Add(Output("y", dtype, [p.Examples, p.Outputs], sampled));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        DropConnectInferenceProblem p = (DropConnectInferenceProblem)problem;
        DropConnect.Infer(
            stream, tensors.Get<T>("x"), tensors.Get<T>("weight"), p.HasBias ? tensors.Get<T>("bias") : null, tensors.Get<T>("y"),
            p.HasMoments ? tensors.Get<T>("mean") : null, p.HasMoments
                ? tensors.Get<T>("variance") : null, p.DropProbability, p.Activation, p.Samples, tensors.Key(Key),
            p.Options);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        DropConnectInferenceProblem p = (DropConnectInferenceProblem)problem;
        double[] y = values["y"];
        DropConnectInferenceReference.Infer(
            values["x"], values["weight"], p.HasBias ? values["bias"] : [], y, p.HasMoments ? values["mean"] : new double[y.Length],
            p.HasMoments ? values["variance"] : new double[y.Length], (int)p.Examples, (int)p.Inputs, (int)p.Outputs, p.DropProbability,
            p.Scaling == DropoutScaling.Inverted, Activation(p.Activation), p.Samples, Key.Seed, Key.Offset, p.GlobalStart);
    }

    private static Func<double, double> Activation(DropConnectActivation activation) => activation switch
    {
        DropConnectActivation.Relu => u => u <= 0 ? 0 : u,
        DropConnectActivation.Tanh => Math.Tanh,
        DropConnectActivation.Sigmoid => u => 1 / (1 + Math.Exp(-u)),
        _ => u => u,
    };
}

/// <summary>A call of DropConnect at inference.</summary>
public sealed record DropConnectInferenceProblem(
    long Examples, long Inputs, long Outputs, string Reason, double DropProbability, DropConnectActivation Activation, int Samples)
    : DropConnectProblem("infer", Examples, Inputs, Outputs, Reason, DropProbability)
{
    /// <summary>Mean and variance are asked for.</summary>
    public bool HasMoments { get; init; } = true;

    public override string Text => $"{base.Text} {Activation.ToString().ToLowerInvariant()} Z={Samples}";

    /// <summary>Two sums, and about forty operations for a sample's number and its activation.</summary>
    public override long Flops => (4 * Examples * Inputs * Outputs) + (40 * Examples * Outputs * Samples);
}
