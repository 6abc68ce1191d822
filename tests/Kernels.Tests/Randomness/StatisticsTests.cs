using System.Numerics;
using Kernels.Tests.Noise;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Randomness;

/// <summary>
/// The masks look random: rate, mean, correlation with neighbours of every kind, all within five standard deviations of what independent
/// decisions give. Seeds are fixed, so a pass stays a pass. The CPU device draws for all: the other tests show that every device draws the
/// same.
/// </summary>
public sealed class StatisticsTests(TestDevices devices)
{
    private const int Count = 1 << 24;
    private const int MeanCount = 1 << 22;
    private const double Sigmas = 5;

    /// <summary>
    /// Counts of which fewer than a handful are expected have a longer tail than the normal law's: so many more are allowed. Where 0.19
    /// pairs are expected, the least here, nine have a probability below 10^-11.
    /// </summary>
    private const double RareCounts = 6;

    private static readonly RandomKey Key = new(20260101, 1);

    public static TheoryData<double> Probabilities => DropoutContractTests.Probabilities;

    [Theory]
    [MemberData(nameof(Probabilities))]
    public void KeepRate_IsTheRealisedProbability(double p)
    {
        BitSequence dropped = Draw(p, Key);
        double rate = Realised(p);
        AssertWithin(dropped.Count(), Count * rate, Count * rate * (1 - rate), $"dropped at p = {p}");
    }

    [Theory]
    [MemberData(nameof(Probabilities))]
    public void Mean_IsPreserved(double p)
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        float[] values = [.. Elements.Uniform(DType.Float32, MeanCount, 1, "x", 0.5, 1.5).Select(value => (float)value)];
        using DeviceTensor<float> x = stream.Device.Upload<float>(values, MeanCount);
        Dropout.Forward(stream, x, x, p, Key);
        double sum = x.ToArray(stream).Sum(value => (double)value);
        double rate = Realised(p);

        // Var(m x / q) = x^2 (1 - q) / q.
        double variance = values.Sum(value => (double)value * value) * rate / (1 - rate);
        AssertWithin(sum, values.Sum(value => (double)value), variance, $"sum at p = {p}", rare: RareCounts / (1 - rate));
    }

    /// <summary>The lags 1 to 64 cover the lanes of a block and the blocks of a draw.</summary>
    [Theory]
    [MemberData(nameof(Probabilities))]
    public void Neighbours_AreUncorrelated(double p)
    {
        BitSequence dropped = Draw(p, Key);
        for (int lag = 1; lag <= 64; lag++) AssertUncorrelated(dropped, lag, p);
    }

    /// <summary>The element below, in the next channel, or in the next image: distances that real shapes have.</summary>
    [Theory]
    [MemberData(nameof(Probabilities))]
    public void RowsAndChannels_AreUncorrelated(double p)
    {
        BitSequence dropped = Draw(p, Key);
        foreach (int lag in (int[])[100, 512, 784, 1000, 1024, 56 * 56, 4096, 64 * 56 * 56, 1 << 16, 1 << 20])
            AssertUncorrelated(dropped, lag, p);
    }

    /// <summary>
    /// Calls that differ in one bit of their key, in its place, or by derivation, agree as often as chance: q^2 + (1 - q)^2.
    /// </summary>
    [Theory]
    [MemberData(nameof(Probabilities))]
    public void Calls_AreIndependent(double p)
    {
        BitSequence dropped = Draw(p, Key);
        double rate = Realised(p), agreement = (rate * rate) + ((1 - rate) * (1 - rate));
        (string Name, RandomKey Key)[] others =
        [
            ("next offset", Key.Next()),
            ("offset far off", Key with { Offset = Key.Offset + (1UL << 32) }),
            ("next seed", Key with { Seed = Key.Seed + 1 }),
            ("seed of another high word", Key with { Seed = Key.Seed ^ (1UL << 63) }),
            ("seed and offset swapped", new RandomKey(Key.Offset, Key.Seed)),
            ("derived", Key.Derive(0)),
            ("derived from the next offset", Key.Next().Derive(0)),
        ];
        foreach ((string name, RandomKey key) in others)
        {
            BitSequence other = Draw(p, key);
            double variance = Count * agreement * (1 - agreement);
            AssertWithin(dropped.CountAgreements(other), Count * agreement, variance, $"agreements with {name} at p = {p}");
            double centred = dropped.CountCommon(other) - (rate * (dropped.Count() + other.Count())) + (Count * rate * rate);
            AssertWithin(centred, 0, Count * rate * (1 - rate) * rate * (1 - rate), $"correlation with {name} at p = {p}");
        }
    }

    /// <summary>Patterns of neighbours by chi-square, as wide as their rarest still occurs: what pairwise correlation cannot see.</summary>
    [Theory]
    [InlineData(0.5, 16)]
    [InlineData(0.3, 8)]
    [InlineData(0.25, 8)]
    [InlineData(0.1, 4)]
    [InlineData(0.9, 4)]
    public void Patterns_AreAsFrequentAsChance(double p, int width)
    {
        long[] counts = Draw(p, Key).CountPatterns(width);
        double rate = Realised(p), chiSquare = 0;
        for (int pattern = 0; pattern < counts.Length; pattern++)
        {
            int ones = BitOperations.PopCount((uint)pattern);
            double expected = Count / width * Math.Pow(rate, ones) * Math.Pow(1 - rate, width - ones);
            Assert.True(expected > 5, $"only {expected:F1} of pattern {pattern} are expected");
            chiSquare += (counts[pattern] - expected) * (counts[pattern] - expected) / expected;
        }

        int freedom = counts.Length - 1;
        AssertWithin(chiSquare, freedom, 2 * freedom, $"chi-square at p = {p}");
    }

    /// <summary>The checks above would see a mask shared by neighbours, which real systems have shipped.</summary>
    [Fact]
    public void SharedMask_IsSeen()
    {
        BitSequence dropped = Draw(0.5, Key);
        Assert.Equal(Count, dropped.CountAgreements(Draw(0.5, Key)));
        Assert.Equal(dropped.Count(), dropped.CountPairs(0));
        Assert.ThrowsAny<Exception>(() => AssertWithin(dropped.CountPairs(0), Count / 4.0, Count * 3 / 16.0, "pairs"));
    }

    private static double Realised(double p) => KeepThreshold.FromDropProbability(p).DropProbability;

    private static void AssertUncorrelated(BitSequence dropped, int lag, double p)
    {
        double rate = Realised(p);
        long pairs = dropped.Length - lag;
        long firsts = dropped.CountFirst(pairs), seconds = dropped.Count() - dropped.CountFirst(lag);
        double centred = dropped.CountPairs(lag) - (rate * (firsts + seconds)) + (pairs * rate * rate);
        AssertWithin(centred, 0, pairs * rate * (1 - rate) * rate * (1 - rate), $"correlation at lag {lag}, p = {p}");
    }

    private static void AssertWithin(double actual, double expected, double variance, string what, double rare = RareCounts)
    {
        double limit = (Sigmas * Math.Sqrt(variance)) + rare;
        Assert.True(Math.Abs(actual - expected) <= limit, $"{what}: {actual}, expected {expected:F1} within {limit:F1}");
    }

    private BitSequence Draw(double p, RandomKey key)
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        return BitSequence.Dropped(stream, Count, p, key);
    }
}
