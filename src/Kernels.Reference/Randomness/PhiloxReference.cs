namespace Kernels.Reference;

/// <summary>
/// Philox4x32-10, written from the paper: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2,
/// 3", SC 2011, section 3.3.
/// </summary>
public static class PhiloxReference
{
    /// <summary>The four output words of one block.</summary>
    /// <param name="counter">Four counter words.</param>
    /// <param name="key">Two key words.</param>
    /// <param name="rounds">10 for every draw; 7, the authors' fastest variant that passes their tests, has known answers of its
    /// own.</param>
    public static uint[] Block(ReadOnlySpan<uint> counter, ReadOnlySpan<uint> key, int rounds = 10)
    {
        (uint c0, uint c1, uint c2, uint c3) = (counter[0], counter[1], counter[2], counter[3]);
        (uint k0, uint k1) = (key[0], key[1]);
        for (int round = 0; round < rounds; round++)
        {
            ulong left = 0xD2511F53UL * c0;
            ulong right = 0xCD9E8D57UL * c2;
            (c0, c1, c2, c3) = (High(right) ^ c1 ^ k0, Low(right), High(left) ^ c3 ^ k1, Low(left));
            k0 = unchecked(k0 + 0x9E3779B9u);
            k1 = unchecked(k1 + 0xBB67AE85u);
        }

        return [c0, c1, c2, c3];
    }

    /// <summary>
    /// The four words of block number <paramref name="block"/> under (seed, offset): key = seed, counter = (block, offset).
    /// </summary>
    public static uint[] Block(ulong seed, ulong offset, ulong block) =>
        Block([Low(block), High(block), Low(offset), High(offset)], [Low(seed), High(seed)]);

    /// <summary>The 16 random bits of an element: lane index mod 8 of block index / 8, low half of each word first.</summary>
    public static int Lane(ulong seed, ulong offset, ulong index)
    {
        uint word = Block(seed, offset, index / 8)[index % 8 / 2];
        return (int)(index % 2 == 0 ? word & 0xffff : word >> 16);
    }

    private static uint Low(ulong value) => unchecked((uint)value);

    private static uint High(ulong value) => (uint)(value >> 32);
}
