using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>What ties the calls of DropConnect together: shards, keys in device memory, and inference to training.</summary>
public sealed class DropConnectTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(77, 8);

    public static TheoryData<string> Rows => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(Rows))]
    public void ShardsOfTheBatchAndADeviceKey_GiveTheBitsOfTheWhole(string deviceId)
    {
        const int Examples = 7, Inputs = 29, Outputs = 5, First = 3;
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> x = stream.Device.Upload<float>(Bits.Uniform<float>(Examples * Inputs, 1), Examples, Inputs);
        using DeviceTensor<float> weight = stream.Device.Upload<float>(Bits.Uniform<float>(Outputs * Inputs, 2), Outputs, Inputs);
        using DeviceTensor<float> bias = stream.Device.Upload<float>(Bits.Uniform<float>(Outputs, 3), Outputs);
        using DeviceTensor<float> whole = stream.Device.Allocate<float>(Examples, Outputs);
        using DeviceTensor<float> parts = stream.Device.Allocate<float>(Examples, Outputs);
        using DeviceTensor<ulong> key = stream.Device.Upload<ulong>([Key.Seed, Key.Offset], 2);

        DropConnect.Forward(stream, x, weight, bias, whole, 0.5, Key);
        DropConnect.Forward(stream, x.Slice(0, First), weight, bias, parts.Slice(0, First), 0.5, key);
        DropConnect.Forward(
            stream, x.Slice(First, Examples - First), weight, bias, parts.Slice(First, Examples - First), 0.5, key,
            new DropConnectOptions { GlobalStart = First });

        Bits.AssertEqual<float>(whole.ToArray(stream), parts.ToArray(stream));
    }

    /// <summary>
    /// The moments that inference matches are those of many training passes, in both scalings. Five standard errors of 4,000 passes.
    /// </summary>
    [Theory]
    [InlineData(DropoutScaling.Inverted)]
    [InlineData(DropoutScaling.Original)]
    public void Inference_HasTheMomentsOfTraining(DropoutScaling scaling)
    {
        const int Passes = 4000, Inputs = 40;
        const double DropProbability = 0.3;
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        float[] row = Bits.Uniform<float>(Inputs, 4);
        using DeviceTensor<float> x = device.Upload<float>(
            [.. Enumerable.Repeat(row, Passes).SelectMany(values => values)], Passes, Inputs);
        using DeviceTensor<float> weight = device.Upload<float>(Bits.Uniform<float>(Inputs, 5), 1, Inputs);
        using DeviceTensor<float> bias = device.Upload<float>([1.5f], 1);
        using DeviceTensor<float> y = device.Allocate<float>(Passes, 1);
        using DeviceTensor<float> mean = device.Allocate<float>(1, 1), variance = device.Allocate<float>(1, 1),
            expected = device.Allocate<float>(1, 1);
        DropConnectOptions options = new() { Scaling = scaling };

        DropConnect.Forward(stream, x, weight, bias, y, DropProbability, Key, options);
        DropConnect.Infer(
            stream, x.Slice(0, 1), weight, bias, expected, mean, variance, DropProbability, DropConnectActivation.Identity, Passes, Key,
            options);

        double[] samples = [.. y.ToArray(stream).Select(value => (double)value)];
        double average = samples.Average(), spread = samples.Sum(value => (value - average) * (value - average)) / (Passes - 1);
        double center = mean.ToArray(stream)[0], deviation = Math.Sqrt(variance.ToArray(stream)[0]), error = 5 / Math.Sqrt(Passes);
        Assert.InRange(average, center - (error * deviation), center + (error * deviation));
        Assert.InRange(Math.Sqrt(spread) / deviation, 1 - error, 1 + error);
        Assert.InRange(expected.ToArray(stream)[0], center - (error * deviation), center + (error * deviation));
    }
}
