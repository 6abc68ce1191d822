using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class AveragePool2d
{
    private const int Width = CpuElement.Width;

    /// <summary>Channels whose sums over a map are made together.</summary>
    private const int ChannelBlock = 512;

    private readonly struct CpuForward : ICpuKernel<AveragePool2dForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AveragePool2dForwardArguments a)
            where T : unmanaged
        {
            CpuPool pool = CpuPool.Of(a.PoolWindow, a.PoolChunks, variant.VectorWidth, a.Jobs);
            Forward(pool, new CpuDivisor(pool.Window, a.AverageDivisor), a.X.Pointer<T>(), a.Y.Pointer<T>());
        }
    }

    private readonly struct CpuForward2x2 : ICpuKernel<AveragePool2dForward2x2Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in AveragePool2dForward2x2Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            CpuPool pool = CpuPool.TwoApart(2, a.Height, 8 * lines.Columns, lines.Rows, a.Jobs, lines);
            Forward(pool, CpuDivisor.ForAll(pool.Window, a.Divisor), a.X.Pointer<T>(), a.Y.Pointer<T>());
        }
    }

    private readonly struct CpuBackward : ICpuKernel<AveragePool2dBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AveragePool2dBackwardArguments a)
            where T : unmanaged
        {
            CpuPool pool = CpuPool.Of(a.PoolWindow, a.PoolChunks, variant.VectorWidth, a.Jobs);
            Backward(pool, new CpuDivisor(pool.Window, a.AverageDivisor), a.Dy.Pointer<T>(), a.Dx.Pointer<T>());
        }
    }

    private readonly struct CpuBackward2x2 : ICpuKernel<AveragePool2dBackward2x2Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in AveragePool2dBackward2x2Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            uint width = (sizeof(T) == 2 ? 8u : 4) * lines.Columns;
            CpuPool pool = CpuPool.TwoApart(2, a.Height, width, a.OutHeight, a.Jobs, lines);
            Backward(pool, CpuDivisor.ForAll(pool.Window, a.Divisor), a.Dy.Pointer<T>(), a.Dx.Pointer<T>());
        }
    }

    private readonly struct CpuGlobal : ICpuKernel<AveragePool2dGlobalArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AveragePool2dGlobalArguments arguments)
            where T : unmanaged
        {
            AveragePool2dGlobalArguments a = arguments;
            long cells = (long)a.Cells;
            CpuPool.ForLines((long)a.Planes, cells, (first, end) =>
            {
                for (long plane = first; plane < end; plane++)
                {
                    T* x = a.X.Pointer<T>() + (plane * cells);
                    a.Y.Pointer<T>()[plane] = typeof(T) == typeof(double)
                        ? CpuElement.FromDouble<T>(Sum<T, double>(x, cells) / a.Divisor)
                        : CpuElement.FromSingle<T>(Sum<T, float>(x, cells) / (float)a.Divisor);
                }
            });
        }

        /// <summary>Four sums in each lane, so that an addition need not wait for the one before.</summary>
        private static TReal Sum<T, TReal>(T* x, long count)
            where T : unmanaged
            where TReal : unmanaged
        {
            int width = Vector512<TReal>.Count;
            Vector512<TReal> a = Vector512<TReal>.Zero, b = a, c = a, d = a;
            long i = 0;
            for (; i + (4 * width) <= count; i += 4 * width)
            {
                a += CpuReal.Load<T, TReal>(x + i, width);
                b += CpuReal.Load<T, TReal>(x + i + width, width);
                c += CpuReal.Load<T, TReal>(x + i + (2 * width), width);
                d += CpuReal.Load<T, TReal>(x + i + (3 * width), width);
            }

            for (; i < count; i += width) a += CpuReal.Load<T, TReal>(x + i, (int)Math.Min(width, count - i));
            return Vector512.Sum((a + b) + (c + d));
        }
    }

    private readonly struct CpuGlobalChannels : ICpuKernel<AveragePool2dGlobalChannelsArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AveragePool2dGlobalChannelsArguments arguments)
            where T : unmanaged
        {
            AveragePool2dGlobalChannelsArguments a = arguments;
            long channels = variant.VectorWidth * (long)a.Chunks, planes = (long)(a.Tiles / a.SidesOfPlane);
            CpuPool.ForLines(planes, (long)a.Cells * channels, (first, end) =>
            {
                for (long plane = first; plane < end; plane++)
                {
                    T* x = a.X.Pointer<T>() + (plane * (long)a.Cells * channels), y = a.Y.Pointer<T>() + (plane * channels);
                    if (typeof(T) == typeof(double))
                        Means<T, double>(x, y, (long)a.Cells, channels, a.Divisor);
                    else
                        Means<T, float>(x, y, (long)a.Cells, channels, (float)a.Divisor);
                }
            });
        }

        /// <summary>
        /// Cells in four interleaved sums: shorter chains, of additions and of roundings. Their channels are added block by block, so that
        /// memory is read along its rows.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Means<T, TReal>(T* x, T* y, long cells, long channels, TReal divisor)
            where T : unmanaged
            where TReal : unmanaged
        {
            TReal* sums = stackalloc TReal[4 * ChannelBlock];
            for (long first = 0; first < channels; first += ChannelBlock)
            {
                int block = (int)Math.Min(ChannelBlock, channels - first);
                new Span<TReal>(sums, 4 * ChannelBlock).Clear();
                for (long cell = 0; cell < cells; cell++)
                {
                    T* from = x + (cell * channels) + first;
                    TReal* to = sums + (cell < (cells & ~3L) ? (cell & 3) * ChannelBlock : 0);
                    for (int i = 0; i < block; i += Vector512<TReal>.Count)
                    {
                        int count = Math.Min(Vector512<TReal>.Count, block - i);
                        (Vector512.Load(to + i) + CpuReal.Load<T, TReal>(from + i, count)).Store(to + i);
                    }
                }

                for (int i = 0; i < block; i += Vector512<TReal>.Count)
                {
                    TReal* sum = sums + i;
                    Vector512<TReal> a = Vector512.Load(sum), b = Vector512.Load(sum + ChannelBlock);
                    Vector512<TReal> c = Vector512.Load(sum + (2 * ChannelBlock)), d = Vector512.Load(sum + (3 * ChannelBlock));
                    int count = Math.Min(Vector512<TReal>.Count, block - i);
                    CpuReal.Store(y + first + i, ((a + b) + (c + d)) / Vector512.Create(divisor), count);
                }
            }
        }
    }

    private readonly struct CpuGlobalBackward : ICpuKernel<AveragePool2dGlobalBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AveragePool2dGlobalBackwardArguments arguments)
            where T : unmanaged
        {
            AveragePool2dGlobalBackwardArguments a = arguments;
            long cells = (long)a.Cells;
            CpuPool.ForLines((long)a.Count / cells, cells, (first, end) =>
            {
                for (long plane = first; plane < end; plane++)
                {
                    T gradient = a.Dy.Pointer<T>()[plane];
                    T result = typeof(T) == typeof(double)
                        ? CpuElement.FromDouble<T>((0 + CpuElement.ToDouble(gradient)) / a.Divisor)
                        : CpuElement.FromSingle<T>((0 + CpuElement.ToSingle(gradient)) / (float)a.Divisor);
                    T* dx = a.Dx.Pointer<T>() + (plane * cells);
                    for (long i = 0; i < cells; i += int.MaxValue) new Span<T>(dx + i, (int)Math.Min(int.MaxValue, cells - i)).Fill(result);
                }
            });
        }
    }

    private static void Forward<T>(CpuPool pool, CpuDivisor divisor, T* x, T* y)
        where T : unmanaged
    {
        ForwardRows<T> rows = new(pool, divisor, x, y);
        bool isVectorised = typeof(T) != typeof(double) && rows.Bytes <= CpuPool.MostBytes;
        CpuPool.ForLines(pool.Planes * pool.OutHeight, pool.Width * pool.Inner * pool.Window.StrideY, (first, end) =>
        {
            if (isVectorised)
            {
                rows.Run(first, end);
                return;
            }

            for (long line = first; line < end; line++) Elements(pool, divisor, x, y, line);
        });
    }

    /// <summary>The windows of one row of the output, element by element, each summed row by row.</summary>
    private static void Elements<T>(in CpuPool pool, in CpuDivisor divisor, T* x, T* y, long number)
        where T : unmanaged
    {
        PoolWindowArguments window = pool.Window;
        long inner = pool.Inner;
        CpuPoolLine<T> line = new(pool, x, number);
        for (long column = 0; column < pool.OutWidth; column++)
        {
            (long tap, long place) = line.FirstColumn(column);
            double by = divisor.Of(line.Row, column);
            for (long i = 0; i < inner; i++)
            {
                T* row = line.Rows + i;
                (float sum, double wide) = (0, 0);
                for (long r = line.FirstTap; r < line.EndTap; r++, row += line.RowStep)
                {
                    long w = place;
                    for (long s = tap; s < window.WindowWidth && w < window.Width; s++, w += window.DilationX)
                    {
                        if (typeof(T) == typeof(double))
                            wide += CpuElement.ToDouble(row[w * inner]);
                        else
                            sum += CpuElement.ToSingle(row[w * inner]);
                    }
                }

                y[line.Output + (column * inner) + i] = typeof(T) == typeof(double)
                    ? CpuElement.FromDouble<T>(wide / by) : CpuElement.FromSingle<T>(sum / (float)by);
            }
        }
    }

    private static void Backward<T>(CpuPool pool, CpuDivisor divisor, T* dy, T* dx)
        where T : unmanaged
    {
        PoolGradients<T, OfAll> gradients = new(pool, dy, dx, default, divisor);
        bool isVectorised = typeof(T) != typeof(double) && gradients.Bytes <= CpuPool.MostBytes;
        CpuPool.ForLines(pool.Planes * pool.Height, pool.Width * pool.Inner, (first, end) =>
        {
            if (isVectorised)
            {
                gradients.Run(first, end);
                return;
            }

            for (long line = first; line < end; line++) GatherElements(pool, divisor, dy, dx, line);
        });
    }

    /// <summary>One row of the map, element by element: gradients of windows in their order.</summary>
    private static void GatherElements<T>(in CpuPool pool, in CpuDivisor divisor, T* dy, T* dx, long number)
        where T : unmanaged
    {
        PoolWindowArguments window = pool.Window;
        CpuPoolGradientLine line = new(pool, number);
        bool byAll = divisor.OfAll != 0;
        for (long w = 0; w < pool.Width; w++)
        {
            uint place = (uint)w + window.PadLeft;
            (uint firstColumn, uint lastColumn) = line.ColumnsOf(place);
            for (long i = 0; i < pool.Inner; i++)
            {
                (float sum, double wide) = (0, 0);
                for (uint row = line.FirstRow; row <= line.LastRow; row++)
                {
                    if (line.RowTap(row) < 0) continue;
                    for (uint column = firstColumn; column <= lastColumn; column++)
                    {
                        if (line.ColumnTap(place, column) < 0) continue;
                        T gradient = dy[line.Output(row, column) + i];
                        double by = byAll ? 1 : divisor.Of(row, column);
                        if (typeof(T) == typeof(double))
                            wide += CpuElement.ToDouble(gradient) / by;
                        else
                            sum += CpuElement.ToSingle(gradient) / (float)by;
                    }
                }

                if (byAll) (sum, wide) = (sum / (float)divisor.OfAll, wide / divisor.OfAll);
                dx[line.Target + (w * pool.Inner) + i] = typeof(T) == typeof(double)
                    ? CpuElement.FromDouble<T>(wide) : CpuElement.FromSingle<T>(sum);
            }
        }
    }

    /// <summary>Each element of a window gets the same share.</summary>
    private readonly struct OfAll : IPoolGradient
    {
        public static bool IsOfTaken => false;
    }

    /// <summary>
    /// Windows in vectors, each summed row by row. Channels first, rows of the map are converted once for all that meet them.
    /// </summary>
    private sealed class ForwardRows<T>
        where T : unmanaged
    {
        private readonly CpuPool _pool;
        private readonly PoolWindowArguments _window;
        private readonly PoolPhases _phases;
        private readonly CpuDivisor _divisor;
        private readonly T* _x;
        private readonly T* _y;
        private readonly bool _streams;

        /// <summary>Elements of a row of the output.</summary>
        private readonly long _length;

        /// <summary>Rows of the map from the first to the last of a window, which are kept.</summary>
        private readonly long _slots;

        public ForwardRows(in CpuPool pool, CpuDivisor divisor, T* x, T* y)
        {
            (_pool, _window, _phases, _divisor) = (pool, pool.Window, new PoolPhases(pool.Window), divisor);
            _x = x;
            _y = y;
            _length = pool.OutWidth * pool.Inner;
            _slots = Math.Min(pool.Height, ((_window.WindowHeight - 1L) * _window.DilationY) + 1);
            _streams = CpuStreaming.Pays(y, pool.Planes * pool.OutHeight * _length * sizeof(T));
            Bytes = PoolMemory.BytesOf<T>(PoolStage<T>.LengthFor(_length)) + PoolMemory.BytesOf<float>(pool.OutWidth + Width)
                + (pool.Inner > 1
                    ? 0
                    : PoolMemory.BytesOf<long>(_slots) + PoolMemory.BytesOf<float>(_slots * _phases.Length)
                        + PoolMemory.BytesOf<long>(_window.WindowWidth) + PoolMemory.BytesOf<long>(_window.WindowHeight));
        }

        /// <summary>Memory that a thread needs.</summary>
        public long Bytes { get; }

        /// <summary>Rows of the output from <paramref name="first"/> to <paramref name="end"/> - 1, of all planes.</summary>
        public void Run(long first, long end)
        {
            PoolMemory memory = new(CpuScratch.Take<byte>(Bytes));
            PoolStage<T> outputs = new(
                memory.Take<T>(PoolStage<T>.LengthFor(_length)), _y + (first * _length), _length, _streams, _pool.IsWhole);
            Kept kept = new(this, ref memory);
            (long plane, long row) = Math.DivRem(first, _pool.OutHeight);
            for (long line = first; line < end; line++)
            {
                T* map = _x + (plane * _pool.Height * _pool.Width * _pool.Inner);
                if (_pool.IsPairs && _divisor.OfAll != 0)
                    Pairs(map + (row * _window.StrideY * _pool.Width), outputs.Row);
                else
                    kept.Windows(map, row, outputs.Row);
                outputs.Next();
                if (++row < _pool.OutHeight) continue;
                (plane, row) = (plane + 1, 0);
                kept.Clear();
            }

            outputs.Flush();
        }

        /// <summary>Windows of 2x2 side by side, which share nothing.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Pairs(T* row, T* outputs)
        {
            long windows = _pool.OutWidth, width = _pool.Width;
            Vector512<float> by = Vector512.Create((float)_divisor.OfAll);
            for (long column = 0; column < windows; column += Width)
            {
                T* from = row + (2 * column);
                (Vector512<float> even, Vector512<float> odd) = CpuPool.LoadPairs(from, windows - column);
                Vector512<float> sum = Vector512<float>.Zero + even + odd;
                (even, odd) = CpuPool.LoadPairs(from + width, windows - column);
                CpuElement.Store(outputs + column, (sum + even + odd) / by);
            }
        }

        /// <summary>Rows of one map, kept for the rows of windows to come.</summary>
        private readonly ref struct Kept
        {
            private readonly ForwardRows<T> _all;
            private readonly float* _divisors;
            private readonly PoolRing _ring;
            private readonly float* _rows;
            private readonly long* _offsets;
            private readonly float** _rowOf;

            public Kept(ForwardRows<T> all, ref PoolMemory memory)
            {
                _all = all;
                _divisors = memory.Take<float>(all._pool.OutWidth + Width);
                if (all._pool.Inner > 1) return;
                long length = all._phases.Length;
                _ring = new PoolRing(memory.Take<long>(all._slots), all._slots);
                _rows = memory.Take<float>(all._slots * length);
                _offsets = memory.Take<long>(all._window.WindowWidth);
                _rowOf = (float**)memory.Take<long>(all._window.WindowHeight);
                for (long tap = 0; tap < all._window.WindowWidth; tap++) _offsets[tap] = all._phases.OffsetOf(tap);
                new Span<float>(_rows, (int)(all._slots * length)).Clear();
                _ring.Clear();
            }

            /// <summary>The rows are those of another map.</summary>
            public void Clear()
            {
                if (_all._pool.Inner == 1) _ring.Clear();
            }

            /// <summary>A row of windows.</summary>
            public void Windows(T* map, long row, T* outputs)
            {
                PoolWindowArguments window = _all._window;
                if (_all._divisor.OfAll == 0)
                {
                    for (long column = 0; column < window.OutWidth; column++) _divisors[column] = (float)_all._divisor.Of(row, column);
                }

                long start = (row * window.StrideY) - window.PadTop, step = window.DilationY;
                long first = start >= 0 ? 0 : (-start + step - 1) / step;
                long end = Math.Min(window.WindowHeight, (window.Height - start + step - 1) / step);
                long rowLength = _all._pool.Width * _all._pool.Inner;
                if (_all._pool.Inner > 1)
                {
                    Cells(map + ((start + (first * step)) * rowLength), end - first, outputs);
                    return;
                }

                int count = 0;
                for (long r = first; r < end; r++)
                {
                    long h = start + (r * step);
                    bool isNew = _ring.Needs(h, out long slot);
                    float* kept = _rowOf[count++] = _rows + (slot * _all._phases.Length);
                    if (isNew) _all._phases.Fill(map + (h * rowLength), kept);
                }

                Neighbours(count, outputs);
            }

            /// <summary>Channels first: vectors of neighbouring windows, over so many rows.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void Neighbours(int rows, T* outputs)
            {
                int taps = (int)_all._window.WindowWidth;
                Vector512<float> all = Vector512.Create((float)_all._divisor.OfAll);
                bool byAll = _all._divisor.OfAll != 0;
                for (long column = 0; column < _all._length; column += Width)
                {
                    Vector512<float> sum = Vector512<float>.Zero;
                    for (int r = 0; r < rows; r++)
                    {
                        float* row = _rowOf[r] + column;
                        for (int s = 0; s < taps; s++) sum += Vector512.Load(row + _offsets[s]);
                    }

                    CpuElement.Store(outputs + column, sum / (byAll ? all : Vector512.Load(_divisors + column)));
                }
            }

            /// <summary>Channels last: vectors of channels, over so many rows of the map.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void Cells(T* from, long rows, T* outputs)
            {
                PoolWindowArguments window = _all._window;
                long inner = _all._pool.Inner, step = window.DilationX, apart = step * inner;
                long down = window.DilationY * _all._pool.Width * inner, stride = window.StrideX, start = -(long)window.PadLeft;
                float all = (float)_all._divisor.OfAll;
                for (long column = 0; column < window.OutWidth; column++, start += stride, outputs += inner)
                {
                    long first = start >= 0 ? 0 : (-start + step - 1) / step;
                    long end = first;
                    while (end < window.WindowWidth && start + (end * step) < window.Width) end++;
                    T* cell = from + ((start + (first * step)) * inner);
                    Vector512<float> by = Vector512.Create(all != 0 ? all : _divisors[column]);
                    long i = 0;
                    for (; i <= inner - Width; i += Width)
                        CpuElement.Store(outputs + i, Sum(cell + i, rows, down, end - first, apart, Width) / by);
                    if (i < inner) CpuElement.Store(outputs + i, Sum(cell + i, rows, down, end - first, apart, (int)(inner - i)) / by);
                }
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            private static Vector512<float> Sum(T* row, long rows, long down, long columns, long apart, int count)
            {
                Vector512<float> sum = Vector512<float>.Zero;
                for (; rows > 0; rows--, row += down)
                {
                    T* tap = row;
                    for (long s = columns; s > 0; s--, tap += apart) sum += CpuElement.Load(tap, count);
                }

                return sum;
            }
        }
    }
}
