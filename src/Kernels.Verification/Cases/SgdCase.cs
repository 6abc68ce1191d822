using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>SGD steps with every setting.</summary>
public sealed class SgdCase : OpCase
{
    private static readonly SgdOptions Momentum = new() { LearningRate = 0.1, Momentum = 0.9, WeightDecay = 0.01 };

    public override string Op => "sgd";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new SgdProblem(0, "zero elements", new SgdOptions { LearningRate = 0.1, Momentum = 0.9 }),
        new SgdProblem(1, "one element", new SgdOptions { LearningRate = 0.1 }),
        new SgdProblem(1021, "plain, prime", new SgdOptions { LearningRate = 0.1 }),
        new SgdProblem(1021, "L2 alone", new SgdOptions { LearningRate = 0.1, WeightDecay = 0.01 }),
        new SgdProblem(1021, "momentum", new SgdOptions { LearningRate = 0.1, Momentum = 0.9, WeightDecay = 0.01 }),
        new SgdProblem(1021, "first step sets the velocity", new SgdOptions { LearningRate = 0.1, Momentum = 0.9, FirstStep = true }),
        new SgdProblem(1021, "dampening", new SgdOptions { LearningRate = 0.1, Momentum = 0.9, Dampening = 0.3 }),
        new SgdProblem(1021, "Nesterov", new SgdOptions { LearningRate = 0.1, Momentum = 0.9, Nesterov = true, WeightDecay = 0.01 }),
        new SgdProblem(70001, "several chunks of a core and a tail", new SgdOptions { LearningRate = 0.1, Momentum = 0.9 }),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new SgdProblem(1 << 22, "16 MB of floats", Momentum),
        new SgdProblem(1 << 18, "1 MB of floats: small", Momentum),
        new SgdProblem(1 << 25, "128 MB of floats: far beyond any cache", Momentum),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("rate is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Step(device, stream, 4, new SgdOptions { LearningRate = double.NaN })),
        new("rate below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Step(device, stream, 4, new SgdOptions { LearningRate = -1 })),
        new("decay is infinite", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Step(device, stream, 4, new SgdOptions { LearningRate = 0.1, WeightDecay = double.PositiveInfinity })),
        new("momentum without velocity", typeof(ArgumentNullException), (device, stream) =>
            Step(device, stream, 4, new SgdOptions { LearningRate = 0.1, Momentum = 0.9 })),
        new("Nesterov without momentum", typeof(ArgumentException), (device, stream) =>
            Step(device, stream, 4, new SgdOptions { LearningRate = 0.1, Nesterov = true })),
        new("gradient of a wrong shape", typeof(ArgumentException), (device, stream) => Step(device, stream, 5, new SgdOptions { LearningRate = 0.1 })),
    ];

    public override Problem? OfLength(long length) =>
        new SgdProblem(length, "every length", new SgdOptions { LearningRate = 0.1, Momentum = 0.9, WeightDecay = 0.01 });

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        SgdProblem p = (SgdProblem)problem;
        Tolerance tolerance = new(1, 8, 4, "sums of a few terms below 4 that may cancel");
        TensorSpec parameter = Input("parameter", dtype, [p.Length], seed) with { Role = TensorRole.InOut, Tolerance = tolerance };
        TensorSpec gradient = Input("gradient", dtype, [p.Length], seed);
        TensorSpec velocity = Input("velocity", dtype, [p.Length], seed) with { Role = TensorRole.InOut, Tolerance = tolerance };
        return p.Options.Momentum > 0 ? [parameter, gradient, velocity] : [parameter, gradient];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        SgdOptions options = ((SgdProblem)problem).Options;
        Sgd.Step(
            stream, tensors.Get<T>("parameter"), tensors.Get<T>("gradient"), options.Momentum > 0 ? tensors.Get<T>("velocity") : null, options);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        SgdOptions o = ((SgdProblem)problem).Options;
        double[] velocity = o.Momentum > 0 ? values["velocity"] : [];
        SgdReference.Step(
            values["parameter"], values["gradient"], velocity, o.LearningRate, o.Momentum, o.WeightDecay, o.Dampening, o.Nesterov, o.FirstStep);
    }

    private static void Step(Device device, DeviceStream stream, long gradientLength, SgdOptions options)
    {
        using DeviceTensor<float> parameter = device.Allocate<float>(4);
        using DeviceTensor<float> gradient = device.Allocate<float>(gradientLength);
        Sgd.Step(stream, parameter, gradient, null, options);
    }
}

/// <summary>An SGD step.</summary>
public sealed record SgdProblem(long Length, string Reason, SgdOptions Options) : Problem("step", Reason)
{
    public override string Text =>
        $"{Length}{(Options.Momentum > 0 ? " momentum" : "")}{(Options.Nesterov ? " nesterov" : "")}{(Options.WeightDecay > 0 ? " decay" : "")}";

    public override long Bytes(int elementBytes) => (Options.Momentum > 0 ? 5 : 3) * elementBytes * Length;
}
