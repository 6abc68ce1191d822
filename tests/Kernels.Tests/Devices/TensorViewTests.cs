using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Shapes, views, slices and reshapes: what lies inside works, what does not is refused with the shape in the message.</summary>
public sealed class TensorViewTests(TestDevices devices)
{
    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void ViewsAreTheSameElements(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<int> tensor = stream.Device.Upload<int>([.. Enumerable.Range(0, 24)], 2, 3, 4);

        Assert.Equal([12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23], tensor.Slice(1, 1).ToArray(stream));
        Assert.Equal([4, 5, 6, 7], tensor.Reshape(6, 4).Slice(1, 1).ToArray(stream));
        Assert.Equal([8, 9, 10, 11, 12, 13, 14, 15], tensor.Reshape(6, 4).Slice(1, 3).Slice(1, 2).ToArray(stream));
        Assert.Equal([5, 6, 7], tensor.Buffer.View(5, 3).ToArray(stream));
        Assert.Equal([7], tensor.Buffer.View(7).ToArray(stream)); // no dimensions: a scalar

        stream.Fill(tensor.Buffer.View(22, 2), -1);
        Assert.Equal([20, 21, -1, -1], tensor.Reshape(6, 4).Slice(5, 1).ToArray(stream));
        Assert.Equal("i32[2, 3, 4] on " + deviceId, tensor.ToString());
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void ViewsDoNotOwn(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<int> tensor = stream.Device.Upload<int>([1, 2, 3], 3);
        tensor.Slice(0, 2).Dispose();
        tensor.Reshape(1, 3).Dispose();
        tensor.Buffer.View(0, 3).Dispose();
        Assert.Equal([1, 2, 3], tensor.ToArray(stream));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void BoundsAreChecked(string deviceId)
    {
        using DeviceTensor<float> tensor = devices.Open(deviceId).Allocate<float>(4, 5);
        foreach ((long start, long count) in ((long, long)[])[(-1, 1), (0, 5), (4, 1), (5, 0), (2, -1), (1, long.MaxValue),
            (long.MaxValue, 1)])
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Slice(start, count));
        }

        foreach ((long offset, long count) in ((long, long)[])[(-1, 1), (0, 21), (20, 1), (21, 0), (1, long.MaxValue), (long.MaxValue, 1)])
            Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Buffer.View(offset, count));
        foreach (long[] shape in (long[][])[[], [19], [4, 6], [0], [20, 0]])
            Assert.Throws<ArgumentException>(() => tensor.Reshape(shape));
        Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Buffer.View(0).Slice(0, 1)); // a scalar has no first dimension
        Assert.Equal(0, tensor.Slice(4, 0).Length);
        Assert.Equal(0, tensor.Buffer.View(20, 0).Length);
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void ImpossibleShapesAreRefused(string deviceId)
    {
        Device device = devices.Open(deviceId);
        ArgumentOutOfRangeException negative = Assert.Throws<ArgumentOutOfRangeException>(() => device.Allocate<float>(3, -1));
        Assert.Contains("[3, -1]", negative.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => device.Allocate<float>(-2, -2));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.Allocate<float>(0, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.AllocateBuffer<float>(-1));

        // More than 2^63 elements, and fewer elements of more than 2^63 bytes.
        ArgumentOutOfRangeException huge = Assert.Throws<ArgumentOutOfRangeException>(() => device.Allocate<byte>(1L << 32, 1L << 32));
        Assert.Contains("[4294967296, 4294967296]", huge.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => device.Allocate<double>(1L << 30, 1L << 30));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.AllocateBuffer<ulong>(long.MaxValue));

        // A zero makes a tensor empty, whatever else is asked for.
        using DeviceTensor<double> empty = device.Allocate<double>(1L << 40, 0, 1L << 40);
        Assert.Equal(0, empty.Length);
    }

    [Fact]
    public void OnlyElementTypesCanBeStored()
    {
        using Device device = Device.Open("cpu");
        Assert.Throws<NotSupportedException>(() => device.Allocate<char>(3));
        Assert.Throws<NotSupportedException>(() => device.AllocateBuffer<long>(3));
        Assert.Throws<NotSupportedException>(() => device.AllocateHost<(float, float)>(3));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void EmptyTensorsWorkThroughout(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (long[] shape in (long[][])[[0], [0, 3], [3, 0], [2, 0, 5]])
        {
            using DeviceTensor<float> x = stream.Device.Allocate<float>(shape);
            using DeviceTensor<float> y = stream.Device.Allocate<float>(shape);
            Dropout.Forward(stream, x, y, 0.5, new RandomKey(1, 2));
            Relu.Forward(stream, x, y);
            Assert.Empty(y.ToArray(stream));
            Assert.Equal(0, y.Reshape(0).Slice(0, 0).Length);
        }
    }
}
