namespace Kernels.Study;

/// <summary>What the steps of an epoch read, and their losses.</summary>
internal sealed class EpochInputs(Device device, int count, int steps) : IDisposable
{
    private readonly ulong[] _samples = new ulong[count];
    private readonly int[] _labels = new int[count];
    private readonly ulong[] _keys = new ulong[steps * StepKeys.Count * 2];
    private readonly float[] _rates = new float[steps * NetworkOptimizer.GroupCount];
    private readonly float[] _losses = new float[count];

    /// <summary>Places of the images in the order in which they are used.</summary>
    public DeviceTensor<int> Order { get; } = device.Allocate<int>(count);

    /// <summary>The same, as the numbers of samples.</summary>
    public DeviceTensor<ulong> Samples { get; } = device.Allocate<ulong>(count);

    public DeviceTensor<int> Labels { get; } = device.Allocate<int>(count);

    public DeviceTensor<ulong> Keys { get; } = device.Allocate<ulong>(steps, StepKeys.Count * 2);

    public DeviceTensor<float> Rates { get; } = device.Allocate<float>(steps, NetworkOptimizer.GroupCount);

    public DeviceTensor<float> Losses { get; } = device.Allocate<float>(count);

    public void Fill(DeviceStream stream, TrainingSet train, int seed, int epoch, Func<long, double> rateAt)
    {
        int[] order = train.Order(seed, epoch);
        for (int i = 0; i < count; i++) (_samples[i], _labels[i]) = ((ulong)order[i], train.Table.HostLabels[order[i]]);
        for (int i = 0; i < steps; i++)
        {
            long step = ((long)epoch * steps) + i;
            StepKeys.Write(seed, epoch, step, _keys.AsSpan(i * StepKeys.Count * 2));
            _rates.AsSpan(i * NetworkOptimizer.GroupCount, NetworkOptimizer.GroupCount).Fill((float)rateAt(step));
        }

        stream.Upload<int>(order, Order);
        stream.Upload<ulong>(_samples, Samples);
        stream.Upload<int>(_labels, Labels);
        stream.Upload<ulong>(_keys, Keys);
        stream.Upload<float>(_rates, Rates);
    }

    public double MeanLoss(DeviceStream stream)
    {
        stream.Download(Losses, _losses);
        return _losses.Average(loss => (double)loss);
    }

    /// <summary>The mean loss of each batch, from the losses that <see cref="MeanLoss"/> has read.</summary>
    public IReadOnlyList<double> StepLosses(int batchSize) =>
        [.. _losses.Chunk(batchSize).Select(batch => batch.Average(loss => (double)loss))];

    public void Dispose()
    {
        Order.Dispose();
        Samples.Dispose();
        Labels.Dispose();
        Keys.Dispose();
        Rates.Dispose();
        Losses.Dispose();
    }
}
