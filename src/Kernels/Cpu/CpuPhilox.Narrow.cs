using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Kernels.Cpu;

// Processors whose vectors have 128 bits. Four of them are one result, and each has its rounds by itself, so that its words stay in
// registers.
internal unsafe partial struct CpuPhilox
{
    /// <summary>Vectors of 128 bits in one of 512.</summary>
    private const int Quarters = 4;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly void DrawNarrow(ulong block, out Vector512<ushort> first, out Vector512<ushort> second)
    {
        Vector128<ulong>* low = stackalloc Vector128<ulong>[Quarters], high = stackalloc Vector128<ulong>[Quarters];
        for (int i = 0; i < Quarters; i++)
        {
            Rounds(
                block + (ulong)i, out Vector128<ulong> c0, out Vector128<ulong> c1, out Vector128<ulong> c2, out Vector128<ulong> c3);
            Vector128<ulong> words01 = (c0 & NarrowLow32) | (c1 << 32), words23 = (c2 & NarrowLow32) | (c3 << 32);
            low[i] = InterleaveEven(words01, words23);
            high[i] = InterleaveOdd(words01, words23);
        }

        first = Vector512.Load((ushort*)low);
        second = Vector512.Load((ushort*)high);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly void DrawPairsNarrow(ulong block, uint* words)
    {
        Vector128<ulong>* words02 = (Vector128<ulong>*)words, words13 = words02 + Quarters;
        for (int i = 0; i < Quarters; i++)
        {
            Rounds(
                block + (ulong)i, out Vector128<ulong> c0, out Vector128<ulong> c1, out Vector128<ulong> c2, out Vector128<ulong> c3);
            words02[i] = (c0 & NarrowLow32) | (c2 << 32);
            words13[i] = (c1 & NarrowLow32) | (c3 << 32);
        }
    }

    /// <summary>The same for blocks <paramref name="block"/> and four further.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Rounds(
        ulong block, out Vector128<ulong> c0, out Vector128<ulong> c1, out Vector128<ulong> c2, out Vector128<ulong> c3)
    {
        Vector128<ulong> m0 = Vector128.Create((ulong)Philox.Multiplier0);
        Vector128<ulong> m1 = Vector128.Create((ulong)Philox.Multiplier1);
        Vector128<ulong> blocks = Vector128.Create(block, block + Quarters);
        c3 = MultiplyLowHalves(blocks, m0);
        c2 = (c3 >>> 32) ^ _word2.GetLower().GetLower();
        c1 = _word1.GetLower().GetLower();
        c0 = (blocks >>> 32) ^ _word0.GetLower().GetLower();
        for (int round = 0; round < 2 * (Philox.Rounds - 1); round += 2)
        {
            Vector128<ulong> product0 = MultiplyLowHalves(c0, m0);
            Vector128<ulong> product1 = MultiplyLowHalves(c2, m1);
            c0 = (product1 >>> 32) ^ c1 ^ Vector128.Create(_roundKeys[round]);
            c1 = product1;
            c2 = (product0 >>> 32) ^ c3 ^ Vector128.Create(_roundKeys[round + 1]);
            c3 = product0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> MultiplyLowHalves(Vector128<ulong> left, Vector128<ulong> right) => Sse2.IsSupported
        ? Sse2.Multiply(left.AsUInt32(), right.AsUInt32()) : (left & NarrowLow32) * right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> InterleaveEven(Vector128<ulong> left, Vector128<ulong> right) =>
        Sse2.IsSupported ? Sse2.UnpackLow(left, right) : Vector128.Create(left[0], right[0]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> InterleaveOdd(Vector128<ulong> left, Vector128<ulong> right) =>
        Sse2.IsSupported ? Sse2.UnpackHigh(left, right) : Vector128.Create(left[1], right[1]);

    private static Vector128<ulong> NarrowLow32
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector128.Create((ulong)uint.MaxValue);
    }
}
