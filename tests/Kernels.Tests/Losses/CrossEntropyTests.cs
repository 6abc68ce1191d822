using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Losses;

/// <summary>What the case table cannot hold: sums and rows as long as they may be.</summary>
public sealed class CrossEntropyTests(TestDevices devices)
{
    private const int LongestRow = 1 << 24;

    /// <summary>
    /// Equal values, whose roundings in a running sum all go one way: sixteen additions an item and then pairs lose 2 units of roundoff, a
    /// running sum of 64 loses 11.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ManyLosses_AreSummedInPairs(string deviceId)
    {
        const int Count = 1 << 22;
        const float Loss = 1.1f;
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> losses = stream.Device.Allocate<float>(Count), sum = stream.Device.Allocate<float>(1);
        stream.Fill(losses, Loss);
        CrossEntropy.Sum<float>(stream, DType.Float32, losses.Argument, Count, default, 1, 0, sum.Argument);
        double expected = (double)Loss * Count;
        Assert.Equal(expected, sum.ToArray(stream)[0], tolerance: 4 * expected / (1 << 24));
    }

    /// <summary>
    /// Equal logits, of which one is masked: its probability is counted in a float, and so is the number of the others that the smoothing
    /// is spread over.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void LongestRow_IsCounted(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<Half> logits = stream.Device.Allocate<Half>(1, LongestRow);
        using DeviceTensor<float> losses = stream.Device.Allocate<float>(1);
        using DeviceTensor<int> labels = stream.Device.Upload<int>([5], 1);
        stream.Fill(logits, (Half)3);
        stream.Fill(logits.Reshape(LongestRow).Slice(LongestRow - 2, 1), Half.NegativeInfinity);
        CrossEntropy.ForwardBackward(stream, logits, labels, null, null, losses, logits, null, -LongestRow, new CrossEntropyOptions
        {
            Smoothing = 0.5,
        });
        Assert.Equal(Math.Log(LongestRow - 1), losses.ToArray(stream)[0], tolerance: 4e-6);

        // p - t, times the scale: p = 1 / M, t = 0.5 / M, and 0.5 more for the label.
        Half[] slopes = new Half[8];
        stream.Download(logits.Reshape(LongestRow).Slice(LongestRow - 8, 8), slopes);
        Assert.Equal([-0.5f, -0.5f, -0.5f, -0.5f, -0.5f, -0.5f, 0, -0.5f], slopes.Select(slope => (float)slope));
        Assert.False(Half.IsNegative(slopes[^2]));
    }
}
