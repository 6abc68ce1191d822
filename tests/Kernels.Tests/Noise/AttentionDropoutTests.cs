using Kernels.Reference;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>What the case table cannot hold: lengths that no row has, the mask's index, and shards that make a whole.</summary>
public sealed class AttentionDropoutTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(8, 9);

    public static TheoryData<string> Rows => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(Rows))]
    public void BadLengths_AreReportedAndTakenAsTheNearest(string deviceId)
    {
        const int Keys = 4;
        using DeviceStream stream = devices.CreateStream(deviceId);
        int[] lengths = [2, Keys + 1, -1];
        using DeviceTensor<int> lengthTensor = stream.Device.Upload<int>(lengths, lengths.Length);
        using DeviceTensor<float> scores = stream.Device.Allocate<float>(lengths.Length, 1, 1, Keys);
        stream.Fill(scores, 0);

        AttentionDropout.Forward(stream, scores, lengthTensor, null, scores, 1, 0, Key);
        DeviceDataException error = Assert.Throws<DeviceDataException>(stream.Synchronize);
        Assert.Equal(1, error.Index);
        Assert.Contains("AttentionDropout.Forward", error.Message, StringComparison.Ordinal);
        Assert.Contains("keyLengths", error.Message, StringComparison.Ordinal);
        stream.Synchronize();
        Assert.Equal([0.5f, 0.5f, 0, 0, 0.25f, 0.25f, 0.25f, 0.25f, 0, 0, 0, 0], scores.ToArray(stream));
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Mask_IsThatOfDropout(string deviceId)
    {
        const int Keys = 37;
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> scores = stream.Device.Allocate<float>(2, 3, 5, Keys);
        stream.Fill(scores, 0);

        AttentionDropout.Forward(stream, scores, null, null, scores, 1, 0.5, Key);
        float[] y = scores.ToArray(stream);
        Assert.Equal(y.Select((_, i) => DropoutReference.Keeps(0.5, Key.Seed, Key.Offset, (ulong)i)), y.Select(value => value != 0));
    }

    /// <summary>
    /// dscores = y (dy - sum of y dy) with the very probabilities that forward gives, also for scores far from 0: beside such numbers the
    /// logarithm of a sum of exponentials is lost in rounding, and probabilities made of it do not add up to 1.
    /// </summary>
    [Theory]
    [MemberData(nameof(LargeScores))]
    public void Gradient_IsThatOfTheProbabilities(string deviceId, float first, float step, float added)
    {
        const int Keys = 64;
        using DeviceStream stream = devices.CreateStream(deviceId);
        float[] values = [.. Enumerable.Range(0, Keys).Select(key => first + (step * (key * 5 % 7)))];
        float[] slopes = [.. Enumerable.Range(0, Keys).Select(key => ((key * 11 % 13) - 5) / 4f)];
        Device device = stream.Device;
        using DeviceTensor<float> scores = device.Upload<float>(values, 1, 1, 1, Keys), dy = device.Upload<float>(slopes, 1, 1, 1, Keys);
        using DeviceTensor<float> y = device.Allocate<float>(scores.Shape), mask = device.Allocate<float>(1, Keys);
        stream.Fill(mask, added);
        AttentionDropout.Forward(stream, scores, null, mask, y, 1, 0, Key);
        AttentionDropout.Backward(stream, scores, null, mask, dy, dy, 1, 0, Key);
        float[] probabilities = y.ToArray(stream), gradient = dy.ToArray(stream);
        double mean = probabilities.Zip(slopes, (p, slope) => (double)p * slope).Sum();
        for (int key = 0; key < Keys; key++) Assert.Equal(probabilities[key] * (slopes[key] - mean), gradient[key], tolerance: 4e-7);
    }

    /// <summary>The first score, the step between scores, and what the mask adds.</summary>
    public static TheoryData<string, float, float, float> LargeScores =>
    [
        .. from device in TestDevices.All
           from row in ((float First, float Step, float Added)[])
               [(0, 0.5f, 0), (1e5f, 0.5f, 0), (-1e5f, 0.5f, 0), (1e30f, 0, 0), (0, 0, -1e9f), (0, 1, -1e9f)]
           select (device.Id, row.First, row.Step, row.Added),
    ];

    [Theory]
    [MemberData(nameof(Rows))]
    public void Shards_MakeTheWhole(string deviceId)
    {
        const int Batch = 3, First = 1, Row = 2 * 4 * 21;
        using DeviceStream stream = devices.CreateStream(deviceId);
        float[] values = [.. Enumerable.Range(0, Batch * Row).Select(i => i * 7 % 11 / 4f)];
        using DeviceTensor<float> scores = stream.Device.Upload<float>(values, [Batch, 2, 4, 21]);
        using DeviceTensor<float> whole = stream.Device.Allocate<float>(scores.Shape);
        using DeviceTensor<float> parts = stream.Device.Allocate<float>(scores.Shape);

        AttentionDropout.Forward(stream, scores, null, null, whole, 1, 0.3, Key);
        AttentionDropout.Forward(stream, scores.Slice(0, First), null, null, parts.Slice(0, First), 1, 0.3, Key);
        AttentionDropout.Forward(
            stream, scores.Slice(First, Batch - First), null, null, parts.Slice(First, Batch - First), 1, 0.3, Key,
            new AttentionDropoutOptions { GlobalStart = First * Row });
        float[] expected = whole.ToArray(stream);
        Assert.Contains(0f, expected);
        Bits.AssertEqual<float>(expected, parts.ToArray(stream));
    }
}
