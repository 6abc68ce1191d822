using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>
/// Gradients of maps in vectors: each element gathers from the windows that it is in, in their order, or for means the sum of each row of
/// windows. Rows of the windows' gradients are looked through once, with zeros around them, and what they are to the elements is kept for
/// all rows of elements that they reach. Channels last the rows are read where they are.
/// </summary>
internal sealed unsafe partial class PoolGradients<T, TKind>
    where T : unmanaged
    where TKind : struct, IPoolKind
{
    private const int Width = CpuElement.Width;

    private readonly CpuPool _pool;
    private readonly PoolWindowArguments _window;
    private readonly T* _dy;
    private readonly T* _dx;
    private readonly PoolTaps _taps;
    private readonly CpuDivisor _divisor;
    private readonly bool _streams;
    private readonly bool _arePairs;
    private readonly bool _areTriples;

    /// <summary>
    /// 1 over the divisor of all where that is a power of two, else 0: products by such round as quotients do, and take a tenth of their
    /// time.
    /// </summary>
    private readonly float _factor;

    /// <summary>Cells go past the caches as they are made: where these are whole lines.</summary>
    private readonly bool _streamsCells;

    /// <summary>
    /// Elements that are a stride apart meet the same taps, each at a window that is so many after theirs: of one such class after the
    /// other, and in the order of the windows.
    /// </summary>
    private readonly Meeting[] _meetings;

    /// <summary>The first of the meetings of each class, and the end.</summary>
    private readonly int[] _classes;

    private readonly long _stride;
    private readonly long _rowLength;

    /// <summary>Maps side by side.</summary>
    private readonly long _maps;

    /// <summary>From one of them to the next in a kept row, the zeros around it included.</summary>
    private readonly long _mapLength;

    /// <summary>Rows of windows that are kept: as many as reach over one row of the map.</summary>
    private readonly long _slots;

    /// <summary>Zeros before the first window of a row; windows before those of an element's number that it may meet.</summary>
    private readonly long _before;

    /// <summary>Windows after those of an element's number that it may meet.</summary>
    private readonly long _after;

    /// <summary>
    /// From one class's sums of a kept row of windows to the next, or from the gradients of the row to the taps that they are of.
    /// </summary>
    private readonly long _pitch;

    /// <summary>From one kept row to the next.</summary>
    private readonly long _rowPitch;

    public PoolGradients(in CpuPool pool, T* dy, T* dx, PoolTaps taps, CpuDivisor divisor)
    {
        (_pool, _window, _taps, _divisor) = (pool, pool.Window, taps, divisor);
        _dy = dy;
        _dx = dx;
        (_stride, _rowLength) = (_window.StrideX, pool.Width * pool.Inner);
        _areTriples = TKind.IsMaximum && taps.Bytes == 1 && pool.AreTriples;
        _arePairs = pool.ArePairs && pool.Width == 2 * pool.OutWidth && divisor.OfAll != 0 == !TKind.IsMaximum;
        _factor = float.IsPow2((float)divisor.OfAll) ? 1 / (float)divisor.OfAll : 0;
        _streams = CpuStreaming.Pays(dx, pool.Planes * pool.Height * _rowLength * sizeof(T));
        if (_streams && pool.Inner > 1 && Vector512.IsHardwareAccelerated)
        {
            _streamsCells = TKind.IsMaximum
                ? taps.Bytes == 1 && pool.Inner % (4 * Width) == 0 : pool.Inner * sizeof(T) % Vector512<byte>.Count == 0;
        }

        _streams &= !_streamsCells;
        _slots = Math.Min(pool.OutHeight, ((_window.WindowHeight - 1L) * _window.DilationY / _window.StrideY) + 1);
        bool isSmall = Math.Max(_stride, _window.WindowWidth) <= CpuPool.MostBytes / sizeof(long);
        (_meetings, _classes) = isSmall && typeof(T) != typeof(double) ? Meetings(_window) : ([], []);
        foreach (Meeting meeting in _meetings)
            (_before, _after) = (Math.Max(_before, -meeting.Ahead), Math.Max(_after, meeting.Ahead));

        _mapLength = _before + Math.Max(pool.OutWidth, ((pool.Width + _stride - 1) / _stride) + _after);
        _maps = pool.Inner > 1 || _arePairs || _areTriples ? 1 : CpuPool.MapsAbreast(_mapLength, pool.Planes);
        if (pool.Inner == 1) _pitch = ((_maps * _mapLength) + (2 * Width) - 1) & ~(Width - 1L);
        _rowPitch = (TKind.IsMaximum ? 2 : _stride) * _pitch;
        Bytes = !isSmall ? long.MaxValue : PoolMemory.BytesOf<long>(_slots) + PoolMemory.BytesOf<Entry>(_slots)
            + (2 * PoolMemory.BytesOf<Entry>(_slots * _meetings.Length)) + PoolMemory.BytesOf<int>(_stride + 1)
            + PoolMemory.BytesOf<float>(pool.OutWidth + Width) + PoolMemory.BytesOf<float>(_slots * _rowPitch)
            + PoolMemory.BytesOf<float>(RawLength) + PoolMemory.BytesOf<T>(PoolStage<T>.LengthFor(_rowLength, _maps));
    }

    /// <summary>Memory that a thread needs.</summary>
    public long Bytes { get; }

    /// <summary>Rows of elements, each of as many maps as lie side by side.</summary>
    public long Lines => (_pool.Planes + _maps - 1) / _maps * _pool.Height;

    /// <summary>Elements of a line.</summary>
    public long ElementsOfLine => _maps * _rowLength;

    /// <summary>Floats of a row of windows, with the zeros around them.</summary>
    private long RawLength => _pitch + _before + _after + Width;

    /// <summary>The tap that an element of a class meets in a window so many after that of its number.</summary>
    private readonly record struct Meeting(long Tap, long Ahead);

    /// <summary>
    /// Gradients that elements add. Channels last: the tap that they are of, the number of their row among those that an element meets,
    /// what their divisor is besides that of their column, and how many windows they are after that of the element's number.
    /// </summary>
    private readonly record struct Entry(long Offset, uint Tap, int Row = 0, float Rows = 0, int Ahead = 0);

    private static (Meeting[] Meetings, int[] Classes) Meetings(in PoolWindowArguments window)
    {
        Meeting[] meetings = new Meeting[window.WindowWidth];
        int[] classes = new int[window.StrideX + 1];
        long stride = window.StrideX;
        for (long tap = 0; tap < meetings.Length; tap++) classes[Class(window, tap) + 1]++;
        for (long first = 0; first < stride; first++) classes[first + 1] += classes[first];
        int[] next = [.. classes];
        for (long tap = meetings.Length - 1; tap >= 0; tap--)
        {
            long first = Class(window, tap);
            meetings[next[first]++] = new Meeting(tap, (first + window.PadLeft - (tap * window.DilationX)) / stride);
        }

        return (meetings, classes);

        static long Class(in PoolWindowArguments window, long tap)
        {
            long rest = ((tap * window.DilationX) - window.PadLeft) % window.StrideX;
            return rest < 0 ? rest + window.StrideX : rest;
        }
    }

    /// <summary>Lines from <paramref name="first"/> to <paramref name="end"/> - 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(long first, long end)
    {
        PoolMemory memory = new(CpuScratch.Take<byte>(Bytes));
        (long group, long row) = Math.DivRem(first, _pool.Height);
        long mapLength = _pool.Height * _rowLength;
        PoolStage<T> results = new(
            memory.Take<T>(PoolStage<T>.LengthFor(_rowLength, _maps)), _dx + (group * _maps * mapLength) + (row * _rowLength), _rowLength,
            mapLength, _maps, _streams, _pool.IsWhole);
        Kept kept = new(this, ref memory);
        for (long left = end - first; left > 0; row = 0, group++)
        {
            long plane = group * _maps;
            results.Maps = Math.Min(_maps, _pool.Planes - plane);
            long last = Math.Min(_pool.Height, row + left);
            for (left -= last - row; row < last; row++)
            {
                T* to = results.RowOf(0);
                if (_arePairs && row >= 2 * _pool.OutHeight)
                    new Span<T>(to, (int)_rowLength).Clear();
                else if (_arePairs && _pool.Inner > 1)
                    PairsOfCells(plane, row, to);
                else if (_arePairs)
                    Pairs(plane, row, to);
                else if (_areTriples)
                    Triples(plane, row, to);
                else if (_pool.Inner > 1)
                    kept.Cells(plane, row, to);
                else
                    kept.Elements(plane, row, results);
                results.Next();
            }

            if (row < _pool.Height) break;
            kept.Clear();
            results.NextMaps();
        }

        results.Flush();
    }

    /// <summary>Rows of windows of maps, kept for the rows of elements to come.</summary>
    private readonly ref struct Kept
    {
        private readonly PoolGradients<T, TKind> _all;
        private readonly PoolRing _ring;
        private readonly Entry* _entries;
        private readonly Entry* _inMap;
        private readonly Entry* _rows;
        private readonly int* _ends;
        private readonly float* _columns;
        private readonly float* _raw;
        private readonly float* _gradients;

        public Kept(PoolGradients<T, TKind> all, ref PoolMemory memory)
        {
            _all = all;
            long length = all._slots * all._rowPitch;
            _ring = new PoolRing(memory.Take<long>(all._slots), all._slots);
            _rows = memory.Take<Entry>(all._slots);
            _entries = memory.Take<Entry>(all._slots * all._meetings.Length);
            _inMap = memory.Take<Entry>(all._slots * all._meetings.Length);
            _ends = memory.Take<int>(all._stride + 1);
            _gradients = memory.Take<float>(length);
            _raw = memory.Take<float>(all.RawLength);
            if (!TKind.IsMaximum && all._divisor.OfAll == 0)
            {
                _columns = memory.Take<float>(all._pool.OutWidth + Width);
                for (long column = 0; column < all._pool.OutWidth; column++) _columns[column] = all._divisor.Columns(column);
            }

            Clear();
            if (TKind.IsMaximum)
            {
                // Gradients of no window: 0, of no tap.
                for (float* row = _gradients; row < _gradients + length; row += all._rowPitch)
                {
                    new Span<float>(row, (int)all._pitch).Clear();
                    new Span<uint>(row + all._pitch, (int)all._pitch).Fill(uint.MaxValue);
                }
            }
            else
            {
                new Span<float>(_raw, (int)all.RawLength).Clear();
            }
        }

        /// <summary>The rows are those of other maps.</summary>
        public void Clear() => _ring.Clear();

        /// <summary>Channels first: a row of each map in vectors of elements that meet the same taps.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Elements(long plane, long row, in PoolStage<T> target)
        {
            Collect(plane, row, target.Maps);
            long elements = (_all._pool.Width + _all._stride - 1) / _all._stride;
            float* lanes = stackalloc float[Width];
            for (long map = 0; map < target.Maps; map++)
            {
                T* results = target.RowOf(map);
                long from = map * _all._mapLength;
                switch (_all._stride)
                {
                    case 1:
                        for (long k = 0; k < elements; k += Width) CpuElement.Store(results + k, Gather(0, from + k));
                        break;
                    case 2:
                        for (long k = 0; k < elements; k += Width)
                        {
                            (Vector512<float> low, Vector512<float> high) = CpuPool.Interleave(Gather(0, from + k), Gather(1, from + k));
                            CpuElement.Store(results + (2 * k), low);
                            CpuElement.Store(results + (2 * k) + Width, high);
                        }

                        break;
                    default:
                        for (int first = 0; first < Math.Min(_all._stride, _all._pool.Width); first++)
                        {
                            long count = (_all._pool.Width - first + _all._stride - 1) / _all._stride;
                            for (long k = 0; k < count; k += Width)
                            {
                                Gather(first, from + k).Store(lanes);
                                T* to = results + (k * _all._stride) + first;
                                for (int i = 0; i < Width && k + i < count; i++, to += _all._stride)
                                    *to = CpuElement.FromSingle<T>(lanes[i]);
                            }
                        }

                        break;
                }
            }
        }

        /// <summary>Channels last: vectors of channels, cell by cell.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Cells(long plane, long row, T* results)
        {
            CollectCells(plane, row);
            (long inner, long width, long windows) = (_all._pool.Inner, _all._pool.Width, _all._pool.OutWidth);
            (long before, long end) = (_all._before, windows - _all._after);
            float all = (float)_all._divisor.OfAll;
            long column = 0;
            int first = 0;
            for (long w = 0; w < width; w++, results += inner)
            {
                Entry* entry = _entries + _ends[first], last = _entries + _ends[first + 1];
                if (column < before || column >= end)
                {
                    Entry* to = _inMap;
                    for (; entry < last; entry++)
                    {
                        if ((ulong)(column + entry->Ahead) < (ulong)windows) *to++ = *entry;
                    }

                    entry = _inMap;
                    last = to;
                }

                Cell cell = new(_all._dy + (column * inner), _all._taps, column * inner, entry, last, _columns + column, all);
                long i = 0;
                if (_all._streamsCells && TKind.IsMaximum)
                {
                    for (; i < inner; i += 4 * Width) cell.StoreFour<byte, StreamingStore>(i, results + i);
                }
                else if (_all._streamsCells)
                {
                    for (; i < inner; i += Width) CpuReal.Store(results + i, cell.Sum<byte>(i, Width), Width, streams: true);
                }
                else if (_all._taps.Bytes == 1 || !TKind.IsMaximum)
                {
                    if (TKind.IsMaximum && Vector512.IsHardwareAccelerated)
                    {
                        for (; i <= inner - (4 * Width); i += 4 * Width) cell.StoreFour<byte, CachedStore>(i, results + i);
                    }

                    for (; i <= inner - Width; i += Width) CpuElement.Store(results + i, cell.Sum<byte>(i, Width));
                    if (i < inner) CpuElement.Store(results + i, cell.Sum<byte>(i, (int)(inner - i)));
                }
                else
                {
                    for (; i < inner; i += Width) CpuElement.Store(results + i, cell.Sum<uint>(i, (int)Math.Min(Width, inner - i)));
                }

                if (++first < _all._stride) continue;
                (first, column) = (0, column + 1);
            }
        }

        /// <summary>Rows of windows that reach over a row of elements, and the tap that it is in each.</summary>
        private static (uint First, uint Last, uint Place) RowsOf(in PoolWindowArguments window, long row)
        {
            uint place = (uint)row + window.PadTop, reach = (window.WindowHeight - 1) * window.DilationY;
            (uint first, uint last) = CpuPoolGradientLine.Range(place, reach, window.StrideY, window.OutHeight);
            return (first, last, place);
        }

        /// <summary>Channels last: what the elements of a row add, class by class, as if they were those of the first window.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void CollectCells(long plane, long row)
        {
            PoolWindowArguments window = _all._window;
            (uint firstRow, uint lastRow, uint place) = RowsOf(window, row);
            (long inner, int count) = (_all._pool.Inner, 0);
            ReadOnlySpan<Meeting> meetings = _all._meetings;
            ReadOnlySpan<int> classes = _all._classes;
            _ends[0] = 0;
            for (int first = 0; first + 1 < classes.Length; first++)
            {
                for (uint i = firstRow; i <= lastRow; i++)
                {
                    uint distance = place - (i * window.StrideY);
                    if (distance % window.DilationY != 0) continue;
                    uint tap = distance / window.DilationY * window.WindowWidth;
                    long offset = ((plane * window.OutHeight) + i) * window.OutWidth;
                    float rows = _columns == null ? 0 : _all._divisor.Rows(i);
                    foreach (Meeting meeting in meetings[classes[first]..classes[first + 1]])
                    {
                        _entries[count++] = new Entry(
                            (offset + meeting.Ahead) * inner, tap + (uint)meeting.Tap, (int)i, rows, (int)meeting.Ahead);
                    }
                }

                _ends[first + 1] = count;
            }
        }

        /// <summary>Channels first: what the elements of a row add, class by class.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Collect(long plane, long row, long maps)
        {
            PoolWindowArguments window = _all._window;
            (uint firstRow, uint lastRow, uint place) = RowsOf(window, row);
            uint step = window.DilationY;
            int rows = 0;
            long slot = _ring.SlotOf(firstRow);
            for (uint i = firstRow; i <= lastRow; i++, slot = _ring.After(slot, 1))
            {
                uint distance = place - (i * window.StrideY);
                if (step != 1 && distance % step != 0) continue;
                if (_ring.Needs(i, slot)) Convert(plane, maps, i, _gradients + (slot * _all._rowPitch));
                _rows[rows++] = new Entry(slot * _all._rowPitch, distance / step * window.WindowWidth);
            }

            int count = 0;
            ReadOnlySpan<Meeting> meetings = _all._meetings;
            ReadOnlySpan<int> classes = _all._classes;
            for (int first = 0; first + 1 < classes.Length; first++)
            {
                int begin = classes[first], end = classes[first + 1];
                for (Entry* of = _rows; of < _rows + rows && begin < end; of++)
                {
                    if (!TKind.IsMaximum)
                    {
                        _entries[count++] = new Entry(of->Offset + (first * _all._pitch), 0);
                        continue;
                    }

                    for (int n = begin; n < end; n++)
                    {
                        Meeting meeting = meetings[n];
                        _entries[count++] = new Entry(of->Offset + _all._before + meeting.Ahead, of->Tap + (uint)meeting.Tap);
                    }
                }

                _ends[first + 1] = count;
            }

            _ends[0] = 0;
        }

        /// <summary>Keeps a row of windows: gradients and taps, or what is to be added of the row class by class.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Convert(long plane, long maps, uint row, float* kept)
        {
            long windows = _all._pool.OutWidth, mapLength = _all._pool.OutHeight * windows;
            long from = (plane * mapLength) + (row * windows), pitch = _all._pitch, before = _all._before;
            float* to = (TKind.IsMaximum ? kept : _raw) + before;
            bool divides = _columns != null;
            Vector512<float> rows = Vector512.Create(divides ? _all._divisor.Rows(row) : 0f);
            long ahead = CpuPool.AheadOf(_all._maps * mapLength);
            for (long map = 0; map < maps; map++, from += mapLength, to += _all._mapLength)
            {
                CpuPool.Prefetch(_all._dy + from + ahead, windows);
                if (TKind.IsMaximum) CpuPool.Prefetch(_all._taps.At(from + ahead), windows * _all._taps.Bytes);
                for (long column = 0; column < windows; column += Width)
                {
                    int count = (int)Math.Min(Width, windows - column);
                    Vector512<float> gradient = CpuElement.Load(_all._dy + from + column, count);
                    if (divides) gradient /= rows * Vector512.Load(_columns + column);
                    CpuElement.Store(to + column, gradient, count);
                    if (TKind.IsMaximum)
                        CpuElement.Store(to + pitch + column, _all._taps.Load(from + column, count).AsSingle(), count);
                }
            }

            if (TKind.IsMaximum) return;
            ReadOnlySpan<Meeting> meetings = _all._meetings;
            ReadOnlySpan<int> classes = _all._classes;
            for (int first = 0; first + 1 < classes.Length; first++, kept += pitch)
            {
                int begin = classes[first], end = classes[first + 1];
                if (begin == end) continue;
                if (end - begin == 3)
                {
                    float* a = _raw + before + meetings[begin].Ahead, b = _raw + before + meetings[begin + 1].Ahead;
                    float* c = _raw + before + meetings[begin + 2].Ahead;
                    for (long k = 0; k < maps * _all._mapLength; k += Width)
                        (Vector512.Load(a + k) + Vector512.Load(b + k) + Vector512.Load(c + k)).Store(kept + k);
                    continue;
                }

                for (long k = 0; k < maps * _all._mapLength; k += Width)
                {
                    Vector512<float> sum = Vector512.Load(_raw + before + meetings[begin].Ahead + k);
                    for (int n = begin + 1; n < end; n++) sum += Vector512.Load(_raw + before + meetings[n].Ahead + k);
                    sum.Store(kept + k);
                }
            }
        }

        /// <summary>The sums of a class's elements from number <paramref name="k"/> on.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector512<float> Gather(int first, long k)
        {
            Vector512<float> sum = Vector512<float>.Zero;
            float* gradients = _gradients + k;
            long tapsAfter = _all._pitch;
            Entry* entry = _entries + _ends[first], end = _entries + _ends[first + 1];
            if (!TKind.IsMaximum && end == entry + 3)
            {
                sum += Vector512.Load(gradients + entry[0].Offset);
                sum += Vector512.Load(gradients + entry[1].Offset);
                sum += Vector512.Load(gradients + entry[2].Offset);
                entry = end;
            }

            for (; entry < end; entry++)
            {
                float* from = gradients + entry->Offset;
                Vector512<float> gradient = Vector512.Load(from);
                if (TKind.IsMaximum)
                    gradient &= Vector512.Equals(Vector512.Load((uint*)(from + tapsAfter)), Vector512.Create(entry->Tap)).AsSingle();
                sum += gradient;
            }

            return _columns != null || TKind.IsMaximum ? sum : sum / Vector512.Create((float)_all._divisor.OfAll);
        }
    }

    /// <summary>
    /// A cell, channels last, that adds entries at offsets from the window of its number, each divided by a number for all or by its own.
    /// </summary>
    private readonly struct Cell(T* dy, PoolTaps taps, long window, Entry* first, Entry* end, float* columns, float divisor)
    {
        /// <summary>Gradients of maxima: of 64 channels, so that memory is read along its rows.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void StoreFour<TIndex, TStore>(long i, T* result)
            where TIndex : unmanaged
            where TStore : struct, IVectorStore
        {
            Vector512<float> a = Vector512<float>.Zero, b = a, c = a, d = a;
            for (Entry* entry = first; entry < end; entry++)
            {
                long from = entry->Offset + i;
                Vector512<uint> tap = Vector512.Create(entry->Tap);
                a += Taken<TIndex>(from, tap);
                b += Taken<TIndex>(from + Width, tap);
                c += Taken<TIndex>(from + (2 * Width), tap);
                d += Taken<TIndex>(from + (3 * Width), tap);
            }

            CpuElement.Store32<T, TStore>(result, a, b);
            CpuElement.Store32<T, TStore>(result + (2 * Width), c, d);
        }

        /// <summary>Gradients of windows where they took this tap.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector512<float> Taken<TIndex>(long from, Vector512<uint> tap)
            where TIndex : unmanaged =>
            CpuElement.Load(dy + from) & Vector512.Equals(taps.Load<TIndex>(window + from, Width), tap).AsSingle();

        /// <summary>Channel number <paramref name="i"/> and those after it.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Sum<TIndex>(long i, int count)
            where TIndex : unmanaged
        {
            Vector512<float> sum = Vector512<float>.Zero, part = sum;
            int row = -1;
            for (Entry* entry = first; entry < end; entry++)
            {
                long from = entry->Offset + i;
                Vector512<float> gradient = CpuElement.Load(dy + from, count);
                if (TKind.IsMaximum)
                {
                    Vector512<uint> at = taps.Load<TIndex>(window + from, count);
                    sum += gradient & Vector512.Equals(at, Vector512.Create(entry->Tap)).AsSingle();
                    continue;
                }

                if (divisor == 0) gradient /= Vector512.Create(entry->Rows * columns[entry->Ahead]);
                if (entry->Row != row) (sum, part, row) = (sum + part, Vector512<float>.Zero, entry->Row);
                part += gradient;
            }

            return TKind.IsMaximum ? sum : divisor == 0 ? sum + part : (sum + part) / Vector512.Create(divisor);
        }
    }
}
