using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class AveragePool2d
{
    private const int Width = CpuElement.Width;

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

        private static void Means<T, TReal>(T* x, T* y, long cells, long channels, TReal divisor)
            where T : unmanaged
            where TReal : unmanaged
        {
            for (long i = 0; i < channels; i += Vector512<TReal>.Count)
            {
                int count = (int)Math.Min(Vector512<TReal>.Count, channels - i);

                // Cells in four interleaved sums: shorter chains, of additions and of roundings.
                Vector512<TReal> a = Vector512<TReal>.Zero, b = a, c = a, d = a;
                long cell = 0;
                for (; cell + 4 <= cells; cell += 4)
                {
                    T* from = x + (cell * channels) + i;
                    a += CpuReal.Load<T, TReal>(from, count);
                    b += CpuReal.Load<T, TReal>(from + channels, count);
                    c += CpuReal.Load<T, TReal>(from + (2 * channels), count);
                    d += CpuReal.Load<T, TReal>(from + (3 * channels), count);
                }

                for (; cell < cells; cell++) a += CpuReal.Load<T, TReal>(x + (cell * channels) + i, count);
                CpuReal.Store(y + i, ((a + b) + (c + d)) / Vector512.Create(divisor), count);
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

    /// <summary>What a window is divided by.</summary>
    private readonly struct CpuDivisor(in PoolWindowArguments window, in AverageDivisorArguments divisor)
    {
        private readonly PoolWindowArguments _window = window;
        private readonly AverageDivisorArguments _divisor = divisor;

        public static CpuDivisor ForAll(in PoolWindowArguments window, double divisor) => new(
            window, new AverageDivisorArguments { Divisor = divisor, CountsPadding = 0, PadBottom = 0, PadRight = 0 });

        /// <summary>The number for all windows, or 0.</summary>
        public double OfAll => _divisor.Divisor;

        /// <summary>The product of what counts along the two axes, as floats have it.</summary>
        public double Of(long row, long column)
        {
            if (OfAll != 0) return OfAll;
            PoolWindowArguments w = _window;
            long rows = Counted(row, w.StrideY, w.PadTop, _divisor.PadBottom, w.DilationY, w.WindowHeight, w.Height);
            long columns = Counted(column, w.StrideX, w.PadLeft, _divisor.PadRight, w.DilationX, w.WindowWidth, w.Width);
            return (double)rows * columns;
        }

        private long Counted(long output, long stride, long pad, long after, long dilation, long taps, long size)
        {
            bool countsPadding = _divisor.CountsPadding != 0;
            long start = (output * stride) - pad, end = size + (countsPadding ? after : 0);
            long first = countsPadding || start >= 0 ? 0 : (-start + dilation - 1) / dilation;
            return Math.Min(taps, (end - start + dilation - 1) / dilation) - first;
        }
    }

    private static void Forward<T>(CpuPool pool, CpuDivisor divisor, T* x, T* y)
        where T : unmanaged =>
        CpuPool.ForLines(pool.Planes * pool.OutHeight, pool.Width * pool.Inner * pool.Window.StrideY, (first, end) =>
        {
            for (long line = first; line < end; line++)
            {
                ForwardLine<T> forward = new(pool, divisor, x, y, line);
                if (typeof(T) != typeof(double) && pool.Inner > 1)
                    forward.Cells();
                else if (typeof(T) != typeof(double) && pool.Window.StrideX <= CpuPool.MostVectorStride)
                    forward.Vectors();
                else
                    forward.Columns(0, pool.OutWidth);
            }
        });

    private static void Backward<T>(CpuPool pool, CpuDivisor divisor, T* dy, T* dx)
        where T : unmanaged
    {
        bool streaming = CpuStreaming.Pays(dx, pool.Planes * pool.Height * pool.Width * pool.Inner * sizeof(T))
            && pool.Width * sizeof(T) % Vector512<byte>.Count == 0
            && pool.Window is { StrideX: 2, WindowWidth: 2, PadLeft: 0 };
        bool vectors = divisor.OfAll != 0 && pool.Window.StrideX <= CpuPool.MostVectorStride && pool.Window.DilationX == 1;
        CpuPool.ForLines(pool.Planes * pool.Height, pool.Width * pool.Inner, (first, end) =>
        {
            for (long line = first; line < end; line++)
            {
                BackwardLine<T> backward = new(pool, divisor, dy, dx, line);
                if (typeof(T) != typeof(double) && pool.Inner > 1)
                    backward.Cells();
                else if (typeof(T) == typeof(double) || !vectors)
                    backward.Columns(0, pool.Width);
                else if (streaming)
                    backward.Vectors<StreamingStore>();
                else
                    backward.Vectors<CachedStore>();
            }
        });
    }

    /// <summary>The windows of one row of the output, each summed row by row.</summary>
    private readonly ref struct ForwardLine<T>(in CpuPool pool, CpuDivisor divisor, T* x, T* y, long line)
        where T : unmanaged
    {
        private readonly PoolWindowArguments _window = pool.Window;
        private readonly long _inner = pool.Inner;
        private readonly CpuPoolLine<T> _line = new(pool, x, line);
        private readonly CpuDivisor _divisor = divisor;
        private readonly T* _y = y;

        /// <summary>Windows from column <paramref name="first"/> to <paramref name="end"/> - 1, element by element.</summary>
        public void Columns(long first, long end)
        {
            for (long column = first; column < end; column++)
            {
                (long tap, long place) = _line.FirstColumn(column);
                double by = _divisor.Of(_line.Row, column);
                for (long i = 0; i < _inner; i++)
                {
                    T* row = _line.Rows + i;
                    (float sum, double wide) = (0, 0);
                    for (long r = _line.FirstTap; r < _line.EndTap; r++, row += _line.RowStep)
                    {
                        long w = place;
                        for (long s = tap; s < _window.WindowWidth && w < _window.Width; s++, w += _window.DilationX)
                        {
                            if (typeof(T) == typeof(double))
                                wide += CpuElement.ToDouble(row[w * _inner]);
                            else
                                sum += CpuElement.ToSingle(row[w * _inner]);
                        }
                    }

                    _y[_line.Output + (column * _inner) + i] = typeof(T) == typeof(double)
                        ? CpuElement.FromDouble<T>(wide / by) : CpuElement.FromSingle<T>(sum / (float)by);
                }
            }
        }

        /// <summary>Channels last: vectors of channels.</summary>
        public void Cells()
        {
            for (long column = 0; column < _window.OutWidth; column++)
            {
                (long tap, long place) = _line.FirstColumn(column);
                Vector512<float> by = Vector512.Create((float)_divisor.Of(_line.Row, column));
                for (long i = 0; i < _inner; i += Width)
                {
                    int count = (int)Math.Min(Width, _inner - i);
                    T* row = _line.Rows + i;
                    Vector512<float> sum = Vector512<float>.Zero;
                    for (long r = _line.FirstTap; r < _line.EndTap; r++, row += _line.RowStep)
                    {
                        long w = place;
                        for (long s = tap; s < _window.WindowWidth && w < _window.Width; s++, w += _window.DilationX)
                            sum += CpuElement.Load(row + (w * _inner), count);
                    }

                    CpuElement.Store(_y + _line.Output + (column * _inner) + i, sum / by, count);
                }
            }
        }

        /// <summary>
        /// Channels first: vectors of neighbouring windows. Columns that lie in the padding are 0 where loads can be masked and windows are
        /// divided alike; else windows that have such are taken one by one.
        /// </summary>
        public void Vectors()
        {
            bool masks = CpuPool.Masks && _divisor.OfAll != 0;
            (long first, long end) = masks ? (0, _window.OutWidth) : (_line.FirstInside, _line.EndInside);
            Columns(0, first);
            for (long column = first; column < end; column += Width)
            {
                int count = (int)Math.Min(Width, end - column);
                bool isInside = column >= _line.FirstInside && column + count <= _line.EndInside;
                if (_window.StrideX == 1 && isInside)
                    Windows<CpuPool.Neighbours>(column, count);
                else if (_window.StrideX == 1)
                    Windows<CpuPool.NeighboursWithin>(column, count);
                else if (isInside)
                    Windows<CpuPool.EverySecond>(column, count);
                else
                    Windows<CpuPool.EverySecondWithin>(column, count);
            }

            Columns(end, _window.OutWidth);
        }

        private void Windows<TLoad>(long column, int count)
            where TLoad : struct, CpuPool.ILoad
        {
            long place = (column * _window.StrideX) - _window.PadLeft, width = _window.Width, step = _window.DilationX;
            long taps = _window.WindowWidth * step, rowStep = _line.RowStep;

            // All columns count alike in windows that lie in the map. Before the sum, which no call then drives out of its register.
            Vector512<float> by = Vector512.Create((float)_divisor.Of(_line.Row, column)), sum = Vector512<float>.Zero;
            T* row = _line.Rows + place;
            for (long r = _line.FirstTap; r < _line.EndTap; r++, row += rowStep)
            {
                for (long ahead = 0; ahead < taps; ahead += step) sum += TLoad.Load(row + ahead, place + ahead, width, count, 0);
            }

            CpuElement.Store(_y + _line.Output + column, sum / by, count);
        }
    }

    /// <summary>One row of the map: gradients of windows in their order.</summary>
    private readonly ref struct BackwardLine<T>(in CpuPool pool, CpuDivisor divisor, T* dy, T* dx, long line)
        where T : unmanaged
    {
        private readonly PoolWindowArguments _window = pool.Window;
        private readonly long _inner = pool.Inner;
        private readonly CpuPoolGradientLine _line = new(pool, line);
        private readonly CpuDivisor _divisor = divisor;
        private readonly T* _dy = dy;
        private readonly T* _dx = dx;

        /// <summary>Elements of columns <paramref name="first"/> to <paramref name="end"/> - 1, one by one.</summary>
        public void Columns(long first, long end)
        {
            bool byAll = _divisor.OfAll != 0;
            for (long w = first; w < end; w++)
            {
                uint place = (uint)w + _window.PadLeft;
                (uint firstColumn, uint lastColumn) = _line.ColumnsOf(place);
                for (long i = 0; i < _inner; i++)
                {
                    (float sum, double wide) = (0, 0);
                    for (uint row = _line.FirstRow; row <= _line.LastRow; row++)
                    {
                        if (_line.RowTap(row) < 0) continue;
                        for (uint column = firstColumn; column <= lastColumn; column++)
                        {
                            if (_line.ColumnTap(place, column) < 0) continue;
                            T gradient = _dy[_line.Output(row, column) + i];
                            double by = byAll ? 1 : _divisor.Of(row, column);
                            if (typeof(T) == typeof(double))
                                wide += CpuElement.ToDouble(gradient) / by;
                            else
                                sum += CpuElement.ToSingle(gradient) / (float)by;
                        }
                    }

                    if (byAll) (sum, wide) = (sum / (float)_divisor.OfAll, wide / _divisor.OfAll);
                    _dx[_line.Target + (w * _inner) + i] = typeof(T) == typeof(double)
                        ? CpuElement.FromDouble<T>(wide) : CpuElement.FromSingle<T>(sum);
                }
            }
        }

        /// <summary>Channels last: vectors of channels.</summary>
        public void Cells()
        {
            bool byAll = _divisor.OfAll != 0;
            Vector512<float> all = Vector512.Create((float)_divisor.OfAll);
            for (long w = 0; w < _window.Width; w++)
            {
                uint place = (uint)w + _window.PadLeft;
                (uint firstColumn, uint lastColumn) = _line.ColumnsOf(place);
                for (long i = 0; i < _inner; i += Width)
                {
                    int count = (int)Math.Min(Width, _inner - i);
                    Vector512<float> sum = Vector512<float>.Zero;
                    for (uint row = _line.FirstRow; row <= _line.LastRow; row++)
                    {
                        if (_line.RowTap(row) < 0) continue;
                        for (uint column = firstColumn; column <= lastColumn; column++)
                        {
                            if (_line.ColumnTap(place, column) < 0) continue;
                            Vector512<float> gradient = CpuElement.Load(_dy + _line.Output(row, column) + i, count);
                            sum += byAll ? gradient : gradient / Vector512.Create((float)_divisor.Of(row, column));
                        }
                    }

                    CpuElement.Store(_dx + _line.Target + (w * _inner) + i, byAll ? sum / all : sum, count);
                }
            }
        }

        /// <summary>
        /// Channels first, windows one or two apart that are divided alike: vectors of neighbours, or of every second, whose windows all
        /// exist; the others one by one.
        /// </summary>
        public void Vectors<TStore>()
            where TStore : struct, IVectorStore
        {
            long stride = _window.StrideX, pad = _window.PadLeft;
            if (stride == 1 && CpuPool.Masks)
            {
                Neighbours();
                return;
            }

            Vector512<float> all = Vector512.Create((float)_divisor.OfAll);
            Columns(0, Math.Min(_window.Width, (_line.FirstInside * stride) - pad));
            for (long m = _line.FirstInside; m < _line.EndInside; m += Width)
            {
                int count = (int)Math.Min(Width, _line.EndInside - m);
                Vector512<float> even = Vector512<float>.Zero, odd = even;
                for (uint row = _line.FirstRow; row <= _line.LastRow; row++)
                {
                    if (_line.RowTap(row) < 0) continue;
                    for (long s = _window.WindowWidth - 1; s >= 0; s--)
                    {
                        Vector512<float> gradient = CpuElement.Load(_dy + _line.Output(row, m - (s / stride)), count);
                        if (stride == 2 && (s & 1) != 0)
                            odd += gradient;
                        else
                            even += gradient;
                    }
                }

                T* target = _dx + _line.Target + (m * stride) - pad;
                if (stride == 1)
                    CpuElement.Store(target, even / all, count);
                else
                    CpuPool.StoreInTurns<T, TStore>(target, even / all, odd / all, count);
            }

            Columns(Math.Max(0, (_line.EndInside * stride) - pad), _window.Width);
        }

        /// <summary>Windows one apart where loads can be masked: windows that do not exist are 0.</summary>
        private void Neighbours()
        {
            for (long w = 0; w < _window.Width; w += Width)
            {
                int count = (int)Math.Min(Width, _window.Width - w);
                long place = w + _window.PadLeft;
                Vector512<float> sum = place >= _line.FirstInside && place + count <= _line.EndInside
                    ? Windows<CpuPool.Neighbours>(place, count) : Windows<CpuPool.NeighboursWithin>(place, count);
                CpuElement.Store(_dx + _line.Target + w, sum / Vector512.Create((float)_divisor.OfAll), count);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector512<float> Windows<TLoad>(long place, int count)
            where TLoad : struct, CpuPool.ILoad
        {
            Vector512<float> sum = Vector512<float>.Zero;
            long windows = _window.OutWidth, before = _window.WindowWidth - 1;
            for (uint row = _line.FirstRow; row <= _line.LastRow; row++)
            {
                if (_line.RowTap(row) < 0) continue;
                T* gradients = _dy + _line.Output(row, 0);
                for (long column = place - before; column <= place; column++)
                    sum += TLoad.Load(gradients + column, column, windows, count, 0);
            }

            return sum;
        }
    }
}
