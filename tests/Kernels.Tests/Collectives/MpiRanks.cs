using System.Diagnostics;
using System.Runtime.InteropServices;
using Xunit;

namespace Kernels.Tests.Collectives;

/// <summary>What each process does that <see cref="MpiTests"/> starts by a launcher of MPI.</summary>
public sealed class MpiRanks
{
    /// <summary>Set to 1 by <see cref="MpiTests"/>.</summary>
    public const string Variable = "RANKS_UNDER_MPI";

    /// <summary>Ahead of the lines that <see cref="MpiTests"/> reads.</summary>
    public const string ReportMark = "# ";

    private static readonly CollectiveOptions Long = new() { TimeLimit = TimeSpan.FromSeconds(60) };

    /// <summary>Of groups in which a rank falls, made without a call that asks for nodes.</summary>
    private static readonly CollectiveOptions Patient = Long with { RanksPerNode = 1 };
    private static readonly CollectiveOptions Hasty = Patient with { TimeLimit = TimeSpan.FromSeconds(0.5) };

    /// <summary>Each call; a rank is killed in it, or hangs.</summary>
    private static readonly Call[] Calls =
    [
        new("AllReduce", (rank, stream, part, _) => rank.AllReduce(stream, part, part)),
        new("AllGather", (rank, stream, part, both) => rank.AllGather(stream, part, both)),
        new("ReduceScatter", (rank, stream, part, both) => rank.ReduceScatter(stream, both, part)),
        new("AllToAll", (rank, stream, part, both) => rank.AllToAll(stream, both.Slice(0, 1), both.Slice(1, 1))),
        new("Broadcast", (rank, stream, part, _) => rank.Broadcast(stream, part, root: 1)),
        new("Barrier", (rank, _, _, _) => rank.Barrier()),
    ];

    public MpiRanks() => Assert.SkipUnless(
        Environment.GetEnvironmentVariable(Variable) == "1", $"run by {nameof(MpiTests)}, in several processes");

    /// <summary>
    /// Everything that every transport does, and that .NET's own errors are still errors beside a library with signal handlers.
    /// </summary>
    [Fact(Explicit = true)]
    public void CallsAreAsOverEveryTransport()
    {
        using ICollective ranks = Kernels.Collectives.OpenMpi(Long);
        using Device device = Device.Open("cpu");
        Assert.True(Kernels.Collectives.LaunchedByMpi);
        CollectiveContract.Run(ranks, device);
        CollectiveContract.SumsOfShards<float>(ranks, device, 3 * ranks.RankCount, 1009);
        CollectiveContract.SumsOfShards<Half>(ranks, device, ranks.RankCount, 1009);
        Assert.Equal(ranks.RankCount, ranks.RanksPerNode);
        if (ranks.RankCount == 4)
        {
            using ICollective nodes = Kernels.Collectives.OpenMpi(Long with { RanksPerNode = 2 });
            CollectiveContract.SumsOfShards<float>(nodes, device, 8, 1009);
            Assert.Equal(4, nodes.Counters.Calls);
        }

        // Memory of the stand-in for libcuda is memory of the host, so that every MPI can take its addresses.
        bool hasGpu = Device.List().Any(device => device is { Kind: DeviceKind.Cuda, Available: true });
        using (Device gpu = Device.Open(hasGpu ? "cuda:0" : "cpu"))
        {
            using ICollective direct = Kernels.Collectives.OpenMpi(Long with { ComparesCalls = false, PassesDevicePointers = true });
            CollectiveContract.Run(direct, gpu);
        }

        string? nothing = ranks.RankCount > 0 ? null : "";
        Assert.Throws<NullReferenceException>(() => nothing!.Length);
        Report($"{ranks}");
    }

    /// <summary>
    /// Rank 0 has a group with each other rank, which is killed in one of the calls, when it has come to it or before: rank 0 is told so
    /// within the limit. The launcher must let the others live.
    /// </summary>
    [Fact(Explicit = true)]
    public void RanksThatAreKilledAreNamed()
    {
        using ICollective all = Kernels.Collectives.OpenMpi(Long);
        using Device device = Device.Open("cpu");
        MpiCollective[] pairs = [.. Enumerable.Range(1, all.RankCount - 1)
            .Select(other =>
                MpiCollective.Open(all.Rank == 0 ? Hasty : Patient, color: all.Rank == 0 || all.Rank == other ? 0 : all.Rank))];
        all.Barrier("all pairs are there");
        if (all.Rank > 0) Fall(Calls[all.Rank - 1], pairs[all.Rank - 1], device, Kill);
        AssertNamed(pairs, device);
        Report("all killed ranks were named");
        Kill(); // nobody is left to end MPI with
    }

    /// <summary>
    /// A call that differs is named on all ranks. A rank that hangs in a call is named on the other. Aborting then ends all processes.
    /// </summary>
    [Fact(Explicit = true)]
    public void OtherFaultsAreNamed()
    {
        using ICollective all = Kernels.Collectives.OpenMpi(Long);
        using Device device = Device.Open("cpu");
        MpiCollective different = MpiCollective.Open(Patient, color: 0);
        MpiCollective[] groups = [.. Calls.Select(_ => MpiCollective.Open(all.Rank == 0 ? Hasty : Patient, color: 0))];
        using (DeviceStream stream = device.CreateStream())
        using (DeviceTensor<float> x = device.Allocate<float>(all.Rank == 1 ? 5 : 4))
        {
            stream.Fill(x, 1f);
            CollectiveException error = Assert.Throws<CollectiveException>(() => different.AllReduce(stream, x, x, "sums"));
            Assert.Contains("rank 0 AllReduce 'sums' of f32[4] (call 1), rank 1 AllReduce 'sums' of f32[5] (call 1)", error.Message);
            Assert.Equal([1], error.Culprits);
        }

        all.Barrier("both know");
        if (all.Rank == 1)
        {
            foreach ((MpiCollective group, Call call) in groups.Zip(Calls))
                new Thread(() => Fall(call, group, device, () => Thread.Sleep(Timeout.Infinite))) { IsBackground = true }.Start();
            Thread.Sleep(Timeout.Infinite);
        }

        AssertNamed(groups, device);
        Report("all faults were named");
        all.Abort("the end of the test");
        Assert.Fail("aborting ends the process");
    }

    /// <summary>Ends, or hangs, in a call: when all have come to it, or before where there is nothing more to it.</summary>
    private static void Fall(Call call, MpiCollective group, Device device, Action fall)
    {
        if (call.Name == "Barrier") fall();
        group.HaveMet = fall;
        Make(call, group, device);
        Assert.Fail("it went on");
    }

    /// <summary>In each group one call, side by side: they end by the time limit.</summary>
    private static void AssertNamed(MpiCollective[] groups, Device device)
    {
        Exception?[] thrown = new Exception?[Calls.Length];
        Thread[] threads = [.. Calls.Select((call, i) => new Thread(
            () => thrown[i] = Record.Exception(() => AssertNamed(call, groups[i], device))))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.All(thrown, Assert.Null);
    }

    private static void AssertNamed(Call call, MpiCollective group, Device device)
    {
        long start = Stopwatch.GetTimestamp();
        CollectiveException error = Assert.Throws<CollectiveException>(() => Make(call, group, device));
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Assert.Contains(call.Name, error.Message);
        Assert.Contains("rank 1", error.Message);
        Assert.Equal([1], error.Culprits);
        Assert.InRange(seconds, 0, 20);
        Report($"{seconds:0.0} s: {error.Message}");
    }

    /// <summary>Makes a call of a size that no library sends without the help of the other side.</summary>
    private static void Make(Call call, ICollective rank, Device device)
    {
        using DeviceStream stream = device.CreateStream();
        DeviceTensor<float> part = device.Allocate<float>(1 << 20), both = device.Allocate<float>(2, 1 << 20);
        stream.Fill(part, 1f);
        stream.Fill(both, 1f);
        call.Run(rank, stream, part, both);
    }

    private static void Report(string line)
    {
        // One write a line: the launcher mixes what processes write.
        using Stream output = Console.OpenStandardOutput();
        output.Write(System.Text.Encoding.UTF8.GetBytes($"{ReportMark}{line}\n"));
        output.Flush();
    }

    private static void Kill()
    {
        if (KillProcess(Environment.ProcessId, 9) != 0) Environment.FailFast("kill");
        Thread.Sleep(Timeout.Infinite);
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int KillProcess(int process, int signal);

    /// <summary>A call with a part for a rank, and one for both.</summary>
    private sealed record Call(string Name, Action<ICollective, DeviceStream, DeviceTensor<float>, DeviceTensor<float>> Run);
}
