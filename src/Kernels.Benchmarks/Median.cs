using Perfolizer.Mathematics.Distributions.DiscreteDistributions;
using Perfolizer.Mathematics.QuantileEstimators;
using Pragmastat;

namespace Kernels.Benchmarks;

/// <summary>
/// The middle of some measurements, with an interval that has the true median at 95 % confidence. The ends of the interval are measurements
/// too, as many from the smallest and from the largest as the binomial distribution allows, so that one that is far out moves neither.
/// Fewer than six measurements do not carry 95 %: theirs is from the smallest to the largest.
/// </summary>
/// <param name="Value">The median.</param>
/// <param name="Low">Lower end of the interval.</param>
/// <param name="High">Upper end of the interval.</param>
public readonly record struct Median(double Value, double Low, double High)
{
    /// <summary>The confidence of the interval.</summary>
    public const double Confidence = 0.95;

    /// <summary>How far the interval reaches, to the side where it reaches farther, as a share of the median.</summary>
    public double Margin => Math.Max(High - Value, Value - Low) / Value;

    /// <summary>The median of one measurement or more.</summary>
    public static Median Of(IEnumerable<double> measurements)
    {
        Sample sample = new([.. measurements]);
        // Each measurement is below the true median with probability 1/2.
        int below = new BinomialDistribution(sample.Size, 0.5).Quantile((1 - Confidence) / 2);
        int rank = Math.Max(below, 1);
        return new Median(SimpleQuantileEstimator.Instance.Median(sample), sample.SortedValues[rank - 1], sample.SortedValues[^rank]);
    }

    /// <summary>A ratio of medians; its interval is the widest that the two allow.</summary>
    public static Median operator /(Median dividend, Median divisor) =>
        new(dividend.Value / divisor.Value, dividend.Low / divisor.High, dividend.High / divisor.Low);
}
