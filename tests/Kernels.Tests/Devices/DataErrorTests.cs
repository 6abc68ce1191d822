using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Bad data that kernels meet is reported once, by the next look of whoever looks, and never lost.</summary>
public sealed class DataErrorTests(TestDevices devices)
{
    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void ErrorsOfTwoOpsAreReportedOneAfterTheOther(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using BadGather gather = new(stream.Device);
        gather.Embed(stream);
        gather.Gather(stream);
        Assert.Equal("EmbeddingDropout.Infer", Assert.Throws<DeviceDataException>(stream.Synchronize).Op);
        Assert.Equal("KeptRows.Gather", Assert.Throws<DeviceDataException>(stream.Synchronize).Op);
        stream.Synchronize();
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public async Task AwaitingReportsToo(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using BadGather gather = new(stream.Device);
        gather.Embed(stream);
        await Assert.ThrowsAsync<DeviceDataException>(() => stream.SynchronizeAsync(TestContext.Current.CancellationToken));
        await stream.SynchronizeAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>
    /// While another thread looks all the time: each error is seen by one of the two, whenever the look falls between slot, launch and
    /// clearing.
    /// </summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void NoErrorIsLostBetweenThreads(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using BadGather gather = new(stream.Device);
        int reported = 0;
        using CancellationTokenSource done = new();
        Thread other = new(() =>
        {
            while (!done.IsCancellationRequested) Look();
        });
        other.Start();
        try
        {
            for (int i = 0; i < 300; i++)
            {
                int before = Volatile.Read(ref reported);
                gather.Embed(stream);
                Look();
                bool seen = SpinWait.SpinUntil(() => Volatile.Read(ref reported) > before, TimeSpan.FromSeconds(10));
                Assert.True(seen, $"error {i} was lost");
            }
        }
        finally
        {
            done.Cancel();
            other.Join();
        }

        void Look()
        {
            try
            {
                stream.Synchronize();
            }
            catch (DeviceDataException)
            {
                Interlocked.Increment(ref reported);
            }
        }
    }

    /// <summary>Tensors with an index outside the table, for two ops.</summary>
    private sealed class BadGather(Device device) : IDisposable
    {
        private readonly DeviceTensor<int> _ids = device.Upload<int>([0, 7], 2);
        private readonly DeviceTensor<float> _table = device.Upload<float>([1, 2, 3, 4], 2, 2);
        private readonly DeviceTensor<float> _y = device.Allocate<float>(2, 2);

        public void Embed(DeviceStream stream) => EmbeddingDropout.Infer(stream, _ids, _table, _y);

        public void Gather(DeviceStream stream) => KeptRows.Gather(stream, _table, _ids, _y);

        public void Dispose()
        {
            _ids.Dispose();
            _table.Dispose();
            _y.Dispose();
        }
    }
}
