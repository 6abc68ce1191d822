using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>A scenario on the stand-in for libcuda; it starts and must end with nothing alive in it.</summary>
public abstract class CudaScenario : Scenario
{
    protected CudaScenario()
        : base("KERNELS_LIBCUDA", StandIns.Cuda)
    {
        // What an earlier scenario of this process has left to finalizers is released by threads of the pool.
        Collect();
        SpinWait.SpinUntil(() => ThreadPool.PendingWorkItemCount == 0, TimeSpan.FromSeconds(1));
        FakeCuda.SetAsync(Environment.GetEnvironmentVariable("FAKECUDA_ASYNC") == "1");
        FakeCuda.SetLatency(0);
        FakeCuda.Reset();
        FakeCuda.Configure();
        KernelBodies.Install();
    }

    /// <summary>Nothing lives in the stand-in, and nothing was misused.</summary>
    internal static void AssertClean(string situation = "")
    {
        Assert.True(FakeCuda.Violations.Count == 0, $"{situation}: {string.Join("; ", FakeCuda.Violations)}");
        Assert.True(FakeCuda.AllLive().Length == 0, $"{situation}: left alive: {FakeCuda.AllLive()}");
        Assert.True(FakeCuda.ContextDepth == 0, $"{situation}: {FakeCuda.ContextDepth} contexts left on the thread");
        KernelBodies.ThrowIfFailed();
    }

    /// <summary>The library counts no memory any more.</summary>
    internal static void AssertCounters(Device device, string situation = "") => Assert.True(
        device.Counters is { LiveBlocks: 0, LiveBytes: 0 },
        $"{situation}: the counters say {device.Counters.LiveBlocks} blocks, {device.Counters.LiveBytes} bytes");
}
