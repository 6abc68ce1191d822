using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class MaxPool2d
{
    private const int Width = CpuElement.Width;

    private readonly struct CpuForward : ICpuKernel<MaxPool2dForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dForwardArguments a)
            where T : unmanaged
        {
            CpuPool pool = CpuPool.Of(a.PoolWindow, a.PoolChunks, variant.VectorWidth, a.Jobs);
            Forward(pool, a.X.Pointer<T>(), a.Y.Pointer<T>(), new PoolTaps(a.Indices.Pointer<byte>(), (int)a.IndexBytes));
        }
    }

    private readonly struct CpuForward2x2 : ICpuKernel<MaxPool2dForward2x2Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dForward2x2Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            CpuPool pool = CpuPool.TwoApart(2, a.Height, 8 * lines.Columns, lines.Rows, a.Jobs, lines);
            Forward(pool, a.X.Pointer<T>(), a.Y.Pointer<T>(), new PoolTaps(a.Indices.Pointer<byte>(), 1));
        }
    }

    private readonly struct CpuForward3x3 : ICpuKernel<MaxPool2dForward3x3Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dForward3x3Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            CpuPool pool = CpuPool.TwoApart(3, a.Height, 8 * lines.Columns, lines.Rows, a.Jobs, lines);
            Forward(pool, a.X.Pointer<T>(), a.Y.Pointer<T>(), new PoolTaps(a.Indices.Pointer<byte>(), 1));
        }
    }

    private readonly struct CpuBackward : ICpuKernel<MaxPool2dBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dBackwardArguments a)
            where T : unmanaged
        {
            CpuPool pool = CpuPool.Of(a.PoolWindow, a.PoolChunks, variant.VectorWidth, a.Jobs);
            Backward(pool, new PoolTaps(a.Indices.Pointer<byte>(), (int)a.IndexBytes), a.Dy.Pointer<T>(), a.Dx.Pointer<T>());
        }
    }

    private readonly struct CpuBackward2x2 : ICpuKernel<MaxPool2dBackward2x2Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dBackward2x2Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            uint width = (sizeof(T) == 2 ? 8u : 4) * lines.Columns;
            CpuPool pool = CpuPool.TwoApart(2, a.Height, width, a.OutHeight, a.Jobs, lines);
            Backward(pool, new PoolTaps(a.Indices.Pointer<byte>(), 1), a.Dy.Pointer<T>(), a.Dx.Pointer<T>());
        }
    }

    private readonly struct CpuBackward3x3 : ICpuKernel<MaxPool2dBackward3x3Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dBackward3x3Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            uint width = (sizeof(T) == 2 ? 8u : 4) * lines.Columns;
            CpuPool pool = CpuPool.TwoApart(3, a.Height, width, a.OutHeight, a.Jobs, lines);
            Backward(pool, new PoolTaps(a.Indices.Pointer<byte>(), 1), a.Dy.Pointer<T>(), a.Dx.Pointer<T>());
        }
    }

    private static void Forward<T>(CpuPool pool, T* x, T* y, PoolTaps indices)
        where T : unmanaged
    {
        ForwardRows<T> rows = new(pool, x, y, indices);
        bool isVectorised = typeof(T) != typeof(double) && rows.Bytes <= CpuPool.MostBytes;
        CpuPool.ForLines(pool.Planes * pool.OutHeight, pool.Width * pool.Inner * pool.Window.StrideY, (first, end) =>
        {
            if (isVectorised)
            {
                rows.Run(first, end);
                return;
            }

            for (long line = first; line < end; line++) Elements(pool, x, y, indices, line);
        });
    }

    /// <summary>The windows of one row of the output, element by element.</summary>
    private static void Elements<T>(in CpuPool pool, T* x, T* y, PoolTaps indices, long number)
        where T : unmanaged
    {
        PoolWindowArguments window = pool.Window;
        long inner = pool.Inner;
        CpuPoolLine<T> line = new(pool, x, number);
        for (long column = 0; column < pool.OutWidth; column++)
        {
            (long tap, long place) = line.FirstColumn(column);
            for (long i = 0; i < inner; i++)
            {
                T* row = line.Rows + i;
                T taken = row[place * inner];
                (double best, long at) = (double.NegativeInfinity, (line.FirstTap * window.WindowWidth) + tap);
                for (long r = line.FirstTap; r < line.EndTap; r++, row += line.RowStep)
                {
                    long w = place;
                    for (long s = tap; s < window.WindowWidth && w < window.Width; s++, w += window.DilationX)
                    {
                        double value = CpuElement.ToDouble(row[w * inner]);
                        if (value > best || double.IsNaN(value))
                            (best, at, taken) = (value, (r * window.WindowWidth) + s, row[w * inner]);
                    }
                }

                long output = line.Output + (column * inner) + i;
                y[output] = taken;
                indices.Store(output, (uint)at);
            }
        }
    }

    /// <summary>
    /// Windows in vectors. Each row of the map is looked through once: the largest of every window's part of it, and which that was, are
    /// kept for all rows of windows that meet it. Of two parts the later counts if it is larger or NaN, as with elements.
    /// </summary>
    private sealed class ForwardRows<T>
        where T : unmanaged
    {
        private readonly CpuPool _pool;
        private readonly PoolWindowArguments _window;
        private readonly PoolPhases _phases;
        private readonly T* _x;
        private readonly T* _y;
        private readonly PoolTaps _indices;
        private readonly bool _streams;

        /// <summary>Elements of a row of the output.</summary>
        private readonly long _length;

        /// <summary>From one kept row to the next.</summary>
        private readonly long _pitch;

        /// <summary>Channels last, and no row of the map meets two rows of windows: nothing is kept.</summary>
        private readonly bool _isDirect;

        /// <summary>Rows of the map from the first to the last of a window, which are kept.</summary>
        private readonly long _slots;

        public ForwardRows(in CpuPool pool, T* x, T* y, PoolTaps indices)
        {
            (_pool, _window, _phases, _indices) = (pool, pool.Window, new PoolPhases(pool.Window), indices);
            _x = x;
            _y = y;
            _length = pool.OutWidth * pool.Inner;
            _pitch = (_length + (2 * Width) - 1) & ~(Width - 1L);
            long reach = (_window.WindowHeight - 1L) * _window.DilationY;
            _isDirect = pool.Inner > 1 && _window.StrideY > reach;
            _slots = _isDirect ? 0 : Math.Min(pool.Height, reach + 1);
            _streams = CpuStreaming.Pays(y, pool.Planes * pool.OutHeight * _length * sizeof(T));
            Bytes = PoolMemory.BytesOf<long>(_slots) + (2 * PoolMemory.BytesOf<long>(_window.WindowHeight))
                + PoolMemory.BytesOf<T>(PoolStage<T>.LengthFor(_length)) + PoolMemory.BytesOf<byte>(StageOfIndices())
                + (PoolMemory.BytesOf<float>(_slots * _pitch) * 2)
                + (pool.Inner > 1
                    ? 0 : PoolMemory.BytesOf<float>(_phases.Length) + PoolMemory.BytesOf<float>(_pitch) + OffsetBytes);
        }

        /// <summary>Memory that a thread needs.</summary>
        public long Bytes { get; }

        private long OffsetBytes => PoolMemory.BytesOf<long>(_window.WindowWidth);

        private long StageOfIndices() => PoolStage<byte>.LengthFor(_length * _indices.Bytes) + (Width * sizeof(uint));

        /// <summary>Rows of the output from <paramref name="first"/> to <paramref name="end"/> - 1, of all planes.</summary>
        public void Run(long first, long end)
        {
            PoolMemory memory = new(CpuScratch.Take<byte>(Bytes));
            PoolStage<T> outputs = new(
                memory.Take<T>(PoolStage<T>.LengthFor(_length)), _y + (first * _length), _length, _streams, _pool.IsWhole);
            PoolStage<byte> taps = new(
                memory.Take<byte>(StageOfIndices()), _indices.At(first * _length), _length * _indices.Bytes, _streams, _pool.IsWhole);
            Kept kept = new(this, ref memory);
            (long plane, long row) = Math.DivRem(first, _pool.OutHeight);
            for (long line = first; line < end; line++)
            {
                T* map = _x + (plane * _pool.Height * _pool.Width * _pool.Inner);
                PoolTaps at = new(_indices.ArePresent ? taps.Row : null, _indices.Bytes);
                if (_pool.IsPairs)
                    Pairs(map + (row * _window.StrideY * _pool.Width), outputs.Row, at);
                else
                    kept.Windows(map, row, outputs.Row, at);
                outputs.Next();
                if (_indices.ArePresent) taps.Next();
                if (++row < _pool.OutHeight) continue;
                (plane, row) = (plane + 1, 0);
                kept.Clear();
            }

            outputs.Flush();
            if (_indices.ArePresent) taps.Flush();
        }

        /// <summary>Windows of 2x2 side by side, which share nothing.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Pairs(T* row, T* outputs, PoolTaps taps)
        {
            long windows = _pool.OutWidth, width = _pool.Width;
            for (long column = 0; column < windows; column += Width)
            {
                T* from = row + (2 * column);
                (Vector512<float> upper, Vector512<float> upperOdd) = CpuPool.LoadPairs(from, windows - column);
                (Vector512<float> lower, Vector512<float> lowerOdd) = CpuPool.LoadPairs(from + width, windows - column);
                Vector512<uint> up = Vector512<uint>.Zero, down = Vector512.Create(2u);
                Take(ref upper, ref up, upperOdd, Vector512<uint>.One);
                Take(ref lower, ref down, lowerOdd, Vector512.Create(3u));
                Take(ref upper, ref up, lower, down);
                CpuElement.Store(outputs + column, upper);
                taps.Store(column, up);
            }
        }

        /// <summary>Channels last: vectors of channels, over so many rows of the map, the first of which begins with this tap.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Cells<TResult>(T* from, long rows, uint firstTap, TResult* results, PoolTaps taps)
            where TResult : unmanaged
        {
            long inner = _pool.Inner, step = _window.DilationX, apart = step * inner, down = _window.DilationY * _pool.Width * inner;
            long stride = _window.StrideX, output = 0;
            uint perRow = _window.WindowWidth;
            for (long column = 0, start = -(long)_window.PadLeft; column < _pool.OutWidth; column++, start += stride, output += inner)
            {
                long first = start >= 0 ? 0 : (-start + step - 1) / step;
                long end = first;
                while (end < perRow && start + (end * step) < _pool.Width) end++;
                T* cell = from + ((start + (first * step)) * inner);
                Window window = new(cell, rows, down, end - first, apart, firstTap + (uint)first, perRow);
                long i = 0;
                for (; i <= inner - Width; i += Width) window.Take(i, Width, results + output + i, taps, output + i);
                if (i < inner) window.Take(i, (int)(inner - i), results + output + i, taps, output + i);
            }
        }

        /// <summary>A window, channels last: so many rows and columns, from a cell and a tap on.</summary>
        private readonly struct Window(T* cell, long rows, long down, long columns, long apart, uint firstTap, uint perRow)
        {
            /// <summary>Takes the largest of channel number <paramref name="i"/> and those after it.</summary>
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public void Take<TResult>(long i, int count, TResult* result, PoolTaps taps, long output)
                where TResult : unmanaged
            {
                Vector512<float> best = Vector512.Create(float.NegativeInfinity);
                Vector512<uint> at = Vector512.Create(firstTap);
                T* row = cell + i;
                uint rowTap = firstTap;
                for (long r = rows; r > 0; r--, row += down, rowTap += perRow)
                {
                    T* place = row;
                    uint tap = rowTap;
                    for (long s = columns; s > 0; s--, place += apart)
                        MaxPool2d.Take(ref best, ref at, CpuElement.Load(place, count), Vector512.Create(tap++));
                }

                CpuElement.Store(result, best);
                taps.Store(output, at);
            }
        }

        /// <summary>The parts of windows that rows of one map have, kept for the rows of windows to come.</summary>
        private readonly ref struct Kept
        {
            private readonly ForwardRows<T> _all;
            private readonly PoolRing _ring;
            private readonly float* _best;
            private readonly uint* _at;
            private readonly float** _bestOf;
            private readonly uint** _atOf;
            private readonly float* _row;
            private readonly uint* _firstTaps;
            private readonly long* _offsets;

            public Kept(ForwardRows<T> all, ref PoolMemory memory)
            {
                _all = all;
                PoolWindowArguments window = all._window;
                _ring = new PoolRing(memory.Take<long>(all._slots), all._slots);
                _bestOf = (float**)memory.Take<long>(window.WindowHeight);
                _atOf = (uint**)memory.Take<long>(window.WindowHeight);
                _best = memory.Take<float>(all._slots * all._pitch);
                _at = memory.Take<uint>(all._slots * all._pitch);
                Clear();
                if (all._pool.Inner > 1) return;
                _row = memory.Take<float>(all._phases.Length);
                _firstTaps = memory.Take<uint>(all._pitch);
                _offsets = memory.Take<long>(window.WindowWidth);
                new Span<float>(_row, (int)all._phases.Length).Fill(float.NegativeInfinity);
                for (long tap = 0; tap < window.WindowWidth; tap++) _offsets[tap] = all._phases.OffsetOf(tap);
                new Span<uint>(_firstTaps, (int)all._pitch).Clear();
                for (long column = 0, before = window.PadLeft; before > 0 && column < window.OutWidth; column++, before -= window.StrideX)
                    _firstTaps[column] = (uint)((before + window.DilationX - 1) / window.DilationX);
            }

            /// <summary>The rows are those of another map.</summary>
            public void Clear() => _ring.Clear();

            /// <summary>A row of windows.</summary>
            public void Windows(T* map, long row, T* outputs, PoolTaps taps)
            {
                PoolWindowArguments window = _all._window;
                long start = (row * window.StrideY) - window.PadTop, step = window.DilationY;
                long first = start >= 0 ? 0 : (-start + step - 1) / step;
                long end = Math.Min(window.WindowHeight, (window.Height - start + step - 1) / step);
                long rowLength = _all._pool.Width * _all._pool.Inner;
                uint firstTap = (uint)first * window.WindowWidth;
                if (_all._isDirect)
                {
                    _all.Cells(map + ((start + (first * step)) * rowLength), end - first, firstTap, outputs, taps);
                    return;
                }

                int count = 0;
                for (long r = first; r < end; r++)
                {
                    long h = start + (r * step);
                    if (_ring.Needs(h, out long slot))
                    {
                        T* from = map + (h * rowLength);
                        float* best = _best + (slot * _all._pitch);
                        uint* at = _at + (slot * _all._pitch);
                        if (_all._pool.Inner > 1)
                            _all.Cells(from, 1, 0, best, new PoolTaps((byte*)at, sizeof(uint)));
                        else
                            Neighbours(from, best, at);
                    }

                    _bestOf[count] = _best + (slot * _all._pitch);
                    _atOf[count++] = _at + (slot * _all._pitch);
                }

                Join(firstTap, count, outputs, taps);
            }

            /// <summary>Channels first: vectors of neighbouring windows.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void Neighbours(T* from, float* best, uint* at)
            {
                _all._phases.Fill(from, _row);
                long windows = _all._length;
                int taps = (int)_all._window.WindowWidth;
                for (long column = 0; column < windows; column += Width)
                {
                    Vector512<float> largest = Vector512.Create(float.NegativeInfinity);
                    Vector512<uint> taken = Vector512.Load(_firstTaps + column);
                    for (int s = 0; s < taps; s++)
                        Take(ref largest, ref taken, Vector512.Load(_row + _offsets[s] + column), Vector512.Create((uint)s));
                    largest.Store(best + column);
                    taken.Store(at + column);
                }
            }

            /// <summary>The largest of the parts in so many rows, the first of which begins with this tap.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void Join(uint firstTap, int rows, T* outputs, PoolTaps taps)
            {
                uint perRow = _all._window.WindowWidth;
                for (long i = 0; i < _all._length; i += Width)
                {
                    Vector512<float> best = Vector512.Load(_bestOf[0] + i);
                    Vector512<uint> at = Vector512.Load(_atOf[0] + i) + Vector512.Create(firstTap);
                    for (int r = 1; r < rows; r++)
                    {
                        Vector512<uint> others = Vector512.Load(_atOf[r] + i) + Vector512.Create(firstTap + ((uint)r * perRow));
                        Take(ref best, ref at, Vector512.Load(_bestOf[r] + i), others);
                    }

                    CpuElement.Store(outputs + i, best);
                    taps.Store(i, at);
                }
            }
        }
    }

    /// <summary>Takes values that are larger than the best so far, or NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Take(ref Vector512<float> best, ref Vector512<uint> at, Vector512<float> values, Vector512<uint> taps)
    {
        Vector512<float> larger = Vector512.GreaterThan(values, best) | ~Vector512.Equals(values, values);
        best = Vector512.ConditionalSelect(larger, values, best);
        at = Vector512.ConditionalSelect(larger.AsUInt32(), taps, at);
    }
}
