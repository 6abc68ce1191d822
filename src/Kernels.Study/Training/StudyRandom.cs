namespace Kernels.Study;

/// <summary>The purpose of a random number of a run. Each purpose has keys of its own, so that none shifts another.</summary>
internal enum RandomPurpose
{
    InitialWeights,
    BatchOrder,
    Dropout,
    GaussianDropout,
    AdaptiveDropout,
    DropConnect,
    StochasticDepth,
    Evaluation,
    DropBlock,
    Augmentation,
    GanWeights,
    GanOrder,
    GanLatents,
    GanClasses,
    GanAugmentation,
    GeneratedOrder,
    Merging,
    Autoencoder,
}

/// <summary>The keys of one training step: one for each purpose at each place of a network.</summary>
internal static class StepKeys
{
    /// <summary>Numbers in the keys of a step: shape [Count, 2].</summary>
    public const int Count = Purposes * Places;

    private const int Purposes = (int)RandomPurpose.Augmentation + 1;
    private const int Places = 8;

    // More than a network here will ever have places: keys of different steps must not meet.
    private const long PlacesPerStep = 64;

    public static int IndexOf(RandomPurpose purpose, int place)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(place, Places);
        return ((int)purpose * Places) + place;
    }

    /// <summary>
    /// Fills in the keys of a run's step, counted from its begin. Augmentation has keys of the epoch: a sample is changed alike in whatever
    /// batch it comes.
    /// </summary>
    public static void Write(int seed, long epoch, long step, Span<ulong> keys)
    {
        for (int i = 0; i < Count; i++)
        {
            RandomPurpose purpose = (RandomPurpose)(i / Places);
            long use = purpose == RandomPurpose.Augmentation ? epoch : step;
            RandomKey key = StudyRandom.KeyFor(seed, purpose, (use * PlacesPerStep) + (i % Places));
            (keys[2 * i], keys[(2 * i) + 1]) = (key.Seed, key.Offset);
        }
    }
}

/// <summary>
/// The source of all random numbers of a run. A number depends on the run's seed, its purpose and its index alone, so every recipe of one
/// seed starts from the same weights and sees the same batches, on every device.
/// </summary>
internal static class StudyRandom
{
    /// <summary>The key of one use (an epoch, a layer in a step) of random numbers for a purpose.</summary>
    public static RandomKey KeyFor(int seed, RandomPurpose purpose, long use = 0) => new((ulong)seed, ((ulong)purpose << 48) + (ulong)use);

    /// <summary>Uniform on (-1, 1), from the upper 52 bits of a 64-bit draw.</summary>
    public static double Symmetric(RandomKey key, ulong index) => (((Draw(key, index) >> 12) + 0.5) / (1L << 51)) - 1;

    /// <summary>A permutation of 0 to count - 1 (Fisher and Yates).</summary>
    public static int[] Permutation(RandomKey key, int count)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        for (int i = count - 1; i > 0; i--)
        {
            int j = Below(i + 1, key, (ulong)i);
            (order[i], order[j]) = (order[j], order[i]);
        }

        return order;
    }

    /// <summary>
    /// A number from 0 to <paramref name="count"/> - 1: the high half of a product of 64 x 64 bits, without division, its bias below 2^-32.
    /// </summary>
    public static int Below(int count, RandomKey key, ulong index) => (int)Math.BigMul(Draw(key, index), (ulong)count, out _);

    private static ulong Draw(RandomKey key, ulong index)
    {
        (uint low, uint high, _, _) = Philox.Block(key, index);
        return low | ((ulong)high << 32);
    }
}
