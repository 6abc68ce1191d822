using Kernels.Study;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Study;

/// <summary>The loss of a batch in shards is that of one big batch, whatever the shards have.</summary>
public sealed class ShardedLossTests(TestDevices devices)
{
    private const int Rows = 13;
    private const int Classes = 5;
    private const int Ignored = 3;

    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    /// <summary>An uneven shard, an empty one, and one in which every row is ignored.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void ShardsGiveWhatOneBatchGives(string deviceId)
    {
        Device device = devices.Open(deviceId);
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> logits = device.Upload<float>(Logits(), Rows, Classes), weights = device.Upload<float>(Weights, Classes);
        using DeviceTensor<int> labels = device.Upload<int>(Labels, Rows);
        using DeviceTensor<float> loss = device.Allocate<float>(1), gradient = device.Allocate<float>(Rows, Classes);
        using DeviceTensor<float> parts = device.Allocate<float>(4), divisor = device.Allocate<float>(1), sum = device.Allocate<float>(4);
        using DeviceTensor<float> shardGradient = device.Allocate<float>(Rows, Classes);
        CrossEntropyOptions options = new() { IgnoreIndex = Ignored, Reduction = LossReduction.Mean, Smoothing = 0.1 };
        CrossEntropy.ForwardBackward(stream, logits, labels, weights, null, loss, gradient, null, 1, options);

        (int First, int Count)[] shards = [(0, 6), (6, 0), (6, 2), (8, 5)];
        Assert.All(Labels[6..8], label => Assert.Equal(Ignored, label));
        ForEachShard((shard, x, y) => CrossEntropy.Normalizer(stream, x, y, weights, parts.Slice(shard, 1), options));
        stream.Upload<float>([parts.ToArray(stream).Sum()], divisor);
        ForEachShard((shard, x, y) => CrossEntropy.ForwardBackwardShard(
            stream, x, y, weights, divisor, null, sum.Slice(shard, 1), Part(shardGradient, shard), 1, options));

        Assert.Equal(0, parts.ToArray(stream)[1]);
        Assert.Equal(0, parts.ToArray(stream)[2]);
        Assert.Equal(loss.ToArray(stream)[0], sum.ToArray(stream).Sum(), tolerance: 1e-6);
        Assert.All(
            gradient.ToArray(stream).Zip(shardGradient.ToArray(stream)), pair => Assert.Equal(pair.First, pair.Second, tolerance: 1e-7));

        void ForEachShard(Action<int, DeviceTensor<float>, DeviceTensor<int>> work)
        {
            for (int shard = 0; shard < shards.Length; shard++)
                work(shard, Part(logits, shard), labels.Slice(shards[shard].First, shards[shard].Count));
        }

        DeviceTensor<float> Part(DeviceTensor<float> rows, int shard) => rows.Slice(shards[shard].First, shards[shard].Count);
    }

    /// <summary>Eight shards on 1, 2, 4 and 8 ranks: the same bits, those of the gradient that one batch has but for rounding.</summary>
    [Fact]
    public void RanksAgreeOnTheDivisor()
    {
        float[] one = Gradient(1);

        Assert.All(one.Zip(WholeGradient()), pair => Assert.Equal(pair.Second, pair.First, tolerance: 1e-7));
        foreach (int ranks in (int[])[2, 4, 8]) Assert.Equal(one, Gradient(ranks));
    }

    private static float[] Weights => [1, 0.5f, 2, 1, 3];

    private static int[] Labels => [0, 1, Ignored, 2, 4, 1, Ignored, Ignored, 0, 2, 2, Ignored, 4];

    private static float[] Logits() =>
        [.. Enumerable.Range(0, Rows * Classes).Select(i => (float)(3 * StudyRandom.Symmetric(new RandomKey(1, 0), (ulong)i)))];

    private static float[] WholeGradient()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> logits = device.Upload<float>(Logits(), Rows, Classes), weights = device.Upload<float>(Weights, Classes);
        using DeviceTensor<int> labels = device.Upload<int>(Labels, Rows);
        using DeviceTensor<float> loss = device.Allocate<float>(1);
        CrossEntropy.ForwardBackward(
            stream, logits, labels, weights, null, loss, logits, null, 1,
            new CrossEntropyOptions { IgnoreIndex = Ignored, Reduction = LossReduction.Mean });
        return logits.ToArray(stream);
    }

    private static float[] Gradient(int ranks)
    {
        float[] all = new float[Rows * Classes];
        RankRuns.OnThreads(ranks, new CollectiveOptions(), rank =>
        {
            using Device device = Device.Open("cpu");
            using DeviceStream stream = device.CreateStream();
            using RankLink link = new(rank, device, shards: 8);
            using DeviceTensor<float> logits = device.Upload<float>(Logits(), Rows, Classes), losses = device.Allocate<float>(Rows);
            using DeviceTensor<float> weights = device.Upload<float>(Weights, Classes), gradient = device.Allocate<float>(Rows, Classes);
            using DeviceTensor<int> labels = device.Upload<int>(Labels, Rows);
            using ShardedLoss loss = new(device, link, SumMode.FixedTree, new CrossEntropyOptions { IgnoreIndex = Ignored }, weights);
            ShardRows?[] shards = [.. Enumerable.Range(link.Plan.First, link.Plan.Count).Select(Shard)];
            loss.Run(stream, shards, Rows);
            (long start, long rows) = link.Plan.OwnRows(Rows);
            gradient.ToArray(stream).AsSpan((int)start * Classes, (int)rows * Classes).CopyTo(all.AsSpan((int)start * Classes));

            ShardRows? Shard(int shard)
            {
                (long first, long count) = link.Plan.RowsOf(shard, Rows);
                return count == 0
                    ? null
                    : new ShardRows(
                        logits.Slice(first, count), labels.Slice(first, count), losses.Slice(first, count), gradient.Slice(first, count));
            }
        });
        return all;
    }
}
