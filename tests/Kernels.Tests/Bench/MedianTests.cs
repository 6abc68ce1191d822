using Kernels.Benchmarks;
using Xunit;

namespace Kernels.Tests.Bench;

public sealed class MedianTests
{
    /// <summary>
    /// The ends are the ranks of the binomial interval (e.g. Conover, Practical Nonparametric Statistics, section 3.2); up to five they are
    /// the extremes.
    /// </summary>
    [Theory]
    [InlineData(1, 1.0, 1, 1)]
    [InlineData(2, 1.5, 1, 2)]
    [InlineData(5, 3.0, 1, 5)]
    [InlineData(7, 4.0, 1, 7)]
    [InlineData(9, 5.0, 2, 8)]
    [InlineData(20, 10.5, 6, 15)]
    [InlineData(60, 30.5, 22, 39)]
    public void MiddleAndIntervalOfRanks(int count, double middle, double low, double high)
    {
        double[] ranks = [.. Enumerable.Range(1, count).Select(i => (double)i)];

        Assert.Equal(new Median(middle, low, high), Median.Of(ranks));
        Assert.Equal(new Median(middle, low, high), Median.Of(ranks.Reverse()));
    }

    /// <summary>
    /// The interval has the median in at least 95 of 100 cases, and no narrower one of such ranks has: counted over all ways in which
    /// values can fall.
    /// </summary>
    [Theory]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(16)]
    [InlineData(20)]
    public void CoversTheMedianAtTheStatedConfidence(int count)
    {
        int rank = (int)Median.Of(Enumerable.Range(1, count).Select(i => (double)i)).Low;

        Assert.True(Coverage(rank) >= Median.Confidence, $"{Coverage(rank)}");
        Assert.True(Coverage(rank + 1) < Median.Confidence, $"{Coverage(rank + 1)}");

        // Each value is below the median or above it, so a way is a word of bits.
        double Coverage(int rank)
        {
            int covered = 0;
            for (uint way = 0; way < 1u << count; way++)
            {
                int below = System.Numerics.BitOperations.PopCount(way);
                if (below >= rank && count - below >= rank) covered++;
            }

            return covered / (double)(1u << count);
        }
    }

    [Fact]
    public void AnOutlierMovesNothing()
    {
        double[] times = [5.0, 5.1, 5.2, 5.3, 5.4, 5.5, 5.6, 5.7, 5.8];

        Assert.Equal(Median.Of(times), Median.Of([.. times[..^1], 1e9]));
    }

    [Fact]
    public void ARatioHasTheWidestInterval()
    {
        Median ratio = new Median(40, 30, 60) / new Median(5, 4, 6);

        Assert.Equal(new Median(8, 5, 15), ratio);
        Assert.Equal(7.0 / 8, ratio.Margin);
    }
}
