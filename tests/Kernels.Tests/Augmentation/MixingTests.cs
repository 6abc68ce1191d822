using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Augmentation;

/// <summary>
/// Mixup and CutMix: the permutation is one, lambda has its distribution, and what becomes of a sample depends neither on the device nor
/// on the order of a batch, nor on shards.
/// </summary>
public sealed class MixingTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(20260101, 3);

    [Fact]
    public void Permutation_IsOneForEverySize()
    {
        uint[] words = [.. Enumerable.Range(0, 8).Select(i => Philox.Block(Key, (ulong)i).W0)];
        for (uint size = 1; size <= 4096; size++)
        {
            bool[] seen = new bool[size];
            for (uint index = 0; index < size; index++)
            {
                uint place = MixingDraw.Permuted(words, size, index);
                Assert.False(seen[place], $"{place} twice in a permutation of {size}");
                seen[place] = true;
            }
        }
    }

    /// <summary>
    /// All 24 orders of four rows are as likely as each other: chi squared with 23 degrees of freedom, beyond 1 in 10,000.
    /// </summary>
    [Fact]
    public void Permutation_IsAnyOfThem()
    {
        const int Keys = 24_000;
        Dictionary<string, int> counts = [];
        uint[] words = new uint[8];
        for (ulong key = 0; key < Keys; key++)
        {
            (words[0], words[1], words[2], words[3]) = Philox.Block(Key, 2 * key);
            (words[4], words[5], words[6], words[7]) = Philox.Block(Key, (2 * key) + 1);
            string order = string.Concat(Enumerable.Range(0, 4).Select(index => MixingDraw.Permuted(words, 4, (uint)index)));
            counts[order] = counts.GetValueOrDefault(order) + 1;
        }

        Assert.Equal(24, counts.Count);
        Assert.True(counts.Values.Sum(count => Math.Pow(count - 1000, 2) / 1000) < 57, string.Join(' ', counts));
    }

    /// <summary>Kolmogorov and Smirnov's distance, which exceeds 1.95 / sqrt(n) once in 1,000 times.</summary>
    [Theory]
    [InlineData(0.1)]
    [InlineData(0.2)]
    [InlineData(1)]
    [InlineData(8)]
    public void Lambda_IsBetaDistributed(double alpha)
    {
        const int Rows = 20_000;
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<int> pairs = stream.Device.Allocate<int>(Rows, 2);
        using DeviceTensor<float> shares = stream.Device.Allocate<float>(Rows);
        Mixup.Draw(stream, null, null, pairs, null, shares, alpha, Key);
        float[] sorted = [.. shares.ToArray(stream).Order()];

        // A share stands for all numbers that are rounded to it.
        double halfStep = Math.ScaleB(1, -25), distance = 0;
        for (int first = 0, end; first < Rows; first = end)
        {
            for (end = first + 1; end < Rows && sorted[end] == sorted[first];) end++;
            double below = BetaDistribution.Cumulative(sorted[first] - halfStep, alpha);
            double above = BetaDistribution.Cumulative(sorted[first] + halfStep, alpha);
            distance = Math.Max(distance, Math.Max(Math.Abs(below - ((double)first / Rows)), Math.Abs(above - ((double)end / Rows))));
        }

        Assert.True(distance < 1.95 / Math.Sqrt(Rows), $"distance {distance} at alpha = {alpha}");
    }

    /// <summary>Lambda, partners and boxes have the same bits everywhere, also at the ends of alpha's range.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Draws_HaveTheBitsOfTheCpu(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId), cpu = devices.CreateStream("cpu");
        foreach (double alpha in (double[])[1e-300, 0.1, 0.2, 1, 8, 1e6])
        {
            foreach (int rows in (int[])[1, 2, 5, 64, 1000])
            {
                Draws expected = Draws.Of(cpu, Ids(rows, 0), alpha), actual = Draws.Of(stream, Ids(rows, 0), alpha);
                Assert.Equal(expected.Pairs, actual.Pairs);
                Assert.Equal(expected.Shares, actual.Shares);
                Assert.Equal(expected.Boxes, actual.Boxes);
            }
        }
    }

    /// <summary>The same batch in another order, with a lambda for each sample and with one for all.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Order_DoesNotMatter(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        ulong[] ids = Ids(37, 5), turned = [.. ids.Reverse()];
        foreach (MixingMode mode in Enum.GetValues<MixingMode>())
        {
            MixingOptions options = new() { Mode = mode };
            Draws draws = Draws.Of(stream, ids, 0.4, options), ofTurned = Draws.Of(stream, turned, 0.4, options);
            Assert.Equal(draws.ById(ids), ofTurned.ById(turned));
            float[] mixed = Mixed(stream, ids, ids, draws, 0), mixedTurned = Mixed(stream, turned, turned, ofTurned, 0);
            Assert.Equal(mixed, mixedTurned.Chunk(Run).Reverse().SelectMany(row => row));
        }
    }

    /// <summary>Lambda and box are the sample's own in any batch; a shard of a batch has the rows of the whole.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void BatchesAndShards_DoNotMatter(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        ulong[] ids = Ids(37, 5), others = [ids[11], .. Ids(12, 900)];
        Draws whole = Draws.Of(stream, ids, 0.4), other = Draws.Of(stream, others, 0.4);
        Assert.Equal(whole.Shares[11], other.Shares[0]);
        Assert.Equal(whole.BoxShares[11], other.BoxShares[0]);
        Assert.Equal(whole.Boxes[44..48], other.Boxes[..4]);

        float[] mixed = Mixed(stream, ids, ids, whole, 0);
        Assert.Equal(mixed[(20 * Run)..], Mixed(stream, ids[20..], ids, whole, 20));
    }

    /// <summary>Partners from a data set: the whole result of a sample is the same in any batch.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void PartnersOfADataSet_DependOnTheSampleAlone(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        ulong[] dataSet = [.. Enumerable.Range(0, 500).Select(id => (ulong)id)];
        ulong[] ids = [7, 499, 0, 123], others = [300, 123, 5];
        MixingOptions options = new() { PoolRows = dataSet.Length };
        Draws draws = Draws.Of(stream, ids, 0.4, options), ofOthers = Draws.Of(stream, others, 0.4, options);
        Assert.Equal(draws.Pairs[6], ofOthers.Pairs[2]);
        Assert.Equal(
            Mixed(stream, ids, dataSet, draws, 0)[(3 * Run)..], Mixed(stream, others, dataSet, ofOthers, 0)[Run..(2 * Run)]);
        Assert.Equal(dataSet.Length, Draws.Of(stream, dataSet, 1, options).Pairs.Where((_, i) => i % 2 == 0).Distinct().Count());
    }

    /// <summary>Rows that do not exist are reported: a partner beyond the batch, a sample beyond the data set.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void RowsThatDoNotExist_AreReported(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> x = stream.Device.Upload<float>([1, 2, 3, 4], 4), shares = stream.Device.Upload<float>([1, 1, 0, 0], 4);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(4);
        using DeviceTensor<int> pairs = stream.Device.Upload<int>([1, 0, 0, 1, 3, 3, 4, 2], 4, 2);
        using DeviceTensor<ulong> ids = stream.Device.Upload<ulong>([0, 9, 10, 1], 4);
        Mixup.Forward(stream, x, pairs, shares, y);
        DeviceDataException error = Assert.Throws<DeviceDataException>(stream.Synchronize);
        Assert.Equal(("Mixup.Forward", 3L), (error.Op, error.Index));
        Mixup.Draw(stream, ids, null, pairs, null, shares, 1, Key, new MixingOptions { PoolRows = 10 });
        error = Assert.Throws<DeviceDataException>(stream.Synchronize);
        Assert.Equal(("Mixup.Draw", 2L), (error.Op, error.Index));
    }

    /// <summary>
    /// What a draw gives is what cross-entropy takes: lambda times the loss of one label, the rest times that of the other.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void CrossEntropy_TakesTheDraw(string deviceId)
    {
        const int Rows = 30, Classes = 10;
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> logits = stream.Device.Upload<float>(
            [.. Elements.Uniform(DType.Float32, Rows * Classes, 1, "logits", -3, 3).Select(value => (float)value)], Rows, Classes);
        using DeviceTensor<int> labels = stream.Device.Upload<int>([.. Enumerable.Range(0, Rows).Select(row => row * 7 % Classes)], Rows);
        using DeviceTensor<int> others = stream.Device.Allocate<int>(Rows), pairs = stream.Device.Allocate<int>(Rows, 2);
        using DeviceTensor<float> shares = stream.Device.Allocate<float>(Rows), losses = stream.Device.Allocate<float>(Rows);
        Mixup.Draw(stream, null, labels, pairs, others, shares, 1, Key);
        float[] Losses(CrossEntropyTargets targets)
        {
            CrossEntropyOptions options = new() { Smoothing = 0.1, Reduction = LossReduction.None };
            CrossEntropy.Forward(stream, logits, targets, null, losses, null, options);
            return losses.ToArray(stream);
        }

        float[] mixed = Losses(CrossEntropyTargets.Mixed(labels, others, shares)), own = Losses(labels), other = Losses(others);
        float[] lambdas = shares.ToArray(stream);
        for (int row = 0; row < Rows; row++)
            Assert.Equal((lambdas[row] * own[row]) + ((1 - lambdas[row]) * other[row]), mixed[row], 1e-5);
    }

    private const int Run = 24;

    private static ulong[] Ids(int rows, ulong first) => [.. Enumerable.Range(0, rows).Select(row => first + (ulong)(row * 37 % 1009))];

    /// <summary>The mixture of rows whose values follow from their sample numbers, from a row of the draws on.</summary>
    private static float[] Mixed(DeviceStream stream, ulong[] ids, ulong[] pool, Draws draws, int first)
    {
        using DeviceTensor<float> x = stream.Device.Upload<float>(Values(ids), ids.Length, Run);
        using DeviceTensor<float> partners = stream.Device.Upload<float>(Values(pool), pool.Length, Run);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(ids.Length, Run);
        using DeviceTensor<int> pairs = stream.Device.Upload<int>(draws.Pairs, draws.Shares.Length, 2);
        using DeviceTensor<float> shares = stream.Device.Upload<float>(draws.Shares, draws.Shares.Length);
        Mixup.Forward(stream, x, partners, pairs.Slice(first, ids.Length), shares.Slice(first, ids.Length), y);
        return y.ToArray(stream);
    }

    private static float[] Values(ulong[] ids) =>
        [.. ids.SelectMany(id => Elements.Uniform(DType.Float32, Run, id, "x", -1, 1).Select(value => (float)value))];

    /// <summary>What the two ops draw for a batch of images of 28 x 20 pixels.</summary>
    private sealed record Draws(int[] Pairs, float[] Shares, float[] BoxShares, int[] Boxes)
    {
        public static Draws Of(DeviceStream stream, ulong[] ids, double alpha, MixingOptions options = default)
        {
            int rows = ids.Length;
            using DeviceTensor<ulong> sampleIds = stream.Device.Upload<ulong>(ids, rows);
            using DeviceTensor<int> pairs = stream.Device.Allocate<int>(rows, 2), boxes = stream.Device.Allocate<int>(rows, 4);
            using DeviceTensor<float> shares = stream.Device.Allocate<float>(rows);
            CutMix.Draw(stream, sampleIds, null, pairs, null, shares, boxes, 28, 20, alpha, Key, options);
            float[] boxShares = shares.ToArray(stream);
            Mixup.Draw(stream, sampleIds, null, pairs, null, shares, alpha, Key, options);
            return new Draws(pairs.ToArray(stream), shares.ToArray(stream), boxShares, boxes.ToArray(stream));
        }

        /// <summary>Sample, partner's sample, shares and box, in the order of the samples.</summary>
        public IEnumerable<string> ById(ulong[] ids) => Enumerable.Range(0, ids.Length).OrderBy(row => ids[row]).Select(row =>
            $"{ids[row]} {ids[Pairs[2 * row]]} {Shares[row]:R} {BoxShares[row]:R} {string.Join(' ', Boxes[(4 * row)..((4 * row) + 4)])}");
    }
}
