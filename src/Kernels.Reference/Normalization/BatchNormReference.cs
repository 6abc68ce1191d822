namespace Kernels.Reference;

/// <summary>
/// Batch normalization as specified, over [sets, outer, channels, inner]: y = gamma * xhat + beta, xhat = (x - mean) / sqrt(variance +
/// epsilon), with mean and biased variance over outer and inner. S. Ioffe and C. Szegedy, ICML 2015.
/// </summary>
/// <param name="Sets">Sets of samples that are normalized together.</param>
/// <param name="Outer">Samples of a set, or places of its samples where channels come last.</param>
/// <param name="Channels">Channels.</param>
/// <param name="Inner">Places of a sample, or 1 where channels come last.</param>
public sealed record BatchNormReference(int Sets, int Outer, int Channels, int Inner)
{
    /// <summary>Added to the variance.</summary>
    public double Epsilon { get; init; } = 1e-5;

    /// <summary>What the arithmetic type makes of a number; the mean is kept as that and the rest.</summary>
    public Func<double, double> Round { get; init; } = value => value;

    /// <summary>How many places of each sample count, from its first on; empty when all do.</summary>
    public int[] Lengths { get; init; } = [];

    /// <summary>Places of a sample.</summary>
    public int Places { get; init; } = Inner;

    private int Units => Sets * Channels;

    /// <summary>
    /// Rows of statistics: mean, what its rounding left, inverse deviation; one of each for every channel of every set, and 0 where a set
    /// has no elements. A value that is not finite makes them NaN.
    /// </summary>
    public void Statistics(ReadOnlySpan<double> x, Span<double> statistics)
    {
        statistics.Clear();
        for (int set = 0; set < Sets; set++)
        {
            for (int channel = 0; channel < Channels; channel++)
            {
                int unit = (set * Channels) + channel;
                (int count, double first, double distance, double variance) = Moments(x, set, channel);
                if (count == 0) continue;
                double mean = Round(first + distance);
                statistics[unit] = mean;
                statistics[Units + unit] = distance - (mean - first);
                statistics[(2 * Units) + unit] = 1 / Math.Sqrt(variance + Epsilon);
            }
        }
    }

    /// <summary>
    /// Running values: (1 - share) * running + share * value, set by set in order; fewer than two elements move nothing.
    /// </summary>
    public void Run(ReadOnlySpan<double> x, Span<double> runningMean, Span<double> runningVariance, double share, bool isUnbiased)
    {
        for (int set = 0; set < Sets; set++)
        {
            for (int channel = 0; channel < Channels; channel++)
            {
                (int count, double first, double distance, double variance) = Moments(x, set, channel);
                if (count < 2) continue;
                if (isUnbiased) variance *= count / (count - 1.0);
                runningMean[channel] = ((1 - share) * runningMean[channel]) + (share * (first + distance));
                runningVariance[channel] = ((1 - share) * runningVariance[channel]) + (share * variance);
            }
        }
    }

    /// <summary>gamma * xhat + beta by the batch's own statistics; gamma and beta may be empty: 1 and 0.</summary>
    public void Forward(ReadOnlySpan<double> x, ReadOnlySpan<double> gamma, ReadOnlySpan<double> beta, Span<double> y)
    {
        double[] statistics = new double[3 * Units];
        Statistics(x, statistics);
        Apply(x, gamma, beta, statistics, y);
    }

    /// <summary>The same by running values, of which those that are not finite make all of a channel NaN.</summary>
    public void Infer(
        ReadOnlySpan<double> x, ReadOnlySpan<double> gamma, ReadOnlySpan<double> beta, ReadOnlySpan<double> runningMean,
        ReadOnlySpan<double> runningVariance, Span<double> y)
    {
        double[] statistics = new double[3 * Units];
        for (int channel = 0; channel < Channels; channel++)
        {
            double variance = runningVariance[channel];
            statistics[channel] = runningMean[channel];
            statistics[(2 * Units) + channel] = double.IsFinite(variance) ? 1 / Math.Sqrt(variance + Epsilon) : double.NaN;
        }

        Apply(x, gamma, beta, statistics, y);
    }

    /// <summary>gamma * xhat + beta by given statistics.</summary>
    public void Apply(
        ReadOnlySpan<double> x, ReadOnlySpan<double> gamma, ReadOnlySpan<double> beta, ReadOnlySpan<double> statistics, Span<double> y)
    {
        for (int n = 0; n < Sets * Outer; n++)
        {
            for (int channel = 0; channel < Channels; channel++)
            {
                double factor = gamma.IsEmpty ? 1 : gamma[channel], shift = beta.IsEmpty ? 0 : beta[channel];
                if (!double.IsFinite(factor)) factor = double.NaN;
                for (int i = 0; i < Inner; i++)
                {
                    int at = (((n * Channels) + channel) * Inner) + i;
                    y[at] = Counts(n, i) ? (factor * Normalized(x[at], statistics, n / Outer, channel)) + shift : 0;
                }
            }
        }
    }

    /// <summary>
    /// dx = gamma / deviation * (g - mean of g - xhat * mean of g xhat), dgamma = sum of g xhat, dbeta = sum of g, for the gradient g of
    /// gamma * xhat + beta. Sums that are not finite make dx of all of a channel NaN.
    /// </summary>
    public void Backward(
        ReadOnlySpan<double> x, ReadOnlySpan<double> gamma, ReadOnlySpan<double> statistics, ReadOnlySpan<double> g, Span<double> dx,
        Span<double> dGamma, Span<double> dBeta)
    {
        dx.Clear();
        dGamma.Clear();
        dBeta.Clear();
        for (int set = 0; set < Sets; set++)
        {
            for (int channel = 0; channel < Channels; channel++)
            {
                LongSum sums = default, products = default;
                int count = 0;
                foreach (int at in Elements(set, channel))
                {
                    count++;
                    sums.Add(g[at]);
                    products.Add(g[at] * Normalized(x[at], statistics, set, channel));
                }

                (double sum, double product) = (sums.Total, products.Total);
                double slope = (gamma.IsEmpty ? 1 : gamma[channel]) * statistics[(2 * Units) + (set * Channels) + channel];
                if (!double.IsFinite(sum) || !double.IsFinite(product) || !double.IsFinite(slope)) slope = double.NaN;
                foreach (int at in Elements(set, channel))
                    dx[at] = slope * (g[at] - (sum / count) - (Normalized(x[at], statistics, set, channel) * (product / count)));
                if (!dGamma.IsEmpty) dGamma[channel] += product;
                if (!dBeta.IsEmpty) dBeta[channel] += sum;
            }
        }
    }

    /// <summary>xhat; NaN where a statistic is not finite.</summary>
    private double Normalized(double x, ReadOnlySpan<double> statistics, int set, int channel)
    {
        int unit = (set * Channels) + channel;
        (double mean, double rest, double inverse) = (statistics[unit], statistics[Units + unit], statistics[(2 * Units) + unit]);
        bool sound = double.IsFinite(mean) && double.IsFinite(rest) && double.IsFinite(inverse);
        return sound ? (x - mean - rest) * inverse : double.NaN;
    }

    /// <summary>The count, the mean as a first element and the distance from it, and the variance.</summary>
    internal (int Count, double First, double Distance, double Variance) Moments(ReadOnlySpan<double> x, int set, int channel)
    {
        int count = Elements(set, channel).Count();
        if (count == 0) return default;
        double first = x[Elements(set, channel).First()];
        LongSum sum = default, squares = default;
        foreach (int at in Elements(set, channel)) sum.Add(x[at] - first);
        double distance = sum.Total / count;
        foreach (int at in Elements(set, channel)) squares.Add((x[at] - first - distance) * (x[at] - first - distance));
        return double.IsFinite(squares.Total)
            ? (count, first, distance, squares.Total / count) : (count, double.NaN, double.NaN, double.NaN);
    }

    /// <summary>Makes 0 of what does not count.</summary>
    public void Select(Span<double> values)
    {
        for (int at = 0; at < values.Length; at++)
        {
            if (!Counts(at / (Channels * Inner), at % Inner)) values[at] = 0;
        }
    }

    /// <summary>Whether an element counts, by its row and its place in it.</summary>
    private bool Counts(int row, int i)
    {
        int place = (row * Inner) + i;
        return Lengths.Length == 0 || place % Places < Lengths[place / Places];
    }

    /// <summary>Where the elements of a channel of a set are that count.</summary>
    internal IEnumerable<int> Elements(int set, int channel)
    {
        for (int n = set * Outer; n < (set + 1) * Outer; n++)
        {
            for (int i = 0; i < Inner; i++)
            {
                if (Counts(n, i)) yield return (((n * Channels) + channel) * Inner) + i;
            }
        }
    }

    /// <summary>A sum that keeps what its additions round away (Kahan, 1965): results in double are held against it too.</summary>
    private struct LongSum
    {
        private double _lost;

        public double Total { get; private set; }

        public void Add(double term)
        {
            double corrected = term - _lost, sum = Total + corrected;
            _lost = double.IsFinite(sum) ? (sum - Total) - corrected : 0;
            Total = sum;
        }
    }
}
