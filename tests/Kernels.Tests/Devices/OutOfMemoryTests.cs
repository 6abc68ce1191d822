using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>A request that cannot be met says how much was asked for and leaves everything as it was.</summary>
public sealed class OutOfMemoryTests(TestDevices devices)
{
    /// <summary>4 TiB, more than any machine for these tests has; near 2^62; near 2^63, the largest that is not an overflow.</summary>
    public static TheoryData<string, long> Requests =>
        [.. from device in TestDevices.All from bytes in (long[])[1L << 42, (1L << 62) + 3, long.MaxValue - 64] select (device.Id, bytes)];

    [Theory]
    [MemberData(nameof(Requests))]
    public void DeviceStaysUsable(string deviceId, long bytes)
    {
        using Device device = devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> before = device.Upload<float>([1, -2, 3], 3);
        (long liveBytes, long liveBlocks) = (device.Counters.LiveBytes, device.Counters.LiveBlocks);
        for (int attempt = 0; attempt < 3; attempt++)
        {
            OutOfDeviceMemoryException failure = Assert.Throws<OutOfDeviceMemoryException>(() => device.AllocateBuffer<byte>(bytes));
            Assert.Equal(bytes, failure.RequestedBytes);
            Assert.Contains(device.Id, failure.Message, StringComparison.Ordinal);
        }

        Assert.Equal((liveBytes, liveBlocks), (device.Counters.LiveBytes, device.Counters.LiveBlocks));
        using DeviceTensor<float> after = device.Allocate<float>(3);
        Relu.Forward(stream, before, after);
        Assert.Equal([1, 0, 3], after.ToArray(stream));
    }
}
