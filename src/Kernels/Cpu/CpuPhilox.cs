using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Kernels.Cpu;

/// <summary>
/// Philox for the CPU device: eight blocks at a time, one per 64-bit lane, because the widening 32-bit multiply works on such lanes and
/// leaves both halves of the product where the next round wants them. Six instructions a round serve 64 elements.
/// </summary>
internal unsafe partial struct CpuPhilox
{
    /// <summary>Elements served by one <see cref="Draw"/>.</summary>
    public const int Lanes = 64;

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

        Rounds(block, out Vector512<ulong> c0, out Vector512<ulong> c1, out Vector512<ulong> c2, out Vector512<ulong> c3);
        Vector512<ulong> words01 = Vector512.ConditionalSelect(Low32, c0, c1 << 32);
        Vector512<ulong> words23 = Vector512.ConditionalSelect(Low32, c2, c3 << 32);
        first = InterleaveEven(words01, words23).AsUInt16();
        second = InterleaveOdd(words01, words23).AsUInt16();
    }

    /// <summary>
    /// The words of eight blocks in the order of the internal lanes: words 0 and 2 of each, and words 1 and 3. What is made of them comes
    /// into element order by <see cref="InterleavePairs"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void DrawPairs(ulong block, out Vector512<uint> words02, out Vector512<uint> words13)
    {
        if (!Vector256.IsHardwareAccelerated)
        {
            DrawPairsNarrow(block, out words02, out words13);
            return;
        }

        Rounds(block, out Vector512<ulong> c0, out Vector512<ulong> c1, out Vector512<ulong> c2, out Vector512<ulong> c3);
        words02 = Vector512.ConditionalSelect(Low32, c0, c2 << 32).AsUInt32();
        words13 = Vector512.ConditionalSelect(Low32, c1, c3 << 32).AsUInt32();
    }

    /// <summary>
    /// From values made of words (0, 2) and of words (1, 3): those of blocks 0 to 3 and of blocks 4 to 7, four a block, in order.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void InterleavePairs(
        Vector512<float> of02, Vector512<float> of13, out Vector512<float> first, out Vector512<float> second)
    {
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

    /// <summary>The four counter words of eight blocks after the last round, in the low halves of the lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Rounds(
        ulong block, out Vector512<ulong> c0, out Vector512<ulong> c1, out Vector512<ulong> c2, out Vector512<ulong> c3)
    {
        Vector512<ulong> m0 = Vector512.Create((ulong)Philox.Multiplier0);
        Vector512<ulong> m1 = Vector512.Create((ulong)Philox.Multiplier1);
        Vector512<ulong> blocks = Vector512.Create(block) + BlockOfLane;

        // The upper half of a lane may hold anything: the multiply reads the lower half only, and whoever takes the words clears it.
        c3 = MultiplyLowHalves(blocks, m0);
        c2 = (c3 >>> 32) ^ _word2;
        c1 = _word1;
        c0 = (blocks >>> 32) ^ _word0;
        for (int round = 0; round < 2 * (Philox.Rounds - 1); round += 2)
        {
            Vector512<ulong> product0 = MultiplyLowHalves(c0, m0);
            Vector512<ulong> product1 = MultiplyLowHalves(c2, m1);
            c0 = (product1 >>> 32) ^ c1 ^ Vector512.Create(_roundKeys[round]);
            c1 = product1;
            c2 = (product0 >>> 32) ^ c3 ^ Vector512.Create(_roundKeys[round + 1]);
            c3 = product0;
        }
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
}
