using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>Decisions of adaptive dropout: the same bits on every device, at the probabilities asked for.</summary>
public sealed class AdaptiveDropoutTests(TestDevices devices)
{
    private const int Count = 100_003;

    private static readonly RandomKey Key = new(99, 10);

    /// <summary>
    /// Pre-activations of which many lie where the float rounds: a difference of one bit anywhere would move a decision now and then.
    /// </summary>
    [Fact]
    public void Decisions_AreTheSameOnEveryDevice()
    {
        float[] pre = [.. Bits.Uniform<float>(Count, 6).Select(value => 5 * value)];
        float[]? first = null;
        foreach (Device device in devices.OpenAll())
        {
            float[] mask = Mask(device, pre, 0.73, -0.11);
            first ??= mask;
            Bits.AssertEqual<float>(first, mask, device.ToString()!);
        }
    }

    /// <summary>The share of kept units is sigmoid(z), within five standard errors.</summary>
    [Theory]
    [InlineData(-3)]
    [InlineData(-0.5)]
    [InlineData(0)]
    [InlineData(2)]
    public void Share_IsTheSigmoid(double z)
    {
        using Device device = Device.Open("cpu");
        double expected = 1 / (1 + Math.Exp(-z)), error = 5 * Math.Sqrt(expected * (1 - expected) / Count);
        Assert.InRange(Mask(device, new float[Count], 1, z).Average(), expected - error, expected + error);
    }

    /// <summary>A tensor with one probability everywhere is plain dropout of that probability, bit for bit.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(1)]
    public void PerElement_IsDropoutWhereAllAreEqual(double dropProbability)
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<double> x = device.Upload<double>(Bits.Uniform<double>(1021, 7), 1021);
        using DeviceTensor<double> keep = device.Allocate<double>(1021), y = device.Allocate<double>(1021),
            expected = device.Allocate<double>(1021);
        stream.Fill(keep, 1 - dropProbability);
        AdaptiveDropout.ForwardPerElement(stream, x, keep, y, Key);
        Dropout.Forward(stream, x, expected, dropProbability, Key);
        Bits.AssertEqual<double>(expected.ToArray(stream), y.ToArray(stream));
    }

    private static float[] Mask(Device device, float[] pre, double alpha, double beta)
    {
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> preTensor = device.Upload<float>(pre, pre.Length);
        using DeviceTensor<float> ones = device.Allocate<float>(pre.Length);
        stream.Fill(ones, 1);
        AdaptiveDropout.Forward(stream, ones, preTensor, ones, alpha, beta, Key);
        return ones.ToArray(stream);
    }
}
