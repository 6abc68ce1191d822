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
        using DeviceTensor<float> logSumExp = stream.Device.Allocate<float>(lengths.Length, 1, 1);
        stream.Fill(scores, 0);

        AttentionDropout.Forward(stream, scores, scores, logSumExp, 1, 0, Key, keyLengths: lengthTensor);
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
        using DeviceTensor<float> logSumExp = stream.Device.Allocate<float>(2, 3, 5);
        stream.Fill(scores, 0);

        AttentionDropout.Forward(stream, scores, scores, logSumExp, 1, 0.5, Key);
        float[] y = scores.ToArray(stream);
        Assert.Equal(y.Select((_, i) => DropoutReference.Keeps(0.5, Key.Seed, Key.Offset, (ulong)i)), y.Select(value => value != 0));
    }

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
        using DeviceTensor<float> logSumExp = stream.Device.Allocate<float>(Batch, 2, 4);

        AttentionDropout.Forward(stream, scores, whole, logSumExp, 1, 0.3, Key);
        AttentionDropout.Forward(stream, scores.Slice(0, First), parts.Slice(0, First), logSumExp.Slice(0, First), 1, 0.3, Key);
        AttentionDropout.Forward(
            stream, scores.Slice(First, Batch - First), parts.Slice(First, Batch - First), logSumExp.Slice(First, Batch - First), 1, 0.3, Key,
            new AttentionDropoutOptions { GlobalStart = First * Row });
        float[] expected = whole.ToArray(stream);
        Assert.Contains(0f, expected);
        Bits.AssertEqual<float>(expected, parts.ToArray(stream));
    }
}
