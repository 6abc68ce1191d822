using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The list of kept rows, gathering and scattering, each with its gradient.</summary>
public sealed class KeptRowsCase : OpCase
{
    private static readonly RandomKey Key = new(0x5d0c_4a57_1c00, 5);

    public override string Op => "kept-rows";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new KeptRowsProblem("list", 0, 1, "no rows", 0.5),
        new KeptRowsProblem("list", 1, 1, "one row", 0.5),
        new KeptRowsProblem("list", 1021, 1, "prime", 0.3),
        new KeptRowsProblem("list", 70001, 1, "many tiles of a group, a tail", 0.5),
        new KeptRowsProblem("list", 2100, 1, "p = 0 lists all", 0),
        new KeptRowsProblem("list", 300, 1, "p = 1 lists none", 1),
        new KeptRowsProblem("list", 300, 1, "a shard off a block boundary", 0.4) { GlobalStart = (1UL << 33) + 3 },
        new KeptRowsProblem("gather", 0, 5, "no rows", 0.5),
        new KeptRowsProblem("gather", 1, 1, "one element", 0),
        new KeptRowsProblem("gather", 37, 13, "odd rows, padded with -1", 0.4),
        new KeptRowsProblem("gather", 37, 64, "rows of whole octets", 0.4),
        new KeptRowsProblem("gather", 70001, 3, "more than 65,535 rows", 0.2),
        new KeptRowsProblem("gather", 37, 13, "p = 1: zeros alone", 1),
        new KeptRowsProblem("gather backward", 37, 13, "odd rows", 0.4),
        new KeptRowsProblem("gather backward", 37, 64, "rows of whole octets", 0.4),
        new KeptRowsProblem("scatter", 0, 5, "no rows", 0.5),
        new KeptRowsProblem("scatter", 1, 1, "one element", 0),
        new KeptRowsProblem("scatter", 37, 13, "odd rows", 0.4),
        new KeptRowsProblem("scatter", 37, 64, "rows of whole octets", 0.4),
        new KeptRowsProblem("scatter", 3, 8200, "rows of two parts", 0.4),
        new KeptRowsProblem("scatter", 37, 0, "empty rows", 0.4),
        new KeptRowsProblem("scatter", 65537, 8, "more than 65,535 rows", 0.2),
        new KeptRowsProblem("scatter", 37, 13, "p = 1: nothing to add", 1),
        new KeptRowsProblem("scatter backward", 37, 13, "odd rows", 0.4),
        new KeptRowsProblem("scatter backward", 37, 64, "rows of whole octets", 0.4),
        new KeptRowsProblem("scatter backward", 3, 8201, "odd rows of two parts", 0.4),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new KeptRowsProblem("gather", 32, 256 * 28 * 28, "ResNet's second stage", 0.2),
        new KeptRowsProblem("scatter", 32, 256 * 28 * 28, "ResNet's second stage", 0.2),
        new KeptRowsProblem("list", 1 << 20, 1, "a million rows", 0.2),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => List(device, stream, [4], [1], double.NaN)),
        new("count of a wrong shape", typeof(ArgumentException), (device, stream) => List(device, stream, [4], [2], 0.5)),
        new("list of two dimensions", typeof(ArgumentException), (device, stream) => List(device, stream, [2, 2], [1], 0.5)),
        new("gathered rows of another length", typeof(ArgumentException), (device, stream) => Gather(device, stream, [4, 3], [4], [2, 4])),
        new("fewer indices than rows", typeof(ArgumentException), (device, stream) => Gather(device, stream, [4, 3], [1], [2, 3])),
        new("more rows than an int can number", typeof(ArgumentException), (device, stream) =>
            Gather(device, stream, [1L << 31, 0], [1], [1, 0])),
        new("a scalar has no rows", typeof(ArgumentException), (device, stream) => Gather(device, stream, [], [1], [])),
        new("scale is NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> y = device.Allocate<float>(4, 3);
            using DeviceTensor<float> f = device.Allocate<float>(2, 3);
            using DeviceTensor<int> rows = device.Allocate<int>(4);
            KeptRows.ScatterAdd(stream, y, f, rows, y, double.NaN);
        }),
        new("scattered over itself", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> y = device.Allocate<float>(4, 3);
            using DeviceTensor<int> rows = device.Allocate<int>(4);
            KeptRows.ScatterAdd(stream, null, y, rows, y, 1);
        }),
        new("a negative number of rows", typeof(ArgumentOutOfRangeException), (_, _) => KeptRows.OnHost(-1, 0.5, Key)),
        new("p above 1, on the host", typeof(ArgumentOutOfRangeException), (_, _) => KeptRows.OnHost(4, 1.5, Key)),
        new("rows beyond 2^64, on the host", typeof(ArgumentOutOfRangeException), (_, _) => KeptRows.OnHost(4, 0.5, Key, ulong.MaxValue)),
        new("rows beyond 2^64", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<int> rows = device.Allocate<int>(4), kept = device.Allocate<int>(1);
            KeptRows.List(stream, rows, kept, 0.5, Key, ulong.MaxValue);
        }),
        new("rows in a table", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> source = device.Allocate<float>(4, 3), result = device.Allocate<float>(2, 3);
            using DeviceTensor<int> rows = device.Allocate<int>(2, 2);
            KeptRows.Gather(stream, source, rows, result);
        }),
        new("a factor that is NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> source = device.Allocate<float>(4, 3), result = device.Allocate<float>(2, 3);
            using DeviceTensor<int> rows = device.Allocate<int>(2);
            KeptRows.Gather(stream, source, rows, result, double.NaN);
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "scatter" ? [("x", "y")] : [];

    public override Problem? ForwardOf(Problem problem) =>
        problem is KeptRowsProblem { Entry: "gather backward" or "scatter backward" } backward
        ? backward with { Entry = backward.Entry.Split(' ')[0] }
        : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor == "x" && problem.Entry == "scatter" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        KeptRowsProblem p = (KeptRowsProblem)problem;
        if (p.Entry == "list")
        {
            return [new("rows", DType.Int32, [p.Rows], TensorRole.Output, []), new("kept", DType.Int32, [1], TensorRole.Output, [])];
        }

        int[] list = KeptRowsReference.List((int)p.Rows, p.DropProbability, Key.Seed, Key.Offset, p.GlobalStart, out int kept);

        // One row more than is kept, where there is one: its index is -1.
        long[] whole = [p.Rows, p.Run], compact = [Math.Min(p.Rows, kept + 1), p.Run];
        TensorSpec rows = new("rows", DType.Int32, [p.Rows], TensorRole.Input, [.. list.Select(row => (double)row)]);
        Tolerance product = new(1, 1.01, 0, "the scale is rounded to the arithmetic type, the product to the stored one");
        Tolerance sum = new(1, 6, 2, "a fused multiply-add with a rounded scale; the terms may cancel");
        return p.Entry switch
        {
            "gather" => [Input("x", dtype, whole, seed), rows, Output("y", dtype, compact, Tolerance.Exact)],
            "gather backward" => [Input("dy", dtype, compact, seed), rows, Output("dx", dtype, whole, Tolerance.Exact)],
            "scatter" => [Input("x", dtype, whole, seed), Input("f", dtype, compact, seed), rows, Output("y", dtype, whole, sum)],
            _ => [Input("dy", dtype, whole, seed), rows, Output("df", dtype, compact, product)],
        };
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        KeptRowsProblem p = (KeptRowsProblem)problem;
        DeviceTensor<T> Get(string name) => tensors.Get<T>(name);
        DeviceTensor<int> rows = tensors.Get<int>("rows");
        switch (p.Entry)
        {
            case "list": KeptRows.List(stream, rows, tensors.Get<int>("kept"), p.DropProbability, tensors.Key(Key), p.GlobalStart); break;
            case "gather": KeptRows.Gather(stream, Get("x"), rows, Get("y")); break;
            case "gather backward": KeptRows.ScatterAdd(stream, null, Get("dy"), rows, Get("dx"), 1); break;
            case "scatter":
                KeptRows.ScatterAdd(stream, Get("x"), Get("f"), rows, Get("y"), StochasticDepth.TrainingScale(p.DropProbability));
                break;
            default: KeptRows.Gather(stream, Get("dy"), rows, Get("df"), StochasticDepth.TrainingScale(p.DropProbability)); break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        KeptRowsProblem p = (KeptRowsProblem)problem;
        int[] list = KeptRowsReference.List((int)p.Rows, p.DropProbability, Key.Seed, Key.Offset, p.GlobalStart, out int kept);
        int threshold = DropoutReference.Threshold(p.DropProbability), run = (int)p.Run;
        double scale = threshold == 0 ? 0 : 65536.0 / threshold;
        switch (p.Entry)
        {
            case "list":
                list.Select(row => (double)row).ToArray().CopyTo(values["rows"], 0);
                values["kept"][0] = kept;
                break;
            case "gather": KeptRowsReference.Gather(values["x"], list, values["y"], run, 1); break;
            case "gather backward": KeptRowsReference.ScatterAdd([], values["dy"], list, values["dx"], run, 1); break;
            case "scatter": KeptRowsReference.ScatterAdd(values["x"], values["f"], list, values["y"], run, scale); break;
            default: KeptRowsReference.Gather(values["dy"], list, values["df"], run, scale); break;
        }
    }

    private static void List(Device device, DeviceStream stream, long[] rowsShape, long[] keptShape, double dropProbability)
    {
        using DeviceTensor<int> rows = device.Allocate<int>(rowsShape);
        using DeviceTensor<int> kept = device.Allocate<int>(keptShape);
        KeptRows.List(stream, rows, kept, dropProbability, Key);
    }

    private static void Gather(Device device, DeviceStream stream, long[] sourceShape, long[] rowsShape, long[] resultShape)
    {
        using DeviceTensor<float> source = device.Allocate<float>(sourceShape);
        using DeviceTensor<int> rows = device.Allocate<int>(rowsShape);
        using DeviceTensor<float> result = device.Allocate<float>(resultShape);
        KeptRows.Gather(stream, source, rows, result);
    }
}

/// <summary>A call of one of the kept rows' ops.</summary>
public sealed record KeptRowsProblem(string Entry, long Rows, long Run, string Reason, double DropProbability) : Problem(Entry, Reason)
{
    public ulong GlobalStart { get; init; }

    public override string Text => $"{Rows}x{Run} p={DropProbability:0.###}{(GlobalStart > 0 ? $" first={GlobalStart}" : "")}";

    public override long Bytes(int elementBytes)
    {
        double keep = 1 - DropProbability;
        double passes = Entry switch
        {
            "list" => (double)sizeof(int) / elementBytes,
            "gather" or "scatter backward" => 2 * keep,
            "scatter" => 2 + keep,
            _ => 1 + keep,
        };
        return (long)(passes * elementBytes * Rows * Run);
    }
}
