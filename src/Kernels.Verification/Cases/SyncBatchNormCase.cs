using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The steps of synchronized batch normalization: records of shards, their merging, and what is made of them.</summary>
public sealed class SyncBatchNormCase : OpCase
{
    private static readonly long[] FirstStage = [32, 64, 56, 56];

    public override string Op => "sync-batch-norm";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        .. OfShard("statistics"),
        Of("statistics", [1, 3], "one value a channel"),
        Of("statistics", [3, 2, 9], "padded") with { Lengths = [0, 5, 9] },
        Of("statistics", [3, 2, 5, 7], "a mean far larger than the deviation") with { IsFar = true, HasExtremes = true },
        Of("statistics", [9, 4], "squares that overflow") with { IsHuge = true, HasExtremes = true },
        Of("merge", [4, 5], "one record") with { Shards = [4] },
        Of("merge", [11, 3], "the first and the last empty") with { Shards = [0, 6, 5, 0] },
        Of("finish", [9, 3, 2], "three records, one empty; Keras's conventions") with
        {
            Shards = [2, 0, 7],
            Options = new()
            {
                Momentum = 0.99, MomentumWeighs = MomentumWeight.OldValue, RunningVariance = VarianceEstimate.Biased, Epsilon = 1e-3,
            },
        },
        Of("finish", [70, 40], "more records than an item merges, more channels than a group") with
        {
            Shards = [.. Enumerable.Repeat(2L, 35)], HasRunning = false,
        },
        Of("finish", [1, 3], "one value in all: no deviation, no running values") with { Shards = [0, 1] },
        Of("finish", [30, 3], "a mean far larger than the deviation") with { Shards = [10, 1, 19], IsFar = true, HasExtremes = true },
        Of("apply", [0, 3, 4], "no samples"),
        Of("apply", [3, 8, 5, 5], "maps that begin inside blocks"),
        Of("apply", [3, 5, 6, 13], "channels last, no gamma, no beta") with
        {
            Layout = TensorLayout.ChannelsLast, HasGamma = false, HasBeta = false,
        },
        .. OfShard("reduce-gradient"),
        .. OfShard("apply-gradient"),
        Of("apply-gradient", [6, 4], "no gamma") with { HasGamma = false, Shards = [6] },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        Of("statistics", FirstStage, "ResNet's first stage, channels first"),
        Of("apply", FirstStage, "ResNet's first stage, channels first"),
        Of("reduce-gradient", FirstStage, "ResNet's first stage, channels first"),
        Of("apply-gradient", FirstStage, "ResNet's first stage, channels first") with { Shards = [.. Enumerable.Repeat(4L, 8)] },
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("moments of four rows", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), moments = device.Allocate<float>(4, 4);
            SyncBatchNorm.Statistics(stream, x, moments);
        }),
        new("records that are no list", typeof(ArgumentException), (device, stream) => Finish(device, stream, [5, 4])),
        new("no records", typeof(ArgumentException), (device, stream) => Finish(device, stream, [0, 5, 4])),
        new("records of sums", typeof(ArgumentException), (device, stream) => Finish(device, stream, [2, 3, 4])),
        new("statistics of other channels", typeof(ArgumentException), (device, stream) => Finish(device, stream, [2, 5, 3])),
        new("epsilon is 0", typeof(ArgumentOutOfRangeException), (device, stream) => Finish(device, stream, [2, 5, 4], new()
        {
            Epsilon = 0,
        })),
        new("a merged record in the list", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> moments = device.Allocate<float>(2, 5, 4);
            SyncBatchNorm.Merge(stream, moments, moments.Slice(1, 1).Reshape(5, 4));
        }),
        new("sums without counts", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), dx = device.Allocate<float>(3, 4);
            using DeviceTensor<float> statistics = device.Allocate<float>(3, 4), sums = device.Allocate<float>(1, 2, 4);
            SyncBatchNorm.ApplyGradient(stream, x, null, statistics, dx, sums, dx);
        }),
        new("sums of other channels", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), dx = device.Allocate<float>(3, 4);
            using DeviceTensor<float> statistics = device.Allocate<float>(3, 4), sums = device.Allocate<float>(1, 3, 5);
            SyncBatchNorm.ApplyGradient(stream, x, null, statistics, dx, sums, dx);
        }),
        new("moments of other channels", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), moments = device.Allocate<float>(5, 3);
            SyncBatchNorm.Statistics(stream, x, moments);
        }),
        new("a merged record of other channels", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> moments = device.Allocate<float>(2, 5, 4), merged = device.Allocate<float>(5, 3);
            SyncBatchNorm.Merge(stream, moments, merged);
        }),
        new("applied in place", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), statistics = device.Allocate<float>(3, 4);
            SyncBatchNorm.Apply(stream, x, null, null, statistics, x);
        }),
        new("applied with statistics of other channels", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), y = device.Allocate<float>(3, 4);
            using DeviceTensor<float> statistics = device.Allocate<float>(3, 3);
            SyncBatchNorm.Apply(stream, x, null, null, statistics, y);
        }),
        new("applied with a gamma of other channels", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), y = device.Allocate<float>(3, 4);
            using DeviceTensor<float> statistics = device.Allocate<float>(3, 4), gamma = device.Allocate<float>(3);
            SyncBatchNorm.Apply(stream, x, gamma, null, statistics, y);
        }),
        new("sums of a shard of other channels", typeof(ArgumentException), (device, stream) => Reduce(device, stream, 3, 4)),
        new("sums over the statistics", typeof(ArgumentException), (device, stream) => Reduce(device, stream, 4, 0)),
        new("a gradient over its input", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), dy = device.Allocate<float>(3, 4);
            using DeviceTensor<float> statistics = device.Allocate<float>(3, 4), sums = device.Allocate<float>(1, 3, 4);
            SyncBatchNorm.ApplyGradient(stream, x, null, statistics, dy, sums, x);
        }),
        new("a gradient over the statistics", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(3, 4), statistics = device.Allocate<float>(3, 4);
            using DeviceTensor<float> sums = device.Allocate<float>(1, 3, 4);
            SyncBatchNorm.ApplyGradient(stream, x, null, statistics, statistics, sums, statistics);
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "apply-gradient" ? [("dy", "dx")] : [];

    public override double LargestInput(DType dtype) => dtype switch
    {
        DType.Float16 => Elements.Largest(dtype),
        DType.Float64 => 1e150,
        _ => 1e30,
    };

    public override bool IsStateOrSetting(string input) => input is "statistics" or "records";

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "lengths" or "gamma" or "beta" or "dgamma" or "dbeta" || tensor.StartsWith("running", StringComparison.Ordinal)
            ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        BatchNormProblem p = (BatchNormProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        long[] channels = [p.Channels];
        TensorSpec x = p.Input("x", dtype, seed), dy = Input("dy", dtype, p.Shape, seed);
        double[] statistics = new double[3 * p.Channels];
        p.Reference(real).Statistics(x.Values, statistics);
        TensorSpec of = new(
            "statistics", real, p.StatisticsShape, TensorRole.Input, [.. statistics.Select(value => Elements.Round(real, value))]);
        Tolerance moment = new(1, 24, Math.Max(1, p.Magnitude), "moments in another order; deviations are 1 or so");
        Tolerance sum = MatMulCase.SumOfProducts(p.Count);
        TensorSpec[] gamma = p.HasGamma ? [Input("gamma", real, channels, seed)] : [];
        switch (p.Entry)
        {
            case "statistics":
                return [x, .. p.LengthsSpec(), Output("moments", real, [5, p.Channels], moment)];
            case "merge":
                return [Records(p, real, x.Values), Output("merged", real, [5, p.Channels], moment)];
            case "finish":
                Tolerance tolerance = new(1, 32, 4, "moments of a batch, in another order");
                TensorSpec[] running = p.HasRunning
                    ? [Input("running_mean", real, channels, seed), Input("running_variance", real, channels, seed, 0.5)] : [];
                return
                [
                    Records(p, real, x.Values),
                    .. running.Select(spec => spec with { Role = TensorRole.InOut, Tolerance = tolerance }),
                    Output("statistics", real, p.StatisticsShape, moment),
                ];
            case "apply":
                TensorSpec[] beta = p.HasBeta ? [Input("beta", real, channels, seed)] : [];
                return
                [
                    x, .. gamma, .. beta, of,
                    Output("y", dtype, p.Shape, new Tolerance(1, 16, 6, "a difference from the mean, by the deviation")),
                ];
            case "reduce-gradient":
                Tolerance product = sum with { Floor = 4 * sum.Floor, ArithmeticRoundings = sum.ArithmeticRoundings + 8 };
                return
                [
                    x, of, dy, Output("sums", real, [3, p.Channels], product), Output("dgamma", real, channels, product),
                    Output("dbeta", real, channels, sum with { Floor = 2 * sum.Floor }),
                ];
            default:
                double steepest = of.Values.Skip(2 * (int)p.Channels).DefaultIfEmpty(1).Max();
                double roundings = (dtype == DType.Float64 ? 64 : 1) * (16 + (2 * sum.ArithmeticRoundings));
                return
                [
                    x, .. gamma, of, dy, Sums(p, of, x.Values, dy.Values),
                    Output("dx", dtype, p.Shape,
                        new Tolerance(1, roundings, 2 * steepest * 6, "a difference of a gradient and what the channel takes off")),
                ];
        }
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
        DType real = values.DType(p.Entry switch { "statistics" => "moments", "merge" => "merged", _ => "statistics" });
        SyncBatchNormReference reference = Reference(p, real);
        BatchNormReference shard = p.Reference(real);
        double[] gamma = values.Has("gamma") ? values["gamma"] : [];
        switch (p.Entry)
        {
            case "statistics":
                reference.Moments(shard, values["x"], values["moments"]);
                return;
            case "merge":
                reference.Merge(values["records"], values["merged"]);
                return;
            case "finish":
                reference.Finish(
                    values["records"], p.Options.Epsilon, values["statistics"], p.HasRunning ? values["running_mean"] : [],
                    p.HasRunning ? values["running_variance"] : [], p.NewShare, p.Options.RunningVariance == VarianceEstimate.Unbiased);
                return;
            case "apply":
                shard.Apply(values["x"], gamma, values.Has("beta") ? values["beta"] : [], values["statistics"], values["y"]);
                return;
            case "reduce-gradient":
                reference.ReduceGradient(
                    shard, values["x"], values["statistics"], values["dy"], values["sums"], values["dgamma"], values["dbeta"]);
                return;
            default:
                reference.ApplyGradient(
                    shard.Inner, values["x"], gamma, values["statistics"], values["dy"], values["records"], values["dx"]);
                return;
        }
    }

    private static void Run<T, TReal>(DeviceStream stream, BatchNormProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        bool takesGamma = p.HasGamma && (p.Entry is "apply" or "apply-gradient");
        DeviceTensor<TReal>? gamma = takesGamma ? tensors.Get<TReal>("gamma") : null;
        switch (p.Entry)
        {
            case "statistics":
                SyncBatchNorm.Statistics(stream, tensors.Get<T>("x"), tensors.Get<TReal>("moments"), p.With(tensors));
                return;
            case "merge":
                SyncBatchNorm.Merge(stream, tensors.Get<TReal>("records"), tensors.Get<TReal>("merged"));
                return;
            case "finish":
                SyncBatchNorm.Finish(
                    stream, tensors.Get<TReal>("records"), tensors.Get<TReal>("statistics"),
                    p.HasRunning ? tensors.Get<TReal>("running_mean") : null, p.HasRunning ? tensors.Get<TReal>("running_variance") : null,
                    p.Options);
                return;
            case "apply":
                SyncBatchNorm.Apply(
                    stream, tensors.Get<T>("x"), gamma, p.HasBeta ? tensors.Get<TReal>("beta") : null, tensors.Get<TReal>("statistics"),
                    tensors.Get<T>("y"), p.Options);
                return;
            case "reduce-gradient":
                SyncBatchNorm.ReduceGradient(
                    stream, tensors.Get<T>("x"), tensors.Get<TReal>("statistics"), tensors.Get<T>("dy"), tensors.Get<TReal>("sums"),
                    tensors.Get<TReal>("dgamma"), tensors.Get<TReal>("dbeta"), p.Options);
                return;
            default:
                SyncBatchNorm.ApplyGradient(
                    stream, tensors.Get<T>("x"), gamma, tensors.Get<TReal>("statistics"), tensors.Get<T>("dy"),
                    tensors.Get<TReal>("records"), tensors.Get<T>("dx"), p.Options);
                return;
        }
    }

    private static IEnumerable<BatchNormProblem> OfShard(string entry) =>
    [
        Of(entry, [0, 3, 4], "no samples") with { Shards = [0, 0] },
        Of(entry, [4, 5, 7, 7], "odd maps of odd channels") with { Shards = [1, 0, 3] },
        Of(entry, [5, 3, 4, 24], "channels last") with { Layout = TensorLayout.ChannelsLast, Shards = [2, 3] },
        Of(entry, [1, 2, 8203], "several parts") with { Shards = [1] },
    ];

    private static BatchNormProblem Of(string entry, long[] shape, string reason) => new(entry, shape, reason);

    private static SyncBatchNormReference Reference(BatchNormProblem p, DType real) => new(
        (int)p.Channels, value => Elements.Round(real, value), Math.ScaleB(1, real == DType.Float64 ? -600 : -90));

    /// <summary>The records of the shards, which are samples that follow each other.</summary>
    private static TensorSpec Records(BatchNormProblem p, DType real, double[] x)
    {
        List<double> records = [];
        int at = 0;
        foreach (long samples in p.Shards)
        {
            BatchNormProblem shard = p with { Shape = [samples, .. p.Shape.AsSpan(1)] };
            int length = x.Length / (int)Math.Max(1, p.Shape[0]) * (int)samples;
            double[] record = new double[5 * p.Channels];
            Reference(p, real).Moments(shard.Reference(real), x.AsSpan(at, length), record);
            records.AddRange(record.Select(value => Elements.Round(real, value)));
            at += length;
        }

        return new TensorSpec("records", real, [p.Shards.Length, 5, p.Channels], TensorRole.Input, [.. records]);
    }

    private static TensorSpec Sums(BatchNormProblem p, TensorSpec statistics, double[] x, double[] dy)
    {
        List<double> records = [];
        int at = 0;
        foreach (long samples in p.Shards)
        {
            BatchNormProblem shard = p with { Shape = [samples, .. p.Shape.AsSpan(1)] };
            int length = x.Length / (int)Math.Max(1, p.Shape[0]) * (int)samples;
            double[] record = new double[3 * p.Channels], unused = new double[p.Channels];
            Reference(p, statistics.DType).ReduceGradient(
                shard.Reference(statistics.DType), x.AsSpan(at, length), statistics.Values, dy.AsSpan(at, length), record, unused, unused);
            records.AddRange(record.Select(value => Elements.Round(statistics.DType, value)));
            at += length;
        }

        return new TensorSpec("records", statistics.DType, [p.Shards.Length, 3, p.Channels], TensorRole.Input, [.. records]);
    }

    /// <summary>Sums of so many channels, or in the place of the statistics where there are none.</summary>
    private static void Reduce(Device device, DeviceStream stream, long channels, long ownChannels)
    {
        using DeviceTensor<float> x = device.Allocate<float>(3, 4), statistics = device.Allocate<float>(3, 4);
        using DeviceTensor<float> own = device.Allocate<float>(3, channels);
        SyncBatchNorm.ReduceGradient(stream, x, statistics, x, ownChannels == 0 ? statistics : own, null, null);
    }

    private static void Finish(Device device, DeviceStream stream, long[] records, BatchNormOptions options = default)
    {
        using DeviceTensor<float> moments = device.Allocate<float>(records), statistics = device.Allocate<float>(3, 4);
        SyncBatchNorm.Finish(stream, moments, statistics, null, null, options);
    }
}
