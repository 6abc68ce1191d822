using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Kernels.Cpu;

/// <summary>
/// The random lanes of consecutive elements in memory, for ops whose rows may start inside a Philox block: what lies before the first
/// element is drawn too and skipped. Drawn in segments that stay in the first-level cache.
/// </summary>
internal readonly unsafe ref struct CpuKeepLanes
{
    /// <summary>The most elements that one <see cref="Draw"/> serves.</summary>
    public const int Segment = 1024;

    /// <summary>Lanes that the caller's buffer holds.</summary>
    public const int BufferLength = Segment + CpuPhilox.Lanes + Philox.LanesPerBlock;

    private readonly CpuPhilox _philox;
    private readonly ushort* _buffer;
    private readonly ulong* _kept;
    private readonly ulong _start;
    private readonly bool _draws;

    /// <param name="key">The key.</param>
    /// <param name="threshold">T, from 0 to 65536; the two bounds draw nothing.</param>
    /// <param name="buffer">Room for <see cref="BufferLength"/> lanes.</param>
    /// <param name="kept">
    /// Bits of what is kept besides, with a word more than they take, or null: what is not has a lane that is never less.
    /// </param>
    /// <param name="start">The index that the first of them has.</param>
    public CpuKeepLanes(RandomKey key, uint threshold, ushort* buffer, ulong* kept = null, ulong start = 0)
    {
        _kept = kept;
        _start = start;
        _philox = new CpuPhilox(key);
        _buffer = buffer;
        _draws = threshold is > 0 and <= ushort.MaxValue;
        Limit = (ushort)Math.Min(threshold, ushort.MaxValue);
        if (!_draws) new Span<ushort>(buffer, BufferLength).Clear();
    }

    /// <summary>An element is kept iff its lane is less. Where all is kept the lanes are 0, so that this holds as well.</summary>
    public ushort Limit { get; }

    /// <summary>
    /// The lanes of <paramref name="count"/> elements from <paramref name="index"/> on, valid until the next call; at least 32 can be read
    /// from any of them.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public ushort* Draw(ulong index, int count)
    {
        if (!_draws) return Masked(_buffer, index, count);
        int skipped = (int)(index % Philox.LanesPerBlock);
        ulong block = index / Philox.LanesPerBlock;
        int i = 0;
        for (; i + CpuPhilox.LanesOfFour <= skipped + count; i += CpuPhilox.LanesOfFour)
        {
            _philox.DrawFour(block, _buffer + i);
            block += CpuPhilox.LanesOfFour / Philox.LanesPerBlock;
        }

        for (; i < skipped + count; i += CpuPhilox.Lanes)
        {
            _philox.Draw(block, out Vector512<ushort> first, out Vector512<ushort> second);
            first.Store(_buffer + i);
            second.Store(_buffer + i + 32);
            block += CpuPhilox.Lanes / Philox.LanesPerBlock;
        }

        return Masked(_buffer + skipped, index, count);
    }

    /// <summary>The lanes, of which those that the bits leave out are the largest number there is.</summary>
    private ushort* Masked(ushort* lanes, ulong index, int count)
    {
        if (_kept == null) return lanes;
        if (!_draws) new Span<ushort>(lanes, count).Clear();
        Vector256<ushort> bitOfLane = Vector256.Create((ushort)1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768);
        for (int i = 0; i < count; i += Vector256<ushort>.Count)
        {
            ulong at = index - _start + (ulong)i;
            int shift = (int)(at % 64);
            ulong bits = _kept[at / 64] >> shift | _kept[(at / 64) + 1] << 1 << (63 - shift);
            Vector256<ushort> dropped = Vector256.Equals(Vector256.Create((ushort)bits) & bitOfLane, Vector256<ushort>.Zero);
            (Vector256.Load(lanes + i) | dropped).Store(lanes + i);
        }

        return lanes;
    }

    /// <summary>All ones for each of 32 elements that is kept, else 0. Widening with sign turns 16 bits of ones into 32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Masks(ushort* lanes, Vector512<ushort> limit, out Vector512<int> low, out Vector512<int> high)
    {
        Vector512<short> keep = Vector512.LessThan(Vector512.Load(lanes), limit).AsInt16();
        low = Vector512.WidenLower(keep);
        high = Vector512.WidenUpper(keep);
    }
}
