using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>A step towards a neighbour in feature space, or away from it.</summary>
public abstract class FeatureStepCase : OpCase
{
    private static readonly RandomKey Key = new(0x6665_6174_0000, 9);

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new FeatureProblem("forward", 0, 3, "no rows") { HasNeighbours = true, OneClass = true },
        new FeatureProblem("forward", 1, 1, "one feature of a row without neighbours") { HasNeighbours = true, OneClass = true },
        new FeatureProblem("forward", 37, 13, "odd rows, numbered, steps of any length") { HasNeighbours = true, Low = 0.1, High = 0.9 },
        new FeatureProblem("forward", 41, 24, "whole octets, half-way, a tail")
        {
            HasNeighbours = true, OneClass = true, FirstSample = 1UL << 33,
        },
        new FeatureProblem("forward", 9, 8, "the whole way") { HasNeighbours = true, Low = 1, High = 1 },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
        [new FeatureProblem("forward", 65536, 256, "16 million features") { HasNeighbours = true }];

    public override IReadOnlyList<BadInput> BadInputs =>
    [
        new("steps that are reversed", typeof(ArgumentOutOfRangeException), (device, stream) => Step(device, stream, (0.6, 0.4), [4, 2])),
        new("a step below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Step(device, stream, (-0.1, 0.4), [4, 2])),
        new("a step that is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Step(device, stream, double.NaN, [4, 2])),
        new("neighbours of other rows", typeof(ArgumentException), (device, stream) => Step(device, stream, 0.5, [3, 2])),
        new("no neighbours at all", typeof(ArgumentException), (device, stream) => Step(device, stream, 0.5, [4, 0])),
    ];

    /// <summary>The op's number in its draws.</summary>
    protected abstract uint Number { get; }

    /// <summary>1 towards the neighbour, -1 away from it.</summary>
    protected abstract int Direction { get; }

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "sampleIds" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        FeatureProblem p = (FeatureProblem)problem;
        const int Most = 3;
        double[] neighbours = new double[p.Rows * Most];

        // Some rows have three, some one, and some none.
        for (int row = 0; row < p.Rows; row++)
            for (int i = 0; i < Most; i++) neighbours[(row * Most) + i] = i < (row + 3) % 4 ? ((row * 5) + i) % (p.Rows + 2) : -1;
        List<TensorSpec> specs = [Input("x", dtype, [p.Rows, p.Run], seed)];
        if (!p.OneClass)
            specs.Add(new TensorSpec("sampleIds", DType.UInt64, [p.Rows], TensorRole.Input, [.. p.Ids.Select(id => (double)id)]));
        specs.Add(Input("pool", dtype, [p.Rows + 2, p.Run], seed));
        specs.Add(new TensorSpec("neighbours", DType.Int32, [p.Rows, Most], TensorRole.Input, neighbours));

        // A step is drawn in float.
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        double roundings = 4 * Tolerance.UnitRoundoff(DType.Float32) / Tolerance.UnitRoundoff(real);
        specs.Add(Output("y", dtype, [p.Rows, p.Run], new Tolerance(1, roundings, 4, "a step drawn in float; the terms may cancel")));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        FeatureProblem p = (FeatureProblem)problem;
        Step(
            stream, tensors.Get<T>("x"), p.OneClass ? null : tensors.Get<ulong>("sampleIds"), tensors.Get<T>("pool"),
            tensors.Get<int>("neighbours"), tensors.Get<T>("y"), (p.Low, p.High), tensors.Key(Key), p.FirstSample);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        FeatureProblem p = (FeatureProblem)problem;
        FeatureReference.Step(
            values["x"], values["pool"], p.Ids, values.Integers("neighbours"), values["y"], Direction * p.Low, Direction * p.High, Key.Seed,
            Key.Offset, Number);
    }

    /// <summary>The op's call.</summary>
    protected abstract void Step<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> pool, DeviceTensor<int> neighbours,
        DeviceTensor<T> y, AugmentRange step, RandomKeySource key, ulong firstSample)
        where T : unmanaged;

    private void Step(Device device, DeviceStream stream, AugmentRange step, long[] neighboursShape)
    {
        using DeviceTensor<float> x = device.Allocate<float>(4, 3), y = device.Allocate<float>(4, 3);
        using DeviceTensor<int> neighbours = device.Allocate<int>(neighboursShape);
        Step(stream, x, null, x, neighbours, y, step, Key, 0);
    }
}

/// <summary>Interpolation.</summary>
public sealed class FeatureInterpolateCase : FeatureStepCase
{
    public override string Op => "feature-interpolate";

    public override bool TakesKey => true;

    protected override uint Number => 13;

    protected override int Direction => 1;

    protected override void Step<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> pool, DeviceTensor<int> neighbours,
        DeviceTensor<T> y, AugmentRange step, RandomKeySource key, ulong firstSample) =>
        FeatureInterpolate.Forward(stream, x, sampleIds, pool, neighbours, y, step, key, firstSample);
}

/// <summary>Extrapolation.</summary>
public sealed class FeatureExtrapolateCase : FeatureStepCase
{
    public override string Op => "feature-extrapolate";

    protected override uint Number => 14;

    protected override int Direction => -1;

    protected override void Step<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> pool, DeviceTensor<int> neighbours,
        DeviceTensor<T> y, AugmentRange step, RandomKeySource key, ulong firstSample) =>
        FeatureExtrapolate.Forward(stream, x, sampleIds, pool, neighbours, y, step, key, firstSample);
}
