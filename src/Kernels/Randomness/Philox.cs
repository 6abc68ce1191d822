namespace Kernels;

/// <summary>
/// Philox4x32-10, the counter-based generator behind every random decision (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
/// easy as 1, 2, 3", SC 2011). A block of four 32-bit words is a pure function of key and counter, so any element can be drawn anywhere.
/// </summary>
/// <remarks>
/// Key = seed (low word first); counter = (block low, block high, offset low, offset high). The eight 16-bit lanes of a block are its words
/// in order, low half first. Element i of an op takes lane i mod 8 of block i / 8.
/// </remarks>
public static class Philox
{
    internal const uint Multiplier0 = 0xD2511F53;
    internal const uint Multiplier1 = 0xCD9E8D57;
    internal const uint KeyStep0 = 0x9E3779B9;
    internal const uint KeyStep1 = 0xBB67AE85;
    internal const int Rounds = 10;

    /// <summary>Elements that one block serves: eight lanes of 16 bits.</summary>
    public const int LanesPerBlock = 8;

    /// <summary>The four words of block number <paramref name="block"/> under <paramref name="key"/>.</summary>
    public static (uint W0, uint W1, uint W2, uint W3) Block(RandomKey key, ulong block) => Block(
        (uint)block, (uint)(block >> 32), (uint)key.Offset, (uint)(key.Offset >> 32), (uint)key.Seed, (uint)(key.Seed >> 32));

    /// <summary>
    /// The generator itself: counter words <paramref name="c0"/>..<paramref name="c3"/>, key words <paramref name="k0"/> and
    /// <paramref name="k1"/>.
    /// </summary>
    public static (uint W0, uint W1, uint W2, uint W3) Block(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (int round = 0; round < Rounds; round++)
        {
            ulong product0 = (ulong)Multiplier0 * c0;
            ulong product1 = (ulong)Multiplier1 * c2;
            (c0, c1, c2, c3) = ((uint)(product1 >> 32) ^ c1 ^ k0, (uint)product1, (uint)(product0 >> 32) ^ c3 ^ k1, (uint)product0);
            k0 += KeyStep0;
            k1 += KeyStep1;
        }

        return (c0, c1, c2, c3);
    }

    /// <summary>The 16 random bits of element <paramref name="index"/> under <paramref name="key"/>.</summary>
    public static ushort Lane(RandomKey key, ulong index)
    {
        (uint w0, uint w1, uint w2, uint w3) = Block(key, index / LanesPerBlock);
        uint word = (index % LanesPerBlock / 2) switch { 0 => w0, 1 => w1, 2 => w2, _ => w3 };
        return (ushort)(word >> (int)(16 * (index % 2)));
    }
}
