using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>
/// What dropout promises beside its values: the probability it reports, and the sign of the zero that a dropped element becomes.
/// </summary>
public sealed class DropoutContractTests(TestDevices devices)
{
    private const int Length = 1003;

    private static readonly RandomKey Key = new(7, 11);

    public static TheoryData<double> Probabilities => [1e-4, .001, .01, .1, .17, .25, .3, .5, .9, .999];

    [Theory]
    [MemberData(nameof(Probabilities))]
    public void RealisedProbability_IsWithinHalfAStep(double p)
    {
        KeepThreshold threshold = KeepThreshold.FromDropProbability(p);
        Assert.InRange(threshold.DropProbability, p - Math.ScaleB(1, -17), p + Math.ScaleB(1, -17));
        Assert.Equal(1, threshold.KeepProbability + threshold.DropProbability);
        Assert.Equal(1, threshold.KeepProbability * threshold.Scale, tolerance: 1e-15);
    }

    [Fact]
    public void RealisedProbability_IsWithinHalfAStepAnywhere()
    {
        Random random = new(4);
        for (int i = 0; i < 100_000; i++)
        {
            double p = Math.ScaleB(1, -17) + (random.NextDouble() * (1 - Math.ScaleB(1, -16)));
            Assert.True(Math.Abs(KeepThreshold.FromDropProbability(p).DropProbability - p) <= Math.ScaleB(1, -17), $"p = {p:R}");
        }
    }

    [Fact]
    public void Threshold_IsExactAtTheEndsAndClampedBeside()
    {
        Assert.Equal(65536u, KeepThreshold.FromDropProbability(0).Value);
        Assert.Equal(0u, KeepThreshold.FromDropProbability(1).Value);
        Assert.Equal(65535u, KeepThreshold.FromDropProbability(double.Epsilon).Value);
        Assert.Equal(1u, KeepThreshold.FromDropProbability(Math.BitDecrement(1.0)).Value);
        Assert.Equal(32768u, KeepThreshold.FromDropProbability(0.5).Value);
        Assert.Equal(0, KeepThreshold.FromDropProbability(1).Scale);
        foreach (double bad in (double[])[double.NaN, -double.Epsilon, Math.BitIncrement(1.0), double.PositiveInfinity,
            double.NegativeInfinity])
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => KeepThreshold.FromDropProbability(bad));
        }
    }

    /// <summary>Selected, not multiplied: 0 * NaN would stay NaN, and 0 * -1 would be -0.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void DroppedNaNAndInfinity_ArePositiveZero(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (float special in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity, -0f])
        {
            Check(special);
            Check((Half)special);
            Check((BFloat16)special);
            if (stream.Device.SupportsFloat64) Check((double)special);
        }

        void Check<T>(T special)
            where T : unmanaged
        {
            bool[] mask = Bits.ReferenceMask(Length, 0.5, Key);
            T[] y = Forward(stream, [.. Enumerable.Repeat(special, Length)], 0.5);
            for (int i = 0; i < Length; i++)
            {
                Bits.AssertEqual<T>([default], mask[i] ? [default] : [y[i]], $"element {i} of dropped {special}");
                if (mask[i]) Assert.Equal($"{special}", $"{y[i]}");
            }

            Bits.AssertEqual<T>(new T[Length], Forward(stream, [.. Enumerable.Repeat(special, Length)], 1), $"p = 1 of {special}");
        }
    }

    private static T[] Forward<T>(DeviceStream stream, T[] values, double dropProbability)
        where T : unmanaged
    {
        using DeviceTensor<T> x = stream.Device.Upload<T>(values, values.Length), y = stream.Device.Allocate<T>(values.Length);
        Dropout.Forward(stream, x, y, dropProbability, Key);
        return y.ToArray(stream);
    }
}
