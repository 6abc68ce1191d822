using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Augmentation;

/// <summary>Differentiable augmentation: what its draws depend on.</summary>
public sealed class DifferentiableAugmentTests(TestDevices devices)
{
    private const int Channels = 2, Height = 6, Width = 8, Elements = Channels * Height * Width;

    private static readonly RandomKey Key = new(20260202, 5);

    /// <summary>What becomes of a sample depends neither on the batch it is in nor on its place there.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void BatchOrderAndShard_DoNotMatter(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        ulong[] ids = [.. Enumerable.Range(0, 17).Select(id => (ulong)(100 + id))], turned = [.. ids.Reverse()], few = [105, 3, 113];
        float[] whole = Run(stream, ids, null, 100);
        Assert.Equal(whole, Run(stream, turned, turned, 0).Chunk(Elements).Reverse().SelectMany(image => image));
        float[] others = Run(stream, few, few, 0);
        Assert.Equal(whole[(5 * Elements)..(6 * Elements)], others[..Elements]);
        Assert.Equal(whole[(13 * Elements)..(14 * Elements)], others[(2 * Elements)..]);
        Assert.NotEqual(whole, Run(stream, ids, null, 101));
    }

    /// <summary>Replays of one graph follow the probability in memory: none, all, and what is no probability.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ACapturedStepFollowsTheProbability(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        float[] values = [.. Enumerable.Range(1, 5 * Elements).Select(i => (float)i)];
        using DeviceTensor<float> x = stream.Device.Upload<float>(values, 5, Channels, Height, Width);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(x.Shape), probability = stream.Device.Allocate<float>(1);
        using DeviceGraph graph = stream.Capture(
            () => DifferentiableAugment.Forward(stream, x, null, probability, y, DifferentiablePolicy.DiffAugment, Key));
        float[] always = Replay(1);
        Assert.All(always.Chunk(Elements).Zip(values.Chunk(Elements)), pair => Assert.NotEqual(pair.Second, pair.First));
        Assert.Equal(always, Replay(2));
        Assert.Equal(values, Replay(0));
        Assert.Equal(values, Replay(float.NaN));

        float[] Replay(float value)
        {
            stream.Fill(probability, value);
            graph.Launch(stream);
            return y.ToArray(stream);
        }
    }

    private static float[] Run(DeviceStream stream, ulong[] images, ulong[]? ids, ulong firstSample)
    {
        float[] values = [.. images.SelectMany(id => Enumerable.Range(0, Elements).Select(i => (id * 100) + (float)i))];
        using DeviceTensor<float> x = stream.Device.Upload<float>(values, images.Length, Channels, Height, Width);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(x.Shape);
        using DeviceTensor<ulong>? numbers = ids is null ? null : stream.Device.Upload<ulong>(ids, ids.Length);
        DifferentiablePolicy policy = DifferentiablePolicy.DiffAugment with { Probability = 0.7 };
        DifferentiableAugment.Forward(stream, x, numbers, null, y, policy, Key, new() { FirstSample = firstSample });
        return y.ToArray(stream);
    }
}
