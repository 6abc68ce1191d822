using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>
/// Windows in vectors. A row of the map is looked through once: what every window has of it, its part, is kept for all rows of windows that
/// meet it, and these join the parts. Of two elements or parts the later counts where it is larger or NaN, or they are added. Vectors are
/// of neighbouring windows, channels first, or of channels.
/// </summary>
internal sealed unsafe class PoolWindows<T, TKind>
    where T : unmanaged
    where TKind : struct, IPoolKind
{
    private const int Width = CpuElement.Width;

    private readonly CpuPool _pool;
    /// <summary>Places of the map from which vectors of channels that come last are summed at a time.</summary>
    private const long MostPlaces = 16;

    private readonly PoolWindowArguments _window;
    private readonly PoolPhases _phases;
    private readonly T* _x;
    private readonly T* _y;
    private readonly PoolTaps _taps;
    private readonly CpuDivisor _divisor;
    private readonly bool _streams;
    private readonly bool _isPairs;

    /// <summary>Windows go past the caches as they are made: where these are whole lines, of direct ones.</summary>
    private readonly bool _streamsWindows;

    /// <summary>Channels last, and parts are not worth keeping: to look again costs no more.</summary>
    private readonly bool _isDirect;

    /// <summary>Maps side by side.</summary>
    private readonly long _maps;

    /// <summary>Elements of a row of the output.</summary>
    private readonly long _length;

    /// <summary>Parts of a row, of all maps side by side.</summary>
    private readonly long _parts;

    /// <summary>From elements that are looked at to those that are asked for, of the maps to come.</summary>
    private readonly long _ahead;

    /// <summary>From kept parts to the numbers of their taps.</summary>
    private readonly long _tapsAfter;

    /// <summary>From one kept row to the next.</summary>
    private readonly long _pitch;

    /// <summary>Rows of the map from the first to the last of a window, which are kept.</summary>
    private readonly long _slots;

    public PoolWindows(in CpuPool pool, T* x, T* y, PoolTaps taps, CpuDivisor divisor)
    {
        (_pool, _window, _taps, _divisor) = (pool, pool.Window, taps, divisor);
        _x = x;
        _y = y;
        _isPairs = pool.IsPairs && (TKind.IsMaximum || divisor.OfAll != 0);
        _phases = new PoolPhases(pool.Window, pool.Inner > 1 || _isPairs ? 1 : pool.Planes);
        _maps = _phases.Maps;
        _length = pool.OutWidth * pool.Inner;
        long rows = _window.WindowHeight, columns = _window.WindowWidth, reach = (rows - 1) * _window.DilationY;

        // Larger windows would have memory read at more places at once than a processor foresees.
        _isDirect = _isPairs || (pool.Inner > 1 && rows * columns <= Math.Min(MostPlaces, (_window.StrideY * columns) + (2 * rows)));
        _slots = _isDirect ? 0 : Math.Min(pool.Height, reach + 1);
        _parts = pool.Inner > 1 ? _length : _maps * _phases.MapLength;
        _tapsAfter = (_parts + (3 * Width)) & ~(Width - 1L);
        _ahead = CpuPool.AheadOf(_maps * pool.Height * pool.Width);
        _pitch = TKind.IsMaximum ? 2 * _tapsAfter : _tapsAfter;
        _streams = CpuStreaming.Pays(y, pool.Planes * pool.OutHeight * _length * sizeof(T));
        if (_streams && _isDirect && pool.Inner > 1 && pool.Inner % (4 * Width) == 0 && Vector512.IsHardwareAccelerated)
            _streamsWindows = ((nuint)taps.At(0) & 63) == 0;
        _streams &= !_streamsWindows;
        Bytes = PoolMemory.BytesOf<T>(PoolStage<T>.LengthFor(_length, _maps))
            + PoolMemory.BytesOf<byte>(PoolStage<byte>.LengthFor(_length * taps.Bytes, _maps))
            + PoolMemory.BytesOf<long>(_slots) + PoolMemory.BytesOf<long>(rows) + PoolMemory.BytesOf<float>(_slots * _pitch)
            + (TKind.IsMaximum ? 0 : PoolMemory.BytesOf<float>(_length + Width))
            + (pool.Inner > 1
                ? 0
                : PoolMemory.BytesOf<float>(_phases.Length) + PoolMemory.BytesOf<uint>(_tapsAfter) + PoolMemory.BytesOf<long>(columns));
    }

    /// <summary>Memory that a thread needs.</summary>
    public long Bytes { get; }

    /// <summary>Rows of the output, each of as many maps as lie side by side.</summary>
    public long Lines => (_pool.Planes + _maps - 1) / _maps * _pool.OutHeight;

    /// <summary>Elements that a line looks at.</summary>
    public long ElementsOfLine => _maps * _pool.Width * _pool.Inner * _window.StrideY;

    /// <summary>Lines from <paramref name="first"/> to <paramref name="end"/> - 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(long first, long end)
    {
        PoolMemory memory = new(CpuScratch.Take<byte>(Bytes));
        (long group, long row) = Math.DivRem(first, _pool.OutHeight);
        long mapLength = _pool.OutHeight * _length, start = (group * _maps * mapLength) + (row * _length);
        PoolStage<T> outputs = new(
            memory.Take<T>(PoolStage<T>.LengthFor(_length, _maps)), _y + start, _length, mapLength, _maps, _streams, _pool.IsWhole);
        int bytes = _taps.Bytes;
        PoolStage<byte> taps = new(
            memory.Take<byte>(PoolStage<byte>.LengthFor(_length * bytes, _maps)), _taps.At(start), _length * bytes, mapLength * bytes,
            _maps, _streams, _pool.IsWhole);
        Kept kept = new(this, ref memory);
        for (long left = end - first; left > 0; row = 0, group++)
        {
            T* map = _x + (group * _maps * _pool.Height * _pool.Width * _pool.Inner);
            outputs.Maps = taps.Maps = Math.Min(_maps, _pool.Planes - (group * _maps));
            long last = Math.Min(_pool.OutHeight, row + left);
            for (left -= last - row; row < last; row++)
            {
                if (_isPairs)
                    Pairs(map + (row * _window.StrideY * _pool.Width), outputs.RowOf(0), new PoolTaps(RowOf(taps, 0), bytes));
                else
                    kept.Windows(map, row, outputs, taps);
                outputs.Next();
                if (_taps.ArePresent) taps.Next();
            }

            if (row < _pool.OutHeight) break;
            kept.Clear();
            outputs.NextMaps();
            if (_taps.ArePresent) taps.NextMaps();
        }

        outputs.Flush();
        if (_taps.ArePresent) taps.Flush();
    }

    private byte* RowOf(in PoolStage<byte> taps, long map) => _taps.ArePresent ? taps.RowOf(map) : null;

    /// <summary>Windows of 2x2 side by side, which share nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Pairs(T* row, T* outputs, PoolTaps taps)
    {
        long windows = _pool.OutWidth, width = _pool.Width;
        CpuPool.Prefetch(row + _ahead, 2 * width);
        Vector512<float> by = Vector512.Create((float)_divisor.OfAll);
        for (long column = 0; column < windows; column += Width)
        {
            T* from = row + (2 * column);
            (Vector512<float> upper, Vector512<float> upperOdd) = CpuPool.LoadPairs(from, windows - column);
            (Vector512<float> lower, Vector512<float> lowerOdd) = CpuPool.LoadPairs(from + width, windows - column);
            Vector512<uint> up = Vector512<uint>.Zero, down = Vector512.Create(2u);
            CpuPool.Add<TKind>(ref upper, ref up, upperOdd, Vector512<uint>.One);
            CpuPool.Add<TKind>(ref lower, ref down, lowerOdd, Vector512.Create(3u));
            if (!TKind.IsMaximum) upper += Vector512<float>.Zero;
            CpuPool.Add<TKind>(ref upper, ref up, lower, down);
            if (TKind.IsMaximum)
                taps.Store(column, up);
            else
                upper /= by;
            CpuElement.Store(outputs + column, upper);
        }
    }

    /// <summary>A window, channels last: so many rows and columns from a cell on, whose taps begin with a number.</summary>
    private readonly struct Cell(T* first, long rows, long down, long columns, long apart, uint firstTap, uint perRow)
    {
        /// <summary>Channel number <paramref name="i"/> and those after it.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Look<TResult>(long i, int count, TResult* result, PoolTaps taps, long output, Vector512<float> by, bool isWhole)
            where TResult : unmanaged
        {
            T* row = first + i;
            uint tap = firstTap;
            (Vector512<float> value, Vector512<uint> at) = Row(row, tap, count);
            if (isWhole && !TKind.IsMaximum) value += Vector512<float>.Zero;
            for (long r = 1; r < rows; r++)
            {
                row += down;
                tap += perRow;
                (Vector512<float> part, Vector512<uint> partAt) = Row(row, tap, count);
                CpuPool.Add<TKind>(ref value, ref at, part, partAt);
            }

            if (TKind.IsMaximum)
                taps.Store(output, at);
            else if (isWhole)
                value /= by;
            CpuElement.Store(result, value);
        }

        /// <summary>The same of four vectors, so that memory is read along its rows.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void LookAtFour<TResult, TStore>(long i, TResult* result, PoolTaps taps, long output, Vector512<float> by, bool isWhole)
            where TResult : unmanaged
            where TStore : struct, IVectorStore
        {
            T* row = first + i;
            uint tap = firstTap;
            Vector512<float> a = default, b = default, c = default, d = default;
            Vector512<uint> atA = default, atB = default, atC = default, atD = default;
            for (long r = 0; r < rows; r++, row += down, tap += perRow)
            {
                T* cell = row;
                Vector512<float> e = CpuElement.Load(cell), f = CpuElement.Load(cell + Width);
                Vector512<float> g = CpuElement.Load(cell + (2 * Width)), h = CpuElement.Load(cell + (3 * Width));
                Vector512<uint> next = Vector512.Create(tap), atE = next, atF = next, atG = next, atH = next;
                for (long s = 1; s < columns; s++)
                {
                    cell += apart;
                    next += Vector512<uint>.One;
                    CpuPool.Add<TKind>(ref e, ref atE, CpuElement.Load(cell), next);
                    CpuPool.Add<TKind>(ref f, ref atF, CpuElement.Load(cell + Width), next);
                    CpuPool.Add<TKind>(ref g, ref atG, CpuElement.Load(cell + (2 * Width)), next);
                    CpuPool.Add<TKind>(ref h, ref atH, CpuElement.Load(cell + (3 * Width)), next);
                }

                if (r == 0 && TKind.IsMaximum)
                {
                    (a, b, c, d) = (e, f, g, h);
                    (atA, atB, atC, atD) = (atE, atF, atG, atH);
                    continue;
                }

                CpuPool.Add<TKind>(ref a, ref atA, e, atE);
                CpuPool.Add<TKind>(ref b, ref atB, f, atF);
                CpuPool.Add<TKind>(ref c, ref atC, g, atG);
                CpuPool.Add<TKind>(ref d, ref atD, h, atH);
            }

            if (TKind.IsMaximum)
            {
                taps.StoreFour<TStore>(output, atA, atB, atC, atD);
            }
            else if (isWhole)
            {
                (a, b, c, d) = (a / by, b / by, c / by, d / by);
            }

            CpuElement.Store32<TResult, TStore>(result, a, b);
            CpuElement.Store32<TResult, TStore>(result + (2 * Width), c, d);
        }

        /// <summary>The window's part of a row.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private (Vector512<float> Part, Vector512<uint> At) Row(T* cell, uint tap, int count)
        {
            Vector512<float> part = CpuElement.Load(cell, count);
            Vector512<uint> at = Vector512.Create(tap), next = at;
            for (long s = 1; s < columns; s++)
            {
                cell += apart;
                next += Vector512<uint>.One;
                CpuPool.Add<TKind>(ref part, ref at, CpuElement.Load(cell, count), next);
            }

            return (part, at);
        }
    }

    /// <summary>The parts of windows that rows of the maps have, kept for the rows of windows to come.</summary>
    private readonly ref struct Kept
    {
        private readonly PoolWindows<T, TKind> _all;
        private readonly PoolRing _ring;
        private readonly float* _parts;
        private readonly float** _partsOf;
        private readonly float* _row;
        private readonly uint* _firstTaps;
        private readonly long* _offsets;
        private readonly float* _columns;

        public Kept(PoolWindows<T, TKind> all, ref PoolMemory memory)
        {
            _all = all;
            PoolWindowArguments window = all._window;
            _ring = new PoolRing(memory.Take<long>(all._slots), all._slots);
            _partsOf = (float**)memory.Take<long>(window.WindowHeight);
            _parts = memory.Take<float>(all._slots * all._pitch);
            Clear();
            if (!TKind.IsMaximum && all._divisor.OfAll == 0)
            {
                long inner = all._pool.Inner;
                _columns = memory.Take<float>(all._length + Width);
                for (long column = 0; column < window.OutWidth; column++)
                    new Span<float>(_columns + (column * inner), (int)inner).Fill(all._divisor.Columns(column));
            }

            if (all._pool.Inner > 1) return;
            _row = memory.Take<float>(all._phases.Length);
            _firstTaps = memory.Take<uint>(all._tapsAfter);
            _offsets = memory.Take<long>(window.WindowWidth);
            new Span<float>(_row, (int)all._phases.Length).Fill(TKind.IsMaximum ? float.NegativeInfinity : 0);
            for (long tap = 0; tap < window.WindowWidth; tap++) _offsets[tap] = all._phases.OffsetOf(tap);
            new Span<uint>(_firstTaps, (int)all._tapsAfter).Clear();
            for (long column = 0, before = window.PadLeft; before > 0 && column < window.OutWidth; column++, before -= window.StrideX)
            {
                for (long map = 0; map < all._maps; map++)
                    _firstTaps[(map * all._phases.MapLength) + column] = (uint)((before + window.DilationX - 1) / window.DilationX);
            }
        }

        /// <summary>The rows are those of other maps.</summary>
        public void Clear() => _ring.Clear();

        /// <summary>A row of windows, of all maps side by side.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Windows(T* map, long row, in PoolStage<T> outputs, in PoolStage<byte> taps)
        {
            PoolWindowArguments window = _all._window;
            long start = (row * window.StrideY) - window.PadTop, step = window.DilationY;
            long first = start >= 0 ? 0 : (-start + step - 1) / step;
            long end = Math.Min(window.WindowHeight, (window.Height - start + step - 1) / step);
            long rowLength = _all._pool.Width * _all._pool.Inner, h = start + (first * step);
            uint firstTap = (uint)first * window.WindowWidth;
            float rows = _columns == null ? 1 : _all._divisor.Rows(row);
            int bytes = _all._taps.Bytes;
            if (_all._isDirect)
            {
                T* from = map + (h * rowLength), to = outputs.RowOf(0);
                PoolTaps numbers = new(_all.RowOf(taps, 0), bytes);
                if (_all._streamsWindows)
                    Cells<T, StreamingStore>(from, end - first, firstTap, to, numbers, rows, true);
                else
                    Cells<T, CachedStore>(from, end - first, firstTap, to, numbers, rows, true);
                return;
            }

            int count = 0;
            for (long slot = _ring.SlotOf(h); first < end; first++, h += step, slot = _ring.After(slot, step))
            {
                float* parts = _partsOf[count++] = _parts + (slot * _all._pitch);
                if (!_ring.Needs(h, slot)) continue;
                PoolTaps partTaps = new((byte*)(parts + _all._tapsAfter), sizeof(uint));
                if (_all._pool.Inner > 1)
                    Cells<float, CachedStore>(map + (h * rowLength), 1, 0, parts, partTaps, rows, false);
                else
                    Neighbours(map + (h * rowLength), outputs.Maps, parts);
            }

            for (long i = 0; i < outputs.Maps; i++)
            {
                long from = i * _all._phases.MapLength;
                T* to = outputs.RowOf(i);
                PoolTaps numbers = new(_all.RowOf(taps, i), bytes);
                switch (count)
                {
                    case 3: Join<Three>(from, count, firstTap, to, numbers, rows); break;
                    case 5: Join<Five>(from, count, firstTap, to, numbers, rows); break;
                    default: Join<Any>(from, count, firstTap, to, numbers, rows); break;
                }
            }
        }

        /// <summary>Channels first: parts of a row in vectors of neighbouring windows.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Neighbours(T* from, long maps, float* parts)
        {
            long mapLength = _all._pool.Height * _all._pool.Width;
            long ahead = _all._ahead, width = _all._pool.Width;
            for (long map = 0; map < maps; map++, from += mapLength)
            {
                CpuPool.Prefetch(from + ahead, width);
                _all._phases.Fill(from, _row + (map * _all._phases.MapLength));
            }

            uint* taps = (uint*)(parts + _all._tapsAfter);
            switch (_all._window.WindowWidth)
            {
                case 3: Look<Three>(parts, taps); break;
                case 5: Look<Five>(parts, taps); break;
                default: Look<Any>(parts, taps); break;
            }
        }

        /// <summary>Parts of the row that is laid out.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Look<TCount>(float* parts, uint* taps)
            where TCount : struct, ICount
        {
            float* row = _row;
            uint* firstTaps = _firstTaps;
            long* offsets = _offsets;
            (long length, uint count) = (_all._parts, _all._window.WindowWidth);
            for (long i = 0; i < length; i += Width)
            {
                float* place = row + i;
                Vector512<float> part = Vector512.Load(place + offsets[0]);
                Vector512<uint> at = TKind.IsMaximum ? Vector512.Load(firstTaps + i) : default;
                if (TCount.Value > 0)
                {
                    CpuPool.Add<TKind>(ref part, ref at, Vector512.Load(place + offsets[1]), Vector512.Create(1u));
                    CpuPool.Add<TKind>(ref part, ref at, Vector512.Load(place + offsets[2]), Vector512.Create(2u));
                    if (TCount.Value == 5)
                    {
                        CpuPool.Add<TKind>(ref part, ref at, Vector512.Load(place + offsets[3]), Vector512.Create(3u));
                        CpuPool.Add<TKind>(ref part, ref at, Vector512.Load(place + offsets[4]), Vector512.Create(4u));
                    }
                }
                else
                {
                    for (uint s = 1; s < count; s++)
                        CpuPool.Add<TKind>(ref part, ref at, Vector512.Load(place + offsets[s]), Vector512.Create(s));
                }

                part.Store(parts + i);
                if (TKind.IsMaximum) at.Store(taps + i);
            }
        }

        /// <summary>Channels last: windows over so many rows of the map, the first of which begins with this tap, or their parts.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Cells<TResult, TStore>(
            T* from, long rows, uint firstTap, TResult* results, PoolTaps taps, float counted, bool areWhole)
            where TResult : unmanaged
            where TStore : struct, IVectorStore
        {
            PoolWindowArguments window = _all._window;
            long inner = _all._pool.Inner, step = window.DilationX, down = window.DilationY * _all._pool.Width * inner, output = 0;
            long inside = _all._pool.Width - ((window.WindowWidth - 1) * step), start = -(long)window.PadLeft;
            float all = areWhole ? (float)_all._divisor.OfAll : 1;
            for (long column = 0; column < window.OutWidth; column++, start += window.StrideX, output += inner)
            {
                long first = 0, end = window.WindowWidth;
                if (start < 0) first = (-start + step - 1) / step;
                if (start >= inside) end = (_all._pool.Width - start + step - 1) / step;
                Cell cell = new(
                    from + ((start + (first * step)) * inner), rows, down, end - first, step * inner, firstTap + (uint)first,
                    window.WindowWidth);
                Vector512<float> by = Vector512.Create(TKind.IsMaximum || all != 0 ? all : counted * _columns[output]);
                if (areWhole) PrefetchBelow(from + (column * window.StrideX * inner));
                long i = 0;
                if (Vector512.IsHardwareAccelerated)
                {
                    for (; i <= inner - (4 * Width); i += 4 * Width)
                        cell.LookAtFour<TResult, TStore>(i, results + output + i, taps, output + i, by, areWhole);
                }

                for (; i <= inner - Width; i += Width) cell.Look(i, Width, results + output + i, taps, output + i, by, areWhole);
                if (i < inner) cell.Look(i, (int)(inner - i), results + output + i, taps, output + i, by, areWhole);
            }
        }

        /// <summary>Asks for what the window below this one's looks at beyond it, from the cell above.</summary>
        private void PrefetchBelow(T* cell)
        {
            long row = _all._pool.Width * _all._pool.Inner, length = _all._window.StrideX * _all._pool.Inner;
            cell += Math.Max(_all._window.StrideY, (_all._window.WindowHeight - 1L) * _all._window.DilationY) * row;
            for (long r = 0; r < _all._window.StrideY; r++, cell += row) CpuPool.Prefetch(cell, length);
        }

        /// <summary>A map's windows of parts in so many rows, the first of which begins with this tap.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Join<TCount>(long from, int count, uint firstTap, T* outputs, PoolTaps taps, float counted)
            where TCount : struct, ICount
        {
            (long length, long tapsAfter, uint perRow) = (_all._length, _all._tapsAfter, _all._window.WindowWidth);
            float** partsOf = _partsOf;
            float* columns = _columns;
            Vector512<float> all = Vector512.Create((float)_all._divisor.OfAll), rows = Vector512.Create(counted);
            for (long i = 0; i < length; i += Width)
            {
                long place = from + i;
                float* parts = partsOf[0] + place;
                Vector512<float> value = Vector512.Load(parts);
                Vector512<uint> at = CpuPool.TapsOf<TKind>(parts + tapsAfter, firstTap);
                if (!TKind.IsMaximum) value += Vector512<float>.Zero;
                if (TCount.Value > 0)
                {
                    CpuPool.AddPart<TKind>(ref value, ref at, partsOf[1] + place, tapsAfter, firstTap + perRow);
                    CpuPool.AddPart<TKind>(ref value, ref at, partsOf[2] + place, tapsAfter, firstTap + (2 * perRow));
                    if (TCount.Value == 5)
                    {
                        CpuPool.AddPart<TKind>(ref value, ref at, partsOf[3] + place, tapsAfter, firstTap + (3 * perRow));
                        CpuPool.AddPart<TKind>(ref value, ref at, partsOf[4] + place, tapsAfter, firstTap + (4 * perRow));
                    }
                }
                else
                {
                    for (int r = 1; r < count; r++)
                        CpuPool.AddPart<TKind>(ref value, ref at, partsOf[r] + place, tapsAfter, firstTap + ((uint)r * perRow));
                }

                if (TKind.IsMaximum)
                    taps.Store(i, at);
                else
                    value /= columns == null ? all : rows * Vector512.Load(columns + i);
                CpuElement.Store(outputs + i, value);
            }
        }
    }
}
