using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>What the case table cannot hold: ids that are no rows, and shards that make a whole.</summary>
public sealed class EmbeddingDropoutTests(TestDevices devices)
{
    private const int Vocabulary = 6;
    private const int Width = 3;

    private static readonly RandomKey Key = new(5, 6);

    public static TheoryData<string> Rows => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(Rows))]
    public void BadIds_AreReportedOnce_GiveZerosAndNoGradient(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        int[] ids = [1, Vocabulary, 2, -1, 1, int.MaxValue];
        using DeviceTensor<int> idTensor = stream.Device.Upload<int>(ids, ids.Length);
        using DeviceTensor<float> ones = stream.Device.Allocate<float>(Vocabulary, Width);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(ids.Length, Width);
        using DeviceTensor<float> dTable = stream.Device.Allocate<float>(Vocabulary, Width);
        stream.Fill(ones, 1);
        stream.Fill(dTable, 0);

        EmbeddingDropout.Infer(stream, idTensor, ones, y);
        DeviceDataException error = Assert.Throws<DeviceDataException>(stream.Synchronize);
        Assert.Equal(1, error.Index);
        Assert.Contains("EmbeddingDropout.Infer", error.Message, StringComparison.Ordinal);
        Assert.Contains($"{Vocabulary} rows", error.Message, StringComparison.Ordinal);
        stream.Synchronize();
        Assert.Equal(ids.SelectMany(id => Enumerable.Repeat(id is >= 0 and < Vocabulary ? 1f : 0f, Width)), y.ToArray(stream));

        EmbeddingDropout.Backward(stream, idTensor, y, dTable, 0, Key);
        Assert.Equal(1, Assert.Throws<DeviceDataException>(stream.Synchronize).Index);
        Assert.Equal(Enumerable.Range(0, Vocabulary).SelectMany(id => Enumerable.Repeat((float)ids.Count(other => other == id), Width)),
            dTable.ToArray(stream));
    }

    [Theory]
    [InlineData(EmbeddingDropoutScope.Sequence)]
    [InlineData(EmbeddingDropoutScope.Position)]
    public void Shards_MakeTheWhole(EmbeddingDropoutScope scope)
    {
        const int Sequences = 5, Length = 7, First = 2;
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        int[] values = [.. Enumerable.Range(0, Sequences * Length).Select(n => n * 7 % Vocabulary)];
        using DeviceTensor<int> ids = device.Upload<int>(values, Sequences, Length);
        using DeviceTensor<float> table = device.Allocate<float>(Vocabulary, Width);
        using DeviceTensor<float> whole = device.Allocate<float>(Sequences, Length, Width);
        using DeviceTensor<float> parts = device.Allocate<float>(Sequences, Length, Width);
        stream.Fill(table, 1);

        EmbeddingDropout.Forward(stream, ids, table, whole, 0.5, Key, new EmbeddingDropoutOptions { Scope = scope });
        EmbeddingDropout.Forward(stream, ids.Slice(0, First), table, parts.Slice(0, First), 0.5, Key, new EmbeddingDropoutOptions
        {
            Scope = scope,
        });
        ulong start = scope == EmbeddingDropoutScope.Sequence ? (ulong)First : First * Length;
        EmbeddingDropout.Forward(
            stream, ids.Slice(First, Sequences - First), table, parts.Slice(First, Sequences - First), 0.5, Key,
            new EmbeddingDropoutOptions { Scope = scope, GlobalStart = start });

        float[] expected = whole.ToArray(stream);
        Assert.Contains(0f, expected);
        Bits.AssertEqual<float>(expected, parts.ToArray(stream));
    }
}
