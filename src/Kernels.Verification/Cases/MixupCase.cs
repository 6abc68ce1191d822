using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The draws of mixup, the mixture, and its gradient.</summary>
public sealed class MixupCase : OpCase
{
    internal const uint OpNumber = 10;

    private static readonly RandomKey Key = new(0x6d69_7875_7000, 7);

    public override string Op => "mixup";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new MixupProblem("draw", 1, 1, "one row is its own partner"),
        new MixupProblem("draw", 37, 1, "rows in the order of their numbers") { FirstSample = (1UL << 40) + 3 },
        new MixupProblem("draw", 300, 1, "numbers in any order, some twice, more than a group") { HasIds = true, HasLabels = true },
        new MixupProblem("draw", 61, 1, "partners of the same class, one class with one member")
        {
            HasIds = true, HasLabels = true, SameClass = true,
        },
        new MixupProblem("draw", 61, 1, "one lambda for the batch, skipped by some batches") { HasIds = true, OfBatch = true, Skip = 0.3 },
        new MixupProblem("draw", 61, 1, "partners from a data set") { HasIds = true, HasLabels = true, PoolRows = 1000, Skip = 0.4 },
        new MixupProblem("forward", 0, 5, "no rows"),
        new MixupProblem("forward", 1, 1, "one element"),
        new MixupProblem("forward", 7, 3, "rows shorter than an octet"),
        new MixupProblem("forward", 41, 24, "whole octets, rows that pairs of items share, and a tail"),
        new MixupProblem("forward", 5, 13200, "rows of several chunks of a core"),
        new MixupProblem("forward", 9, 16, "partners from a data set") { PoolRows = 23 },
        new MixupProblem("backward", 7, 3, "rows shorter than an octet"),
        new MixupProblem("backward", 41, 24, "whole octets, rows that pairs of items share, and a tail"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new MixupProblem("forward", 256, 3 * 224 * 224, "a batch of ImageNet"),
        new MixupProblem("backward", 256, 3 * 224 * 224, "a batch of ImageNet"),
        new MixupProblem("forward", 2000, 28 * 28, "the study's images"),
        new MixupProblem("draw", 4096, 1, "a large global batch") { HasIds = true },
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("alpha is 0", typeof(ArgumentOutOfRangeException), (device, stream) => Draw(device, stream, 4, 0)),
        new("alpha is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Draw(device, stream, 4, double.NaN)),
        new("alpha is infinite", typeof(ArgumentOutOfRangeException), (device, stream) => Draw(device, stream, 4, double.PositiveInfinity)),
        new("a probability above 1", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Draw(device, stream, 4, 1, new MixingOptions { SkipProbability = 1.5 })),
        new("no such mode", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Draw(device, stream, 4, 1, new MixingOptions { Mode = (MixingMode)3 })),
        new("a class without labels", typeof(ArgumentNullException), (device, stream) =>
            Draw(device, stream, 4, 1, new MixingOptions { SameClass = true })),
        new("a class from a data set", typeof(ArgumentException), (device, stream) =>
            Draw(device, stream, 4, 1, new MixingOptions { SameClass = true, PoolRows = 100 })),
        new("a data set of more rows than an int can number", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Draw(device, stream, 4, 1, new MixingOptions { PoolRows = 1L << 32 })),
        new("samples beyond 2^64", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Draw(device, stream, 4, 1, new MixingOptions { FirstSample = ulong.MaxValue - 2 })),
        new("pairs of a wrong shape", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [4, 3], [4], [4])),
        new("shares of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 3], [4, 2], [3])),
        new("a scalar has no rows", typeof(ArgumentException), (device, stream) => Forward(device, stream, [], [1, 2], [1])),
        new("in place", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4, 3), shares = device.Allocate<float>(4);
            using DeviceTensor<int> pairs = device.Allocate<int>(4, 2);
            Mixup.Forward(stream, x, pairs, shares, x);
        }),
        new("a data set of other rows", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4, 3), y = device.Allocate<float>(4, 3);
            using DeviceTensor<float> shares = device.Allocate<float>(4);
            using DeviceTensor<float> pool = device.Allocate<float>(9, 4);
            using DeviceTensor<int> pairs = device.Allocate<int>(4, 2);
            Mixup.Forward(stream, x, pool, pairs, shares, y);
        }),
        new("shares of another type", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4, 3), y = device.Allocate<float>(4, 3);
            using DeviceTensor<Half> shares = device.Allocate<Half>(4);
            using DeviceTensor<int> pairs = device.Allocate<int>(4, 2);
            Mixup.Forward(stream, x, pairs, shares, y);
        }),
    ];

    public override Problem? ForwardOf(Problem problem) => problem.Entry == "backward" ? problem with { Entry = "forward" } : null;

    public override bool IsStateOrSetting(string input) => input == "shares";

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "sampleIds" or "labels" or "otherLabels" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        MixupProblem p = (MixupProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        if (p.Entry == "draw")
        {
            List<TensorSpec> specs = DrawTensors(p, real);
            specs.Add(Output("shares", real, [p.Rows], LambdaTolerance(real)));
            return specs;
        }

        long poolRows = p.PoolRows > 0 ? p.PoolRows : p.Rows;
        TensorSpec pairs = new("pairs", DType.Int32, [p.Rows, 2], TensorRole.Input, Pairs(p));
        double[] lambdas = Elements.Uniform(real, p.Rows, seed, "shares", 0, 1);

        // Rows that are copied, and rows that are all their partner's.
        for (int row = 3; row < lambdas.Length; row += 5) lambdas[row] = row % 2;
        TensorSpec shares = new("shares", real, [p.Rows], TensorRole.Input, lambdas);
        Tolerance sum = new(1, 3, 2, "a fused multiply-add of a rounded product; the terms may cancel");
        long[] shape = [p.Rows, p.Run];
        if (p.Entry == "backward") return [Input("dy", dtype, shape, seed), pairs, shares, Output("dx", dtype, shape, sum)];
        return p.PoolRows > 0
            ? [Input("x", dtype, shape, seed), Input("pool", dtype, [poolRows, p.Run], seed), pairs, shares, Output("y", dtype, shape, sum)]
            : [Input("x", dtype, shape, seed), pairs, shares, Output("y", dtype, shape, sum)];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        if (typeof(T) == typeof(double))
            Run<T, double>(stream, (MixupProblem)problem, tensors);
        else
            Run<T, float>(stream, (MixupProblem)problem, tensors);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        MixupProblem p = (MixupProblem)problem;
        switch (p.Entry)
        {
            case "draw":
                DrawReference(p, values, Key, OpNumber, (row, lambda, _) => values["shares"][row] = lambda);
                break;
            case "forward":
                MixingReference.Mix(
                    values["x"], p.PoolRows > 0 ? values["pool"] : values["x"], values.Integers("pairs"), values["shares"], values["y"]);
                break;
            default:
                MixingReference.MixBackward(values["dy"], values.Integers("pairs"), values["shares"], values["dx"]);
                break;
        }
    }

    /// <summary>The tensors of a draw that mixup and CutMix share.</summary>
    internal static List<TensorSpec> DrawTensors(MixupProblem p, DType real)
    {
        List<TensorSpec> specs = [];
        if (p.HasIds) specs.Add(new TensorSpec("sampleIds", DType.UInt64, [p.Rows], TensorRole.Input, [.. p.Ids.Select(id => (double)id)]));
        if (p.HasLabels)
        {
            long count = p.PoolRows > 0 ? p.PoolRows : p.Rows;
            specs.Add(new TensorSpec("labels", DType.Int32, [count], TensorRole.Input, [.. Labels(count).Select(label => (double)label)]));
            specs.Add(new TensorSpec("otherLabels", DType.Int32, [p.Rows], TensorRole.Output, []));
        }

        specs.Add(new TensorSpec("pairs", DType.Int32, [p.Rows, 2], TensorRole.Output, []));
        return specs;
    }

    /// <summary>Fills pairs and labels, and hands on row, lambda and words.</summary>
    internal static void DrawReference(
        MixupProblem p, ReferenceValues values, RandomKey key, uint op, Action<int, double, uint[]> take)
    {
        int rows = (int)p.Rows;
        int[] pairs = new int[2 * rows], labels = p.HasLabels ? values.Integers("labels") : [];
        double[] lambdas = new double[rows];
        uint[][] draws = new uint[rows][];
        MixingReference.Draw(
            p.Ids, p.SameClass ? labels : [], p.PoolRows, key.Seed, key.Offset, op, p.Alpha, p.Skip, p.OfBatch, pairs, lambdas, draws);
        for (int row = 0; row < rows; row++)
        {
            values["pairs"][2 * row] = pairs[2 * row];
            values["pairs"][(2 * row) + 1] = pairs[(2 * row) + 1];
            if (p.HasLabels) values["otherLabels"][row] = labels[pairs[2 * row]];
            take(row, lambdas[row], draws[row]);
        }
    }

    /// <summary>Lambda is calculated in float: where it is close to 1/2, it is the root of a difference.</summary>
    private static Tolerance LambdaTolerance(DType real) => new(
        Math.ScaleB(1, -14) / Tolerance.UnitRoundoff(real), 0, 1, "lambda is calculated in float, near 1/2 as the root of a difference");

    /// <summary>Partners by a permutation that visits all rows, or any rows of a data set, with a row that has none.</summary>
    private static double[] Pairs(MixupProblem p)
    {
        double[] pairs = new double[2 * p.Rows];
        for (int row = 0; row < p.Rows; row++)
        {
            pairs[2 * row] = p.PoolRows > 0 ? (row * 7) % p.PoolRows : (row + 2) % p.Rows;
            pairs[(2 * row) + 1] = p.PoolRows > 0 ? -1 : (row + (2 * p.Rows) - 2) % p.Rows;
        }

        if (p.PoolRows > 0 && p.Rows > 2) pairs[2] = -1;
        return pairs;
    }

    /// <summary>Three classes and one that a single row has.</summary>
    private static IEnumerable<int> Labels(long count) => Enumerable.Range(0, (int)count).Select(row => row == 4 ? 9 : row * 5 % 3);

    private static void Run<T, TReal>(DeviceStream stream, MixupProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        DeviceTensor<int> pairs = tensors.Get<int>("pairs");
        DeviceTensor<TReal> shares = tensors.Get<TReal>("shares");
        switch (p.Entry)
        {
            case "draw":
                Mixup.Draw(
                    stream, p.HasIds ? tensors.Get<ulong>("sampleIds") : null, p.HasLabels ? tensors.Get<int>("labels") : null, pairs,
                    p.HasLabels ? tensors.Get<int>("otherLabels") : null, shares, p.Alpha, tensors.Key(Key), p.Options);
                break;
            case "forward" when p.PoolRows > 0:
                Mixup.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("pool"), pairs, shares, tensors.Get<T>("y"));
                break;
            case "forward": Mixup.Forward(stream, tensors.Get<T>("x"), pairs, shares, tensors.Get<T>("y")); break;
            default: Mixup.Backward(stream, tensors.Get<T>("dy"), pairs, shares, tensors.Get<T>("dx")); break;
        }
    }

    private static void Draw(Device device, DeviceStream stream, long rows, double alpha, MixingOptions options = default)
    {
        using DeviceTensor<int> pairs = device.Allocate<int>(rows, 2);
        using DeviceTensor<float> shares = device.Allocate<float>(rows);
        Mixup.Draw(stream, null, null, pairs, null, shares, alpha, Key, options);
    }

    private static void Forward(Device device, DeviceStream stream, long[] shape, long[] pairsShape, long[] sharesShape)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape), y = device.Allocate<float>(shape);
        using DeviceTensor<float> shares = device.Allocate<float>(sharesShape);
        using DeviceTensor<int> pairs = device.Allocate<int>(pairsShape);
        Mixup.Forward(stream, x, pairs, shares, y);
    }
}

/// <summary>A call of mixup.</summary>
public sealed record MixupProblem(string Entry, long Rows, long Run, string Reason) : Problem(Entry, Reason)
{
    public double Alpha { get; init; } = 0.4;

    public bool HasIds { get; init; }

    public bool HasLabels { get; init; }

    public bool SameClass { get; init; }

    public bool OfBatch { get; init; }

    public double Skip { get; init; }

    public int PoolRows { get; init; }

    public ulong FirstSample { get; init; }

    public override string Text => Entry == "draw" ? $"{Rows} a={Alpha:0.###}" : $"{Rows}x{Run}";

    /// <summary>Sample numbers in no order, two of them alike where they need not be rows of a data set.</summary>
    internal ulong[] Ids
    {
        get
        {
            if (!HasIds) return [.. Enumerable.Range(0, (int)Rows).Select(row => FirstSample + (ulong)row)];
            ulong[] ids = [.. Enumerable.Range(0, (int)Rows).Select(row => (ulong)((row * 37) + 11) % 997)];
            if (Rows > 9) ids[9] = ids[2];
            return ids;
        }
    }

    internal MixingOptions Options => new()
    {
        Mode = OfBatch ? MixingMode.Batch : MixingMode.Sample,
        SkipProbability = Skip,
        SameClass = SameClass,
        PoolRows = PoolRows,
        FirstSample = FirstSample,
    };

    /// <summary>Own and other rows are read, and as many written. A draw reads and writes a few numbers for each row.</summary>
    public override long Bytes(int elementBytes) => Entry == "draw" ? Rows * 24 : 3 * elementBytes * Rows * Run;
}
