using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Collectives;

/// <summary>Ranks as threads of one process, on one device and on several.</summary>
public sealed class InProcessTests(TestDevices devices)
{
    private static readonly CollectiveOptions Short = new() { TimeLimit = TimeSpan.FromSeconds(0.5) };

    /// <summary>Each call, by its name.</summary>
    private static readonly Dictionary<string, Action<ICollective, DeviceStream>> Calls = new()
    {
        ["AllReduce"] = (rank, stream) => Use(stream, (four, _) => rank.AllReduce(stream, four, four)),
        ["AllGather"] = (rank, stream) => Use(stream, (four, all) => rank.AllGather(stream, four, all)),
        ["ReduceScatter"] = (rank, stream) => Use(stream, (four, all) => rank.ReduceScatter(stream, all, four)),
        ["AllToAll"] = (rank, stream) => Use(stream, (four, all) => rank.AllToAll(stream, all, stream.Device.Allocate<float>(all.Shape))),
        ["Broadcast"] = (rank, stream) => Use(stream, (four, _) => rank.Broadcast(stream, four, root: 1)),
        ["Barrier"] = (rank, _) => rank.Barrier(),
    };

    public static TheoryData<string> CallNames => [.. Calls.Keys];

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void RanksOfOneDevice(string deviceId)
    {
        Device device = devices.Open(deviceId);
        foreach (int count in (int[])[1, 3])
        {
            ICollective[] ranks = Kernels.Collectives.CreateInProcess(count);
            RankThreads.RunAll(ranks, rank => CollectiveContract.Run(rank, device));
            Assert.All(ranks, rank => Assert.Equal(ranks[0].Counters.Calls, rank.Counters.Calls));
            foreach (ICollective rank in ranks) rank.Dispose();
        }
    }

    [Fact]
    public void RanksOfDifferentDevices()
    {
        Device[] all = [.. devices.OpenAll()];
        ICollective[] ranks = Kernels.Collectives.CreateInProcess(all.Length);
        RankThreads.RunAll(ranks, rank => CollectiveContract.Run(rank, all[rank.Rank]));
    }

    /// <summary>
    /// Shards are added up in one order on any number of ranks, by nodes or as one group: whole subtrees of two and four on a rank, a
    /// number that is no power of two, half types, more than one tree's width, and lengths that no number of ranks divides.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ShardsInAnyNumberOfRanks(string deviceId)
    {
        Device device = devices.Open(deviceId);
        foreach ((int count, int perNode) in (ReadOnlySpan<(int, int)>)[(2, 2), (4, 2), (8, 4), (8, 8)])
        {
            ICollective[] ranks = Kernels.Collectives.CreateInProcess(count, new CollectiveOptions { RanksPerNode = perNode });
            RankThreads.RunAll(ranks, rank =>
            {
                CollectiveContract.SumsOfShards<float>(rank, device, 8, 1009);
                CollectiveContract.SumsOfShards<Half>(rank, device, 8, 1009);
                CollectiveContract.SumsOfShards<float>(rank, device, 24, 40);
            });
        }
    }

    /// <summary>By nodes of two a value crosses the border between nodes once for each node, and not once for each rank.</summary>
    [Fact]
    public void SumsGoByNodes()
    {
        long flat = BytesOfSum(new CollectiveOptions()), byNodes = BytesOfSum(new CollectiveOptions { RanksPerNode = 2 });
        // Of a row of 8 x 16 floats as one group 7 eighths are sent, and 7 eighths of the sum. By nodes a half, then 3 eighths.
        Assert.Equal(2 * 7 * 16 * sizeof(float), flat);
        Assert.Equal((2 * 4 * 16 * sizeof(float)) + (2 * 3 * 16 * sizeof(float)), byNodes);
        Assert.Equal(2, RankGroups.PerNode([5, 5, 7, 7, 5, 5]));
        Assert.Equal(6, RankGroups.PerNode([5, 5, 5, 5, 5, 5]));
        Assert.Equal(1, RankGroups.PerNode([5, 7, 5]));
        foreach (ulong[] machines in (ulong[][])[[5, 5, 7], [5, 5, 7, 8], [5, 7, 7, 8]])
            Assert.Equal(machines.Length, RankGroups.PerNode(machines));
        Assert.Throws<ArgumentOutOfRangeException>(
            () => Kernels.Collectives.CreateInProcess(4, new CollectiveOptions { RanksPerNode = 3 }));

        long BytesOfSum(CollectiveOptions options)
        {
            ICollective[] ranks = Kernels.Collectives.CreateInProcess(8, options);
            RankThreads.RunAll(ranks, rank =>
            {
                using Device device = Device.Open("cpu");
                CollectiveContract.SumsOfShards<double>(rank, device, 64, 100);
                CollectiveContract.SumsOfShards<float>(rank, device, 8, 100);
            });
            Assert.All(ranks, rank => Assert.Equal(ranks[0].Counters.BytesSent, rank.Counters.BytesSent));
            return ranks[3].Counters.BytesSent / 3; // with the sum of doubles, of twice the bytes
        }
    }

    [Theory]
    [MemberData(nameof(CallNames))]
    public void RankThatNeverComesIsNamed(string call)
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        ICollective[] ranks = Kernels.Collectives.CreateInProcess(3, Short);
        Exception?[] thrown = [];
        double seconds = RankThreads.Time(() => thrown = RankThreads.Run(ranks, rank =>
        {
            if (rank.Rank != 1) Calls[call](rank, stream);
        }));
        RankThreads.AssertBlamed(thrown, [1], "rank 1 did not come within 0.5 s");
        Assert.All(thrown.OfType<CollectiveException>(), error => Assert.Contains($"{call}", error.Message));
        Assert.InRange(seconds, 0.45, 20);
        CollectiveException later = Assert.Throws<CollectiveException>(() => ranks[0].Barrier());
        Assert.Contains("ended earlier", later.Message);
        Assert.Equal([1], later.Culprits);
    }

    /// <summary>Nobody waits for a rank that has left or ended the group, whether it does so before or meanwhile.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void RankThatLeavesIsNamedAtOnce(bool aborts)
    {
        ICollective[] ranks = Kernels.Collectives.CreateInProcess(3, new CollectiveOptions { TimeLimit = TimeSpan.FromMinutes(1) });
        Exception?[] thrown = [];
        double seconds = RankThreads.Time(() => thrown = RankThreads.Run(ranks, rank =>
        {
            if (rank.Rank != 2)
            {
                rank.Barrier("before the epoch");
                return;
            }

            Thread.Sleep(50);
            if (aborts)
                rank.Abort("the disk is full");
            else
                rank.Dispose();
        }));
        RankThreads.AssertBlamed(thrown, [2], aborts ? "rank 2 ended the group: the disk is full" : "rank 2 left the group");
        Assert.Contains("Barrier 'before the epoch'", thrown[0]!.Message);
        Assert.InRange(seconds, 0, 10);
    }

    [Fact]
    public void DifferentCallsAreNamed()
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<float> four = stream.Device.Allocate<float>(4), five = stream.Device.Allocate<float>(5);
        using DeviceTensor<Half> halves = stream.Device.Allocate<Half>(4);
        Check(rank => rank.AllReduce(stream, five, five, "gradients"), "AllReduce 'gradients' of f32[5] (call 1)");
        Check(rank => rank.AllReduce(stream, halves, halves, "gradients"), "AllReduce 'gradients' of f16[4] (call 1)");
        Check(rank => rank.AllReduce(stream, four, four, "statistics"), "AllReduce 'statistics' of f32[4] (call 1)");
        Check(rank => rank.Broadcast(stream, four, 0, "gradients"), "Broadcast 'gradients' of f32[4] from rank 0 (call 1)");
        Check(rank => rank.Barrier(), "Barrier (call 1)");

        void Check(Action<ICollective> other, string text)
        {
            ICollective[] ranks = Kernels.Collectives.CreateInProcess(3);
            Exception?[] thrown = RankThreads.Run(ranks, rank =>
            {
                if (rank.Rank == 2)
                    other(rank);
                else
                    rank.AllReduce(stream, four, four, "gradients");
            });
            Assert.All(thrown, error => Assert.Equal([2], Assert.IsType<CollectiveException>(error).Culprits));
            RankThreads.AssertBlamed(
                thrown, [2], $"the ranks made different calls: rank 0 AllReduce 'gradients' of f32[4] (call 1), rank 2 {text}.");
        }
    }

    [Fact]
    public void ArgumentsAreChecked()
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        Device device = stream.Device;
        using DeviceTensor<float> four = device.Allocate<float>(4), eight = device.Allocate<float>(8);
        using DeviceTensor<int> integers = device.Allocate<int>(4);
        using Device other = Device.Open("cpu");
        using DeviceTensor<float> foreign = other.Allocate<float>(4);
        ICollective[] ranks = Kernels.Collectives.CreateInProcess(2);
        ICollective rank = ranks[0];
        Assert.Throws<ArgumentException>(() => rank.AllReduce(stream, four, eight));
        Assert.Throws<ArgumentException>(() => rank.AllReduce(stream, integers, integers));
        Assert.Throws<ArgumentException>(() => rank.AllReduce(stream, foreign, foreign));
        Assert.Throws<ArgumentException>(() => rank.AllReduce(stream, eight.Slice(0, 4), eight.Slice(2, 4)));
        Assert.Throws<ArgumentException>(() => rank.AllGather(stream, four, four));
        Assert.Throws<ArgumentException>(() => rank.AllGather(stream, four, eight, new RankGroups(1), null));
        Assert.Throws<ArgumentException>(() => rank.AllToAll(stream, four, eight.Slice(0, 4), new RankGroups(2, 2), null));
        Assert.Throws<ArgumentException>(() => rank.AllGather(stream, eight.Slice(4, 4), eight));
        Assert.Throws<ArgumentException>(() => rank.ReduceScatter(stream, four, eight));
        Assert.Throws<ArgumentException>(() => rank.AllToAll(stream, eight, eight));
        Assert.Throws<ArgumentException>(() => rank.AllToAll(stream, eight.Slice(0, 3), four.Slice(0, 3)));
        Assert.Throws<ArgumentOutOfRangeException>(() => rank.Broadcast(stream, four, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => Kernels.Collectives.CreateInProcess(0));
        Assert.Throws<ArgumentOutOfRangeException>(
            () => Kernels.Collectives.CreateInProcess(1, new CollectiveOptions { TimeLimit = TimeSpan.Zero }));
        Assert.Throws<InvalidOperationException>(() => stream.Capture(() => rank.AllReduce(stream, four, four)));
        Assert.Throws<ArgumentException>(() => new FixedOrderSum<float>(rank, device, 3, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => new FixedOrderSum<float>(rank, device, 4, 4).Part(2));
        Assert.Equal(0, rank.Counters.Calls);
        rank.Dispose();
        Assert.Throws<ObjectDisposedException>(() => rank.Barrier());
    }

    [Fact]
    public void TrafficIsCounted()
    {
        ICollective[] ranks = Kernels.Collectives.CreateInProcess(4);
        RankThreads.RunAll(ranks, rank =>
        {
            using DeviceStream stream = devices.CreateStream("cpu");
            using DeviceTensor<float> eight = stream.Device.Allocate<float>(8), other = stream.Device.Allocate<float>(8);
            stream.Fill(eight, 1f);
            rank.AllReduce(stream, eight, eight); // 2 * 3/4 of 32 bytes
            rank.AllToAll(stream, eight, other); // 3/4 of 32 bytes
            rank.Broadcast(stream, eight, root: 3);
        });
        Assert.All(ranks, rank => Assert.Equal(3, rank.Counters.Calls));
        Assert.All(ranks, rank => Assert.Equal(48 + 24 + (rank.Rank == 3 ? 32 : 0), rank.Counters.BytesSent));
        Assert.All(ranks, rank => Assert.Equal(48 + 24 + (rank.Rank == 3 ? 0 : 32), rank.Counters.BytesReceived));
        Assert.All(ranks, rank => Assert.True(rank.Counters.Waited > TimeSpan.Zero));
    }

    private static void Use(DeviceStream stream, Action<DeviceTensor<float>, DeviceTensor<float>> use)
    {
        DeviceTensor<float> four = stream.Device.Allocate<float>(4), all = stream.Device.Allocate<float>(12);
        stream.Fill(four, 1f);
        stream.Fill(all, 1f);
        use(four, all);
    }
}
