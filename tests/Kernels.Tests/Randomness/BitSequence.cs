using System.Numerics;

namespace Kernels.Tests.Randomness;

/// <summary>A mask as a sequence of bits, 64 at a time, for counting.</summary>
internal sealed class BitSequence
{
    private readonly ulong[] _words;

    private BitSequence(ulong[] words) => _words = words;

    public long Length => 64L * _words.Length;

    /// <summary>
    /// The bits that a call draws for <paramref name="length"/> elements, a multiple of 64: 1 where the element is dropped.
    /// </summary>
    public static BitSequence Dropped(DeviceStream stream, int length, double dropProbability, RandomKey key)
    {
        using DeviceTensor<uint> mask = stream.Device.Allocate<uint>(length / 32);
        Dropout.ExportMask(stream, mask, length, dropProbability, key);
        uint[] kept = mask.ToArray(stream);
        return new BitSequence([.. Enumerable.Range(0, length / 64).Select(i => ~(kept[2 * i] | ((ulong)kept[(2 * i) + 1] << 32)))]);
    }

    /// <summary>How many bits are set.</summary>
    public long Count() => _words.Sum(word => (long)BitOperations.PopCount(word));

    /// <summary>How many bits of the first <paramref name="bits"/> are set.</summary>
    public long CountFirst(long bits) =>
        _words.AsSpan(0, (int)(bits / 64)).ToArray().Sum(word => (long)BitOperations.PopCount(word))
        + (bits % 64 == 0 ? 0 : BitOperations.PopCount(_words[bits / 64] << (int)(64 - (bits % 64))));

    /// <summary>How many positions are set here and <paramref name="lag"/> further on.</summary>
    public long CountPairs(int lag)
    {
        (int words, int shift) = (lag / 64, lag % 64);
        long pairs = 0;
        for (int i = 0; i + words < _words.Length; i++)
        {
            ulong later = _words[i + words] >> shift;
            if (shift > 0 && i + words + 1 < _words.Length) later |= _words[i + words + 1] << (64 - shift);
            pairs += BitOperations.PopCount(_words[i] & later);
        }

        return pairs;
    }

    /// <summary>How many positions are set in both.</summary>
    public long CountCommon(BitSequence other) => _words.Zip(other._words, (a, b) => (long)BitOperations.PopCount(a & b)).Sum();

    /// <summary>How many positions are the same in both.</summary>
    public long CountAgreements(BitSequence other) => _words.Zip(other._words, (a, b) => 64L - BitOperations.PopCount(a ^ b)).Sum();

    /// <summary>How often each pattern of neighbours occurs; <paramref name="width"/> divides 64, and patterns do not overlap.</summary>
    public long[] CountPatterns(int width)
    {
        long[] counts = new long[1 << width];
        foreach (ulong word in _words)
        {
            for (int bit = 0; bit < 64; bit += width) counts[(word >> bit) & ((1UL << width) - 1)]++;
        }

        return counts;
    }
}
