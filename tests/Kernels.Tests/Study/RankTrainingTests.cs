using System.Diagnostics;
using Kernels.Cli.Commands;
using Kernels.Study;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class RankTrainingTests : IDisposable
{
    /// <summary>Batches of 7 rows over 8 shards: one shard is empty, and more in the last batch.</summary>
    private static readonly StudySettings Settings = StudyFixtures.SmallSettings with { Epochs = 1 };

    private readonly string _directory = Directory.CreateTempSubdirectory("kernels-ranks").FullName;

    /// <summary>Whatever looks at a whole batch, and all that a checkpoint keeps.</summary>
    private static Recipe Everything => Recipes.Find("cnn+everything") with
    {
        Network = new CnnPlan { IsResidual = true, HasBatchNorm = true, Method = Noise },
        Stopping = new StoppingRule(StoppingMetric.Loss, Window: 2, Patience: 1),
    };

    private static Method Noise => new("Noise of the whole batch in two places, and stochastic depth.")
    {
        Before = place => place is 2 ? new DropBlockLayer(0.2, size: 2, place)
            : place == CnnPlan.LastPlace ? new FeatureNoiseLayer(0.5, place) : null,
        BranchDrop = (_, _) => 0.3,
    };

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void AnyNumberOfRanksGivesTheSameBits()
    {
        Trace one = Train(1, Everything);
        Assert.Equal(6, one.Losses.Count);
        Assert.All(one.Losses, loss => Assert.True(double.IsFinite(loss)));

        foreach (int ranks in (int[])[2, 4, 8])
        {
            Trace more = Train(ranks, Everything);

            Assert.Equal(Bits(one.Losses), Bits(more.Losses));
            Assert.Equal(one.Result.Curve, more.Result.Curve);
            Assert.Equal(one.Result.Final, more.Result.Final);
            CheckTraffic(more.Result.Ranks!, SumMode.FixedTree);
        }
    }

    /// <summary>The model of what is sent, to the byte.</summary>
    private static void CheckTraffic(RankUse use, SumMode mode)
    {
        using Device device = Device.Open("cpu");
        using Network network = new(device, Everything.Network.Layers(Settings), Settings.Widths[0], maximumRows: 1);
        long[] parameters = [.. network.Parameters.Select(parameter => parameter.Value.Length)];
        StepTraffic step = StepTraffic.Of(parameters, NetworkSize.Cnn.Normalized, new ShardPlan(use.Shards, use.Ranks, 0), mode);

        // With the features of a row of each shard, the one look whether to stop, and the 40 losses of the epoch.
        int others = use.Ranks - 1;
        long features = use.Shards / use.Ranks * 64 * sizeof(float) * others;
        long ends = (2 * sizeof(float) * others / use.Ranks) + (2 * 40 * sizeof(float) * others / use.Ranks);
        Assert.Equal((use.Steps * (step.Calls + 1)) + 2, use.Calls * use.Steps, tolerance: 1e-6);
        Assert.Equal((use.Steps * (step.BytesSent + features)) + ends, use.BytesSent * use.Steps, tolerance: 1e-3);
    }

    [Fact]
    public void TheModelKnowsTheNetwork()
    {
        StudySettings settings = new();
        using Device device = Device.Open("cpu");
        using Network network = new(device, Recipes.Find("cnn+everything").Network.Layers(settings), settings.Widths[0], maximumRows: 1);
        Assert.Equal(network.ParameterCount, NetworkSize.Cnn.Parameters);
        Assert.Equal(network.Statistics.Select(statistic => statistic.Length), NetworkSize.Cnn.Normalized.SelectMany(c => (long[])[c, c]));
        Assert.Equal((53, 26_560), (NetworkSize.ResNet50.Normalized.Count, NetworkSize.ResNet50.Normalized.Sum()));

        // A fixed order costs a node what any order does; over all cards each byte crosses the slow links eight times as often as by nodes.
        ClusterModel cluster = new();
        StepCost node = StepCost.Of(cluster, NetworkSize.ResNet50, 8), many = StepCost.Of(cluster, NetworkSize.ResNet50, 1024);
        Assert.InRange(node.FixedGradients / node.Gradients, 0.8, 1.2);
        Assert.Equal(node.FixedGradients, node.FixedGradientsByNodes);
        Assert.InRange(many.FixedGradientsByNodes / many.Gradients, 1, 2.5);
        Assert.True(many.FixedGradients > 1.5 * many.FixedGradientsByNodes);
    }

    [Fact]
    public void BucketsDoNotChangeBits()
    {
        Trace one = Train(2, Everything), many = Train(2, Everything, new RankSettings { BucketBytes = 1 });

        Assert.Equal(Bits(one.Losses), Bits(many.Losses));
        Assert.True(many.Result.Ranks!.Calls > one.Result.Ranks!.Calls + 5);
    }

    /// <summary>
    /// Three ranks draw the masks, the changed images and the partners of one process, whatever the recipe, and average as it does.
    /// </summary>
    [Theory]
    [InlineData("dropout")]
    [InlineData("gaussian-dropout")]
    [InlineData("adaptive-dropout")]
    [InlineData("drop-connect")]
    [InlineData("stochastic-depth")]
    [InlineData("elastic-net")]
    [InlineData("cnn+drop-block")]
    [InlineData("cnn+label-smoothing")]
    [InlineData("cnn+mixup")]
    [InlineData("cnn+auto-augment")]
    [InlineData("cnn+feature-space")]
    [InlineData("cnn+everything")]
    public void RanksTrainAsOneProcessDoes(string name)
    {
        // DropBlock counts the kept cells of a call, which is a shard here.
        Recipe recipe = Recipes.Find(name);
        bool countsCells = name == "cnn+drop-block";
        RunResult alone = TrainerTests.Run(recipe, 5, Settings, TestContext.Current.CancellationToken);
        Trace ranks = Train(3, recipe, new RankSettings { Mode = SumMode.AllReduce });

        Assert.Equal(alone.Final.Train.Loss, ranks.Result.Final.Train.Loss, tolerance: countsCells ? 0.1 : 2e-4);
        Assert.Equal(alone.Final.Test.Loss, ranks.Result.Final.Test.Loss, tolerance: countsCells ? 0.1 : 2e-4);
    }

    [Fact]
    public void AStoppedRunGoesOnWithOtherRanks()
    {
        StudySettings settings = Settings with { Epochs = 3, BatchSize = 4, DensePoints = 3 };
        string wholeFile = Path.Combine(_directory, "whole.csv"), file = Path.Combine(_directory, "parts.csv");
        Trace whole = Train(1, Everything, study: settings, losses: wholeFile);
        RankSettings kept = new() { CheckpointPath = Path.Combine(_directory, "runs") };

        // Ranks look at steps 0 and 8 of each epoch: the fourth look is within the second, the one after that before the third.
        int looks = 0;
        Trace first = Train(4, Everything, kept, settings, wantsToStop: rank => rank == 2 && ++looks == 4, losses: file);
        Assert.False(first.HasEnded);
        Trace second = Train(1, Everything, kept, settings, wantsToStop: _ => ++looks == 6, losses: file);
        Assert.False(second.HasEnded);
        // As if it had been killed when it wrote the losses of the epoch after.
        File.AppendAllText(file, "cnn+everything,5,21,0.5,3fe00");
        Trace last = Train(2, Everything, kept, settings, losses: file);

        Assert.Equal(Bits(whole.Losses), Bits([.. first.Losses, .. second.Losses, .. last.Losses]));
        Assert.Equal(whole.Result.Curve, last.Result.Curve);
        Assert.Equal((whole.Result.Final, whole.Result.BestEpoch), (last.Result.Final, last.Result.BestEpoch));
        Assert.Equal(File.ReadAllBytes(wholeFile), File.ReadAllBytes(file));
        Assert.Equal([file, wholeFile], Directory.GetFiles(_directory).Order());
    }

    /// <summary>A launcher may leave a rank one thread or all: another one goes on with the same run.</summary>
    [Fact]
    public void ARunDoesNotDependOnThreads()
    {
        using RankSession two = Session(2, SumMode.FixedTree), four = Session(4, SumMode.FixedTree), plain = Session(4, SumMode.AllReduce);

        Assert.Equal("CPU, 8 shards", two.Conditions);
        Assert.Equal(two.Conditions, four.Conditions);
        Assert.Equal("CPU, all-reduce on 4 ranks", plain.Conditions);

        static RankSession Session(int ranks, SumMode mode) =>
            new(new RankRequest(ranks, new RankSettings { Mode = mode }, new CollectiveOptions(), LossPath: null), "cpu");
    }

    [Fact]
    public void ACheckpointOfAnotherRunIsRefused()
    {
        RankSettings kept = new() { CheckpointPath = Path.Combine(_directory, "runs") };
        Train(1, Everything, kept, wantsToStop: _ => true);
        DatasetException other = Assert.Throws<DatasetException>(() => Train(2, Everything, kept with { Shards = 4 }));

        Assert.Contains("keeps another run", other.Message);
        string file = Assert.Single(Directory.GetFiles(_directory));
        File.WriteAllBytes(file, File.ReadAllBytes(file)[..^1]);
        Assert.Contains("damaged", Assert.Throws<DatasetException>(() => Train(2, Everything, kept)).Message);
    }

    /// <summary>In every call of a step, and in those before and after it.</summary>
    [Theory]
    [InlineData("what to do")]
    [InlineData("moments of a batch")]
    [InlineData("features of a batch")]
    [InlineData("gradients")]
    [InlineData("sums of a normalization's gradient")]
    [InlineData("losses")]
    [InlineData("scores")]
    public void ARankThatFailsEndsAll(string purpose)
    {
        InvalidOperationException defect = new("a defect");
        Stopwatch clock = Stopwatch.StartNew();

        Exception failure = Assert.ThrowsAny<Exception>(() => Train(2, Everything, wrap: rank =>
            rank.Rank == 1 ? new FaultyCollective(rank, purpose, () => throw defect) : rank));

        Assert.Same(defect, failure);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), $"{clock.Elapsed}");
    }

    [Fact]
    public void ARankThatHangsIsNamed()
    {
        using ManualResetEventSlim end = new();
        CollectiveException failure = Assert.Throws<CollectiveException>(() => Train(
            2, Everything, limit: TimeSpan.FromSeconds(4), wrap: rank => rank.Rank == 0
                ? rank
                : new FaultyCollective(rank, "gradients", () => end.Wait(TimeSpan.FromSeconds(6)))));

        Assert.Equal([1], failure.Culprits);
        Assert.Contains("'gradients'", failure.Message);
        Assert.Contains("rank 1", failure.Message);
    }

    [Fact]
    public void RanksThatWereStartedOtherwiseAreTold()
    {
        // The same calls, of the same sizes.
        ArgumentException failure = Assert.Throws<ArgumentException>(() => OnRanks(2, null, null, rank => RunOn(
            rank, Everything, new RankSettings(), Settings with { LearningRate = 0.02 + rank.Rank }, new Trace(), _ => false)));

        Assert.Contains("Rank 1 does not do what rank 0 does", failure.Message);
        Assert.Contains("dealt evenly", Assert.Throws<ArgumentException>(() => Train(3, Everything)).Message);
    }

    private static Trace Train(
        int ranks, Recipe recipe, RankSettings? settings = null, StudySettings? study = null, Func<int, bool>? wantsToStop = null,
        Func<ICollective, ICollective>? wrap = null, TimeSpan? limit = null, string? losses = null)
    {
        Trace trace = new();
        IStudyProgress progress = losses is null ? trace : new LossLog(losses, goesOn: settings?.CheckpointPath is not null, trace);
        OnRanks(ranks, limit, wrap, rank => RunOn(
            rank, recipe, settings ?? new RankSettings(), study ?? Settings, progress, wantsToStop ?? (_ => false)));
        return trace;
    }

    private static void RunOn(
        ICollective rank, Recipe recipe, RankSettings ranks, StudySettings settings, IStudyProgress progress,
        Func<int, bool> wantsToStop)
    {
        using Device device = Device.Open("cpu");
        RankRuns.Train(
            rank, device, StudyFixtures.SmallData(), settings, ranks, [(recipe, 5)], "here", progress, () => wantsToStop(rank.Rank));
    }

    private static void OnRanks(int count, TimeSpan? limit, Func<ICollective, ICollective>? wrap, Action<ICollective> work) =>
        RankRuns.OnThreads(
            count, new CollectiveOptions { TimeLimit = limit ?? TimeSpan.FromSeconds(60) }, rank => work(wrap is null ? rank : wrap(rank)));

    private static IEnumerable<ulong> Bits(IEnumerable<double> values) => values.Select(BitConverter.DoubleToUInt64Bits);

    /// <summary>What the first rank reports.</summary>
    private sealed class Trace : IStudyProgress
    {
        private RunResult? _result;

        public List<double> Losses { get; } = [];

        public bool HasEnded => _result is not null;

        public RunResult Result => _result!;

        public void OnEpoch(EpochReport report) => Losses.AddRange(report.StepLosses);

        public void OnRunEnd(RunResult result) => _result = result;
    }

    /// <summary>A rank to which something happens before its first call for a purpose.</summary>
    private sealed class FaultyCollective(ICollective inner, string faultyPurpose, Action fault) : ICollective
    {
        private Action? _fault = fault;

        public int Rank => inner.Rank;

        public int RankCount => inner.RankCount;

        public int RanksPerNode => inner.RanksPerNode;

        public string Transport => inner.Transport;

        public CollectiveCounters Counters => inner.Counters;

        public void AllReduce<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose)
            where T : unmanaged => After(purpose).AllReduce(stream, source, destination, purpose);

        public void AllGather<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose)
            where T : unmanaged => After(purpose).AllGather(stream, source, destination, purpose);

        public void AllGather<T>(
            DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, RankGroups groups, string? purpose)
            where T : unmanaged => After(purpose).AllGather(stream, source, destination, groups, purpose);

        public void ReduceScatter<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose)
            where T : unmanaged => After(purpose).ReduceScatter(stream, source, destination, purpose);

        public void AllToAll<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose)
            where T : unmanaged => After(purpose).AllToAll(stream, source, destination, purpose);

        public void AllToAll<T>(
            DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, RankGroups groups, string? purpose)
            where T : unmanaged => After(purpose).AllToAll(stream, source, destination, groups, purpose);

        public void Broadcast<T>(DeviceStream stream, DeviceTensor<T> tensor, int root, string? purpose)
            where T : unmanaged => After(purpose).Broadcast(stream, tensor, root, purpose);

        public void Barrier(string? purpose) => After(purpose).Barrier(purpose);

        public void Synchronize(DeviceStream stream) => inner.Synchronize(stream);

        public void Abort(string reason) => inner.Abort(reason);

        public void Dispose() => inner.Dispose();

        private ICollective After(string? purpose)
        {
            if (purpose != faultyPurpose) return inner;
            Action? now = _fault;
            _fault = null;
            now?.Invoke();
            return inner;
        }
    }
}
