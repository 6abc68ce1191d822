using Kernels.Cpu;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Normalization;

/// <summary>What batch normalization promises to the bit, and its running values over several calls.</summary>
public sealed class BatchNormTests(TestDevices devices)
{
    /// <summary>Maps of one launch and of several, and channels side by side.</summary>
    private static readonly long[][] Shapes = [[4, 3, 5, 5], [2, 3, 2101], [70, 5]];

    /// <summary>Whatever the value and however many there are; with a mean of their rounded sum it would be nearly beta.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ConstantChannels_AreExactlyBeta(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (long[] shape in Shapes)
        {
            AreExactlyBeta<float>(stream, shape);
            AreExactlyBeta<BFloat16>(stream, shape);
        }
    }

    /// <summary>A momentum of 1 / k in call k is the average of all calls.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void MomentumOfOneOverK_IsTheAverage(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(2, 1), statistics = stream.Device.Allocate<float>(3, 1);
        using DeviceTensor<float> mean = stream.Device.Upload<float>([7], 1), variance = stream.Device.Upload<float>([7], 1);
        for (int call = 1; call <= 4; call++)
        {
            // Of mean k and unbiased variance 2 k^2.
            using DeviceTensor<float> x = stream.Device.Upload<float>([0, 2 * call], 2, 1);
            BatchNorm.Forward(stream, x, null, null, y, statistics, mean, variance, new() { Momentum = 1.0 / call });
        }

        Assert.Equal(2.5, mean.ToArray(stream)[0], 5);
        Assert.Equal(15, variance.ToArray(stream)[0], 4);
    }

    /// <summary>As a running value has the weight in the other convention.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void MomentumOfTheOldValue_IsOneLessThatOfTheNew(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        float[] ofNew = Running(new() { Momentum = 0.25 });
        Assert.Equal(ofNew, Running(new() { Momentum = 0.75, MomentumWeighs = MomentumWeight.OldValue }));
        Assert.Equal([1.75f, 1.25f], ofNew);
        Assert.Equal([1.75f, 1f], Running(new() { Momentum = 0.25, RunningVariance = VarianceEstimate.Biased }));

        float[] Running(BatchNormOptions options)
        {
            using DeviceTensor<float> x = stream.Device.Upload<float>([3, 5], 2, 1), y = stream.Device.Allocate<float>(2, 1);
            using DeviceTensor<float> mean = stream.Device.Upload<float>([1], 1), variance = stream.Device.Upload<float>([1], 1);
            using DeviceTensor<float> statistics = stream.Device.Allocate<float>(3, 1);
            BatchNorm.Forward(stream, x, null, null, y, statistics, mean, variance, options);
            return [mean.ToArray(stream)[0], variance.ToArray(stream)[0]];
        }
    }

    private static void AreExactlyBeta<T>(DeviceStream stream, long[] shape)
        where T : unmanaged
    {
        long channels = shape[1], inner = shape[2..].Aggregate(1L, (product, dimension) => product * dimension), count = shape[0] * inner;
        float[] values = [0.1f, -3.3f, 1e30f, 1234.567f, -7e-20f], shifts = [0.3f, -0.7f, 1e-3f, 77, 0];
        T[] stored = [.. Enumerable.Range(0, (int)(channels * count)).Select(i => CpuElement.FromSingle<T>(values[i / inner % channels]))];
        using DeviceTensor<T> x = stream.Device.Upload<T>(stored, shape), y = stream.Device.Allocate<T>(shape);
        using DeviceTensor<float> beta = stream.Device.Upload<float>(shifts[..(int)channels], channels);
        using DeviceTensor<float> statistics = stream.Device.Allocate<float>(3, channels);
        DeviceTensor<float>? none = null;
        if ((object)(x, y) is (DeviceTensor<float> x32, DeviceTensor<float> y32))
            BatchNorm.Forward(stream, x32, none, beta, y32, statistics, none, none);
        if ((object)(x, y) is (DeviceTensor<BFloat16> x16, DeviceTensor<BFloat16> y16))
            BatchNorm.Forward(stream, x16, none, beta, y16, statistics, none, none);
        T[] results = y.ToArray(stream);
        for (int i = 0; i < results.Length; i++)
            Assert.Equal(CpuElement.FromSingle<T>(shifts[i / inner % channels]), results[i]);
    }
}
