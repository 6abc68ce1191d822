using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Embedding dropout in its three scopes: the gather, and the gradient alone and added to what is there.</summary>
public sealed class EmbeddingDropoutCase : OpCase
{
    private static readonly RandomKey Key = new(0xe3b_d120_0009, 31);

    public override string Op => "embedding-dropout";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new EmbeddingProblem("forward", [0], 5, 8, "no ids", 0.5),
        new EmbeddingProblem("forward", [3], 5, 0, "rows of no elements", 0.5),
        new EmbeddingProblem("forward", [1], 1, 1, "one element", 0.5),
        new EmbeddingProblem("forward", [7, 5], 11, 24, "word types of the batch, whole vectors", 0.5),
        new EmbeddingProblem("forward", [7, 5], 11, 19, "word types of each sequence, odd rows", 0.5)
        {
            Scope = EmbeddingDropoutScope.Sequence,
        },
        new EmbeddingProblem("forward", [7, 5], 11, 19, "positions", 0.5) { Scope = EmbeddingDropoutScope.Position },
        new EmbeddingProblem("forward", [2, 3, 4], 9, 7, "three dimensions", 0.3),
        new EmbeddingProblem("forward", [3, 5], 11, 19, "a shard of the sequences", 0.5)
        {
            Scope = EmbeddingDropoutScope.Sequence, GlobalStart = 1UL << 40,
        },
        new EmbeddingProblem("forward", [3, 5], 11, 19, "a shard of the positions", 0.5)
        {
            Scope = EmbeddingDropoutScope.Position, GlobalStart = 45,
        },
        new EmbeddingProblem("forward", [9], 4, 2051, "rows longer than a work group", 0.5),
        new EmbeddingProblem("forward", [9], 4, 33, "p = 0 gathers", 0),
        new EmbeddingProblem("forward", [9], 4, 33, "p = 1 writes zeros", 1),
        new EmbeddingProblem("forward", [70001], 300, 3, "many short rows", 0.1),
        new EmbeddingProblem("backward", [0], 5, 8, "no ids", 0.5),
        new EmbeddingProblem("backward", [1], 1, 1, "one element", 0.5),
        new EmbeddingProblem("backward", [7, 5], 11, 24, "whole vectors", 0.5),
        new EmbeddingProblem("backward", [7, 5], 11, 67, "odd rows; word types of each sequence",
            0.5) { Scope = EmbeddingDropoutScope.Sequence },
        new EmbeddingProblem("backward", [7, 5], 11, 19, "positions, and an id without a gradient", 0.5)
        {
            Scope = EmbeddingDropoutScope.Position, Padding = 2,
        },
        new EmbeddingProblem("backward", [9], 4, 33, "p = 0: all rows", 0),
        new EmbeddingProblem("backward", [9], 4, 33, "p = 1: no rows", 1),
        new EmbeddingProblem("backward", [2500], 40, 3, "several tiles of the sort, many rows of one id", 0.5)
        {
            Scope = EmbeddingDropoutScope.Position,
        },
        new EmbeddingProblem("backward", [2049], 5000, 1, "one key past tiles of the sort, ids of more bits than a digit of it", 0.1),
        new EmbeddingProblem("backward", [8200], 5000, 1, "more tiles of the sort than are merged at a time", 0.1),
        new EmbeddingProblem("backward", [1500], 3, 24, "pieces of an id, whole vectors", 0.1),
        new EmbeddingProblem("accumulate", [7, 5], 11, 24, "added to what is there", 0.3) { Scope = EmbeddingDropoutScope.Position },
        new EmbeddingProblem("accumulate", [7, 5], 11, 67, "added to what is there, odd rows", 0.3)
        {
            Scope = EmbeddingDropoutScope.Position,
        },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new EmbeddingProblem("forward", [8192], 50_000, 512, "AWD-LSTM's table", 0.1),
        new EmbeddingProblem("accumulate", [8192], 50_000, 512, "AWD-LSTM's table", 0.1),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [4], [4, 3], double.NaN)),
        new("p above 1", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [4], [4, 3], 2)),
        new("output without the width", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4], [4], 0.5)),
        new("output of another width", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4], [4, 5], 0.5)),
        new("sequences of one dimension", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [4], [4, 3], 0.5, new EmbeddingDropoutOptions { Scope = EmbeddingDropoutScope.Sequence })),
        new("a table of one dimension", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<int> ids = device.Allocate<int>(4);
            using DeviceTensor<float> table = device.Allocate<float>(6), y = device.Allocate<float>(4, 3);
            EmbeddingDropout.Forward(stream, ids, table, y, 0.5, Key);
        }),
        new("unknown scope", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4], [4, 3], 0.5, new EmbeddingDropoutOptions { Scope = (EmbeddingDropoutScope)7 })),
        new("padding index outside the table", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4], [4, 3], 0.5, new EmbeddingDropoutOptions { PaddingIndex = 6 })),
        new("shard beyond 2^64", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 2], [2, 2, 3], 0.5,
                new EmbeddingDropoutOptions { Scope = EmbeddingDropoutScope.Sequence, GlobalStart = 1UL << 62 })),
        new("gradient of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<int> ids = device.Allocate<int>(4);
            using DeviceTensor<float> dy = device.Allocate<float>(4, 3);
            using DeviceTensor<float> dTable = device.Allocate<float>(6, 4);
            EmbeddingDropout.Backward(stream, ids, dy, dTable, 0.5, Key);
        }),
        new("a table of more rows than an int can number", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<int> ids = device.Allocate<int>(4);
            using DeviceTensor<float> dy = device.Allocate<float>(4, 0), dTable = device.Allocate<float>(1L << 31, 0);
            EmbeddingDropout.Backward(stream, ids, dy, dTable, 0.5, Key);
        }),
        new("rows of more elements than an int can count", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<int> ids = device.Allocate<int>(0);
            using DeviceTensor<float> dy = device.Allocate<float>(0, 1L << 31), dTable = device.Allocate<float>(0, 1L << 31);
            EmbeddingDropout.Backward(stream, ids, dy, dTable, 0.5, Key);
        }),
    ];

    public override Problem? ForwardOf(Problem problem) =>
        problem is EmbeddingProblem { Entry: "backward", Padding: null } p ? p with { Entry = "forward" } : null;

    /// <summary>The gradient's table is filled with zeros here where it is not added to.</summary>
    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor == "dtable" && problem.Entry == "backward" ? ArgumentUse.None : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        EmbeddingProblem p = (EmbeddingProblem)problem;
        double[] ids = Elements.Integers(p.Count, (int)p.Vocabulary, seed, "ids");
        // One id is frequent, as in text, and it is the last, so that the last row of a gradient has something to show.
        for (int n = 3; n < ids.Length; n += 7) ids[n] = p.Vocabulary - 1;
        TensorSpec idSpec = new("ids", DType.Int32, p.Ids, TensorRole.Input, ids);
        long[] table = [p.Vocabulary, p.Width], gathered = [.. p.Ids, p.Width];
        if (p.Entry == "forward")
        {
            Tolerance product = new(1, 1.01, 0, "the scale is rounded to the arithmetic type, the product to the stored one");
            return [idSpec, Input("table", dtype, table, seed), Output("y", dtype, gathered, product)];
        }

        double scale = Math.Max(1, KeepThreshold.FromDropProbability(p.DropProbability).Scale);
        Tolerance sum = MatMulCase.SumOfProducts(1 + (p.Count / Math.Max(1, Math.Min(7, p.Vocabulary))));
        sum = sum with { ArithmeticRoundings = sum.ArithmeticRoundings + 2, Floor = 2 * scale * sum.Floor };
        TensorSpec dTable = p.Entry == "backward"
            ? Output("dtable", dtype, table, sum)
            : Input("dtable", dtype, table, seed) with { Role = TensorRole.InOut, Tolerance = sum };
        return [idSpec, Input("dy", dtype, gathered, seed), dTable];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        EmbeddingProblem p = (EmbeddingProblem)problem;
        DeviceTensor<int> ids = tensors.Get<int>("ids");
        if (p.Entry == "forward")
        {
            EmbeddingDropout.Forward(stream, ids, tensors.Get<T>("table"), tensors.Get<T>("y"), p.DropProbability, tensors.Key(Key),
                p.Options);
            return;
        }

        DeviceTensor<T> dTable = tensors.Get<T>("dtable");
        if (p.Entry == "backward") stream.Fill(dTable, default);
        EmbeddingDropout.Backward(stream, ids, tensors.Get<T>("dy"), dTable, p.DropProbability, tensors.Key(Key), p.Options);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        EmbeddingProblem p = (EmbeddingProblem)problem;
        int[] ids = values.Integers("ids");
        ulong[] units = [.. ids.Select(p.Unit)];
        if (p.Entry == "forward")
        {
            EmbeddingDropoutReference.Forward(
                ids, units, values["table"], values["y"], (int)p.Width, p.DropProbability, Key.Seed, Key.Offset);
        }
        else
        {
            EmbeddingDropoutReference.Backward(
                ids, units, values["dy"], values["dtable"], (int)p.Width, p.Padding, p.DropProbability, Key.Seed, Key.Offset);
        }
    }

    private static void Forward(
        Device device, DeviceStream stream, long[] idShape, long[] yShape, double dropProbability,
        EmbeddingDropoutOptions options = default)
    {
        using DeviceTensor<int> ids = device.Allocate<int>(idShape);
        using DeviceTensor<float> table = device.Allocate<float>(6, 3);
        using DeviceTensor<float> y = device.Allocate<float>(yShape);
        EmbeddingDropout.Forward(stream, ids, table, y, dropProbability, Key, options);
    }
}

/// <summary>A call of embedding dropout.</summary>
public sealed record EmbeddingProblem(string Entry, long[] Ids, long Vocabulary, long Width, string Reason, double DropProbability)
    : Problem(Entry, Reason)
{
    public EmbeddingDropoutScope Scope { get; init; }

    public int? Padding { get; init; }

    public ulong GlobalStart { get; init; }

    public EmbeddingDropoutOptions Options => new() { Scope = Scope, PaddingIndex = Padding, GlobalStart = GlobalStart };

    public long Count => Ids.Aggregate(1L, (product, dimension) => product * dimension);

    public override string Text =>
        $"{string.Join('x', Ids)} of {Vocabulary}x{Width} p={DropProbability:0.###}"
        + $"{(Scope == 0 ? "" : $" {Scope.ToString().ToLowerInvariant()}")}"
        + $"{(Padding is null ? "" : $" padding={Padding}")}{(GlobalStart > 0 ? $" start={GlobalStart}" : "")}";

    /// <summary>The unit of position n, which holds this id.</summary>
    public ulong Unit(int id, int n) => Scope switch
    {
        EmbeddingDropoutScope.Sequence => ((GlobalStart + (ulong)(n / Ids[1])) * (ulong)Vocabulary) + (ulong)id,
        EmbeddingDropoutScope.Position => GlobalStart + (ulong)n,
        _ => (ulong)id,
    };

    /// <summary>
    /// Forward: kept rows are read, all are written. Backward: kept rows are read and added to as many of the table. An id is four bytes.
    /// </summary>
    public override long Bytes(int elementBytes)
    {
        long kept = (long)(Count * KeepThreshold.FromDropProbability(DropProbability).KeepProbability);
        return (4 * Count) + (elementBytes * Width * (Entry == "forward" ? Count + kept : 3 * kept));
    }
}
