using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Augmentation;

/// <summary>Cutout and random erasing: what becomes of a sample depends neither on the batch it is in nor on its place there.</summary>
public sealed class EraseTests(TestDevices devices)
{
    private const int Channels = 2, Height = 12, Width = 10, Elements = Channels * Height * Width;

    private static readonly RandomKey Key = new(20260101, 3);

    private delegate void Op(DeviceStream stream, DeviceTensor<float> x, DeviceTensor<ulong>? ids, ulong firstSample);

    /// <summary>Each op, with all that it can draw.</summary>
    private static IEnumerable<Op> Ops =>
    [
        (stream, x, ids, first) => Cutout.Forward(
            stream, x, ids, x, 5, Key, new CutoutOptions { MoreHoles = 1, SkipProbability = 0.3, FirstSample = first }),
        (stream, x, ids, first) => RandomErase.Forward(
            stream, x, ids, x, (0.02, 0.4), (0.3, 3.3), Key, new RandomEraseOptions { SkipProbability = 0.3, FirstSample = first }),
        (stream, x, ids, first) => RandomErase.Forward(
            stream, x, ids, x, (0.1, 1), (0.3, 3.3), Key,
            new RandomEraseOptions { MoreBoxes = 1, NoiseDeviation = 0.7, ClipSides = true, FirstSample = first }),
    ];

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void BatchOrderAndShard_DoNotMatter(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        ulong[] ids = [.. Enumerable.Range(0, 23).Select(id => (ulong)(100 + id))], turned = [.. ids.Reverse()], few = [105, 3, 117];
        foreach (Op op in Ops)
        {
            float[] whole = Run(stream, op, ids, null, 100);
            Assert.Equal(whole, Run(stream, op, ids, ids, 0));
            Assert.Equal(whole, Run(stream, op, turned, turned, 0).Chunk(Elements).Reverse().SelectMany(image => image));
            float[] others = Run(stream, op, few, few, 0);
            Assert.Equal(whole[(5 * Elements)..(6 * Elements)], others[..Elements]);
            Assert.Equal(whole[(17 * Elements)..(18 * Elements)], others[(2 * Elements)..]);
            Assert.Equal(whole[(9 * Elements)..], Run(stream, op, ids[9..], null, 109));
            Assert.NotEqual(whole, Run(stream, op, ids, null, 101));
        }
    }

    /// <summary>The share of what is erased is that of the settings: a mean over many samples, within five standard deviations.</summary>
    [Fact]
    public void Areas_AreThoseOfTheSettings()
    {
        const int Images = 20_000, Side = 20;
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<float> x = stream.Device.Allocate<float>(Images, 1, Side, Side);
        stream.Fill(x, 1);
        RandomErase.Forward(stream, x, null, x, (0.1, 0.3), (0.5, 2), Key, new RandomEraseOptions { SkipProbability = 0.25 });
        double erased = x.ToArray(stream).Count(value => value == 0) / (double)x.Length;

        // Areas are uniform: 0.2 on average, 0.75 of the time; with the skipped ones their deviation is 0.101.
        Assert.InRange(erased, 0.15 - (5 * 0.101 / Math.Sqrt(Images)) - 0.001, 0.15 + (5 * 0.101 / Math.Sqrt(Images)) + 0.001);
    }

    private static float[] Run(DeviceStream stream, Op op, ulong[] images, ulong[]? ids, ulong firstSample)
    {
        float[] values = [.. images.SelectMany(id => Enumerable.Range(0, Elements).Select(i => (id * 1000) + (float)i))];
        using DeviceTensor<float> x = stream.Device.Upload<float>(values, images.Length, Channels, Height, Width);
        using DeviceTensor<ulong>? numbers = ids is null ? null : stream.Device.Upload<ulong>(ids, ids.Length);
        op(stream, x, numbers, firstSample);
        return x.ToArray(stream);
    }
}
