using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Kernels.Cpu;

/// <summary>
/// Philox for the CPU device: eight blocks at a time, one per 64-bit lane, because the widening 32-bit multiply works on such lanes and
/// leaves both halves of the product where the next round wants them. Six instructions a round serve 64 elements. They depend on one
/// another; long loops draw several times at once, or half of a processor's time would be spent waiting for them.
/// </summary>
internal unsafe partial struct CpuPhilox
{
    /// <summary>Elements served by one <see cref="Draw"/>.</summary>
    public const int Lanes = 64;

    /// <summary>Elements served by one <see cref="DrawFour"/>.</summary>
    public const int LanesOfFour = 4 * Lanes;

    private const int BlocksPerDraw = Lanes / Philox.LanesPerBlock;

    private const int WordsPerDraw = 4 * BlocksPerDraw;

    /// <summary>
    /// The block that each 64-bit lane computes. The final interleave collects the even lanes and then the odd ones, so this order makes
    /// the 16-bit lanes come out in element order without a permutation. A constant and no static field: code compiled ahead of time asks
    /// before each use of such a field whether it was set, a call for which all vectors leave their registers.
    /// </summary>
    private static Vector512<ulong> BlockOfLane
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create(0UL, 4, 1, 5, 2, 6, 3, 7);
    }

    // Counter words 2 and 3 are the same for all blocks, so half of the first round is done once, here.
    private readonly Vector512<ulong> _word0;
    private readonly Vector512<ulong> _word1;
    private readonly Vector512<ulong> _word2;

    /// <summary>The keys of rounds 1 to 9, read as broadcast memory operands.</summary>
    private fixed ulong _roundKeys[2 * (Philox.Rounds - 1)];

    public CpuPhilox(RandomKey key)
    {
        uint k0 = (uint)key.Seed, k1 = (uint)(key.Seed >> 32);
        ulong product1 = (ulong)Philox.Multiplier1 * (uint)key.Offset;
        _word0 = Vector512.Create((product1 >> 32) ^ k0);
        _word1 = Vector512.Create(product1);
        _word2 = Vector512.Create((key.Offset >> 32) ^ k1);
        for (int round = 1; round < Philox.Rounds; round++)
        {
            k0 += Philox.KeyStep0;
            k1 += Philox.KeyStep1;
            _roundKeys[2 * (round - 1)] = k0;
            _roundKeys[(2 * (round - 1)) + 1] = k1;
        }
    }

    /// <summary>The lanes of the elements 8 * <paramref name="block"/> and the 63 that follow.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Draw(ulong block, out Vector512<ushort> first, out Vector512<ushort> second)
    {
        if (!Vector256.IsHardwareAccelerated)
        {
            DrawNarrow(block, out first, out second);
            return;
        }

        Rounds(block).Lanes(out first, out second);
    }

    /// <summary>
    /// The words of eight blocks in the order of the internal lanes: words 0 and 2 of each, then words 1 and 3. What is made of them comes
    /// into element order by <see cref="InterleavePairs"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void DrawPairs(ulong block, uint* words)
    {
        if (!Vector256.IsHardwareAccelerated)
        {
            DrawPairsNarrow(block, words);
            return;
        }

        Rounds(block).StorePairs(words);
    }

    /// <summary>The lanes of the elements 8 * <paramref name="block"/> and the 255 that follow.</summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public readonly void DrawFour(ulong block, ushort* lanes)
    {
        if (!Avx512F.IsSupported)
        {
            for (int draw = 0; draw < 4; draw++, lanes += Lanes)
            {
                Draw(block + (ulong)(BlocksPerDraw * draw), out Vector512<ushort> first, out Vector512<ushort> second);
                first.Store(lanes);
                second.Store(lanes + 32);
            }

            return;
        }

        Counters a = Start(block), b = Start(block + BlocksPerDraw);
        Counters c = Start(block + (2 * BlocksPerDraw)), d = Start(block + (3 * BlocksPerDraw));
        for (int round = 0; round < 2 * (Philox.Rounds - 1); round += 2)
        {
            ulong k0 = _roundKeys[round], k1 = _roundKeys[round + 1];
            a.Round(k0, k1);
            b.Round(k0, k1);
            c.Round(k0, k1);
            d.Round(k0, k1);
        }

        a.StoreLanes(lanes);
        b.StoreLanes(lanes + Lanes);
        c.StoreLanes(lanes + (2 * Lanes));
        d.StoreLanes(lanes + (3 * Lanes));
    }

    /// <summary>
    /// What six <see cref="DrawPairs"/> give, one after the other: those who make normal numbers wait for nothing but their words, and only
    /// six draws at once keep all of a processor's multipliers at work. More have no registers.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public readonly void DrawSixPairs(ulong block, uint* words)
    {
        if (!Avx512F.IsSupported)
        {
            for (int draw = 0; draw < 6; draw++) DrawPairs(block + (ulong)(BlocksPerDraw * draw), words + (WordsPerDraw * draw));
            return;
        }

        Counters a = Start(block), b = Start(block + BlocksPerDraw), c = Start(block + (2 * BlocksPerDraw));
        Counters d = Start(block + (3 * BlocksPerDraw)), e = Start(block + (4 * BlocksPerDraw)), f = Start(block + (5 * BlocksPerDraw));
        for (int round = 0; round < 2 * (Philox.Rounds - 1); round += 2)
        {
            ulong k0 = _roundKeys[round], k1 = _roundKeys[round + 1];
            a.Round(k0, k1);
            b.Round(k0, k1);
            c.Round(k0, k1);
            d.Round(k0, k1);
            e.Round(k0, k1);
            f.Round(k0, k1);
        }

        a.StorePairs(words);
        b.StorePairs(words + WordsPerDraw);
        c.StorePairs(words + (2 * WordsPerDraw));
        d.StorePairs(words + (3 * WordsPerDraw));
        e.StorePairs(words + (4 * WordsPerDraw));
        f.StorePairs(words + (5 * WordsPerDraw));
    }

    /// <summary>
    /// From values made of words (0, 2) and of words (1, 3): those of blocks 0 to 3 and of blocks 4 to 7, four a block, in order.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void InterleavePairs(
        Vector512<float> of02, Vector512<float> of13, out Vector512<float> first, out Vector512<float> second)
    {
        if (Avx512F.IsSupported)
        {
            // Element i is number i / 2 mod 2 of its block, of the one vector or, 16 further on, of the other; the blocks that come first
            // are every second lane.
            Vector512<int> even = Vector512.Create(0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
            first = Avx512F.PermuteVar16x32x2(of02, even, of13);
            second = Avx512F.PermuteVar16x32x2(of02, even + Vector512.Create(2), of13);
            return;
        }

        // (v0, v2) and (v1, v3) of a block are the 64-bit lanes here; 32-bit pairs (v0, v1) and (v2, v3) are wanted.
        Vector512<ulong> pairs01 = Vector512.ConditionalSelect(Low32, of02.AsUInt64(), of13.AsUInt64() << 32);
        Vector512<ulong> pairs23 = Vector512.ConditionalSelect(Low32, of02.AsUInt64() >>> 32, of13.AsUInt64());
        first = InterleaveEven(pairs01, pairs23).AsSingle();
        second = InterleaveOdd(pairs01, pairs23).AsSingle();
    }

    private static Vector512<ulong> Low32
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create((ulong)uint.MaxValue);
    }

    private static Vector512<ulong> Multiplier0
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create((ulong)Philox.Multiplier0);
    }

    private static Vector512<ulong> Multiplier1
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create((ulong)Philox.Multiplier1);
    }

    /// <summary>The counter words of eight blocks after the first round.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly Counters Start(ulong block)
    {
        Vector512<ulong> blocks = Vector512.Create(block) + BlockOfLane;
        Vector512<ulong> product = MultiplyLowHalves(blocks, Multiplier0);
        return new Counters { C0 = (blocks >>> 32) ^ _word0, C1 = _word1, C2 = (product >>> 32) ^ _word2, C3 = product };
    }

    /// <summary>Eight blocks after the last round.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly Counters Rounds(ulong block)
    {
        Counters counters = Start(block);
        for (int round = 0; round < 2 * (Philox.Rounds - 1); round += 2) counters.Round(_roundKeys[round], _roundKeys[round + 1]);
        return counters;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> MultiplyLowHalves(Vector512<ulong> left, Vector512<ulong> right) => Avx512F.IsSupported
        ? Avx512F.Multiply(left.AsUInt32(), right.AsUInt32())
        : Vector512.Create(
            Avx2.Multiply(left.GetLower().AsUInt32(), right.GetLower().AsUInt32()),
            Avx2.Multiply(left.GetUpper().AsUInt32(), right.GetUpper().AsUInt32()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> InterleaveEven(Vector512<ulong> left, Vector512<ulong> right)
    {
        if (Avx512F.IsSupported) return Avx512F.UnpackLow(left, right);
        if (Avx2.IsSupported)
        {
            return Vector512.Create(
                Avx2.UnpackLow(left.GetLower(), right.GetLower()), Avx2.UnpackLow(left.GetUpper(), right.GetUpper()));
        }

        return Vector512.Create(left[0], right[0], left[2], right[2], left[4], right[4], left[6], right[6]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> InterleaveOdd(Vector512<ulong> left, Vector512<ulong> right)
    {
        if (Avx512F.IsSupported) return Avx512F.UnpackHigh(left, right);
        if (Avx2.IsSupported)
        {
            return Vector512.Create(
                Avx2.UnpackHigh(left.GetLower(), right.GetLower()), Avx2.UnpackHigh(left.GetUpper(), right.GetUpper()));
        }

        return Vector512.Create(left[1], right[1], left[3], right[3], left[5], right[5], left[7], right[7]);
    }

    /// <summary>
    /// The four counter words of eight blocks. The upper half of a lane may hold anything: the multiply reads the lower half only, and
    /// whoever takes the words clears it.
    /// </summary>
    private struct Counters
    {
        public Vector512<ulong> C0;
        public Vector512<ulong> C1;
        public Vector512<ulong> C2;
        public Vector512<ulong> C3;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Round(ulong k0, ulong k1)
        {
            Vector512<ulong> product0 = MultiplyLowHalves(C0, Multiplier0);
            Vector512<ulong> product1 = MultiplyLowHalves(C2, Multiplier1);
            C0 = (product1 >>> 32) ^ C1 ^ Vector512.Create(k0);
            C1 = product1;
            C2 = (product0 >>> 32) ^ C3 ^ Vector512.Create(k1);
            C3 = product0;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Lanes(out Vector512<ushort> first, out Vector512<ushort> second)
        {
            Vector512<ulong> words01 = Vector512.ConditionalSelect(Low32, C0, C1 << 32);
            Vector512<ulong> words23 = Vector512.ConditionalSelect(Low32, C2, C3 << 32);
            first = InterleaveEven(words01, words23).AsUInt16();
            second = InterleaveOdd(words01, words23).AsUInt16();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void StoreLanes(ushort* lanes)
        {
            Lanes(out Vector512<ushort> first, out Vector512<ushort> second);
            first.Store(lanes);
            second.Store(lanes + Vector512<ushort>.Count);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void StorePairs(uint* words)
        {
            Vector512.ConditionalSelect(Low32, C0, C2 << 32).AsUInt32().Store(words);
            Vector512.ConditionalSelect(Low32, C1, C3 << 32).AsUInt32().Store(words + Vector512<uint>.Count);
        }
    }
}
