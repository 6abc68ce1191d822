using Kernels.Interop;
using Kernels.Tests.Support;
using Silk.NET.OpenCL;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>OpenCL's functions as the library calls them.</summary>
public sealed unsafe class OpenClLibraryTests(TestDevices devices)
{
    /// <summary>Any number of threads may compile; a wrapper that keeps book of callbacks without a lock crashes here or hangs.</summary>
    [Fact]
    public void ThreadsMayBuildAtOnce()
    {
        OpenOrSkip();
        int[] refused = new int[4];
        Thread[] threads = [.. refused.Select((_, number) => new Thread(() => Build(ref refused[number])) { IsBackground = true })];
        foreach (Thread thread in threads) thread.Start();
        Assert.All(threads, thread => Assert.True(thread.Join(TimeSpan.FromMinutes(1))));
        Assert.All(refused, count => Assert.Equal(50_000, count));

        static void Build(ref int refused)
        {
            for (int i = 0; i < 50_000; i++)
            {
                if (OpenClLibrary.BuildProgram(0, 0, null, null) == (int)ErrorCodes.InvalidProgram) refused++;
            }
        }
    }

    /// <summary>Arguments, queue, kernel and memory of a launch: nothing of it is left to the collector.</summary>
    [Fact]
    public void LaunchesAllocateNothing()
    {
        Device device = OpenOrSkip();
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> x = device.Allocate<float>(64), y = device.Allocate<float>(64);
        RandomKey key = new(1, 2);
        long[] bytes = new long[2];
        for (int run = 0; run < bytes.Length; run++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 100; i++) Dropout.Forward(stream, x, y, 0.5, key);
            bytes[run] = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Equal(0, bytes[^1]); // the first run compiles
    }

    private Device OpenOrSkip()
    {
        string? id = TestDevices.All.FirstOrDefault(device => device.Kind == DeviceKind.OpenCl)?.Id;
        Assert.SkipWhen(id is null, $"no OpenCL device among {TestDevices.SelectionVariable}");
        return devices.Open(id);
    }
}
