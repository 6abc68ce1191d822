using Kernels.Devices;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Scratch memory of a stream is used again, never shared by two at a time, and goes with the stream.</summary>
public sealed class ScratchPoolTests(TestDevices devices)
{
    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void BlocksAreUsedAgain(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        using (DeviceStream stream = device.CreateStream())
        {
            DeviceMemory first;
            using (ScratchPool.Lease<float> lease = stream.RentScratch<float>(1000)) first = lease.Argument.Memory!;
            long bytes = device.Counters.LiveBytes;
            for (int i = 0; i < 100; i++)
            {
                using ScratchPool.Lease<double> lease = stream.RentScratch<double>(300 + i);
                Assert.Same(first, lease.Argument.Memory);
            }

            Assert.Equal(bytes, device.Counters.LiveBytes);
            Assert.Equal(4096, bytes);
        }

        Assert.Equal((0, 0), (device.Counters.LiveBytes, device.Counters.LiveBlocks));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void LeasesDoNotShare(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        using ScratchPool.Lease<float> a = stream.RentScratch<float>(64), b = stream.RentScratch<float>(64),
            empty = stream.RentScratch<float>(0);
        Assert.NotSame(a.Argument.Memory, b.Argument.Memory);
        Assert.NotSame(a.Argument.Memory, empty.Argument.Memory);
        using DeviceStream other = device.CreateStream();
        using ScratchPool.Lease<float> c = other.RentScratch<float>(64);
        Assert.Equal(4, device.Counters.LiveBlocks);
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void LargeBlocksGoWithTheNextSynchronisation(string deviceId)
    {
        const long Large = 128 << 20, Small = 64 << 20;
        using Device device = devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        using (stream.RentScratch<byte>(Small + 1))
        using (stream.RentScratch<byte>(Small))
        {
            stream.Synchronize();
            Assert.Equal(Large + Small, device.Counters.LiveBytes);
        }

        // Freeing memory can wait for the device, which no op does.
        Assert.Equal(Large + Small, device.Counters.LiveBytes);
        using (stream.RentScratch<byte>(Small + 1)) Assert.Equal(Large + Small, device.Counters.LiveBytes);
        stream.Synchronize();
        Assert.Equal(Small, device.Counters.LiveBytes);
    }

    /// <summary>A lease that outlives its stream goes to the device, not to a pool that nobody empties.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void LeaseMayOutliveStream(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        DeviceStream stream = device.CreateStream();
        using (stream.RentScratch<float>(10)) stream.Dispose();
        Assert.Equal(0, device.Counters.LiveBlocks);
    }
}
