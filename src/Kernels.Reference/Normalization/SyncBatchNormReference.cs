namespace Kernels.Reference;

/// <summary>
/// The records of synchronized batch normalization as specified: moments of a shard, what several of them make together, and the sums that
/// the gradient of a shard needs. S. Ioffe and C. Szegedy, ICML 2015; T. F. Chan, G. H. Golub and R. J. LeVeque, 1979.
/// </summary>
/// <param name="Channels">Channels.</param>
/// <param name="Round">What the arithmetic type makes of a number; a mean is kept as that and the rest.</param>
/// <param name="Down">The root of the factor of scaled squares.</param>
public sealed record SyncBatchNormReference(int Channels, Func<double, double> Round, double Down)
{
    private const int MomentRows = 5, GradientRows = 3;

    /// <summary>
    /// Rows: count, mean, what its rounding left, sum of squared distances, the same scaled down. A value that is not finite makes all but
    /// the count NaN.
    /// </summary>
    public void Moments(BatchNormReference shard, ReadOnlySpan<double> x, Span<double> record)
    {
        record.Clear();
        if (x.IsEmpty) return;
        for (int channel = 0; channel < Channels; channel++)
        {
            (int count, double first, double distance, double variance) = shard.Moments(x, set: 0, channel);
            Store(record, channel, count, first, distance, variance * count);
        }
    }

    /// <summary>One record of several. Nothing of a record whose count is 0 matters.</summary>
    public void Merge(ReadOnlySpan<double> records, Span<double> merged)
    {
        for (int channel = 0; channel < Channels; channel++)
        {
            (double count, double first, double distance, double squares) = Merged(records, channel);
            Store(merged, channel, count, first, distance, squares);
        }
    }

    /// <summary>
    /// Statistics of several records, 0 where there are no elements, and the running values, which fewer than two elements do not move.
    /// </summary>
    public void Finish(
        ReadOnlySpan<double> records, double epsilon, Span<double> statistics, Span<double> runningMean, Span<double> runningVariance,
        double share, bool isUnbiased)
    {
        for (int channel = 0; channel < Channels; channel++)
        {
            (double count, double first, double distance, double squares) = Merged(records, channel);
            double variance = squares / count, mean = Round(first + distance);
            statistics[channel] = mean;
            statistics[Channels + channel] = distance - (mean - first);
            statistics[(2 * Channels) + channel] = count == 0 ? 0 : 1 / Math.Sqrt(variance + epsilon);
            if (runningMean.IsEmpty || count < 2) continue;
            if (isUnbiased) variance *= count / (count - 1);
            runningMean[channel] = ((1 - share) * runningMean[channel]) + (share * (first + distance));
            runningVariance[channel] = ((1 - share) * runningVariance[channel]) + (share * variance);
        }
    }

    /// <summary>
    /// Rows: sum of dy, sum of dy (x - mean), count; and the shard's gradients, dgamma = sum of dy xhat, dbeta = sum of dy.
    /// </summary>
    public void ReduceGradient(
        BatchNormReference shard, ReadOnlySpan<double> x, ReadOnlySpan<double> statistics, ReadOnlySpan<double> dy, Span<double> sums,
        Span<double> dGamma, Span<double> dBeta)
    {
        shard.Backward(x, [], statistics, dy, new double[x.Length], dGamma, dBeta);
        sums.Clear();
        for (int channel = 0; channel < Channels; channel++)
        {
            foreach (int i in shard.Elements(set: 0, channel))
            {
                sums[channel] += dy[i];
                sums[Channels + channel] += dy[i] * (x[i] - statistics[channel]);
                sums[(2 * Channels) + channel]++;
            }
        }
    }

    /// <summary>
    /// dx = gamma * inverse deviation * (dy - sum of dy / n - xhat * sum of dy xhat / n) with the sums of several records. Sums that are
    /// not finite make dx of all of a channel NaN.
    /// </summary>
    public void ApplyGradient(
        int inner, ReadOnlySpan<double> x, ReadOnlySpan<double> gamma, ReadOnlySpan<double> statistics, ReadOnlySpan<double> dy,
        ReadOnlySpan<double> records, Span<double> dx)
    {
        for (int i = 0; i < x.Length; i++)
        {
            int channel = i / inner % Channels;
            double sum = 0, product = 0, count = 0;
            for (int at = channel; at < records.Length; at += GradientRows * Channels)
            {
                sum += records[at];
                product += records[at + Channels];
                count += records[at + (2 * Channels)];
            }

            (double mean, double rest) = (statistics[channel], statistics[Channels + channel]);
            double inverse = statistics[(2 * Channels) + channel], factor = gamma.IsEmpty ? 1 : gamma[channel];
            double ofGamma = inverse * (product - (rest * sum)), normalized = (x[i] - mean - rest) * inverse;
            bool isSound = double.IsFinite(mean) && double.IsFinite(rest) && double.IsFinite(inverse) && double.IsFinite(factor)
                && double.IsFinite(sum) && double.IsFinite(ofGamma);
            dx[i] = isSound ? factor * inverse * (dy[i] - (sum / count) - (normalized * (ofGamma / count))) : double.NaN;
        }
    }

    private void Store(Span<double> record, int channel, double count, double first, double distance, double squares)
    {
        double mean = Round(first + distance);
        bool isSound = double.IsFinite(mean) && double.IsFinite(squares);
        record[channel] = count;
        record[Channels + channel] = isSound ? mean : double.NaN;
        record[(2 * Channels) + channel] = isSound ? distance - (mean - first) : double.NaN;
        record[(3 * Channels) + channel] = isSound ? squares : double.NaN;
        record[(4 * Channels) + channel] = isSound ? squares * Down * Down : double.NaN;
    }

    /// <summary>The mean as a number nearby and the distance from it; all but the count NaN where a number is not finite.</summary>
    private (double Count, double First, double Distance, double Squares) Merged(ReadOnlySpan<double> records, int channel)
    {
        double count = 0, first = 0, distance = 0, squares = 0;
        for (int at = channel; at < records.Length; at += MomentRows * Channels)
        {
            if (records[at] == 0) continue;
            if (count == 0) first = records[at + Channels];
            count += records[at];
        }

        for (int at = channel; at < records.Length; at += MomentRows * Channels)
        {
            if (records[at] != 0) distance += records[at] / count * (records[at + Channels] - first + records[at + (2 * Channels)]);
        }

        for (int at = channel; at < records.Length; at += MomentRows * Channels)
        {
            if (records[at] == 0) continue;
            double apart = records[at + Channels] - first + records[at + (2 * Channels)] - distance;
            double own = records[at + (3 * Channels)], scaled = records[at + (4 * Channels)];
            if (!double.IsFinite(own)) own = scaled / Down / Down;
            if (!double.IsFinite(scaled) || !double.IsFinite(records[at])) own = double.NaN;
            squares += own + (records[at] * apart * apart);
        }

        return double.IsFinite(squares) && double.IsFinite(first + distance)
            ? (count, first, distance, squares) : (count, double.NaN, double.NaN, double.NaN);
    }
}
