using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Events order streams and measure device time.</summary>
public sealed class EventTests(TestDevices devices)
{
    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    /// <summary>Without the wait the second stream would copy while the first still fills.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void StreamsWaitForEachOther(string deviceId)
    {
        const int Length = 1 << 20;
        Device device = devices.Open(deviceId);
        using DeviceStream first = device.CreateStream();
        using DeviceStream second = device.CreateStream();
        using DeviceTensor<int> shared = device.Allocate<int>(Length);
        using DeviceTensor<int> copy = device.Allocate<int>(Length);
        for (int round = 1; round <= 20; round++)
        {
            for (int i = 0; i < 4; i++) first.Fill(shared, -i);
            first.Fill(shared, round);
            using DeviceEvent filled = first.Record();
            second.WaitFor(filled);
            second.Copy(shared, copy);
            using DeviceEvent copied = second.Record();
            first.WaitFor(copied);
        }

        Assert.DoesNotContain(copy.ToArray(second), value => value != 20);
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void TimeGoesForward(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> tensor = stream.Device.Allocate<float>(1 << 22);
        stream.Fill(tensor, 1f);
        using DeviceEvent start = stream.Record();
        for (int i = 0; i < 4; i++) stream.Fill(tensor, i);
        using DeviceEvent end = stream.Record();

        TimeSpan elapsed = end.ElapsedSince(start);
        Assert.InRange(elapsed, TimeSpan.FromMicroseconds(10), TimeSpan.FromMinutes(1));
        Assert.True(start.IsCompleted && end.IsCompleted);
        Assert.Equal(-elapsed, start.ElapsedSince(end));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public async Task WaitingCanBeAwaitedAndCancelled(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> tensor = stream.Device.Allocate<float>(1 << 20);
        for (int i = 0; i < 10; i++) stream.Fill(tensor, i);
        using DeviceEvent filled = stream.Record();
        await filled.WaitAsync(TestContext.Current.CancellationToken);
        Assert.True(filled.IsCompleted);

        CancellationToken cancelled = new(canceled: true);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => filled.WaitAsync(cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stream.SynchronizeAsync(cancelled));
        await stream.SynchronizeAsync(TestContext.Current.CancellationToken);
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void EventsOfOtherDevicesAreRefused(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using Device other = Device.Open("cpu");
        using DeviceStream foreign = other.CreateStream();
        using DeviceEvent foreignEvent = foreign.Record();
        using DeviceEvent ownEvent = stream.Record();
        Assert.Throws<ArgumentException>(() => stream.WaitFor(foreignEvent));
        Assert.Throws<ArgumentException>(() => ownEvent.ElapsedSince(foreignEvent));
        Assert.Throws<ArgumentNullException>(() => stream.WaitFor(null!));
        Assert.Throws<ArgumentNullException>("earlier", () => ownEvent.ElapsedSince(null!));
    }
}
