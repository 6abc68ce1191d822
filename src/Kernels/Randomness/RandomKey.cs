namespace Kernels;

/// <summary>
/// The source of reproducible random bits: the Philox key (<paramref name="Seed"/>) and the upper half of its counter
/// (<paramref name="Offset"/>). Two calls with the same key draw the same bits on every device; use one offset for one call, typically
/// the training step combined with a number of the layer.
/// </summary>
/// <param name="Seed">The Philox key, 64 bits.</param>
/// <param name="Offset">The upper 64 bits of the Philox counter.</param>
public readonly record struct RandomKey(ulong Seed, ulong Offset)
{
    /// <summary>The key of the next call: offset + 1.</summary>
    public RandomKey Next() => this with { Offset = Offset + 1 };

    /// <summary>
    /// An independent key for draw number <paramref name="index"/> of the same call: the seed is replaced by 64 bits of Philox at counter
    /// (index, 2^64 - 1 - offset), so sub-keys of different offsets and indices do not meet.
    /// </summary>
    public RandomKey Derive(ulong index)
    {
        (uint low, uint high, _, _) = Philox.Block(new RandomKey(Seed, ~Offset), index);
        return this with { Seed = low | ((ulong)high << 32) };
    }
}
