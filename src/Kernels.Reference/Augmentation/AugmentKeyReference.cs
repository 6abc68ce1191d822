namespace Kernels.Reference;

/// <summary>The draws of augmentation: by key, sample and op.</summary>
public static class AugmentKeyReference
{
    /// <summary>The four words of draw number <paramref name="draw"/> of an op for a sample.</summary>
    public static uint[] Draw(ulong seed, ulong offset, ulong sample, uint op, uint draw)
    {
        uint[] own = PhiloxReference.Block(seed, ~offset, sample);
        return PhiloxReference.Block(own[0] + (own[1] * 4294967296UL), offset, (op * 4294967296UL) + draw);
    }

    /// <summary>In [0, 1), a multiple of 2^-24.</summary>
    public static double Unit(uint word) => (word >> 8) / 16777216.0;
}
