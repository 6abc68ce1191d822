using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Augmentation;

/// <summary>
/// Augmentation in feature space: a sample fares alike in every batch and order, and neighbours are others of the same class.
/// </summary>
public sealed class FeatureTests(TestDevices devices)
{
    private const int Rows = 40, Features = 13, Most = 3;

    private static readonly RandomKey Key = new(20260101, 3);

    private static readonly float[] Values =
        [.. Elements.Uniform(DType.Float32, Rows * Features, 1, "features", -1, 1).Select(value => (float)value)];

    private static readonly int[] Labels = [.. Enumerable.Range(0, Rows).Select(row => row % 3)];

    private delegate void Op(DeviceStream stream, Data batch, DeviceTensor<float> dataSet, DeviceTensor<float> y);

    private static IEnumerable<Op> Ops =>
    [
        (stream, batch, dataSet, y) =>
            FeatureInterpolate.Forward(stream, batch.X, batch.Ids, dataSet, batch.Neighbours, y, (0.1, 0.9), Key),
        (stream, batch, dataSet, y) =>
            FeatureExtrapolate.Forward(stream, batch.X, batch.Ids, dataSet, batch.Neighbours, y, 0.5, Key),
        (stream, batch, dataSet, y) =>
        {
            using DeviceTensor<float> deviations = stream.Device.Allocate<float>(3, Features);
            using DeviceTensor<int> labels = stream.Device.Upload<int>(Labels, Rows);
            FeatureNoise.Deviations(stream, dataSet, labels, deviations);
            FeatureNoise.Forward(stream, batch.X, batch.Ids, batch.Labels, deviations, y, 0.5, Key);
        },
    ];

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void BatchAndOrder_DoNotMatter(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> dataSet = stream.Device.Upload<float>(Values, Rows, Features);
        using DeviceTensor<int> labels = stream.Device.Upload<int>(Labels, Rows), found = stream.Device.Allocate<int>(Rows, Most);
        SameClassNeighbours.Find(stream, dataSet, labels, found);
        int[] neighbours = found.ToArray(stream);
        Assert.All(
            Enumerable.Range(0, Rows * Most),
            i => Assert.True(neighbours[i] != i / Most && Labels[neighbours[i]] == Labels[i / Most], $"row {i / Most}: {neighbours[i]}"));

        int[] all = [.. Enumerable.Range(0, Rows)], turned = [.. all.Reverse()], few = [7, 30];
        foreach (Op op in Ops)
        {
            float[] whole = Run(stream, op, all, neighbours, dataSet);
            Assert.NotEqual(Values, whole);
            Assert.Equal(whole, Run(stream, op, turned, neighbours, dataSet).Chunk(Features).Reverse().SelectMany(row => row));
            float[] others = Run(stream, op, few, neighbours, dataSet);
            Assert.Equal(whole[(7 * Features)..(8 * Features)], others[..Features]);
            Assert.Equal(whole[(30 * Features)..(31 * Features)], others[Features..]);
        }
    }

    private static float[] Run(DeviceStream stream, Op op, int[] rows, int[] neighbours, DeviceTensor<float> dataSet)
    {
        using DeviceTensor<float> x = stream.Device.Upload<float>(
            [.. rows.SelectMany(row => Values[(row * Features)..((row + 1) * Features)])], rows.Length, Features);
        using DeviceTensor<ulong> ids = stream.Device.Upload<ulong>([.. rows.Select(row => (ulong)row)], rows.Length);
        using DeviceTensor<int> labels = stream.Device.Upload<int>([.. rows.Select(row => Labels[row])], rows.Length);
        using DeviceTensor<int> near = stream.Device.Upload<int>(
            [.. rows.SelectMany(row => neighbours[(row * Most)..((row + 1) * Most)])], rows.Length, Most);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(rows.Length, Features);
        op(stream, new Data(x, ids, labels, near), dataSet, y);
        return y.ToArray(stream);
    }

    private sealed record Data(DeviceTensor<float> X, DeviceTensor<ulong> Ids, DeviceTensor<int> Labels, DeviceTensor<int> Neighbours);
}
