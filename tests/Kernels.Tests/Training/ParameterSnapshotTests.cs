using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Training;

/// <summary>Parameters come back bit for bit, and nothing is left behind.</summary>
public sealed class ParameterSnapshotTests(TestDevices devices)
{
    public static TheoryData<string, SnapshotPlace> Places =>
        [.. from device in TestDevices.All from place in Enum.GetValues<SnapshotPlace>() select (device.Id, place)];

    [Theory]
    [MemberData(nameof(Places))]
    public void Restore_BringsBackTheSavedBits(string deviceId, SnapshotPlace place)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        float[] first = [1, -0f, float.NaN, float.PositiveInfinity, float.Epsilon, 6], second = Bits.Uniform<float>(7, 1);
        using DeviceTensor<float> weight = stream.Device.Upload<float>(first, 2, 3), bias = stream.Device.Upload<float>(second, 7);
        using DeviceTensor<float> empty = stream.Device.Allocate<float>(0);
        using ParameterSnapshot<float> snapshot = new(stream.Device, [weight, bias, empty], place);
        Assert.False(snapshot.HasSaved);
        Assert.Throws<InvalidOperationException>(() => snapshot.Restore(stream));

        snapshot.Save(stream);
        Assert.True(snapshot.HasSaved);
        for (int turn = 0; turn < 2; turn++)
        {
            stream.Fill(weight, 9f);
            stream.Fill(bias, 9f);
            snapshot.Restore(stream);
            Bits.AssertEqual<float>(first, weight.ToArray(stream), "weight");
            Bits.AssertEqual<float>(second, bias.ToArray(stream), "bias");
        }

        stream.Fill(weight, 3f);
        snapshot.Save(stream);
        stream.Fill(weight, 4f);
        snapshot.Restore(stream);
        Assert.All(weight.ToArray(stream), value => Assert.Equal(3f, value));
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Views_AreSavedWithoutTheirSurroundings(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<Half> whole = stream.Device.Upload<Half>([.. Enumerable.Range(0, 9).Select(i => (Half)i)], 9);
        using ParameterSnapshot<Half> snapshot = new(stream.Device, [whole.Slice(3, 2)]);
        snapshot.Save(stream);
        stream.Fill(whole, (Half)(-1));
        snapshot.Restore(stream);
        Assert.Equal([-1, -1, -1, 3, 4, -1, -1, -1, -1], whole.ToArray(stream).Select(value => (int)value));
    }

    [Fact]
    public void Dispose_FreesTheCopiesAndForbidsUse()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> weight = device.Allocate<float>(4);
        long before = device.Counters.LiveBytes;
        ParameterSnapshot<float> snapshot = new(device, [weight]);
        Assert.True(device.Counters.LiveBytes >= before + 16, "the copy, and a table that says where the parameters lie");
        snapshot.Dispose();
        snapshot.Dispose();
        Assert.Equal(before, device.Counters.LiveBytes);
        Assert.Throws<ObjectDisposedException>(() => snapshot.Save(stream));
    }

    [Fact]
    public void ParametersOfAnotherDevice_AreRefused()
    {
        using Device device = Device.Open("cpu"), other = Device.Open("cpu");
        using DeviceTensor<float> weight = other.Allocate<float>(4);
        Assert.Throws<ArgumentException>(() => new ParameterSnapshot<float>(device, [weight]));
        Assert.Throws<ArgumentNullException>(() => new ParameterSnapshot<float>(device, null!));
        Assert.Throws<ArgumentNullException>(() => new ParameterSnapshot<float>(null!, []));
        Assert.Equal(0, device.Counters.LiveBlocks);
    }

    /// <summary>Saved at the best evaluation, restored after stopping: the parameters of the best are there.</summary>
    [Fact]
    public void WithEarlyStopping_TheBestParametersReturn()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> weight = device.Allocate<float>(1);
        using ParameterSnapshot<float> best = new(device, [weight]);
        EarlyStopping stopping = new(new EarlyStoppingOptions { Patience = 2 });
        foreach (double loss in (double[])[3, 1, 2, 4])
        {
            stream.Fill(weight, (float)loss);
            stopping.Update(loss);
            if (stopping.IsBest) best.Save(stream);
            if (stopping.ShouldStop) break;
        }

        best.Restore(stream);
        Assert.True(stopping.ShouldStop);
        Assert.Equal([1f], weight.ToArray(stream));
    }
}
