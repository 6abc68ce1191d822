using Kernels.Interop;
using Kernels.Tests.Collectives;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>Ranks over NCCL's stand-in: threads, each with a GPU of its own, whose streams work meanwhile.</summary>
public sealed class NcclRanks : CudaScenario
{
    private static readonly CollectiveOptions Long = new() { TimeLimit = TimeSpan.FromSeconds(30) };
    private static readonly CollectiveOptions Short = new() { TimeLimit = TimeSpan.FromSeconds(0.4) };

    public NcclRanks()
    {
        FakeCuda.Configure(devices: 4);
        FakeCuda.SetAsync();
    }

    /// <summary>Alone, and three ranks, which do and do not compare their calls.</summary>
    [Fact(Explicit = true)]
    public void CallsAreAsOverEveryTransport()
    {
        foreach ((int count, bool compares) in (ReadOnlySpan<(int, bool)>)[(1, false), (3, false), (3, true)])
        {
            Step($"{count} ranks, {(compares ? "who compare" : "who do not compare")} calls");
            Run(count, Long with { ComparesCalls = compares }, (rank, device) =>
            {
                CollectiveContract.Run(rank, device);
                CollectiveContract.SumsOfShards<float>(rank, device, 6, 1009);
                Assert.Equal("NCCL 2.27.3", rank.Transport);
            });
            AssertClean();
        }

        Step("two nodes of two ranks");
        Run(4, Long with { RanksPerNode = 2 }, (rank, device) =>
        {
            CollectiveContract.SumsOfShards<float>(rank, device, 8, 1009);
            Assert.Equal(4, rank.Counters.Calls);
        });
        AssertClean();
    }

    /// <summary>Two streams of a rank take turns in its calls; work of the other is waited for.</summary>
    [Fact(Explicit = true)]
    public void StreamsTakeTurns()
    {
        Run(2, Long, (rank, device) =>
        {
            using DeviceStream first = device.CreateStream(), second = device.CreateStream();
            using DeviceTensor<float> x = device.Allocate<float>(8);
            first.Fill(x, 1f);
            for (int i = 0; i < 10; i++) rank.AllReduce(i % 2 == 0 ? first : second, x, x);
            rank.Synchronize(second);
            Assert.Equal(Enumerable.Repeat(1024f, 8), x.ToArray(second));
        });
        AssertClean();
    }

    /// <summary>A rank that does not come to a call: what the others have queued is broken off within the limit.</summary>
    [Fact(Explicit = true)]
    public void RanksThatAreMissingEndCalls()
    {
        foreach ((string name, Action<ICollective, DeviceStream, DeviceTensor<float>, DeviceTensor<float>> call) in
            (ReadOnlySpan<(string, Action<ICollective, DeviceStream, DeviceTensor<float>, DeviceTensor<float>>)>)
            [
                ("AllReduce", (rank, stream, four, _) => rank.AllReduce(stream, four, four)),
                ("AllGather", (rank, stream, four, all) => rank.AllGather(stream, four, all)),
                ("ReduceScatter", (rank, stream, four, all) => rank.ReduceScatter(stream, all, four)),
                ("AllToAll", (rank, stream, four, all) => rank.AllToAll(stream, all.Slice(0, 4), all.Slice(4, 4))),
                ("Broadcast", (rank, stream, four, _) => rank.Broadcast(stream, four, 1)),
            ])
        {
            Step(name);
            double seconds = RankThreads.Time(() => Run(2, Short, (rank, device) =>
            {
                using DeviceStream stream = device.CreateStream();
                using DeviceTensor<float> four = device.Allocate<float>(4), all = device.Allocate<float>(8);
                stream.Fill(four, 1f);
                stream.Fill(all, 1f);
                rank.Synchronize(stream);
                if (rank.Rank == 1) return;
                call(rank, stream, four, all);
                CollectiveException late = Assert.Throws<CollectiveException>(() => rank.Synchronize(stream));
                Assert.Contains($"{name} of f32[", late.Message);
                Assert.Contains("did not end within 0.4 s", late.Message);
                Assert.Throws<CollectiveException>(() => call(rank, stream, four, all));
            }));
            Assert.InRange(seconds, 0.3, 10);
            AssertClean();
        }

        Step("a rank that does not open the group");
        byte[] id = Kernels.Collectives.CreateNcclId();
        using Device device = Device.Open("cuda:0");
        CollectiveException alone = Assert.Throws<CollectiveException>(() => Kernels.Collectives.OpenNccl(device, id, 0, 2, Short));
        Assert.Contains("waited 0.4 s for the others", alone.Message);
    }

    /// <summary>
    /// Other calls than those of the rest are named where they are compared. Where they are not, the stand-in reports them, as a proof
    /// that it looks.
    /// </summary>
    [Fact(Explicit = true)]
    public void DifferentCallsAreSeen()
    {
        Run(2, Long with { ComparesCalls = true }, (rank, device) =>
        {
            using DeviceStream stream = device.CreateStream();
            using DeviceTensor<float> x = device.Allocate<float>(8);
            stream.Fill(x, 1f);
            CollectiveException error = Assert.Throws<CollectiveException>(
                () => rank.AllReduce(stream, x.Slice(0, 4 + rank.Rank), x.Slice(0, 4 + rank.Rank), "sums"));
            Assert.Contains("rank 0 AllReduce 'sums' of f32[4] (call 1), rank 1 AllReduce 'sums' of f32[5] (call 1)", error.Message);
            Assert.Equal([1], error.Culprits);
        });
        AssertClean();

        Step("without comparing");
        Run(2, Long, (rank, device) =>
        {
            using DeviceStream stream = device.CreateStream();
            using DeviceTensor<float> x = device.Allocate<float>(8);
            stream.Fill(x, 1f);
            CollectiveException error = Assert.Throws<CollectiveException>(() =>
            {
                rank.AllReduce(stream, x.Slice(0, 4 + rank.Rank), x.Slice(0, 4 + rank.Rank));
                rank.Synchronize(stream);
            });
            Assert.Equal("InvalidUsage (5)", error.Status);
        });
        Assert.Contains("rank 1 ncclAllReduce of 5 elements", Assert.Single(FakeCuda.Violations));
        FakeCuda.Reset();
    }

    /// <summary>Errors that a communicator reports meanwhile, calls that fail, and an end that a rank makes.</summary>
    [Fact(Explicit = true)]
    public void FailuresEndCalls()
    {
        Step("a peer that dies");
        Run(2, Long, (rank, device) =>
        {
            using DeviceStream stream = device.CreateStream();
            using DeviceTensor<float> x = device.Allocate<float>(8);
            stream.Fill(x, 1f);
            if (rank.Rank == 1) return;
            rank.AllReduce(stream, x, x, "gradients");
            FakeCuda.FailRank(0, NcclResult.RemoteError);
            CollectiveException error = Assert.Throws<CollectiveException>(() => rank.Synchronize(stream));
            Assert.Equal("RemoteError (6)", error.Status);
            Assert.Contains("AllReduce 'gradients' of f32[8] (call 1)", error.Message);
        });
        AssertClean();

        foreach (string function in (string[])
            ["ncclAllReduce", "ncclCommGetAsyncError", "ncclGroupStart", "ncclSend", "ncclRecv", "ncclGroupEnd"])
        {
            Step($"{function} fails");
            Run(1, Long, (rank, device) =>
            {
                using DeviceStream stream = device.CreateStream();
                using DeviceTensor<float> x = device.Allocate<float>(8), y = device.Allocate<float>(8);
                stream.Fill(x, 1f);
                FakeCuda.Fail(1, CudaStatus.Unknown, sticky: false, function);
                CollectiveException error = Assert.Throws<CollectiveException>(() =>
                {
                    if (function is "ncclAllReduce" or "ncclCommGetAsyncError")
                        rank.AllReduce(stream, x, y);
                    else
                        rank.AllToAll(stream, x, y);
                });
                Assert.Equal("InternalError (3)", error.Status);
                stream.Synchronize();
            });
            Assert.Equal(function, FakeCuda.FailedFunction);
            AssertClean(function);
        }

        foreach (string function in (string[])["ncclGetVersion", "ncclGetUniqueId", "ncclCommInitRankConfig", "ncclCommGetAsyncError"])
        {
            Step($"{function} fails when the group is opened");
            using (Device device = Device.Open("cuda:0"))
            {
                FakeCuda.Fail(1, CudaStatus.Unknown, sticky: false, function);
                Assert.Throws<CollectiveException>(
                    () => Kernels.Collectives.OpenNccl(device, Kernels.Collectives.CreateNcclId(), 0, 1, Long));
            }

            AssertClean(function);
        }

        Step("a rank that ends the group");
        Run(2, Long, (rank, device) =>
        {
            using DeviceStream stream = device.CreateStream();
            using DeviceTensor<float> x = device.Allocate<float>(8);
            stream.Fill(x, 1f);
            if (rank.Rank == 1) return;
            rank.AllReduce(stream, x, x);
            rank.Abort("the disk is full");
            Assert.Contains("the disk is full", Assert.Throws<CollectiveException>(() => rank.Synchronize(stream)).Message);
        });
        AssertClean();
    }

    [Fact(Explicit = true)]
    public void ArgumentsAreChecked()
    {
        using (Device device = Device.Open("cuda:0"), cpu = Device.Open("cpu"))
        {
            byte[] id = Kernels.Collectives.CreateNcclId();
            Assert.Throws<ArgumentException>(() => Kernels.Collectives.OpenNccl(cpu, id, 0, 1));
            Assert.Throws<ArgumentException>(() => Kernels.Collectives.OpenNccl(device, id[1..], 0, 1));
            Assert.Throws<ArgumentOutOfRangeException>(() => Kernels.Collectives.OpenNccl(device, id, 1, 1));
            Assert.Throws<CollectiveException>(() => Kernels.Collectives.OpenNccl(device, new byte[128], 0, 1, Long));
            using ICollective alone = Kernels.Collectives.OpenNccl(device, id, 0, 1, Long);
            using DeviceStream stream = device.CreateStream(), other = cpu.CreateStream();
            using DeviceTensor<float> x = cpu.Allocate<float>(4);
            Assert.Throws<ArgumentException>(() => alone.AllReduce(other, x, x));
        }

        AssertClean();
    }

    /// <summary>Runs a rank on each of so many threads and devices; the id reaches them over another group.</summary>
    private static void Run(int count, CollectiveOptions options, Action<ICollective, Device> part)
    {
        ICollective[] threads = Kernels.Collectives.CreateInProcess(count);
        using Barrier end = new(count);
        RankThreads.RunAll(threads, thread =>
        {
            using Device device = Device.Open($"cuda:{thread.Rank}");
            using ICollective rank = Kernels.Collectives.OpenNccl(device, thread, options);
            try
            {
                part(rank, device);
            }
            finally
            {
                end.SignalAndWait();
            }
        });
        foreach (ICollective thread in threads) thread.Dispose();
    }
}
