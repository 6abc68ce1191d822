namespace Kernels.Study;

/// <summary>What the steps of an epoch read and measure, and what a captured step finds at fixed places.</summary>
internal sealed class MergingBuffers(Device device, int count, int steps, int rows, int features) : IDisposable
{
    private readonly ulong[] _keys = new ulong[steps * StepKeys.Count * 2];
    private readonly float[] _rates = new float[steps * NetworkOptimizer.GroupCount];
    private readonly DeviceTensor<int> _epochPlaces = device.Allocate<int>(count);
    private readonly DeviceTensor<int> _epochPairs = device.Allocate<int>(count, 2);
    private readonly DeviceTensor<int> _epochFirsts = device.Allocate<int>(count);
    private readonly DeviceTensor<int> _epochPartners = device.Allocate<int>(count, 2);
    private readonly DeviceTensor<int> _epochLabels = device.Allocate<int>(count);
    private readonly DeviceTensor<float> _epochShares = device.Allocate<float>(count);
    private readonly DeviceTensor<ulong> _epochKeys = device.Allocate<ulong>(steps, StepKeys.Count * 2);
    private readonly DeviceTensor<float> _epochLosses = device.Allocate<float>(2 * count);
    private readonly DeviceTensor<float> _epochErrors = device.Allocate<float>(steps);

    /// <summary>The learning rates of each step.</summary>
    public DeviceTensor<float> Rates { get; } = device.Allocate<float>(steps, NetworkOptimizer.GroupCount);

    /// <summary>Places of a batch's images.</summary>
    public DeviceTensor<int> Places { get; } = device.Allocate<int>(rows);

    /// <summary>Places of the two images from which another is made.</summary>
    public DeviceTensor<int> Pairs { get; } = device.Allocate<int>(rows, 2);

    public DeviceTensor<int> Firsts { get; } = device.Allocate<int>(rows);

    /// <summary>The second ones as partners from a pool.</summary>
    public DeviceTensor<int> Partners { get; } = device.Allocate<int>(rows, 2);

    /// <summary>Weights of the first ones.</summary>
    public DeviceTensor<float> Shares { get; } = device.Allocate<float>(rows);

    /// <summary>Of the images that are made, then of the others: the same.</summary>
    public DeviceTensor<int> Labels { get; } = device.Allocate<int>(2 * rows);

    public DeviceTensor<ulong> Samples { get; } = device.Allocate<ulong>(0);

    public DeviceTensor<ulong> Keys { get; } = device.Allocate<ulong>(1, StepKeys.Count * 2);

    public DeviceTensor<float> PairImages { get; } = device.Allocate<float>(rows, 2, features);

    public DeviceTensor<float> FirstImages { get; } = device.Allocate<float>(rows, features);

    /// <summary>What the classifier sees: images that were made, then the others.</summary>
    public DeviceTensor<float> Input { get; } = device.Allocate<float>(2 * rows, features);

    public DeviceTensor<float> ImageGradient { get; } = device.Allocate<float>(rows, features);

    public DeviceTensor<float> Losses { get; } = device.Allocate<float>(2 * rows);

    /// <summary>Mean squared error of the images that a network made.</summary>
    public DeviceTensor<float> Error { get; } = device.Upload<float>([0], 1);

    public void Fill(
        DeviceStream stream, int[] order, (int First, int Second)[] pairs, int[] labels, float[] shares, Func<int, ulong[]> keysAt,
        Func<int, double> rateAt)
    {
        for (int step = 0; step < steps; step++)
        {
            keysAt(step).CopyTo(_keys.AsSpan(step * StepKeys.Count * 2));
            _rates.AsSpan(step * NetworkOptimizer.GroupCount, NetworkOptimizer.GroupCount).Fill((float)rateAt(step));
        }

        stream.Upload<int>(order, _epochPlaces);
        stream.Upload<int>([.. pairs.SelectMany(pair => (int[])[pair.First, pair.Second])], _epochPairs);
        stream.Upload<int>([.. pairs.Select(pair => pair.First)], _epochFirsts);
        stream.Upload<int>([.. pairs.SelectMany(pair => (int[])[pair.Second, -1])], _epochPartners);
        stream.Upload<int>(labels, _epochLabels);
        stream.Upload<float>(shares, _epochShares);
        stream.Upload<ulong>(_keys, _epochKeys);
        stream.Upload<float>(_rates, Rates);
    }

    /// <summary>Puts what a step reads where it reads it.</summary>
    public void SelectStep(DeviceStream stream, int step, long start, long batchRows)
    {
        Select(_epochPlaces, Places);
        Select(_epochPairs, Pairs);
        Select(_epochFirsts, Firsts);
        Select(_epochPartners, Partners);
        Select(_epochShares, Shares);
        stream.Copy(_epochLabels.Slice(start, batchRows), Labels.Slice(0, batchRows));
        stream.Copy(_epochLabels.Slice(start, batchRows), Labels.Slice(batchRows, batchRows));
        stream.Copy(_epochKeys.Slice(step, 1), Keys);

        void Select<T>(DeviceTensor<T> epoch, DeviceTensor<T> batch)
            where T : unmanaged => stream.Copy(epoch.Slice(start, batchRows), batch.Slice(0, batchRows));
    }

    public void KeepLosses(DeviceStream stream, int step, long start, long batchRows)
    {
        stream.Copy(Losses.Slice(0, 2 * batchRows), _epochLosses.Slice(2 * start, 2 * batchRows));
        stream.Copy(Error, _epochErrors.Slice(step, 1));
    }

    /// <summary>The mean loss of the classifier, and the mean error. Waits for the stream.</summary>
    public (double Loss, double Error) Means(DeviceStream stream)
    {
        float[] losses = new float[2 * count], errors = new float[steps];
        stream.Download(_epochLosses, losses);
        stream.Download(_epochErrors, errors);
        return (losses.Average(loss => (double)loss), errors.Average(error => (double)error));
    }

    public void Dispose()
    {
        IDisposable[] tensors =
        [
            _epochPlaces, _epochPairs, _epochFirsts, _epochPartners, _epochLabels, _epochShares, _epochKeys, _epochLosses, _epochErrors,
            Rates, Places, Pairs, Firsts, Partners, Shares, Labels, Samples, Keys, PairImages, FirstImages, Input, ImageGradient, Losses,
            Error,
        ];
        foreach (IDisposable tensor in tensors) tensor.Dispose();
    }
}
