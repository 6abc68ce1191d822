namespace Kernels.Study;

/// <summary>
/// The images that training draws from: real ones and behind them, in the same table, generated ones. An epoch has as many images as there
/// are real ones, whatever the share of generated ones, so that all recipes take the same number of steps.
/// </summary>
internal sealed class TrainingSet
{
    private readonly int _generated;

    public TrainingSet(DeviceExamples real)
        : this(real, real.Count, generatedShare: 0)
    {
    }

    public TrainingSet(DeviceExamples table, int realCount, double generatedShare)
    {
        (Table, Count) = (table, realCount);
        _generated = (int)Math.Round(generatedShare * realCount);
    }

    public DeviceExamples Table { get; }

    /// <summary>Images of an epoch.</summary>
    public int Count { get; }

    /// <summary>
    /// The places in the table of an epoch's images. Real ones in a random order, of which generated ones displace the last; those come one
    /// after the other through the epochs, in a new order each time that all have been seen.
    /// </summary>
    public int[] Order(int seed, int epoch)
    {
        int[] real = StudyRandom.Permutation(StudyRandom.KeyFor(seed, RandomPurpose.BatchOrder, epoch), Count);
        if (_generated == 0) return real;
        int all = Table.Count - Count;
        int[] mixed = [.. real[..(Count - _generated)], .. Generated()];
        int[] order = StudyRandom.Permutation(StudyRandom.KeyFor(seed, RandomPurpose.GeneratedOrder, (1L << 40) + epoch), Count);
        return [.. order.Select(place => mixed[place])];

        IEnumerable<int> Generated()
        {
            (long pass, int[] places) = (-1, []);
            for (int i = 0; i < _generated; i++)
            {
                long number = ((long)epoch * _generated) + i;
                if (number / all != pass)
                {
                    pass = number / all;
                    places = StudyRandom.Permutation(StudyRandom.KeyFor(seed, RandomPurpose.GeneratedOrder, pass), all);
                }

                yield return Count + places[number % all];
            }
        }
    }
}

/// <summary>The training of one run.</summary>
internal interface IRunTraining : IDisposable
{
    /// <summary>The network whose performance counts.</summary>
    Network Evaluated { get; }

    /// <summary>What a network makes of two images each; null where there is none.</summary>
    MergingSheet? Sheet => null;

    /// <summary>One pass over all training images, counted from 0. Returns the mean loss of its batches.</summary>
    double TrainEpoch(int epoch, CancellationToken cancellation);
}
