using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Attention dropout, forward and backward, under every kind of mask.</summary>
public sealed class AttentionDropoutCase : OpCase
{
    /// <summary>Probabilities below this are held to its tolerance, not to their own.</summary>
    private const double SmallProbability = 2e-4;

    private static readonly RandomKey Key = new(0x0fedcba987654321, 7);

    public override string Op => "attention-dropout";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        .. OfEntry("forward"),
        new AttentionProblem("forward", 1, 1, 8, 33, "large scores do not overflow") { Magnitude = 4000 },
        .. OfEntry("backward"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new AttentionProblem("forward", 8, 12, 512, 512, "BERT base"),
        new AttentionProblem("backward", 8, 12, 512, 512, "BERT base"),
        new AttentionProblem("forward", 8, 12, 512, 512, "a causal model of that size") { Causal = true },
        new AttentionProblem("forward", 8, 12, 512, 512, "padded") { HasLengths = true, MaskShape = [8, 1, 1, 512] },
        new AttentionProblem("forward", 1, 1, 64, 131072, "the longest rows"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, dropProbability: double.NaN)),
        new("p above 1", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, dropProbability: 1.1)),
        new("scale is infinite", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, scale: double.PositiveInfinity)),
        new("start too large", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, globalStart: ulong.MaxValue)),
        new("rows longer than float can count", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, scores: [0, 1, 1, (1 << 24) + 1], y: [0, 1, 1, (1 << 24) + 1])),
        new("three dimensions", typeof(ArgumentException), (device, stream) => Forward(device, stream, scores: [3, 4, 5], y: [3, 4, 5])),
        new("outputs of another shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, y: [2, 3, 5, 4])),
        new("lengths for another batch", typeof(ArgumentException), (device, stream) => Forward(device, stream, lengths: [1, 2, 3])),
        new("mask of another shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, mask: [5, 4])),
        new("mask over fewer keys", typeof(ArgumentException), (device, stream) => Forward(device, stream, mask: [2, 3, 4, 1])),
        new("partial overlap", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(32);
            AttentionDropout.Forward(stream, buffer.View(0, 1, 1, 4, 4), null, null, buffer.View(8, 1, 1, 4, 4), 1, 0.5, Key);
        }),
    ];

    public override Problem? OfLength(long length) => new AttentionProblem("forward", 1, 1, 3, length, "every length")
    {
        DropProbability = 0.5,
    };

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("dy", "dscores"), ("scores", "dscores")] : [("scores", "y")];

    public override Problem? ForwardOf(Problem problem) =>
        problem is AttentionProblem { Entry: "backward", IsMaskedByNumber: false } p ? p with { Entry = "forward" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "lengths" or "mask" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        AttentionProblem p = (AttentionProblem)problem;
        long[] shape = [p.Batch, p.Heads, p.Queries, p.Keys];
        double range = (AttentionProblem.Scale * p.Magnitude) + 2;
        double keepScale = 65536.0 / Math.Max(1, DropoutReference.Threshold(p.DropProbability));

        // An error of the exponent, a few roundings of its size, is a relative error of the exponential; sums add theirs as a random walk.
        double roundings = 16 + (4 * range) + (4 * Math.Sqrt(p.Keys));
        List<TensorSpec> specs =
        [
            Input("scores", dtype, shape, seed, -p.Magnitude, p.Magnitude),
        ];
        if (p.HasLengths) specs.Add(new TensorSpec("lengths", DType.Int32, [p.Batch], TensorRole.Input, Lengths(p, seed)));
        if (p.MaskShape is not null) specs.Add(new TensorSpec("mask", dtype, p.MaskShape, TensorRole.Input, Mask(p, dtype, seed)));
        if (p.Entry == "forward")
        {
            specs.Add(Output("y", dtype, shape,
                new Tolerance(1, roundings, SmallProbability, "exponentials of differences, divided by their sum")));
            return specs;
        }

        specs.Add(Input("dy", dtype, shape, seed));

        // Probabilities times a difference of terms of the size of dy / q that may cancel; the largest probability sets the size.
        double probability = Math.Min(1, Math.Exp(2 * range) / Math.Max(1, p.Keys));
        double floor = AttentionProblem.Scale * 2 * keepScale * (p.IsDense ? probability : 1);
        specs.Add(Output("dscores", dtype, shape, new Tolerance(1, roundings, floor, "a difference of gradients and their mean")));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        AttentionProblem p = (AttentionProblem)problem;
        (double scale, double drop) = (AttentionProblem.Scale, p.DropProbability);
        AttentionDropoutOptions options = new() { Causal = p.Causal, GlobalStart = p.GlobalStart };
        DeviceTensor<T> scores = tensors.Get<T>("scores");
        DeviceTensor<int>? lengths = p.HasLengths ? tensors.Get<int>("lengths") : null;
        DeviceTensor<T>? mask = p.MaskShape is null ? null : tensors.Get<T>("mask");
        if (p.Entry == "forward")
        {
            AttentionDropout.Forward(stream, scores, lengths, mask, tensors.Get<T>("y"), scale, drop, tensors.Key(Key), options);
        }
        else
        {
            DeviceTensor<T> dy = tensors.Get<T>("dy"), dscores = tensors.Get<T>("dscores");
            AttentionDropout.Backward(stream, scores, lengths, mask, dy, dscores, scale, drop, tensors.Key(Key), options);
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        AttentionDropoutReference reference = Define((AttentionProblem)problem, values);
        if (problem.Entry == "forward")
            reference.Forward(values["scores"], values["y"]);
        else
            reference.Backward(values["scores"], values["dy"], values["dscores"]);
    }

    private static IEnumerable<Problem> OfEntry(string entry) =>
    [
        new AttentionProblem(entry, 0, 2, 3, 4, "no batch"),
        new AttentionProblem(entry, 1, 1, 1, 1, "one element: the probability is 1"),
        new AttentionProblem(entry, 2, 3, 5, 64, "rows of whole vectors") { DropProbability = 0.5 },
        new AttentionProblem(entry, 1, 1, 3, 1021, "prime: rows start inside Philox blocks"),
        new AttentionProblem(entry, 1, 1, 2, 1024, "the longest row in registers"),
        new AttentionProblem(entry, 1, 1, 2, 1032, "one block more than the registers hold") { DropProbability = 0.3 },
        new AttentionProblem(entry, 1, 1, 1, 131072, "the longest row promised"),
        new AttentionProblem(entry, 1, 1, 70000, 3, "more than 65,535 rows"),
        new AttentionProblem(entry, 1, 2, 3, 64, "all keys masked by a large number, beside which the logarithm of a sum vanishes")
        {
            MaskShape = [3, 64], IsMaskedByNumber = true, Magnitude = 0,
        },
        new AttentionProblem(entry, 2, 2, 9, 9, "causal, square") { Causal = true },
        new AttentionProblem(entry, 1, 2, 5, 40, "causal, more keys than queries: aligned at the bottom right") { Causal = true },
        new AttentionProblem(entry, 1, 2, 13, 5, "causal, more queries than keys: the first see none") { Causal = true },
        new AttentionProblem(entry, 3, 2, 4, 37, "key lengths, one of them 0") { HasLengths = true },
        new AttentionProblem(entry, 2, 2, 6, 24, "one mask for all") { MaskShape = [6, 24] },
        new AttentionProblem(entry, 3, 2, 6, 21, "a mask of padding") { MaskShape = [3, 1, 1, 21] },
        new AttentionProblem(entry, 2, 3, 4, 16, "a mask of each head") { MaskShape = [1, 3, 4, 16] },
        new AttentionProblem(entry, 2, 3, 4, 4100, "all masks, a long row")
        {
            MaskShape = [2, 3, 4, 4100], Causal = true, HasLengths = true,
        },
        new AttentionProblem(entry, 2, 1, 2, 16400, "all masks, few rows, in pieces")
        {
            MaskShape = [2, 1, 2, 16400], Causal = true, HasLengths = true,
        },
        new AttentionProblem(entry, 2, 2, 3, 70, "p = 0: softmax alone") { DropProbability = 0 },
        new AttentionProblem(entry, 2, 2, 3, 70, "p = 1: zeros") { DropProbability = 1 },
        new AttentionProblem(entry, 1, 2, 4, 24, "a shard on a block boundary") { GlobalStart = 1UL << 33 },
        new AttentionProblem(entry, 1, 2, 4, 24, "a shard off a block boundary") { GlobalStart = (1UL << 33) + 5 },
    ];

    private static AttentionDropoutReference Define(AttentionProblem p, ReferenceValues values) => new(
        (int)p.Batch, (int)p.Heads, (int)p.Queries, (int)p.Keys, AttentionProblem.Scale, p.DropProbability, Key.Seed, Key.Offset)
    {
        Causal = p.Causal,
        GlobalStart = p.GlobalStart,
        KeyLengths = p.HasLengths ? values.Integers("lengths") : null,
        Mask = p.MaskShape is null ? null : values["mask"],
        MaskShape = p.MaskShape is null
            ? [] : [.. p.MaskShape.Length == 2 ? [1, 1] : Array.Empty<int>(), .. p.MaskShape.Select(size => (int)size)],
    };

    /// <summary>Any length from 0 to all keys, the first 0.</summary>
    private static double[] Lengths(AttentionProblem p, ulong seed)
    {
        double[] lengths = Elements.Integers(p.Batch, (int)p.Keys + 1, seed, "lengths");
        lengths[0] = 0;
        return lengths;
    }

    /// <summary>A bias in [-2, 2), -infinity for about a third of the keys and for all of the first row.</summary>
    private static double[] Mask(AttentionProblem p, DType dtype, ulong seed)
    {
        if (p.IsMaskedByNumber) return [.. Enumerable.Repeat(dtype == DType.Float16 ? -6e4 : -1e9, (int)Count(p.MaskShape!))];
        double[] mask = Elements.Uniform(dtype, Count(p.MaskShape!), seed, "mask"),
            choice = Elements.Uniform(dtype, mask.Length, seed, "masked", 0, 3);
        for (int i = 0; i < mask.Length; i++) mask[i] = choice[i] < 1 || i < p.Keys ? double.NegativeInfinity : mask[i];
        return mask;
    }

    private static void Forward(
        Device device, DeviceStream stream, long[]? scores = null, long[]? y = null, int[]? lengths = null, long[]? mask = null,
        double scale = 1, double dropProbability = 0.5, ulong globalStart = 0)
    {
        using DeviceTensor<float> scoresTensor = device.Allocate<float>(scores ?? [2, 3, 4, 5]);
        using DeviceTensor<float> yTensor = device.Allocate<float>(y ?? [2, 3, 4, 5]);
        using DeviceTensor<int>? lengthsTensor = lengths is null ? null : device.Upload<int>(lengths, [lengths.Length]);
        using DeviceTensor<float>? maskTensor = mask is null ? null : device.Allocate<float>(mask);
        AttentionDropoutOptions options = new() { GlobalStart = globalStart };
        AttentionDropout.Forward(stream, scoresTensor, lengthsTensor, maskTensor, yTensor, scale, dropProbability, Key, options);
    }
}

/// <summary>A call of attention dropout.</summary>
public sealed record AttentionProblem(string Entry, long Batch, long Heads, long Queries, long Keys, string Reason) : Problem(Entry, Reason)
{
    /// <summary>Factor of the scores.</summary>
    public const double Scale = 0.7;

    public double DropProbability { get; init; } = 0.1;

    public bool Causal { get; init; }

    public bool HasLengths { get; init; }

    public long[]? MaskShape { get; init; }

    /// <summary>True when the additive mask is one large finite number everywhere.</summary>
    public bool IsMaskedByNumber { get; init; }

    public ulong GlobalStart { get; init; }

    /// <summary>Scores are uniform in +-this.</summary>
    public double Magnitude { get; init; } = 2;

    /// <summary>True when every row sees all keys, so that none of them has a probability much larger than the others.</summary>
    public bool IsDense => !Causal && !HasLengths && MaskShape is null;

    public override string Text =>
        $"{Batch}x{Heads}x{Queries}x{Keys} p={DropProbability:0.###}{(Causal ? " causal" : "")}{(HasLengths ? " lengths" : "")}"
        + $"{(MaskShape is null ? "" : $" mask {string.Join('x', MaskShape)}")}{(GlobalStart > 0 ? $" start={GlobalStart}" : "")}";

    /// <summary>
    /// Scores that are seen are read (with the gradient, in backward), all results written. Lengths, known on the device alone, are taken
    /// as full.
    /// </summary>
    public override long Bytes(int elementBytes)
    {
        long seen = 0;
        for (long query = 0; query < Queries; query++) seen += Causal ? Math.Clamp(query + 1 + Keys - Queries, 0, Keys) : Keys;
        long reads = Batch * Heads * seen * (Entry == "forward" ? 1 : 2);
        long mask = MaskShape is null ? 0 : MaskShape.Aggregate(1L, (product, dimension) => product * dimension);
        return elementBytes * (reads + mask + (Batch * Heads * Queries * Keys));
    }
}
