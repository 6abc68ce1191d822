using System.Globalization;
using System.Numerics;
using System.Text;
using Kernels.Reference;
using Kernels.Tests.Documentation;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>DropBlock drops what was asked for, the same cells everywhere, and its helpers say what they do.</summary>
public sealed class DropBlockTests(TestDevices devices)
{
    private const string Page = "kernels/docs/drop_block.md";
    private static readonly RandomKey Key = new(20260101, 7);

    /// <summary>
    /// Rectangles to drop from, with what is known of them: the share that the paper's gamma really drops, and the gamma that drops the
    /// share asked for.
    /// </summary>
    [Theory]
    [InlineData(7, 7, 0.10, 0.100, 0.1000)]
    [InlineData(7, 5, 0.10, 0.095, 0.02308)]
    [InlineData(14, 7, 0.10, 0.093, 0.006764)]
    [InlineData(28, 7, 0.10, 0.094, 0.003534)]
    [InlineData(56, 7, 0.10, 0.095, 0.002714)]
    [InlineData(14, 7, 0.25, 0.210, 0.01940)]
    [InlineData(16, 5, 0.30, 0.250, 0.02671)]
    public void Rates_AreAsPublished(int map, int block, double p, double paperShare, double exactGamma)
    {
        DropBlockPlan paper = DropBlock.Plan([map, map], [block], DropBlockRate.Paper(p));
        Assert.Equal(paperShare, paper.DropProbability, 5e-4);
        Assert.Equal(p * map * map / (block * block) / ((map - block + 1) * (map - block + 1)), paper.Gamma, Math.ScaleB(1, -33));

        DropBlockPlan exact = DropBlock.Plan([map, map], [block], DropBlockRate.Exact(p));
        Assert.Equal(exactGamma, exact.Gamma, exactGamma * 5e-4);
        Assert.Equal(p, exact.DropProbability, 1e-7);
        Assert.Equal(exact.DropProbability, DropBlock.Plan([map, map], [block], DropBlockRate.FromGamma(exact.Gamma)).DropProbability);
    }

    /// <summary>Five maps, three blocks: expected and counted shares of the two rules are those of the page.</summary>
    [Fact]
    public void RealisedRates_AreThoseOfThePage()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        StringBuilder table = new();
        RandomKey key = Key;
        foreach (long[] map in (long[][])[[7, 7], [14, 14], [28, 28], [56, 56], [16, 24]])
        {
            foreach (long block in (long[])[3, 5, 7])
            {
                StringBuilder row = new($"| {map[0]} x {map[1]} | {block} |");
                foreach (DropBlockRate rate in (DropBlockRate[])[DropBlockRate.Paper(0.1), DropBlockRate.Exact(0.1)])
                {
                    DropBlockPlan plan = DropBlock.Plan(map, [block], rate);
                    key = key.Next();
                    (double share, double error) = CountedShare(stream, map, block, rate, key);
                    Assert.InRange(share, plan.DropProbability - (5 * error), plan.DropProbability + (5 * error));
                    row.Append(CultureInfo.InvariantCulture,
                        $" {plan.Gamma:0.000000} | {plan.DropProbability:0.00000} | {share:0.00000} |");
                }

                table.Append(row).Append('\n');
            }
        }

        Assert.True(Repository.Read(Page).Contains(table.ToString(), StringComparison.Ordinal), $"{Page} should have the table\n{table}");
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Shards_TogetherAreTheWhole(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        DropBlockRate rate = DropBlockRate.Exact(0.3);
        bool[] whole = Mask(stream, [5, 3, 9, 10], [3], rate, default);
        bool[] head = Mask(stream, [2, 3, 9, 10], [3], rate, default);
        bool[] tail = Mask(stream, [3, 3, 9, 10], [3], rate, new DropBlockOptions { GlobalStart = 2 });
        Assert.Equal(whole, head.Concat(tail));
    }

    /// <summary>
    /// Maps of so many cells that they are made in pieces, whose ends lie within rows, planes and maps; few seeds and many.
    /// </summary>
    [Theory]
    [InlineData(new[] { 1, 97, 89 }, new[] { 1, 7, 5 }, 0.002)]
    [InlineData(new[] { 1, 97, 89 }, new[] { 1, 2, 1 }, 0.3)]
    [InlineData(new[] { 9, 31, 33 }, new[] { 3, 2, 4 }, 0.01)]
    [InlineData(new[] { 1, 1, 8700 }, new[] { 1, 1, 70 }, 0.001)]
    public void Pieces_AreThoseOfTheReference(int[] map, int[] block, double gamma)
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        DropBlockRate rate = DropBlockRate.FromGamma(gamma);
        long[] shape = [5, 3, .. map.Select(size => (long)size)], blockSize = [.. block.Select(size => (long)size)];
        DropBlockOptions options = new() { GlobalStart = 3, Normalization = DropBlockNormalization.Map };
        bool[] expected = DropBlockReference.Keep(15, map, block, DropBlockReference.Threshold(gamma), Key.Seed, Key.Offset, 9);
        Assert.Equal(expected, Mask(stream, shape, blockSize, rate, options));

        float[] ones = [.. Enumerable.Repeat(1f, expected.Length)];
        using DeviceTensor<float> x = stream.Device.Upload<float>(ones, shape), y = stream.Device.Allocate<float>(shape);
        DropBlock.Forward(stream, x, y, blockSize, rate, Key, options);
        double[] scales = DropBlockReference.Scales(expected, expected.Length / 15);
        Assert.Equal(
            expected.Select((kept, cell) => kept ? (float)scales[cell / (expected.Length / 15)] : 0), y.ToArray(stream));
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Blocks_AreWholeAndEvenOnesReachFurtherBeforeTheirCentre(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        // A block of 4 in 10 cells starts at 0 to 6. A map with one run of four dropped cells has one block; all starts must turn up.
        bool[] keep = Mask(stream, [400, 1, 10], [4], DropBlockRate.FromGamma(0.1), default);
        HashSet<int> starts = [];
        foreach (bool[] map in keep.Chunk(10))
        {
            int[] dropped = [.. Enumerable.Range(0, 10).Where(cell => !map[cell])];
            Assert.True(dropped.Length is 0 or >= 4);
            if (dropped.Length == 4)
            {
                Assert.Equal(3, dropped[3] - dropped[0]);
                starts.Add(dropped[0]);
            }
        }

        Assert.Equal(Enumerable.Range(0, 7), starts.Order());
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void DeviceKey_DrawsWhatTheHostKeyDraws(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<ulong> key = stream.Device.Upload<ulong>([Key.Seed, Key.Offset], 2);
        using DeviceTensor<float> x = stream.Device.Upload<float>([.. Enumerable.Repeat(1f, 4 * 3 * 81)], 4, 3, 9, 9);
        using DeviceTensor<float> a = stream.Device.Allocate<float>(x.Shape), b = stream.Device.Allocate<float>(x.Shape);
        DropBlockOptions options = new() { Fill = DropBlockFill.Noise };
        DropBlock.Forward(stream, x, a, [3], DropBlockRate.Exact(0.2), Key, options);
        DropBlock.Forward(stream, x, b, [3], DropBlockRate.Exact(0.2), key, options);
        Assert.Equal(a.ToArray(stream), b.ToArray(stream));
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Batch_KeepsTheSum(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<double> x = Supported(stream, [.. Enumerable.Repeat(1.0, 6 * 5 * 81)], 6, 5, 9, 9);
        using DeviceTensor<double> y = stream.Device.Allocate<double>(x.Shape);
        DropBlock.Forward(stream, x, y, [3], DropBlockRate.Exact(0.2), Key);
        double[] values = y.ToArray(stream);
        Assert.Contains(0.0, values);
        Assert.Equal(values.Length, values.Sum(), 1e-9 * values.Length);
    }

    [Theory]
    [InlineData(0, 0.0)]
    [InlineData(10, 0.0)]
    [InlineData(60, 0.05)]
    [InlineData(110, 0.1)]
    [InlineData(1_000_000, 0.1)]
    public void Schedule_FallsLinearly(long step, double dropProbability)
    {
        DropBlockSchedule schedule = new(FinalDropProbability: 0.1, Steps: 100) { FirstStep = 10 };
        Assert.Equal(dropProbability, schedule.DropProbability(step), 1e-15);
        Assert.Equal(1 - dropProbability, schedule.KeepProbability(step), 1e-15);
    }

    [Fact]
    public void Schedule_OfNoStepsHasItsTargetAtOnce()
    {
        DropBlockSchedule schedule = new(0.3, 0) { InitialDropProbability = 0.1, FirstStep = 5 };
        Assert.Equal(0.1, schedule.DropProbability(4));
        Assert.Equal(0.3, schedule.DropProbability(5));
        Assert.Throws<ArgumentOutOfRangeException>("FinalDropProbability", () => new DropBlockSchedule(1.1, 5).DropProbability(0));
        Assert.Throws<ArgumentOutOfRangeException>("Steps", () => new DropBlockSchedule(0.1, -1).DropProbability(0));
        Assert.Throws<ArgumentOutOfRangeException>("InitialDropProbability", () =>
            new DropBlockSchedule(0.1, 5) { InitialDropProbability = double.NaN }.DropProbability(0));
    }

    /// <summary>Steps from one end of the integers to the other are still counted.</summary>
    [Fact]
    public void Schedule_CountsOverTheWholeRange()
    {
        DropBlockSchedule schedule = new(0.5, long.MaxValue) { FirstStep = long.MinValue };
        Assert.Equal(0.25, schedule.DropProbability(long.MinValue + (1L << 62)), 1e-15);
        Assert.Equal(0.5, schedule.DropProbability(long.MaxValue));
    }

    [Fact]
    public void Plan_SaysWhatExtremesDo()
    {
        Assert.Equal(new DropBlockPlan(0, 0), DropBlock.Plan([8, 8], [3], DropBlockRate.Exact(0)));
        Assert.Equal(new DropBlockPlan(1, 1), DropBlock.Plan([8, 8], [3], DropBlockRate.Exact(1)));
        Assert.Equal(new DropBlockPlan(1, 1), DropBlock.Plan([8, 8], [3], DropBlockRate.Paper(1)));
        Assert.Equal(Math.ScaleB(1, -32), DropBlock.Plan([8, 8], [3], DropBlockRate.Exact(1e-12)).Gamma);
        Assert.True(DropBlock.Plan([8, 8], [3], DropBlockRate.Exact(1 - 1e-12)).Gamma < 1);

        // Even, clamped and rectangular blocks, one and three axes: the share is what was asked for.
        Assert.Equal(0.2, DropBlock.Plan([9, 12], [4, 99], DropBlockRate.Exact(0.2)).DropProbability, 1e-7);
        Assert.Equal(0.2, DropBlock.Plan([100], [6], DropBlockRate.Exact(0.2)).DropProbability, 1e-7);
        Assert.Equal(0.2, DropBlock.Plan([8, 16, 16], [2, 4, 4], DropBlockRate.Exact(0.2)).DropProbability, 1e-7);
    }

    /// <summary>The share of dropped cells in many maps, and its standard error from the spread between maps.</summary>
    private static (double Share, double Error) CountedShare(DeviceStream stream, long[] map, long block, DropBlockRate rate, RandomKey key)
    {
        const int Cells = 1 << 20;
        int cells = (int)(map[0] * map[1]), maps = Cells / cells;
        bool[] keep = Mask(stream, [maps, 1, .. map], [block], rate, default, key);
        double[] shares = [.. keep.Chunk(cells).Select(m => 1 - ((double)m.Count(kept => kept) / cells))];
        double mean = shares.Average();
        return (mean, Math.Sqrt(shares.Sum(share => (share - mean) * (share - mean)) / (maps - 1) / maps));
    }

    private static bool[] Mask(
        DeviceStream stream, long[] shape, long[] block, DropBlockRate rate, DropBlockOptions options, RandomKey? key = null)
    {
        int cells = (int)shape.Aggregate(1L, (product, dimension) => product * dimension);
        using DeviceTensor<uint> mask = stream.Device.Allocate<uint>(Dropout.MaskWords(cells));
        DropBlock.ExportMask(stream, mask, shape, block, rate, key ?? Key, options);
        uint[] words = mask.ToArray(stream);
        bool[] keep = [.. Enumerable.Range(0, cells).Select(cell => (words[cell / 32] >> (cell % 32) & 1) != 0)];
        Assert.Equal(keep.Count(kept => kept), words.Sum(BitOperations.PopCount));
        return keep;
    }

    private static DeviceTensor<double> Supported(DeviceStream stream, double[] values, params ReadOnlySpan<long> shape)
    {
        Assert.SkipUnless(Verifier.Supports(stream.Device, DType.Float64), $"{stream.Device} has no double precision");
        return stream.Device.Upload<double>(values, shape);
    }
}
