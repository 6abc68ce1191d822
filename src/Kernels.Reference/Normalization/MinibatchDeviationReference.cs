namespace Kernels.Reference;

/// <summary>The standard deviation within sets of a batch, as one more channel.</summary>
/// <param name="Batch">Samples.</param>
/// <param name="Channels">Channels of x.</param>
/// <param name="Positions">Positions of a map.</param>
/// <param name="ChannelsLast">Whether a position's channels lie side by side.</param>
/// <param name="GroupSize">Samples of a set.</param>
/// <param name="Epsilon">Added to variances.</param>
public sealed record MinibatchDeviationReference(
    int Batch, int Channels, int Positions, bool ChannelsLast, int GroupSize, double Epsilon)
{
    private int Sets => Batch / GroupSize;

    /// <summary>y = x, and the mean deviation of each sample's set as one more channel.</summary>
    public void Forward(double[] x, double[] y)
    {
        for (int sample = 0; sample < Batch; sample++)
        {
            double sum = 0;
            ForEach((channel, position) =>
            {
                y[Wider(sample, channel, position)] = x[Plain(sample, channel, position)];
                sum += Deviation(x, sample % Sets, channel, position).Root;
            });
            for (int position = 0; position < Positions; position++)
                y[Wider(sample, Channels, position)] = Channels == 0 ? 0 : sum / (Channels * Positions);
        }
    }

    /// <summary>dx = dy, and what goes through the deviations.</summary>
    public void Backward(double[] x, double[] dy, double[] dx)
    {
        for (int sample = 0; sample < Batch; sample++)
        {
            double gradient = 0;
            for (int other = sample % Sets; other < Batch; other += Sets)
            {
                for (int position = 0; position < Positions; position++) gradient += dy[Wider(other, Channels, position)];
            }

            ForEach((channel, position) =>
            {
                int index = Plain(sample, channel, position);
                (double mean, double root) = Deviation(x, sample % Sets, channel, position);
                double slope = (x[index] - mean) / (GroupSize * root) / (Channels * Positions);
                dx[index] = dy[Wider(sample, channel, position)] + (gradient * slope);
            });
        }
    }

    /// <summary>Mean, and root of variance and epsilon, of a feature over a set.</summary>
    private (double Mean, double Root) Deviation(double[] x, int set, int channel, int position)
    {
        double mean = 0, variance = 0;
        for (int sample = set; sample < Batch; sample += Sets) mean += x[Plain(sample, channel, position)] / GroupSize;
        for (int sample = set; sample < Batch; sample += Sets)
            variance += Math.Pow(x[Plain(sample, channel, position)] - mean, 2) / GroupSize;
        return (mean, Math.Sqrt(variance + Epsilon));
    }

    private void ForEach(Action<int, int> body)
    {
        for (int channel = 0; channel < Channels; channel++)
        {
            for (int position = 0; position < Positions; position++) body(channel, position);
        }
    }

    private int Plain(int sample, int channel, int position) => Index(sample, channel, position, Channels);

    private int Wider(int sample, int channel, int position) => Index(sample, channel, position, Channels + 1);

    private int Index(int sample, int channel, int position, int channels) => ChannelsLast
        ? (((sample * Positions) + position) * channels) + channel
        : (((sample * channels) + channel) * Positions) + position;
}
