using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The nearest rows of the same class.</summary>
public sealed class SameClassNeighboursCase : OpCase
{
    public override string Op => "same-class-neighbours";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new NeighboursProblem(0, 3, 2, "no rows"),
        new NeighboursProblem(1, 3, 1, "one row has none"),
        new NeighboursProblem(37, 5, 16, "more wanted than classes have"),
        new NeighboursProblem(37, 0, 3, "no features: all are as near"),
        new NeighboursProblem(301, 20, 5, "more rows than a group has items, the same twice"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
        [new NeighboursProblem(2000, 64, 10, "the study's images in a network's features")];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("more neighbours than are kept", typeof(ArgumentException), (device, stream) => Find(device, stream, [4, 3], [4], [4, 17])),
        new("no neighbours", typeof(ArgumentException), (device, stream) => Find(device, stream, [4, 3], [4], [4, 0])),
        new("labels of a wrong shape", typeof(ArgumentException), (device, stream) => Find(device, stream, [4, 3], [3], [4, 2])),
        new("features of three dimensions", typeof(ArgumentException), (device, stream) => Find(device, stream, [4, 3, 1], [4], [4, 2])),
    ];

    /// <summary>Numbers so large or small that distances differ by roundings alone have no one order.</summary>
    public override bool IsStateOrSetting(string input) => true;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        NeighboursProblem p = (NeighboursProblem)problem;

        // Whole numbers have whole distances, which all types sum exactly: which row is nearer is not a matter of rounding.
        double[] features =
            [.. Elements.Uniform(DType.Float64, p.Rows * p.Run, seed, "features", -8, 8).Select(value => Math.Round(value))];
        if (p.Rows > 200) Array.Copy(features, 3 * p.Run, features, 7 * p.Run, p.Run);
        return
        [
            new TensorSpec("features", dtype, [p.Rows, p.Run], TensorRole.Input, features),
            new TensorSpec("labels", DType.Int32, [p.Rows], TensorRole.Input, [.. Labels(p.Rows)]),
            new TensorSpec("neighbours", DType.Int32, [p.Rows, p.Wanted], TensorRole.Output, []),
        ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors) =>
        SameClassNeighbours.Find(stream, tensors.Get<T>("features"), tensors.Get<int>("labels"), tensors.Get<int>("neighbours"));

    public override void Reference(Problem problem, ReferenceValues values)
    {
        NeighboursProblem p = (NeighboursProblem)problem;
        int[] found = FeatureReference.Neighbours(values["features"], values.Integers("labels"), (int)p.Wanted);
        for (int i = 0; i < found.Length; i++) values["neighbours"][i] = found[i];
    }

    /// <summary>Four classes, and one that a single row has.</summary>
    internal static IEnumerable<double> Labels(long rows) => Enumerable.Range(0, (int)rows).Select(row => row == 2 ? -5.0 : row % 4);

    private static void Find(Device device, DeviceStream stream, long[] featuresShape, long[] labelsShape, long[] neighboursShape)
    {
        using DeviceTensor<float> features = device.Allocate<float>(featuresShape);
        using DeviceTensor<int> labels = device.Allocate<int>(labelsShape), neighbours = device.Allocate<int>(neighboursShape);
        SameClassNeighbours.Find(stream, features, labels, neighbours);
    }
}

/// <summary>A search for neighbours.</summary>
public sealed record NeighboursProblem(long Rows, long Run, long Wanted, string Reason) : Problem("find", Reason)
{
    public override string Text => $"{Rows}x{Run} k={Wanted}";

    public override long Bytes(int elementBytes) => (elementBytes * Rows * Run) + (4 * Rows * (1 + Wanted));

    /// <summary>A difference and a multiply-add for each pair of a quarter of the rows.</summary>
    public override long Flops => 3 * Rows * (Rows / 4) * Run;
}
