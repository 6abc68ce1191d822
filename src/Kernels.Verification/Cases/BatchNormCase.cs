using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Batch normalization: training, inference and gradients, in both layouts.</summary>
public class BatchNormCase : OpCase
{
    private static readonly long[] FirstStage = [32, 64, 56, 56], FirstStageLast = [32, 56, 56, 64];

    public override string Op => "batch-norm";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        .. Forward("forward"),
        .. InParts("forward"),
        .. Infer(),
        .. Forward("backward"),
        .. InParts("backward"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new BatchNormProblem("forward", FirstStage, "ResNet's first stage, channels first"),
        new BatchNormProblem("backward", FirstStage, "ResNet's first stage, channels first"),
        new BatchNormProblem("infer", FirstStage, "ResNet's first stage, channels first"),
        new BatchNormProblem("forward", FirstStageLast, "channels last") { Layout = TensorLayout.ChannelsLast },
        new BatchNormProblem("backward", FirstStageLast, "channels last") { Layout = TensorLayout.ChannelsLast },
        new BatchNormProblem("forward", [32, 512, 7, 7], "many channels of small maps"),
        new BatchNormProblem("backward", [32, 512, 7, 7], "many channels of small maps"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("one value a channel", typeof(ArgumentException), (device, stream) => Call(device, stream, [1, 4])),
        new("one value a channel, channels last", typeof(ArgumentException), (device, stream) => Call(device, stream, [1, 1, 1, 4], options:
            new() { Layout = TensorLayout.ChannelsLast })),
        new("one value a channel in backward", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(1, 4), dx = device.Allocate<float>(1, 4);
            using DeviceTensor<float> statistics = device.Allocate<float>(3, 4);
            BatchNorm.Backward(stream, x, null, statistics, dx, dx, null, null);
        }),
        new("one dimension", typeof(ArgumentException), (device, stream) => Call(device, stream, [8])),
        new("six dimensions", typeof(ArgumentException), (device, stream) => Call(device, stream, [2, 4, 1, 1, 1, 1])),
        new("a plane of 2^31 elements", typeof(ArgumentException), (device, stream) => Call(device, stream, [0, 1, 1 << 15, 1 << 16])),
        new("gamma of another length", typeof(ArgumentException), (device, stream) => Call(device, stream, [3, 4], gamma: [3])),
        new("beta of two dimensions", typeof(ArgumentException), (device, stream) => Call(device, stream, [3, 4], beta: [1, 4])),
        new("statistics of one row", typeof(ArgumentException), (device, stream) => Call(device, stream, [3, 4], statistics: [4])),
        new("channels of the other layout", typeof(ArgumentException), (device, stream) => Call(device, stream, [3, 4, 5], options:
            new() { Layout = TensorLayout.ChannelsLast })),
        new("a layout that is none", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, [3, 4], options:
            new() { Layout = (TensorLayout)7 })),
        new("lengths of another batch", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<int> lengths = device.Allocate<int>(4);
            Call(device, stream, [3, 4], options: new() { Lengths = lengths });
        }),
        new("blocks dropped where no ReLU follows", typeof(ArgumentException), (device, stream) => Call(device, stream, [3, 4, 5], options:
            new() { DropBlock = new() { BlockSize = [2] } })),
        new("epsilon is 0", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, [3, 4], options:
            new() { Epsilon = 0 })),
        new("epsilon is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, [3, 4], options:
            new() { Epsilon = double.NaN })),
        new("momentum above 1", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, [3, 4], options:
            new() { Momentum = 1.5 })),
        new("a running mean without a variance", typeof(ArgumentNullException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), y = device.Allocate<float>(3, 4);
            using DeviceTensor<float> statistics = device.Allocate<float>(3, 4), mean = device.Allocate<float>(4);
            BatchNorm.Forward(stream, x, null, null, y, statistics, mean, null);
        }),
        new("y over x", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), statistics = device.Allocate<float>(3, 4);
            BatchNorm.Forward(stream, x, null, null, x, statistics, null, null);
        }),
        new("statistics over gamma", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), y = device.Allocate<float>(3, 4);
            using DeviceTensor<float> statistics = device.Allocate<float>(3, 4);
            BatchNorm.Forward(stream, x, statistics.Slice(0, 1).Reshape(4), null, y, statistics, null, null);
        }),
        new("epsilon is infinite", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, [3, 4], options:
            new() { Epsilon = double.PositiveInfinity })),
        new("a momentum that weighs neither value", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Call(device, stream, [3, 4], options: new() { MomentumWeighs = (MomentumWeight)7 })),
        new("a variance of another kind", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, [3, 4], options:
            new() { RunningVariance = (VarianceEstimate)7 })),
    ];

    public override Problem? OfLength(long length) => new BatchNormProblem("forward", [3, 2, length], "every length");

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) => problem.Entry switch
    {
        "infer" => [("x", "y")],
        "backward" => [("dy", "dx")],
        _ => [],
    };

    public override Problem? ForwardOf(Problem problem) =>
        problem is BatchNormProblem { Entry: "backward", IsExtreme: false } backward ? backward with { Entry = "forward" } : null;

    /// <summary>The page of the op says up to where sums of squares do not overflow.</summary>
    public override double LargestInput(DType dtype) => dtype switch
    {
        DType.Float16 => Elements.Largest(dtype),
        DType.Float64 => 1e150,
        _ => 1e30,
    };

    public override bool IsStateOrSetting(string input) => input == "statistics";

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "lengths" or "gamma" or "beta" or "dgamma" or "dbeta" || (tensor.StartsWith("running", StringComparison.Ordinal)
            && problem.Entry == "forward") ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        BatchNormProblem p = (BatchNormProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        long[] channels = [p.Channels];
        TensorSpec x = p.Input("x", dtype, seed);
        List<TensorSpec> specs = [x, .. p.LengthsSpec()];
        if (p.HasGamma) specs.Add(Input("gamma", real, channels, seed));
        if (p.Entry != "backward")
        {
            if (p.HasBeta) specs.Add(Input("beta", real, channels, seed));
            if (p.HasRunning || p.Entry == "infer")
            {
                TensorSpec mean = Input("running_mean", real, channels, seed);
                TensorSpec variance = Input("running_variance", real, channels, seed, 0.5);
                bool isTraining = p.Entry == "forward";
                Tolerance tolerance = new(1, 32, 4, "moments of a batch, in another order");
                specs.Add(isTraining ? mean with { Role = TensorRole.InOut, Tolerance = tolerance } : mean);
                specs.Add(isTraining ? variance with { Role = TensorRole.InOut, Tolerance = tolerance } : variance);
            }

            if (p.Entry == "forward")
            {
                specs.Add(Output("statistics", real, p.StatisticsShape,
                    new Tolerance(1, 24, Math.Max(1, p.Magnitude), "moments in another order; deviations are 1 or so")));
            }

            // A normalized value is 2 or so, and gamma and beta are.
            specs.Add(Output("y", dtype, p.Shape, new Tolerance(1, 16, 6, "a difference from the mean, by the deviation")));
            return specs;
        }

        double[] statistics = new double[Count(p.StatisticsShape)];
        p.Reference(real).Statistics(x.Values, statistics);
        statistics = [.. statistics.Select(value => Elements.Round(real, value))];
        double steepest = statistics.Skip(2 * statistics.Length / 3).DefaultIfEmpty(1).Max();
        Tolerance sum = MatMulCase.SumOfProducts(p.Count);
        specs.Add(new TensorSpec("statistics", real, p.StatisticsShape, TensorRole.Input, statistics));
        specs.Add(Input("dy", dtype, p.Shape, seed));
        specs.Add(Output("dgamma", real, channels, sum with
        {
            Floor = 4 * sum.Floor,
            ArithmeticRoundings = sum.ArithmeticRoundings + 8,
        }));
        specs.Add(Output("dbeta", real, channels, sum with { Floor = 2 * sum.Floor }));

        // With x far from what the statistics are of, what the channel takes off cancels; against a double that shows in double.
        double roundings = (dtype == DType.Float64 ? 64 : 1) * (16 + (2 * sum.ArithmeticRoundings));
        specs.Add(Output("dx", dtype, p.Shape,
            new Tolerance(1, roundings, 2 * steepest * 6, "a difference of a gradient and what the channel takes off")));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        BatchNormProblem p = (BatchNormProblem)problem;
        if (typeof(T) == typeof(double))
            Run<T, double>(stream, p, tensors);
        else
            Run<T, float>(stream, p, tensors);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        BatchNormProblem p = (BatchNormProblem)problem;
        BatchNormReference reference = p.Reference(values.DType("x") == DType.Float64 ? DType.Float64 : DType.Float32);
        double[] gamma = p.HasGamma ? values["gamma"] : [], beta = p.HasBeta && p.Entry != "backward" ? values["beta"] : [];
        switch (p.Entry)
        {
            case "forward":
                reference.Statistics(values["x"], values["statistics"]);
                reference.Forward(values["x"], gamma, beta, values["y"]);
                if (!p.HasRunning) return;
                reference.Run(
                    values["x"], values["running_mean"], values["running_variance"], p.NewShare,
                    p.Options.RunningVariance == VarianceEstimate.Unbiased);
                return;
            case "infer":
                reference.Infer(values["x"], gamma, beta, values["running_mean"], values["running_variance"], values["y"]);
                return;
            default:
                reference.Backward(
                    values["x"], gamma, values["statistics"], values["dy"], values["dx"], values["dgamma"], values["dbeta"]);
                return;
        }
    }

    private static void Run<T, TReal>(DeviceStream stream, BatchNormProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        DeviceTensor<T> x = tensors.Get<T>("x");
        DeviceTensor<TReal>? gamma = p.HasGamma ? tensors.Get<TReal>("gamma") : null;
        DeviceTensor<TReal>? beta = p.HasBeta && p.Entry != "backward" ? tensors.Get<TReal>("beta") : null;
        if (p.Entry == "infer")
        {
            BatchNorm.Infer(stream, x, gamma, beta, tensors.Get<TReal>("running_mean"), tensors.Get<TReal>("running_variance"),
                tensors.Get<T>("y"), p.With(tensors));
        }
        else if (p.GhostSize > 0)
        {
            RunInGhosts(stream, p, tensors, x, gamma, beta);
        }
        else if (p.Entry == "forward")
        {
            BatchNorm.Forward(stream, x, gamma, beta, tensors.Get<T>("y"), tensors.Get<TReal>("statistics"),
                p.HasRunning ? tensors.Get<TReal>("running_mean") : null, p.HasRunning ? tensors.Get<TReal>("running_variance") : null,
                p.With(tensors));
        }
        else
        {
            BatchNorm.Backward(stream, x, gamma, tensors.Get<TReal>("statistics"), tensors.Get<T>("dy"), tensors.Get<T>("dx"),
                tensors.Get<TReal>("dgamma"), tensors.Get<TReal>("dbeta"), p.With(tensors));
        }
    }

    private static void RunInGhosts<T, TReal>(
        DeviceStream stream, BatchNormProblem p, DeviceTensors tensors, DeviceTensor<T> x, DeviceTensor<TReal>? gamma,
        DeviceTensor<TReal>? beta)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (p.Entry == "forward")
        {
            GhostBatchNorm.Forward(stream, x, gamma, beta, tensors.Get<T>("y"), tensors.Get<TReal>("statistics"),
                p.HasRunning ? tensors.Get<TReal>("running_mean") : null, p.HasRunning ? tensors.Get<TReal>("running_variance") : null,
                p.GhostSize, p.With(tensors));
        }
        else
        {
            GhostBatchNorm.Backward(stream, x, gamma, tensors.Get<TReal>("statistics"), tensors.Get<T>("dy"), tensors.Get<T>("dx"),
                tensors.Get<TReal>("dgamma"), tensors.Get<TReal>("dbeta"), p.GhostSize, p.With(tensors));
        }
    }

    private static IEnumerable<BatchNormProblem> InParts(string entry) =>
    [
        new(entry, [3, 2, 2740], "parts of channels that wait for each other, maps that begin inside blocks"),
        new(entry, [3, 2, 2744], "parts of channels that wait for each other, maps of whole blocks"),
        new(entry, [100, 136], "parts of rows that wait for each other, two tiles"),
        new(entry, [2, 2, 2112], "channels of which a group keeps all, whole pairs of blocks"),
        new(entry, [12, 264], "tiles of columns of which a group keeps all"),
    ];

    private static IEnumerable<BatchNormProblem> Forward(string entry) =>
    [
        new(entry, [0, 3, 4], "no samples"),
        new(entry, [3, 0, 4], "no channels"),
        new(entry, [2, 1], "the fewest values"),
        new(entry, [5, 8], "one block of channels"),
        new(entry, [6, 5, 7, 7], "odd maps of odd channels"),
        new(entry, [3, 8, 5, 5], "maps that begin inside blocks"),
        new(entry, [4, 6, 4, 4], "maps of whole blocks"),
        new(entry, [5, 3, 4, 24], "channels last, whole blocks") { Layout = TensorLayout.ChannelsLast },
        new(entry, [3, 5, 6, 13], "channels last, odd") { Layout = TensorLayout.ChannelsLast },
        new(entry, [2, 3, 2, 3, 4], "three spatial dimensions, no gamma, no beta") { HasGamma = false, HasBeta = false },
        new(entry, [2, 4, 9], "one dimension; Keras's conventions")
        {
            Options = new()
            {
                Momentum = 0.99, MomentumWeighs = MomentumWeight.OldValue, RunningVariance = VarianceEstimate.Biased, Epsilon = 1e-3,
            },
        },
        new(entry, [2, 1, 2104], "more elements than a group takes"),
        new(entry, [1, 2, 4099], "the same, odd, two of them") { HasRunning = false },
        new(entry, [5, 3, 11], "padded: the first sample, part of one, all of one, too many") { Lengths = [0, 4, 0, 11, 12] },
        new(entry, [4, 3, 5, 8], "padded, channels last, the last of none")
        {
            Layout = TensorLayout.ChannelsLast, Lengths = [0, 7, 15, -1],
        },
        new(entry, [3, 2, 6], "no place counts") { Lengths = [0, 0, 0] },
        new(entry, [70001, 3], "more than 65,535 rows") { HasBeta = false },
        new(entry, [300, 301, 3], "more than 65,535 maps"),
        new(entry, [4, 3, 7, 9], "a mean far larger than the deviation") { IsFar = true, HasExtremes = true, HasRunning = false },
        new(entry, [30, 3], "a mean far larger than the deviation, channels side by side")
        {
            IsFar = true, HasExtremes = true, HasRunning = false,
        },
        new(entry, [4, 3, 5, 7], "squares that overflow") { IsHuge = true, HasExtremes = true, HasRunning = false },
        new(entry, [40, 3], "squares that overflow, channels side by side")
        {
            IsHuge = true, HasExtremes = true, HasRunning = false,
        },
    ];

    private static IEnumerable<BatchNormProblem> Infer() =>
    [
        new("infer", [0, 3, 4], "no samples"),
        new("infer", [1, 5], "one sample"),
        new("infer", [3, 2, 8], "padded") { Lengths = [3, 0, 8] },
        new("infer", [3, 8, 5, 5], "maps that begin inside blocks"),
        new("infer", [3, 5, 6, 13], "channels last, odd") { Layout = TensorLayout.ChannelsLast },
        new("infer", [3, 40, 3], "many rows of an item, no gamma, no beta")
        {
            Layout = TensorLayout.ChannelsLast, HasGamma = false, HasBeta = false,
        },
    ];

    private static void Call(
        Device device, DeviceStream stream, long[] x, long[]? gamma = null, long[]? beta = null, long[]? statistics = null,
        BatchNormOptions options = default)
    {
        using DeviceTensor<float> xTensor = device.Allocate<float>(x), yTensor = device.Allocate<float>(x);
        using DeviceTensor<float> gammaTensor = device.Allocate<float>(gamma ?? [4]), betaTensor = device.Allocate<float>(beta ?? [4]);
        using DeviceTensor<float> statisticsTensor = device.Allocate<float>(statistics ?? [3, 4]);
        BatchNorm.Forward(stream, xTensor, gammaTensor, betaTensor, yTensor, statisticsTensor, null, null, options);
    }
}

/// <summary>A call of batch normalization.</summary>
public record BatchNormProblem(string Entry, long[] Shape, string Reason) : Problem(Entry, Reason)
{
    public TensorLayout Layout { get; init; }

    public bool HasGamma { get; init; } = true;

    public bool HasBeta { get; init; } = true;

    public bool HasRunning { get; init; } = true;

    /// <summary>A mean about as many times the deviation as there are digits for.</summary>
    public bool IsFar { get; init; }

    /// <summary>Deviations whose squares overflow.</summary>
    public bool IsHuge { get; init; }

    public bool IsExtreme => IsFar || IsHuge;

    /// <summary>Places of each sample that count; empty when all do.</summary>
    public int[] Lengths { get; init; } = [];

    /// <summary>Samples of a ghost batch; 0 for all.</summary>
    public long GhostSize { get; init; }

    /// <summary>Samples of the shards of a synchronized batch.</summary>
    public long[] Shards { get; init; } = [];

    /// <summary>Ghost batches, or one.</summary>
    public long Sets => GhostSize == 0 ? 1 : Shape[0] / GhostSize;

    public long[] StatisticsShape => GhostSize == 0 ? [3, Channels] : [3, Sets, Channels];

    public BatchNormOptions Options
    {
        get => field with { Layout = Layout };
        init;
    }

    public long Channels => Layout == TensorLayout.ChannelsFirst ? Shape[1] : Shape[^1];

    /// <summary>Elements of a channel.</summary>
    public long Count => Length / Math.Max(1, Channels);

    /// <summary>The size of the values.</summary>
    public double Magnitude => IsHuge ? 1e30 : 2;

    public double NewShare => Options.MomentumWeighs == MomentumWeight.NewValue ? Options.Momentum : 1 - Options.Momentum;

    public override string Text =>
        $"{string.Join('x', Shape)}{(Layout == TensorLayout.ChannelsLast ? " channels last" : "")}"
        + $"{(HasGamma ? "" : " no gamma")}{(HasBeta ? "" : " no beta")}{(GhostSize > 0 ? $" ghosts of {GhostSize}" : "")}"
        + (Lengths.Length > 0 ? $" lengths {string.Join('+', Lengths)}" : "")
        + (Shards.Length > 8 ? $" {Shards.Length} shards" : Shards.Length > 0 ? $" shards {string.Join('+', Shards)}" : "");

    /// <summary>Forward and inference read x and write y, backward reads x and dy and writes dx; steps do their part of it.</summary>
    public override long Bytes(int elementBytes) => Length * elementBytes * Entry switch
    {
        "backward" or "apply-gradient" => 3,
        "statistics" => 1,
        "merge" or "finish" => 0,
        _ => 2,
    };

    protected long Length => Shape.Aggregate(1L, (product, dimension) => product * dimension);

    public BatchNormReference Reference(DType real)
    {
        long inner = Layout == TensorLayout.ChannelsFirst ? Shape[2..].Aggregate(1L, (product, dimension) => product * dimension) : 1;
        long outer = Length / Math.Max(1, Channels * inner * Sets);
        return new BatchNormReference((int)Sets, (int)outer, (int)Channels, (int)inner)
        {
            Epsilon = Options.Epsilon,
            Lengths = Lengths,
            Places = (int)Math.Max(1, Count / Math.Max(1, Shape[0])),
            Round = value => Elements.Round(real, value),
        };
    }

    /// <summary>The tensor of lengths, where there are any.</summary>
    public IReadOnlyList<TensorSpec> LengthsSpec() => Lengths.Length == 0
        ? [] : [new("lengths", DType.Int32, [Lengths.Length], TensorRole.Input, [.. Lengths.Select(length => (double)length)])];

    /// <summary>The options with the tensors of a call.</summary>
    public virtual BatchNormOptions With(DeviceTensors tensors) =>
        Lengths.Length == 0 ? Options : Options with { Lengths = tensors.Get<int>("lengths") };

    public TensorSpec Input(string name, DType dtype, ulong seed)
    {
        // As far as the type has digits for deviations of about 1.
        double centre = !IsFar ? 0 : dtype switch
        {
            DType.Float64 => 1e9,
            DType.Float32 => 1e6,
            DType.Float16 => 500,
            _ => 60,
        };
        double high = IsHuge && dtype != DType.Float16 ? 1e30 : 2;
        return new TensorSpec(
            name, dtype, Shape, TensorRole.Input, Elements.Uniform(dtype, Length, seed, name, centre - high, centre + high));
    }
}
