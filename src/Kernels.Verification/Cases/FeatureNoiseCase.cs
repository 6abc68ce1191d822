using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Standard deviations of features by class, and noise by them.</summary>
public sealed class FeatureNoiseCase : OpCase
{
    private const uint OpNumber = 12;

    private static readonly RandomKey Key = new(0x6665_6174_0000, 6);

    public override string Op => "feature-noise";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new FeatureProblem("deviations", 0, 3, "no rows"),
        new FeatureProblem("deviations", 301, 13, "classes, one with a single row, one with none"),
        new FeatureProblem("deviations", 37, 5, "all rows together") { OneClass = true },
        new FeatureProblem("forward", 0, 3, "no rows"),
        new FeatureProblem("forward", 1, 1, "one feature") { OneClass = true },
        new FeatureProblem("forward", 37, 13, "odd rows, numbered"),
        new FeatureProblem("forward", 9, 70, "several draws of a core") { OneClass = true, FirstSample = 1UL << 33 },
        new FeatureProblem("forward", 9, 8, "a factor of 0 copies") { Low = 0 },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } = [new FeatureProblem("forward", 65536, 256, "16 million features")];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("a negative factor", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, -1, [1, 3])),
        new("a factor that is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, double.NaN, [1, 3])),
        new("deviations of other features", typeof(ArgumentException), (device, stream) => Forward(device, stream, 1, [1, 4])),
        new("deviations of classes without labels", typeof(ArgumentException), (device, stream) => Forward(device, stream, 1, [2, 3])),
        new("samples beyond 2^64", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, 1, [1, 3], ulong.MaxValue)),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "forward" ? [("x", "y")] : [];

    public override bool IsStateOrSetting(string input) => input == "deviations";

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "sampleIds" or "labels" ? ArgumentUse.Optional : ArgumentUse.Required;

    /// <summary>The roots of what float sums.</summary>
    public override double LargestInput(DType dtype) => dtype is DType.Float16 ? Elements.Largest(dtype) : 1e15;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        FeatureProblem p = (FeatureProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        List<TensorSpec> specs = [];
        if (!p.OneClass)
        {
            IEnumerable<double> labels = Enumerable.Range(0, (int)p.Rows).Select(row => row == 2 ? 4.0 : row % 3);
            specs.Add(new TensorSpec("labels", DType.Int32, [p.Rows], TensorRole.Input, [.. labels]));
        }

        if (p.Entry == "deviations")
        {
            Tolerance deviations = new(0, 40, 2, "a root of a sum of squares about a mean");
            return
            [
                Input("features", dtype, [p.Rows, p.Run], seed), .. specs, Output("deviations", real, [p.Classes, p.Run], deviations),
            ];
        }

        if (!p.OneClass)
            specs.Add(new TensorSpec("sampleIds", DType.UInt64, [p.Rows], TensorRole.Input, [.. p.Ids.Select(id => (double)id)]));
        Tolerance noise = GaussianNoiseCase.Noise(2 * p.Low, dtype);
        return
        [
            Input("x", dtype, [p.Rows, p.Run], seed), .. specs, Input("deviations", real, [p.Classes, p.Run], seed, 0, 2),
            Output("y", dtype, [p.Rows, p.Run], noise),
        ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        if (typeof(T) == typeof(double))
            Run<T, double>(stream, (FeatureProblem)problem, tensors);
        else
            Run<T, float>(stream, (FeatureProblem)problem, tensors);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        FeatureProblem p = (FeatureProblem)problem;
        int[] labels = p.OneClass ? new int[p.Rows] : values.Integers("labels");
        if (p.Entry == "deviations")
        {
            FeatureReference.Deviations(values["features"], labels, (int)p.Classes, values["deviations"]);
            return;
        }

        FeatureReference.Noise(
            values["x"], p.Ids, labels, values["deviations"], values["y"], p.Low, Key.Seed, Key.Offset, OpNumber);
    }

    private static void Run<T, TReal>(DeviceStream stream, FeatureProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        DeviceTensor<int>? labels = p.OneClass ? null : tensors.Get<int>("labels");
        if (p.Entry == "deviations")
        {
            FeatureNoise.Deviations(stream, tensors.Get<T>("features"), labels, tensors.Get<TReal>("deviations"));
            return;
        }

        DeviceTensor<ulong>? ids = p.OneClass ? null : tensors.Get<ulong>("sampleIds");
        FeatureNoise.Forward(
            stream, tensors.Get<T>("x"), ids, labels, tensors.Get<TReal>("deviations"), tensors.Get<T>("y"), p.Low, tensors.Key(Key),
            p.FirstSample);
    }

    private static void Forward(Device device, DeviceStream stream, double factor, long[] deviationsShape, ulong firstSample = 0)
    {
        using DeviceTensor<float> x = device.Allocate<float>(4, 3), deviations = device.Allocate<float>(deviationsShape);
        FeatureNoise.Forward(stream, x, null, null, deviations, x, factor, Key, firstSample);
    }
}

/// <summary>A call of an op on features.</summary>
public sealed record FeatureProblem(string Entry, long Rows, long Run, string Reason) : Problem(Entry, Reason)
{
    /// <summary>Rows have no labels.</summary>
    public bool OneClass { get; init; }

    /// <summary>The factor of noise, or the least step.</summary>
    public double Low { get; init; } = 0.5;

    /// <summary>The largest step.</summary>
    public double High { get; init; } = 0.5;

    public ulong FirstSample { get; init; }

    /// <summary>As many features of neighbours are read.</summary>
    public bool HasNeighbours { get; init; }

    public override string Text => $"{Rows}x{Run}";

    /// <summary>Rows of one class, or of six, of which the last is empty.</summary>
    internal long Classes => OneClass ? 1 : 6;

    internal ulong[] Ids =>
        [.. Enumerable.Range(0, (int)Rows).Select(row => OneClass ? FirstSample + (ulong)row : (ulong)(row * 7919 % 2003))];

    /// <summary>Features are read, with their neighbours', and written, but for deviations.</summary>
    public override long Bytes(int elementBytes) =>
        (Entry == "deviations" ? 1 : HasNeighbours ? 3 : 2) * elementBytes * Rows * Run;
}
