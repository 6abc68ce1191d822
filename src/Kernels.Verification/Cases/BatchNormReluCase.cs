using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Batch normalization, ReLU and dropout in one pass.</summary>
public sealed class BatchNormReluCase : BatchNormFollowedCase
{
    public BatchNormReluCase()
        : base(adds: false)
    {
    }

    public override string Op => "batch-norm-relu";

    public override bool TakesKey => true;

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) => problem.Entry switch
    {
        "infer" => [("x", "y")],
        "backward" => [("dy", "dx")],
        _ => [],
    };

    private protected override void Forward<T, TReal>(
        DeviceStream stream, BatchNormReluProblem p, DeviceTensors tensors, in Channels<TReal> of) => BatchNormRelu.Forward(
        stream, tensors.Get<T>("x"), of.Gamma, of.Beta, tensors.Get<T>("y"), tensors.Get<TReal>("statistics"), of.Mean, of.Variance,
        p.DropProbability, tensors.Key(Key), p.With(tensors));

    private protected override void Infer<T, TReal>(
        DeviceStream stream, BatchNormReluProblem p, DeviceTensors tensors, in Channels<TReal> of) => BatchNormRelu.Infer(
        stream, tensors.Get<T>("x"), of.Gamma, of.Beta, of.Mean!, of.Variance!, tensors.Get<T>("y"), p.With(tensors));

    private protected override void Backward<T, TReal>(
        DeviceStream stream, BatchNormReluProblem p, DeviceTensors tensors, in Channels<TReal> of) => BatchNormRelu.Backward(
        stream, tensors.Get<T>("x"), of.Gamma, of.Beta, tensors.Get<TReal>("statistics"), tensors.Get<T>("dy"), tensors.Get<T>("dx"),
        tensors.Get<TReal>("dgamma"), tensors.Get<TReal>("dbeta"), p.DropProbability, tensors.Key(Key), p.With(tensors));
}

/// <summary>What batch normalization with a ReLU, dropout and perhaps a residual behind it has in common.</summary>
public abstract class BatchNormFollowedCase : OpCase
{
    private protected static readonly RandomKey Key = new(0x5eed_ba7c_4e01, 21);

    private protected BatchNormFollowedCase(bool adds)
    {
        Adds = adds;
        Problems = [.. OfEntry("forward"), .. OfInference(), .. OfEntry("backward")];
        Problems = [.. Problems.Select(problem => (BatchNormReluProblem)problem with { Adds = adds })];
        BenchProblems = [.. OfBench().Select(problem => problem with { Adds = adds })];
    }

    public override IReadOnlyList<Problem> Problems { get; }

    public override IReadOnlyList<Problem> BenchProblems { get; }

    public override IReadOnlyList<BadInput> BadInputs =>
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, [3, 4], double.NaN)),
        new("p above 1", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, [3, 4], 1.5)),
        new("one value a channel", typeof(ArgumentException), (device, stream) => Call(device, stream, [1, 4], 0.5)),
        new("a start too large", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, [3, 4], 0.5, new()
        {
            GlobalStart = ulong.MaxValue,
        })),
        new("blocks of no size", typeof(ArgumentNullException), (device, stream) => Call(device, stream, [3, 4, 5], 0, new()
        {
            DropBlock = new(),
        })),
        new("blocks without a spatial axis", typeof(ArgumentException), (device, stream) => Call(device, stream, [3, 4], 0, new()
        {
            DropBlock = new() { BlockSize = [2] },
        })),
        new("blocks with a scale for each map", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Call(device, stream, [3, 4, 5], 0, new()
            {
                DropBlock = new() { BlockSize = [2], Normalization = DropBlockNormalization.Map },
            })),
        new("blocks of no such normalisation", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Call(device, stream, [3, 4, 5], 0, new()
            {
                DropBlock = new() { BlockSize = [2], Normalization = (DropBlockNormalization)7 },
            }))
        {
            Argument = "Normalization",
        },
        new("blocks by a key of three words", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<ulong> key = device.Allocate<ulong>(3);
            Call(device, stream, [3, 4, 5], 0, new() { DropBlock = new() { BlockSize = [2], Key = key } });
        }),
        new("blocks of a shard inside a sample", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Call(device, stream, [3, 4, 5], 0, new() { DropBlock = new() { BlockSize = [2] }, GlobalStart = 19 })),
    ];

    /// <summary>Whether a residual is added.</summary>
    private protected bool Adds { get; }

    public override Problem? ForwardOf(Problem problem) =>
        problem is BatchNormReluProblem { Entry: "backward" } backward ? backward with { Entry = "forward" } : null;

    public override double LargestInput(DType dtype) => dtype switch
    {
        DType.Float16 => Elements.Largest(dtype),
        DType.Float64 => 1e150,
        _ => 1e30,
    };

    public override bool IsStateOrSetting(string input) => input == "statistics";

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "lengths" or "gamma" or "beta" or "dgamma" or "dbeta" or "dresidual"
            || (tensor.StartsWith("running", StringComparison.Ordinal) && problem.Entry == "forward")
                ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        BatchNormReluProblem p = (BatchNormReluProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        long[] channels = [p.Channels];
        TensorSpec x = p.Input("x", dtype, seed);
        List<TensorSpec> specs = [x, .. p.LengthsSpec()];
        if (Adds && p.Entry != "backward") specs.Add(Input("residual", dtype, p.Shape, seed));
        double[] gamma = [], beta = [];
        if (p.HasGamma)
        {
            specs.Add(Input("gamma", real, channels, seed));
            gamma = specs[^1].Values;
        }

        if (p.HasBeta)
        {
            if (!Adds || p.Entry != "backward") specs.Add(Input("beta", real, channels, seed));
            beta = Input("beta", real, channels, seed).Values;
        }

        double kept = p.DropProbability == 1 ? 1 : p.Followed(Key).BlockScale * 65536.0 / DropoutReference.Threshold(p.DropProbability);
        if (p.Entry != "backward")
        {
            bool isTraining = p.Entry == "forward";
            if (p.HasRunning || !isTraining)
            {
                Tolerance tolerance = new(1, 32, 4, "moments of a batch, in another order");
                TensorSpec mean = Input("running_mean", real, channels, seed);
                TensorSpec variance = Input("running_variance", real, channels, seed, 0.5);
                specs.Add(isTraining ? mean with { Role = TensorRole.InOut, Tolerance = tolerance } : mean);
                specs.Add(isTraining ? variance with { Role = TensorRole.InOut, Tolerance = tolerance } : variance);
            }

            if (isTraining)
            {
                specs.Add(Output("statistics", real, [3, p.Channels],
                    new Tolerance(1, 24, 1, "moments in another order; deviations are 1 or so")));
            }

            specs.Add(Output("y", dtype, p.Shape, new Tolerance(1, 20, 8 * kept, "a difference from the mean, by the deviation")));
            return specs;
        }

        // The gradient belongs to the forward call with these inputs.
        BatchNormReference reference = p.Reference(real);
        double[] statistics = new double[3 * p.Channels], y = new double[x.Length];
        reference.Statistics(x.Values, statistics);
        statistics = [.. statistics.Select(value => Elements.Round(real, value))];
        reference.Apply(x.Values, gamma, beta, statistics, y);
        p.Followed(Key).Forward(y, Input("residual", dtype, p.Shape, seed).Values, y);
        reference.Select(y);
        double steepest = statistics.Skip(2 * (int)p.Channels).DefaultIfEmpty(1).Max();
        Tolerance sum = MatMulCase.SumOfProducts(p.Count);
        if (Adds) specs.Add(new TensorSpec("y", dtype, p.Shape, TensorRole.Input, [.. y.Select(value => Elements.Round(dtype, value))]));
        specs.Add(new TensorSpec("statistics", real, [3, p.Channels], TensorRole.Input, statistics));
        specs.Add(Input("dy", dtype, p.Shape, seed));
        specs.Add(Output("dgamma", real, channels, sum with
        {
            Floor = 4 * kept * sum.Floor,
            ArithmeticRoundings = sum.ArithmeticRoundings + 8,
        }));
        specs.Add(Output("dbeta", real, channels, sum with { Floor = 2 * kept * sum.Floor }));
        int roundingsOfScale = p.Block.Length > 0 ? 4 : 2;
        if (Adds) specs.Add(Output("dresidual", dtype, p.Shape, new Tolerance(1, roundingsOfScale, 0, "a product with a rounded scale")));

        // With x far from what the statistics are of, what the channel takes off cancels; against a double that shows in double.
        double roundings = (dtype == DType.Float64 ? 64 : 1) * (16 + (2 * sum.ArithmeticRoundings));
        specs.Add(Output("dx", dtype, p.Shape,
            new Tolerance(1, roundings, 2 * steepest * 6 * kept, "a difference of a gradient and what the channel takes off")));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        BatchNormReluProblem p = (BatchNormReluProblem)problem;
        if (typeof(T) == typeof(double))
            Run<T, double>(stream, p, tensors);
        else
            Run<T, float>(stream, p, tensors);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        BatchNormReluProblem p = (BatchNormReluProblem)problem;
        BatchNormReference reference = p.Reference(values.DType("x") == DType.Float64 ? DType.Float64 : DType.Float32);
        double[] gamma = p.HasGamma ? values["gamma"] : [], beta = values.Has("beta") ? values["beta"] : [];
        double[] z = new double[values["x"].Length];
        if (p.Entry == "backward")
        {
            if (Adds)
            {
                p.Followed(Key).BackwardByOutput(values["y"], values["dy"], values["dresidual"]);
                reference.Select(values["dresidual"]);
                z = values["dresidual"];
            }
            else
            {
                reference.Apply(values["x"], gamma, beta, values["statistics"], z);
                p.Followed(Key).Backward(z, values["dy"], z);
            }

            reference.Backward(values["x"], gamma, values["statistics"], z, values["dx"], values["dgamma"], values["dbeta"]);
            return;
        }

        double[] residual = Adds ? values["residual"] : [];
        if (p.Entry == "infer")
        {
            reference.Infer(values["x"], gamma, beta, values["running_mean"], values["running_variance"], z);
            (p with { DropProbability = 0 }).Followed(Key).Forward(z, residual, values["y"]);
            reference.Select(values["y"]);
            return;
        }

        reference.Statistics(values["x"], values["statistics"]);
        reference.Forward(values["x"], gamma, beta, z);
        p.Followed(Key).Forward(z, residual, values["y"]);
        reference.Select(values["y"]);
        if (p.HasRunning) reference.Run(values["x"], values["running_mean"], values["running_variance"], p.NewShare, isUnbiased: true);
    }

    private protected abstract void Forward<T, TReal>(
        DeviceStream stream, BatchNormReluProblem p, DeviceTensors tensors, in Channels<TReal> of)
        where T : unmanaged
        where TReal : unmanaged;

    private protected abstract void Infer<T, TReal>(
        DeviceStream stream, BatchNormReluProblem p, DeviceTensors tensors, in Channels<TReal> of)
        where T : unmanaged
        where TReal : unmanaged;

    private protected abstract void Backward<T, TReal>(
        DeviceStream stream, BatchNormReluProblem p, DeviceTensors tensors, in Channels<TReal> of)
        where T : unmanaged
        where TReal : unmanaged;

    private void Run<T, TReal>(DeviceStream stream, BatchNormReluProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        bool hasRunning = p.Entry == "infer" || (p.Entry == "forward" && p.HasRunning);
        bool hasBeta = p.HasBeta && (!Adds || p.Entry != "backward");
        Channels<TReal> of = new(
            p.HasGamma ? tensors.Get<TReal>("gamma") : null, hasBeta ? tensors.Get<TReal>("beta") : null,
            hasRunning ? tensors.Get<TReal>("running_mean") : null, hasRunning ? tensors.Get<TReal>("running_variance") : null);
        switch (p.Entry)
        {
            case "forward": Forward<T, TReal>(stream, p, tensors, of); break;
            case "infer": Infer<T, TReal>(stream, p, tensors, of); break;
            default: Backward<T, TReal>(stream, p, tensors, of); break;
        }
    }

    private static IEnumerable<BatchNormReluProblem> OfEntry(string entry) =>
    [
        new(entry, [0, 3, 4], "no samples", 0.5),
        new(entry, [9, 1], "one channel", 0.25),
        new(entry, [5, 8], "one block of channels", 0.5),
        new(entry, [4, 5, 5, 5], "odd maps of odd channels", 0.3),
        new(entry, [3, 8, 5, 5], "maps that begin inside blocks", 0.5),
        new(entry, [4, 6, 4, 4], "maps of whole blocks, p = 0: none is drawn", 0),
        new(entry, [5, 3, 4, 24], "channels last, whole blocks, a shard", 0.3)
        {
            Layout = TensorLayout.ChannelsLast, Options = new() { GlobalStart = (1UL << 33) + 8 },
        },
        new(entry, [3, 5, 6, 13], "channels last, odd, a shard inside a block", 0.3)
        {
            Layout = TensorLayout.ChannelsLast, Options = new() { GlobalStart = (1UL << 33) + 3 },
        },
        new(entry, [3, 4, 10], "padded", 0.3) { Lengths = [7, 0, 10] },
        new(entry, [3, 5, 7, 9], "blocks and dropout, maps across words", 0.25) { Block = [3], BlockRate = 0.3, HasRunning = false },
        new(entry, [1, 2, 4104], "blocks of a channel of several groups", 0) { Block = [37], BlockRate = 0.2, HasRunning = false },
        new(entry, [2, 5, 6, 8], "blocks, channels last", 0)
        {
            Layout = TensorLayout.ChannelsLast, Block = [2, 3], BlockRate = 0.2, HasRunning = false,
        },
        new(entry, [3, 5, 6, 13], "blocks that channels share, the expected scale, a shard, channels last, odd", 0.3)
        {
            Layout = TensorLayout.ChannelsLast, Block = [2], BlockRate = 0.2, SharesMask = true, HasRunning = false,
            BlockNormalization = DropBlockNormalization.Expected, Options = new() { GlobalStart = 7 * 5 * 6 * 13 },
        },
        new(entry, [3, 4, 9], "p = 1: zeros", 1) { HasGamma = false, HasBeta = false },
        new(entry, [1, 2, 4099], "more elements than a group takes, odd", 0.1) { HasRunning = false },
        new(entry, [3, 2, 2752], "parts of channels that wait for each other", 0.25) { HasRunning = false },
        new(entry, [100, 136], "parts of rows that wait for each other, two tiles", 0.25) { HasRunning = false },
    ];

    private static IEnumerable<BatchNormReluProblem> OfBench() =>
    [
        new("forward", [32, 64, 56, 56], "ResNet's first stage with dropout", 0.1),
        new("backward", [32, 64, 56, 56], "ResNet's first stage with dropout", 0.1),
        new("forward", [32, 64, 56, 56], "ResNet's first stage", 0),
        new("backward", [32, 64, 56, 56], "ResNet's first stage", 0),
        new("forward", [32, 56, 56, 64], "channels last, with dropout", 0.1) { Layout = TensorLayout.ChannelsLast },
        new("forward", [32, 64, 56, 56], "ResNet's first stage with DropBlock", 0) { Block = [7], BlockRate = 0.1 },
    ];

    private static IEnumerable<BatchNormReluProblem> OfInference() =>
    [
        new("infer", [1, 5], "one sample", 0),
        new("infer", [3, 8, 5, 5], "maps that begin inside blocks", 0),
        new("infer", [3, 5, 6, 13], "channels last, odd", 0) { Layout = TensorLayout.ChannelsLast },
    ];

    private void Call(Device device, DeviceStream stream, long[] shape, double dropProbability, BatchNormOptions options = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape), residual = device.Allocate<float>(shape);
        using DeviceTensor<float> y = device.Allocate<float>(shape), statistics = device.Allocate<float>(3, 4);
        if (Adds)
            BatchNormAddRelu.Forward(stream, x, residual, null, null, y, statistics, null, null, dropProbability, Key, options);
        else
            BatchNormRelu.Forward(stream, x, null, null, y, statistics, null, null, dropProbability, Key, options);
    }

    /// <summary>The channels' tensors that a call takes, null where it does not.</summary>
    private protected readonly record struct Channels<TReal>(
        DeviceTensor<TReal>? Gamma, DeviceTensor<TReal>? Beta, DeviceTensor<TReal>? Mean, DeviceTensor<TReal>? Variance)
        where TReal : unmanaged;
}

/// <summary>A call of batch normalization with a ReLU and dropout behind it.</summary>
public sealed record BatchNormReluProblem(string Entry, long[] Shape, string Reason, double DropProbability)
    : BatchNormProblem(Entry, Shape, Reason)
{
    private static readonly RandomKey BlockKey = new(0x5eed_b10c, 5);

    /// <summary>True where a residual is read, too.</summary>
    public bool Adds { get; init; }

    /// <summary>Cells of dropped blocks along each axis, or one size for all; empty where none are dropped.</summary>
    public long[] Block { get; init; } = [];

    /// <summary>The share of cells that they are to be.</summary>
    public double BlockRate { get; init; }

    public bool SharesMask { get; init; }

    public DropBlockNormalization BlockNormalization { get; init; }

    public override string Text => $"{base.Text}{(Entry == "infer" ? "" : $" p={DropProbability:0.###}")}"
        + (Block.Length == 0 ? "" : $" block={string.Join('x', Block)} {BlockRate:0.###}{(SharesMask ? " shared" : "")}");

    public override BatchNormOptions With(DeviceTensors tensors) => Block.Length == 0 ? base.With(tensors) : base.With(tensors) with
    {
        DropBlock = new()
        {
            BlockSize = Block,
            Rate = DropBlockRate.Exact(BlockRate),
            Key = tensors.Key(BlockKey),
            SharedChannels = SharesMask,
            Normalization = BlockNormalization,
        },
    };

    /// <summary>Those of batch normalization; with a residual forward reads it, and backward reads y and writes its gradient.</summary>
    public override long Bytes(int elementBytes) =>
        base.Bytes(elementBytes) + (Adds ? (Entry == "backward" ? 2 : 1) * elementBytes * Length : 0);

    public BatchNormReluReference Followed(RandomKey key)
    {
        BatchNormReluReference reference = new(DropProbability, Options.GlobalStart, key.Seed, key.Offset);
        if (Block.Length == 0) return reference;
        long[] axes = Layout == TensorLayout.ChannelsFirst ? Shape[2..] : Shape[1..^1];
        int[] map = [.. Enumerable.Repeat(1, 3 - axes.Length), .. axes.Select(size => (int)size)];
        int[] block = [.. map.Select((size, axis) => axis < 3 - axes.Length ? 1 : (int)Math.Min(size, BlockOf(axis - 3 + axes.Length)))];
        (int samples, int channels, int cells) = ((int)Shape[0], (int)Channels, map.Aggregate(1, (product, size) => product * size));
        int maskChannels = SharesMask ? 1 : channels;
        double threshold = DropBlockReference.Threshold(DropBlockReference.ExactGamma(map, block, BlockRate));
        ulong firstMap = Options.GlobalStart / (ulong)(channels * cells) * (ulong)maskChannels;
        bool[] keep = DropBlockReference.Keep(samples * maskChannels, map, block, threshold, BlockKey.Seed, BlockKey.Offset, firstMap);
        return reference with
        {
            Kept = DropBlockReference.OfElements(
                keep, samples, channels, cells, SharesMask, Layout == TensorLayout.ChannelsLast),
            BlockScale = BlockNormalization == DropBlockNormalization.Batch
                ? DropBlockReference.Scales(keep, keep.Length)[0]
                : 1 / (1 - DropBlockReference.DropProbability(map, block, threshold / 4294967296.0)),
        };
    }

    private long BlockOf(int axis) => Block[Block.Length == 1 ? 0 : axis];
}
