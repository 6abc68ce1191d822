using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>
/// How a row of a map, channels first, is laid out for vectors of neighbouring windows: as many phases as windows are apart, each with
/// every so manieth element, so that a tap of neighbouring windows is a run of neighbours. What is beside the map stands there as another
/// number. Rows of narrow maps lie side by side in each phase, so that vectors are full and a row is worth its loops.
/// </summary>
internal readonly unsafe struct PoolPhases
{
    private readonly long _width;
    private readonly long _pad;
    private readonly long _dilation;

    public PoolPhases(in PoolWindowArguments window, long planes)
    {
        (_width, _pad, _dilation, Stride) = (window.Width, window.PadLeft, window.DilationX, window.StrideX);
        long reach = (window.WindowWidth - 1) * _dilation;
        MapLength = window.OutWidth + ((reach + Stride - 1) / Stride);
        Maps = CpuPool.MapsAbreast(MapLength, planes);
        Pitch = ((Maps * MapLength) + (reach / Stride) + (3 * CpuElement.Width)) & ~(long)(CpuElement.Width - 1);
    }

    /// <summary>Maps side by side.</summary>
    public long Maps { get; }

    /// <summary>From one of them to the next, in a phase.</summary>
    public long MapLength { get; }

    public long Stride { get; }

    /// <summary>From one phase to the next.</summary>
    public long Pitch { get; }

    /// <summary>Floats of a row.</summary>
    public long Length => Stride * Pitch;

    /// <summary>Where a tap of the first window is; those of the others follow.</summary>
    public long OffsetOf(long tap) => (tap * _dilation % Stride * Pitch) + (tap * _dilation / Stride);

    /// <summary>Lays out a row of a map. What is beside the map has been written before and stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill<T>(T* row, float* phases)
        where T : unmanaged
    {
        switch (Stride)
        {
            case 1:
                long end = _width & ~(CpuElement.Width - 1L);
                int rest = (int)(_width - end);
                for (long w = 0; w < end; w += CpuElement.Width) CpuElement.Load(row + w).Store(phases + _pad + w);
                if (rest > 0) CpuElement.Store(phases + _pad + end, CpuElement.Load(row + end, rest), rest);
                break;
            case 2:
                FillPairs(row, phases + ((_pad & 1) * Pitch) + (_pad / 2), phases + ((~_pad & 1) * Pitch) + ((_pad + 1) / 2));
                break;
            default:
                for (long first = 0; first < Math.Min(Stride, _width); first++)
                {
                    float* to = phases + ((first + _pad) % Stride * Pitch) + ((first + _pad) / Stride);
                    for (long w = first; w < _width; w += Stride) *to++ = CpuElement.ToSingle(row[w]);
                }

                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FillPairs<T>(T* row, float* even, float* odd)
        where T : unmanaged
    {
        const int Width = CpuElement.Width;
        long w = 0;
        for (; w + (2 * Width) <= _width; w += 2 * Width)
        {
            Vector512<float> low = CpuElement.Load(row + w), high = CpuElement.Load(row + w + Width);
            CpuPool.Even(low, high).Store(even + (w / 2));
            CpuPool.Odd(low, high).Store(odd + (w / 2));
        }

        if (w == _width) return;
        int left = (int)(_width - w);
        Vector512<float> first = CpuElement.Load(row + w, Math.Min(Width, left));
        Vector512<float> second = left > Width ? CpuElement.Load(row + w + Width, left - Width) : Vector512<float>.Zero;
        CpuElement.Store(even + (w / 2), CpuPool.Even(first, second), (left + 1) / 2);
        if (left > 1) CpuElement.Store(odd + (w / 2), CpuPool.Odd(first, second), left / 2);
    }
}

/// <summary>
/// Rows of a map that follow each other in memory, made in a cache and moved some at a time; or of several maps side by side, a row of each
/// at a time. A row may be written four vectors past its end.
/// </summary>
internal unsafe struct PoolStage<T>
    where T : unmanaged
{
    /// <summary>Elements of a map that are moved at a time, unless a row has more.</summary>
    private const long Elements = 2048;

    /// <summary>The same for all maps side by side.</summary>
    private const long ElementsOfAll = 8192;

    private readonly T* _memory;
    private readonly long _length;
    private readonly long _mapLength;
    private readonly long _rows;
    private readonly bool _streams;
    private readonly bool _isDirect;
    private T* _target;
    private long _count;

    /// <param name="memory">As many elements as <see cref="LengthFor"/> says.</param>
    /// <param name="target">Where the first row of the first map goes.</param>
    /// <param name="length">Elements of a row.</param>
    /// <param name="mapLength">Elements from a map to the next.</param>
    /// <param name="maps">Maps side by side.</param>
    /// <param name="streams">Whether rows go past the caches.</param>
    /// <param name="isWhole">Whether nothing is written past a row, so that one may be made where it goes.</param>
    public PoolStage(T* memory, T* target, long length, long mapLength, long maps, bool streams, bool isWhole)
    {
        (_length, _mapLength, _rows, Maps) = (length, mapLength, RowsOf(length, maps), maps);
        (_streams, _isDirect) = (streams, isWhole && !streams);
        _memory = memory;
        _target = target;
    }

    /// <summary>Maps that there are side by side: at the end of all they may be fewer.</summary>
    public long Maps { get; set; }

    public static long LengthFor(long length, long maps) => maps * PitchOf(length, RowsOf(length, maps));

    /// <summary>Where a map's next row is to be written.</summary>
    public readonly T* RowOf(long map) =>
        _isDirect ? _target + (map * _mapLength) : _memory + (map * PitchOf(_length, _rows)) + (_count * _length);

    /// <summary>The row has been written, of all maps.</summary>
    public void Next()
    {
        if (_isDirect)
            _target += _length;
        else if (++_count == _rows)
            Flush();
    }

    /// <summary>The maps have been written; others follow. Where there is one at a time its rows follow those of the one before.</summary>
    public void NextMaps()
    {
        if (Maps == 1) return;
        Flush();
        _target += (Maps - 1) * _mapLength;
    }

    /// <summary>Moves what has been written.</summary>
    public void Flush()
    {
        for (long map = 0; map < Maps && _count > 0; map++)
        {
            byte* from = (byte*)(_memory + (map * PitchOf(_length, _rows)));
            CpuStreaming.CopyPart(from, (byte*)(_target + (map * _mapLength)), _count * _length * sizeof(T), _streams);
        }

        _target += _count * _length;
        _count = 0;
    }

    private static long RowsOf(long length, long maps) => Math.Max(1, Math.Min(Elements, ElementsOfAll / maps) / Math.Max(1, length));

    private static long PitchOf(long length, long rows) => (rows * length) + (4 * CpuElement.Width);
}

/// <summary>Memory of a thread, handed out piece by piece, each on 64 bytes.</summary>
internal unsafe ref struct PoolMemory(byte* memory)
{
    private byte* _next = memory;

    /// <summary>Bytes that a piece takes.</summary>
    public static long BytesOf<T>(long count)
        where T : unmanaged => ((count * sizeof(T)) + 63) & ~63L;

    public T* Take<T>(long count)
        where T : unmanaged
    {
        T* piece = (T*)_next;
        _next += BytesOf<T>(count);
        return piece;
    }
}

/// <summary>Rows, by number, that were made before and are kept for what meets them later.</summary>
internal readonly unsafe struct PoolRing(long* held, long slots)
{
    /// <summary>Nothing is kept.</summary>
    public void Clear() => new Span<long>(held, (int)slots).Fill(-1);

    /// <summary>Where a row is kept.</summary>
    public long SlotOf(long row) => (long)((ulong)row % (ulong)slots);

    /// <summary>Where a row is kept that is so many after another, less than there are slots.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long After(long slot, long rows)
    {
        slot += rows;
        return slot < slots ? slot : slot - slots;
    }

    /// <summary>Whether the row must be made.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Needs(long row, long slot)
    {
        if (held[slot] == row) return false;
        held[slot] = row;
        return true;
    }
}

/// <summary>The numbers of the taken taps, in one byte each or in four; or none.</summary>
internal readonly unsafe struct PoolTaps(byte* first, int bytes)
{
    public bool ArePresent => first != null;

    public int Bytes => bytes;

    public uint this[long i]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => bytes == 1 ? first[i] : ((uint*)first)[i];
    }

    public byte* At(long i) => first + (i * bytes);

    public void Store(long i, uint tap)
    {
        if (first == null) return;
        if (bytes == 1)
            first[i] = (byte)tap;
        else
            ((uint*)first)[i] = tap;
    }

    /// <summary>Sixteen of them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(long i, Vector512<uint> numbers)
    {
        if (first == null) return;
        if (bytes == 1)
            CpuPool.Narrow(numbers).Store(first + i);
        else
            numbers.Store((uint*)first + i);
    }

    /// <summary>Sixty-four of them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreFour<TStore>(long i, Vector512<uint> a, Vector512<uint> b, Vector512<uint> c, Vector512<uint> d)
        where TStore : struct, IVectorStore
    {
        if (first == null) return;
        byte* to = At(i);
        if (bytes == 1)
        {
            Vector256<byte> low = Vector256.Create(CpuPool.Narrow(a), CpuPool.Narrow(b));
            TStore.Store(to, Vector512.Create(low, Vector256.Create(CpuPool.Narrow(c), CpuPool.Narrow(d))));
            return;
        }

        TStore.Store(to, a.AsByte());
        TStore.Store(to + Vector512<byte>.Count, b.AsByte());
        TStore.Store(to + (2 * Vector512<byte>.Count), c.AsByte());
        TStore.Store(to + (3 * Vector512<byte>.Count), d.AsByte());
    }

    /// <summary>The first <paramref name="count"/> of sixteen; the others go with elements that are not there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<uint> Load(long i, int count) => bytes == 1 ? Load<byte>(i, count) : Load<uint>(i, count);

    /// <summary>The same where the size of a number is known.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<uint> Load<TIndex>(long i, int count)
        where TIndex : unmanaged
    {
        byte* from = first + (i * sizeof(TIndex));
        if (count == CpuElement.Width) return sizeof(TIndex) == 1 ? CpuPool.Widen(Vector128.Load(from)) : Vector512.Load((uint*)from);
        if (sizeof(TIndex) != 1 || !Avx512BW.VL.IsSupported) return LoadPart<TIndex>(from, count);
        Vector128<byte> isFirst = Vector128.LessThan(Vector128<byte>.Indices, Vector128.Create((byte)count));
        return CpuPool.Widen(Avx512BW.VL.MaskLoad(from, isFirst, Vector128<byte>.AllBitsSet));
    }

    // Out of line: memory taken from the stack inside a caller's loop would add up.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<uint> LoadPart<TIndex>(byte* from, int count)
        where TIndex : unmanaged
    {
        uint* part = stackalloc uint[CpuElement.Width];
        for (int lane = 0; lane < CpuElement.Width; lane++)
            part[lane] = lane >= count ? uint.MaxValue : sizeof(TIndex) == 1 ? from[lane] : ((uint*)from)[lane];
        return Vector512.Load(part);
    }
}
