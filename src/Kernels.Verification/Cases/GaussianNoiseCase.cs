using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Additive Gaussian noise.</summary>
public sealed class GaussianNoiseCase : OpCase
{
    private static readonly RandomKey Key = new(0x1122334455667788, 3);

    public override string Op => "gaussian-noise";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new GaussianProblem("forward", [0], "zero elements", 0.5),
        new GaussianProblem("forward", [1], "one element", 0.5),
        new GaussianProblem("forward", [1021], "prime", 0.5),
        new GaussianProblem("forward", [3, 5, 7], "three dimensions, odd", 2),
        new GaussianProblem("forward", [257], "sigma = 0 copies", 0),
        new GaussianProblem("forward", [300], "shard off a draw boundary", 0.5) { GlobalStart = (1UL << 34) + 13 },
        new GaussianProblem("forward", [70001], "several chunks of a core and a tail", 0.1),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } = [new GaussianProblem("forward", [1 << 24], "64 MB of floats", 0.1)];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("sigma is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, double.NaN)),
        new("sigma below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, -1)),
        new("sigma is infinite", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, double.PositiveInfinity)),
        new("shapes differ", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            using DeviceTensor<float> y = device.Allocate<float>(2, 2);
            GaussianNoise.Forward(stream, x, y, 0.1, Key);
        }),
    ];

    public override Problem? OfLength(long length) => new GaussianProblem("forward", [length], "every length", 0.5);

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) => [("x", "y")];

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        GaussianProblem p = (GaussianProblem)problem;
        return [Input("x", dtype, p.Shape, seed), Output("y", dtype, p.Shape, Noise(p.Strength, dtype))];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        GaussianProblem p = (GaussianProblem)problem;
        GaussianNoise.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.Strength, tensors.Key(Key), p.GlobalStart);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        GaussianProblem p = (GaussianProblem)problem;
        GaussianReference.Add(values["x"], values["y"], p.Strength, Key.Seed, Key.Offset, p.GlobalStart);
    }

    /// <summary>
    /// Logarithm, root, sine and the products are a rounding or two each, of numbers up to sigma times the largest normal, 6.8. They are
    /// roundings to float also where double is stored.
    /// </summary>
    internal static Tolerance Noise(double sigma, DType dtype)
    {
        if (sigma == 0) return Tolerance.Exact;
        double floatRoundings = 8
            * (dtype == DType.Float64 ? Tolerance.UnitRoundoff(DType.Float32) / Tolerance.UnitRoundoff(DType.Float64) : 1);
        return new Tolerance(1, floatRoundings, 2 * (1 + (6.8 * sigma)), "normal numbers in float");
    }

    private static void Forward(Device device, DeviceStream stream, double sigma)
    {
        using DeviceTensor<float> x = device.Allocate<float>(4);
        GaussianNoise.Forward(stream, x, x, sigma, Key);
    }
}

/// <summary>A call of Gaussian noise or Gaussian dropout.</summary>
/// <param name="Strength">sigma of the noise, or the drop probability.</param>
public sealed record GaussianProblem(string Entry, long[] Shape, string Reason, double Strength) : Problem(Entry, Reason)
{
    public ulong GlobalStart { get; init; }

    public override string Text => $"{string.Join('x', Shape)} {Strength:0.###}{(GlobalStart > 0 ? $" start={GlobalStart}" : "")}";

    public override long Bytes(int elementBytes) =>
        (Entry.EndsWith("factors", StringComparison.Ordinal) ? 3 : 2) * elementBytes
        * Shape.Aggregate(1L, (product, dimension) => product * dimension);
}
