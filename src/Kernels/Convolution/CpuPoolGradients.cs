using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>Which part of a window's gradient goes to its elements.</summary>
internal interface IPoolGradient
{
    /// <summary>True when the element that was taken gets all of it; else each has the same share.</summary>
    static abstract bool IsOfTaken { get; }
}

/// <summary>
/// Gradients of maps in vectors: each element gathers from the windows that it is in, in their order. Rows of the windows' gradients are
/// converted once, with zeros around them, and kept for all rows of elements that they reach.
/// </summary>
internal sealed unsafe class PoolGradients<T, TKind>
    where T : unmanaged
    where TKind : struct, IPoolGradient
{
    private const int Width = CpuElement.Width;

    private readonly CpuPool _pool;
    private readonly PoolWindowArguments _window;
    private readonly T* _dy;
    private readonly T* _dx;
    private readonly PoolTaps _taps;
    private readonly CpuDivisor _divisor;
    private readonly bool _streams;
    private readonly bool _isPairs;

    /// <summary>
    /// Elements that are a stride apart meet the same taps, each at a window that is so many after theirs: of one such class after the
    /// other, and in the order of the windows.
    /// </summary>
    private readonly Meeting[] _meetings;

    /// <summary>The first of the meetings of each class, and the end.</summary>
    private readonly int[] _classes;

    private readonly long _stride;
    private readonly long _rowLength;

    /// <summary>Rows of windows that are kept: as many as reach over one row of the map.</summary>
    private readonly long _slots;

    /// <summary>Zeros before the first window of a kept row.</summary>
    private readonly long _before;

    /// <summary>From one kept row to the next.</summary>
    private readonly long _pitch;

    public PoolGradients(in CpuPool pool, T* dy, T* dx, PoolTaps taps, CpuDivisor divisor)
    {
        (_pool, _window, _taps, _divisor) = (pool, pool.Window, taps, divisor);
        _dy = dy;
        _dx = dx;
        (_stride, _rowLength) = (_window.StrideX, pool.Width * pool.Inner);
        _isPairs = pool.IsPairs && pool.Width == 2 * pool.OutWidth && divisor.OfAll != 0 == !TKind.IsOfTaken;
        _streams = CpuStreaming.Pays(dx, pool.Planes * pool.Height * _rowLength * sizeof(T));
        _slots = Math.Min(pool.OutHeight, ((_window.WindowHeight - 1L) * _window.DilationY / _window.StrideY) + 1);
        bool isSmall = Math.Max(_stride, _window.WindowWidth) <= CpuPool.MostBytes / sizeof(long);
        (_meetings, _classes) = isSmall && typeof(T) != typeof(double) ? Meetings(_window) : ([], []);
        long most = 0;
        foreach (Meeting meeting in _meetings)
        {
            _before = Math.Max(_before, -meeting.Ahead);
            most = Math.Max(most, meeting.Ahead);
        }

        long elements = ((pool.Width + _stride - 1) / _stride) + Width;
        _pitch = pool.Inner > 1 ? 0 : (_before + Math.Max(pool.OutWidth, elements + most) + (2 * Width) - 1) & ~(Width - 1L);
        Bytes = !isSmall ? long.MaxValue : PoolMemory.BytesOf<long>(_slots) + PoolMemory.BytesOf<Entry>(_slots * _meetings.Length)
            + PoolMemory.BytesOf<Entry>(_slots)
            + PoolMemory.BytesOf<int>(_stride + 1) + PoolMemory.BytesOf<float>(pool.OutWidth + Width)
            + PoolMemory.BytesOf<T>(PoolStage<T>.LengthFor(_rowLength)) + (2 * PoolMemory.BytesOf<float>(_slots * _pitch));
    }

    /// <summary>Memory that a thread needs.</summary>
    public long Bytes { get; }

    private readonly record struct Meeting(long Tap, long Ahead);

    /// <summary>Gradients of windows that elements add, and the tap that they are of.</summary>
    private readonly record struct Entry(long Offset, uint Tap, float Divisor);

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

    /// <summary>Rows of the map from <paramref name="first"/> to <paramref name="end"/> - 1, of all planes.</summary>
    public void Run(long first, long end)
    {
        PoolMemory memory = new(CpuScratch.Take<byte>(Bytes));
        PoolStage<T> results = new(
            memory.Take<T>(PoolStage<T>.LengthFor(_rowLength)), _dx + (first * _rowLength), _rowLength, _streams, _pool.IsWhole);
        Kept kept = new(this, ref memory);
        (long plane, long row) = Math.DivRem(first, _pool.Height);
        for (long line = first; line < end; line++)
        {
            if (_pool.Inner > 1)
                kept.Cells(plane, row, results.Row);
            else if (_isPairs)
                Pairs(plane, row, results.Row);
            else
                kept.Elements(plane, row, results.Row);
            results.Next();
            if (++row < _pool.Height) continue;
            (plane, row) = (plane + 1, 0);
            kept.Clear();
        }

        results.Flush();
    }

    /// <summary>Windows of 2x2 side by side, channels first: vectors of windows, each with its two elements of the row.</summary>
    private void Pairs(long plane, long row, T* results)
    {
        if (row >= 2 * _pool.OutHeight)
        {
            new Span<T>(results, (int)_pool.Width).Clear();
            return;
        }

        long first = ((plane * _pool.OutHeight) + (row / 2)) * _pool.OutWidth, windows = _pool.OutWidth;
        Vector512<uint> left = Vector512.Create((uint)(row & 1) * 2), right = left + Vector512<uint>.One;
        Vector512<float> all = Vector512.Create((float)_divisor.OfAll);
        for (long column = 0; column < windows; column += Width)
        {
            int count = (int)Math.Min(Width, windows - column);
            Vector512<float> even = Vector512<float>.Zero + CpuElement.Load(_dy + first + column, count), odd;
            if (TKind.IsOfTaken)
            {
                Vector512<uint> taps = _taps.Load(first + column, count);
                odd = even & Vector512.Equals(taps, right).AsSingle();
                even &= Vector512.Equals(taps, left).AsSingle();
            }
            else
            {
                odd = even /= all;
            }

            (even, odd) = CpuPool.Interleave(even, odd);
            CpuElement.Store(results + (2 * column), even);
            CpuElement.Store(results + (2 * column) + Width, odd);
        }
    }

    /// <summary>Rows of windows of one map, kept for the rows of elements to come.</summary>
    private readonly ref struct Kept
    {
        private readonly PoolGradients<T, TKind> _all;
        private readonly PoolRing _ring;
        private readonly Entry* _entries;
        private readonly Entry* _rows;
        private readonly int* _ends;
        private readonly float* _divisors;
        private readonly float* _gradients;
        private readonly uint* _taps;

        public Kept(PoolGradients<T, TKind> all, ref PoolMemory memory)
        {
            _all = all;
            _ring = new PoolRing(memory.Take<long>(all._slots), all._slots);
            _entries = memory.Take<Entry>(all._slots * all._meetings.Length);
            _rows = memory.Take<Entry>(all._slots);
            _ends = memory.Take<int>(all._stride + 1);
            _divisors = memory.Take<float>(all._pool.OutWidth + Width);
            _gradients = memory.Take<float>(all._slots * all._pitch);
            _taps = memory.Take<uint>(all._slots * all._pitch);
            new Span<float>(_gradients, (int)(all._slots * all._pitch)).Clear();
            new Span<uint>(_taps, (int)(all._slots * all._pitch)).Fill(uint.MaxValue);
            Clear();
        }

        /// <summary>The rows are those of another map.</summary>
        public void Clear() => _ring.Clear();

        /// <summary>Channels first: a row in vectors of elements that meet the same taps.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Elements(long plane, long row, T* results)
        {
            Collect(plane, row);
            long elements = (_all._pool.Width + _all._stride - 1) / _all._stride;
            switch (_all._stride)
            {
                case 1:
                    for (long k = 0; k < elements; k += Width) CpuElement.Store(results + k, Gather(0, k));
                    break;
                case 2:
                    for (long k = 0; k < elements; k += Width)
                    {
                        (Vector512<float> low, Vector512<float> high) = CpuPool.Interleave(Gather(0, k), Gather(1, k));
                        CpuElement.Store(results + (2 * k), low);
                        CpuElement.Store(results + (2 * k) + Width, high);
                    }

                    break;
                default:
                    float* lanes = stackalloc float[Width];
                    for (int first = 0; first < Math.Min(_all._stride, _all._pool.Width); first++)
                    {
                        long count = (_all._pool.Width - first + _all._stride - 1) / _all._stride;
                        for (long k = 0; k < count; k += Width)
                        {
                            Gather(first, k).Store(lanes);
                            T* to = results + (k * _all._stride) + first;
                            for (int i = 0; i < Width && k + i < count; i++, to += _all._stride) *to = CpuElement.FromSingle<T>(lanes[i]);
                        }
                    }

                    break;
            }
        }

        /// <summary>Channels last: vectors of channels, cell by cell.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Cells(long plane, long row, T* results)
        {
            CpuPool pool = _all._pool;
            PoolWindowArguments window = _all._window;
            CpuPoolGradientLine line = new(pool, (plane * pool.Height) + row);
            float all = (float)_all._divisor.OfAll;
            long column = 0;
            int first = 0;
            for (long w = 0; w < pool.Width; w++, results += pool.Inner)
            {
                int count = 0;
                for (uint i = line.FirstRow; i <= line.LastRow; i++)
                {
                    if (line.RowTap(i) is not (>= 0 and var r)) continue;
                    for (int n = _all._classes[first]; n < _all._classes[first + 1]; n++)
                    {
                        Meeting meeting = _all._meetings[n];
                        long j = column + meeting.Ahead;
                        if ((ulong)j >= (ulong)pool.OutWidth) continue;
                        uint tap = (uint)((r * window.WindowWidth) + meeting.Tap);
                        float by = all != 0 || TKind.IsOfTaken ? 0 : (float)_all._divisor.Of(i, j);
                        _entries[count++] = new Entry(line.Output(i, j), tap, by);
                    }
                }

                if (_all._taps.Bytes == 1 || !TKind.IsOfTaken)
                    Sum<byte>(_all._dy, _all._taps, _entries, _entries + count, pool.Inner, all, results);
                else
                    Sum<uint>(_all._dy, _all._taps, _entries, _entries + count, pool.Inner, all, results);

                if (++first < _all._stride) continue;
                (first, column) = (0, column + 1);
            }
        }

        /// <summary>The channels of a cell.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Sum<TIndex>(T* dy, PoolTaps taps, Entry* first, Entry* end, long channels, float divisor, T* results)
            where TIndex : unmanaged
        {
            for (long i = 0; i < channels; i += Width)
            {
                int count = (int)Math.Min(Width, channels - i);
                Vector512<float> sum = Vector512<float>.Zero;
                for (Entry* entry = first; entry < end; entry++)
                {
                    long from = entry->Offset + i;
                    Vector512<float> gradient = CpuElement.Load(dy + from, count);
                    if (TKind.IsOfTaken)
                        gradient &= Vector512.Equals(taps.Load<TIndex>(from, count), Vector512.Create(entry->Tap)).AsSingle();
                    else if (entry->Divisor != 0)
                        gradient /= Vector512.Create(entry->Divisor);
                    sum += gradient;
                }

                CpuElement.Store(results + i, divisor == 0 ? sum : sum / Vector512.Create(divisor));
            }
        }

        /// <summary>What the elements of a row add, class by class.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Collect(long plane, long row)
        {
            PoolWindowArguments window = _all._window;
            uint place = (uint)row + window.PadTop, step = window.DilationY;
            (uint firstRow, uint lastRow) = CpuPoolGradientLine.Range(
                place, (window.WindowHeight - 1) * step, window.StrideY, window.OutHeight);
            int rows = 0;
            for (uint i = firstRow; i <= lastRow; i++)
            {
                uint distance = place - (i * window.StrideY);
                if (step != 1 && distance % step != 0) continue;
                if (_ring.Needs(i, out long slot)) Convert(((plane * window.OutHeight) + i) * window.OutWidth, i, slot);
                _rows[rows++] = new Entry((slot * _all._pitch) + _all._before, distance / step * window.WindowWidth, 0);
            }

            int count = 0;
            ReadOnlySpan<Meeting> meetings = _all._meetings;
            ReadOnlySpan<int> classes = _all._classes;
            for (int first = 0; first + 1 < classes.Length; first++)
            {
                for (Entry* of = _rows; of < _rows + rows; of++)
                {
                    for (int n = classes[first]; n < classes[first + 1]; n++)
                        _entries[count++] = new Entry(of->Offset + meetings[n].Ahead, of->Tap + (uint)meetings[n].Tap, 0);
                }

                _ends[first + 1] = count;
            }

            _ends[0] = 0;
        }

        /// <summary>Keeps a row of windows. What is around it stays.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Convert(long from, uint row, long slot)
        {
            long at = (slot * _all._pitch) + _all._before, windows = _all._pool.OutWidth;
            bool divides = !TKind.IsOfTaken && _all._divisor.OfAll == 0;
            if (divides)
            {
                for (long column = 0; column < windows; column++) _divisors[column] = (float)_all._divisor.Of(row, column);
            }

            for (long column = 0; column < windows; column += Width)
            {
                int count = (int)Math.Min(Width, windows - column);
                Vector512<float> gradient = CpuElement.Load(_all._dy + from + column, count);
                if (divides) gradient /= Vector512.Load(_divisors + column);
                CpuElement.Store(_gradients + at + column, gradient, count);
                if (TKind.IsOfTaken)
                    CpuElement.Store((float*)_taps + at + column, _all._taps.Load(from + column, count).AsSingle(), count);
            }
        }

        /// <summary>The sums of a class's elements from number <paramref name="k"/> on.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector512<float> Gather(int first, long k)
        {
            Vector512<float> sum = Vector512<float>.Zero;
            float* gradients = _gradients + k;
            uint* taps = _taps + k;
            Entry* end = _entries + _ends[first + 1];
            for (Entry* entry = _entries + _ends[first]; entry < end; entry++)
            {
                Vector512<float> gradient = Vector512.Load(gradients + entry->Offset);
                if (TKind.IsOfTaken)
                    gradient &= Vector512.Equals(Vector512.Load(taps + entry->Offset), Vector512.Create(entry->Tap)).AsSingle();
                sum += gradient;
            }

            return TKind.IsOfTaken || _all._divisor.OfAll == 0 ? sum : sum / Vector512.Create((float)_all._divisor.OfAll);
        }
    }
}
