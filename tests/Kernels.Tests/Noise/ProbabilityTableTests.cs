using System.Globalization;
using System.Text;
using Kernels.Tests.Documentation;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>The published table of requested and realised drop probabilities.</summary>
public sealed class ProbabilityTableTests
{
    private const string Page = "kernels/docs/probabilities.md";
    private static readonly double[] Requested = [0.001, 0.01, 0.1, 0.15, 0.3, 0.5, 0.9];

    [Fact]
    public void TheTableIsTrue()
    {
        StringBuilder table = new();
        foreach (double p in Requested)
        {
            KeepThreshold threshold = KeepThreshold.FromDropProbability(p);
            Assert.InRange(threshold.DropProbability, p - Math.ScaleB(1, -17), p + Math.ScaleB(1, -17));
            table.Append(CultureInfo.InvariantCulture,
                $"| {p} | {threshold.Value} | {threshold.DropProbability:0.00000000} | {threshold.Scale:0.00000000} |\n");
        }

        Assert.True(Repository.Read(Page).Contains(table.ToString(), StringComparison.Ordinal), $"{Page} should have the table\n{table}");
    }

    [Fact]
    public void CountedSharesAreTheRealisedOnes()
    {
        const int Count = 1 << 24;
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<uint> mask = device.Allocate<uint>(Dropout.MaskWords(Count));
        RandomKey key = new(20260101, 0);
        foreach (double p in Requested)
        {
            key = key.Next();
            Dropout.ExportMask(stream, mask, Count, p, key);
            long kept = mask.ToArray(stream).Sum(word => (long)System.Numerics.BitOperations.PopCount(word));
            double keep = KeepThreshold.FromDropProbability(p).KeepProbability;
            double deviation = Math.Sqrt(Count * keep * (1 - keep));
            Assert.InRange(kept, (Count * keep) - (5 * deviation), (Count * keep) + (5 * deviation));
        }
    }
}
