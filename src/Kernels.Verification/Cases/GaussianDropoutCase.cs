using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Gaussian dropout, forward and backward.</summary>
public sealed class GaussianDropoutCase : OpCase
{
    private static readonly RandomKey Key = new(0x8877665544332211, 11);

    public override string Op => "gaussian-dropout";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new GaussianProblem("forward", [0], "zero elements", 0.5),
        new GaussianProblem("forward", [1], "one element", 0.5),
        new GaussianProblem("forward", [1021], "prime", 0.1),
        new GaussianProblem("forward", [257], "p = 0 copies", 0),
        new GaussianProblem("forward", [257], "p close to 1", 0.99),
        new GaussianProblem("forward", [300], "shard off a draw boundary", 0.5) { GlobalStart = 77 },
        new GaussianProblem("forward", [(65536 * 8) + 9], "more than 65,535 work items", 0.5),
        new GaussianProblem("backward", [1021], "prime", 0.1),
        new GaussianProblem("backward", [4, 33], "rows with a tail", 0.5),
        new GaussianProblem("forward-with-factors", [0], "zero elements", 0.5),
        new GaussianProblem("forward-with-factors", [1021], "prime", 0.1),
        new GaussianProblem("forward-with-factors", [257], "p = 0 copies, all factors are 1", 0),
        new GaussianProblem("forward-with-factors", [300], "shard off a draw boundary", 0.5) { GlobalStart = 77 },
        new GaussianProblem("forward-with-factors", [70001], "several chunks of a core and a tail", 0.5),
        new GaussianProblem("backward-with-factors", [4, 33], "rows with a tail", 0.5),
        new GaussianProblem("backward-with-factors", [70001], "several chunks of a core and a tail", 0.5),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new GaussianProblem("forward", [1 << 24], "64 MB of floats", 0.1),
        new GaussianProblem("backward", [1 << 24], "64 MB of floats", 0.1),
        new GaussianProblem("forward-with-factors", [1 << 24], "64 MB of floats", 0.1),
        new GaussianProblem("backward-with-factors", [1 << 24], "64 MB of floats", 0.1),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is 1", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, 1)),
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, double.NaN)),
        new("p below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, -0.1)),
        new("lengths differ", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> dy = device.Allocate<float>(4);
            using DeviceTensor<float> dx = device.Allocate<float>(5);
            GaussianDropout.Backward(stream, dy, dx, 0.1, Key);
        }),
        new("factors in the place of x", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4), y = device.Allocate<float>(4);
            GaussianDropout.ForwardWithFactors(stream, x, y, x, 0.1, Key);
        }),
        new("factors of another shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> dy = device.Allocate<float>(4), factors = device.Allocate<float>(5);
            GaussianDropout.BackwardWithFactors(stream, dy, factors, dy);
        }),
    ];

    public override Problem? OfLength(long length) => new GaussianProblem("forward", [length], "every length", 0.5);

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        IsForward(problem) ? [("x", "y")] : [("dy", "dx")];

    public override Problem? ForwardOf(Problem problem) =>
        problem is GaussianProblem { Entry: "backward" } backward ? backward with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        GaussianProblem p = (GaussianProblem)problem;
        (string source, string destination) = InPlacePairs(problem)[0];
        Tolerance noise = GaussianNoiseCase.Noise(GaussianDropout.StandardDeviation(p.Strength), dtype);
        TensorSpec x = Input(source, dtype, p.Shape, seed);
        return p.Entry switch
        {
            // The factor is rounded to what is stored, and then their product.
            "forward-with-factors" =>
            [
                x, Output(destination, dtype, p.Shape, noise == Tolerance.Exact ? noise : noise with { Roundings = 2 }),
                Output("factors", dtype, p.Shape, noise),
            ],
            "backward-with-factors" =>
            [
                x, Input("factors", dtype, p.Shape, seed), Output(destination, dtype, p.Shape, new Tolerance(1, 0, 0, "a product")),
            ],
            _ => [x, Output(destination, dtype, p.Shape, noise)],
        };
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        GaussianProblem p = (GaussianProblem)problem;
        (string source, string destination) = InPlacePairs(problem)[0];
        DeviceTensor<T> from = tensors.Get<T>(source), to = tensors.Get<T>(destination);
        switch (p.Entry)
        {
            case "forward": GaussianDropout.Forward(stream, from, to, p.Strength, tensors.Key(Key), p.GlobalStart); break;
            case "backward": GaussianDropout.Backward(stream, from, to, p.Strength, tensors.Key(Key), p.GlobalStart); break;
            case "forward-with-factors":
                GaussianDropout.ForwardWithFactors(
                    stream, from, to, tensors.Get<T>("factors"), p.Strength, tensors.Key(Key), p.GlobalStart);
                break;
            default: GaussianDropout.BackwardWithFactors(stream, from, tensors.Get<T>("factors"), to); break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        GaussianProblem p = (GaussianProblem)problem;
        (string source, string destination) = InPlacePairs(problem)[0];
        double sigma = GaussianDropout.StandardDeviation(p.Strength);
        if (p.Entry == "backward-with-factors")
        {
            GaussianReference.Scale(values[source], values["factors"], values[destination]);
            return;
        }

        GaussianReference.Multiply(values[source], values[destination], sigma, Key.Seed, Key.Offset, p.GlobalStart);
        if (p.Entry == "forward-with-factors") GaussianReference.Factors(values["factors"], sigma, Key.Seed, Key.Offset, p.GlobalStart);
    }

    private static bool IsForward(Problem problem) => problem.Entry.StartsWith("forward", StringComparison.Ordinal);

    private static void Forward(Device device, DeviceStream stream, double dropProbability)
    {
        using DeviceTensor<float> x = device.Allocate<float>(4);
        GaussianDropout.Forward(stream, x, x, dropProbability, Key);
    }
}
