namespace Kernels.Cli.Study;

/// <summary>What a random number of a run is for. Each purpose has a stream of its own, so that none shifts another.</summary>
internal enum RandomPurpose
{
    InitialWeights,
    BatchOrder,
    Dropout,
}

/// <summary>
/// Counter-based random numbers for what the host decides: initial weights and batch order. A number depends on its seed and index
/// alone, so every recipe of one seed starts from the same weights and sees the same batches. The mixing function is SplitMix64
/// (Steele, Lea and Flood, 2014); what the device draws comes from the library's Philox.
/// </summary>
internal static class StudyRandom
{
    public static ulong SeedFor(int runSeed, RandomPurpose purpose) => Mix(Mix((ulong)(uint)runSeed) + (ulong)purpose);

    /// <summary>Uniform on (-1, 1), from the upper 52 bits of a 64-bit draw.</summary>
    public static double Symmetric(ulong seed, ulong index) => (((Draw(seed, index) >> 12) + 0.5) / (1L << 51)) - 1;

    /// <summary>A permutation of 0 to count - 1 (Fisher and Yates).</summary>
    public static int[] Permutation(ulong seed, int count)
    {
        int[] order = new int[count];
        for (int i = 0; i < count; i++)
        {
            order[i] = i;
        }

        for (int i = count - 1; i > 0; i--)
        {
            // The high half of a 64 x 64 bit product: a number from 0 to i without division, its bias below 2^-32.
            int j = (int)Math.BigMul(Draw(seed, (ulong)i), (ulong)(i + 1), out _);
            (order[i], order[j]) = (order[j], order[i]);
        }

        return order;
    }

    private static ulong Draw(ulong seed, ulong index) => Mix(seed + (index * 0x9E3779B97F4A7C15));

    private static ulong Mix(ulong z)
    {
        z += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
