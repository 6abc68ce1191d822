using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

public static unsafe partial class AveragePool2d
{
    /// <summary>Channels whose sums over a map are made together.</summary>
    private const int ChannelBlock = 2048;

    /// <summary>Elements by which those that are asked for are ahead of those that are added.</summary>
    private const int Ahead = 4096;

    private readonly struct CpuForward : ICpuKernel<AveragePool2dForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AveragePool2dForwardArguments a)
            where T : unmanaged
        {
            CpuPool pool = CpuPool.Of(a.PoolWindow, a.PoolChunks, variant.VectorWidth, a.Jobs);
            Forward(pool, new CpuDivisor(pool.Window, a.AverageDivisor), a.X.Pointer<T>(), a.Y.Pointer<T>());
        }
    }

    private readonly struct CpuTriples : ICpuKernel<AveragePool2d3x3Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in AveragePool2d3x3Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            CpuPool pool = CpuPool.OneApart(a.Height, a.Width, a.OutHeight, a.BeforeY, a.BeforeX, a.Jobs, lines);
            Forward(pool, CpuDivisor.ForAll(pool.Window, a.Divisor), a.X.Pointer<T>(), a.Y.Pointer<T>());
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
            CpuPool.ForLines((long)a.Planes, cells, [MethodImpl(MethodImplOptions.AggressiveOptimization)] (first, end) =>
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
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static TReal Sum<T, TReal>(T* x, long count)
            where T : unmanaged
            where TReal : unmanaged
        {
            int width = Vector512<TReal>.Count;
            Vector512<TReal> a = Vector512<TReal>.Zero, b = a, c = a, d = a;
            long i = 0;
            for (; i + (4 * width) <= count; i += 4 * width)
            {
                CpuPool.Prefetch(x + i + Ahead, 4 * width);
                a += CpuReal.Load<T, TReal>(x + i, width);
                b += CpuReal.Load<T, TReal>(x + i + width, width);
                c += CpuReal.Load<T, TReal>(x + i + (2 * width), width);
                d += CpuReal.Load<T, TReal>(x + i + (3 * width), width);
            }

            CpuPool.Prefetch(x + i + Ahead, count - i);
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
                        CpuPool.Prefetch(from + i + Ahead, count);
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
            CpuPool.ForLines((long)a.Count / cells, cells, [MethodImpl(MethodImplOptions.AggressiveOptimization)] (first, end) =>
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
        if (Squares(pool, divisor, x, y)) return;
        PoolWindows<T, PoolMean> windows = new(pool, x, y, default, divisor);
        if (typeof(T) != typeof(double) && windows.Bytes <= CpuPool.MostBytes)
        {
            CpuPool.ForLines(windows.Lines, windows.ElementsOfLine, windows.Run);
            return;
        }

        CpuPool.ForLines(pool.Planes * pool.OutHeight, pool.Width * pool.Inner * pool.Window.StrideY, (first, end) =>
        {
            for (long line = first; line < end; line++) Elements(pool, divisor, x, y, line);
        });
    }

    /// <summary>Windows around every element, whose gradients are in the same windows.</summary>
    private static bool Squares<T>(in CpuPool pool, in CpuDivisor divisor, T* from, T* to)
        where T : unmanaged =>
        divisor.OfAll != 0
        && (PoolSquares<T, PoolMean, Three>.Run(pool, from, to, default, divisor.OfAll)
            || PoolSquares<T, PoolMean, Five>.Run(pool, from, to, default, divisor.OfAll));

    /// <summary>The windows of one row of the output, element by element, the sum of those of its rows.</summary>
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
                    (float part, double widePart) = (0, 0);
                    for (long s = tap; s < window.WindowWidth && w < window.Width; s++, w += window.DilationX)
                    {
                        if (typeof(T) == typeof(double))
                            widePart += CpuElement.ToDouble(row[w * inner]);
                        else
                            part += CpuElement.ToSingle(row[w * inner]);
                    }

                    (sum, wide) = (sum + part, wide + widePart);
                }

                y[line.Output + (column * inner) + i] = typeof(T) == typeof(double)
                    ? CpuElement.FromDouble<T>(wide / by) : CpuElement.FromSingle<T>(sum / (float)by);
            }
        }
    }

    private static void Backward<T>(CpuPool pool, CpuDivisor divisor, T* dy, T* dx)
        where T : unmanaged
    {
        if (Squares(pool, divisor, dy, dx)) return;
        PoolGradients<T, PoolMean> gradients = new(pool, dy, dx, default, divisor);
        if (typeof(T) != typeof(double) && gradients.Bytes <= CpuPool.MostBytes)
        {
            CpuPool.ForLines(gradients.Lines, gradients.ElementsOfLine, gradients.Run);
            return;
        }

        CpuPool.ForLines(pool.Planes * pool.Height, pool.Width * pool.Inner, (first, end) =>
        {
            for (long line = first; line < end; line++) GatherElements(pool, divisor, dy, dx, line);
        });
    }

    /// <summary>One row of the map, element by element: the sum of those of the rows of windows that it is in.</summary>
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
                    (float part, double widePart) = (0, 0);
                    for (uint column = firstColumn; column <= lastColumn; column++)
                    {
                        if (line.ColumnTap(place, column) < 0) continue;
                        T gradient = dy[line.Output(row, column) + i];
                        double by = byAll ? 1 : divisor.Of(row, column);
                        if (typeof(T) == typeof(double))
                            widePart += CpuElement.ToDouble(gradient) / by;
                        else
                            part += CpuElement.ToSingle(gradient) / (float)by;
                    }

                    (sum, wide) = (sum + part, wide + widePart);
                }

                if (byAll) (sum, wide) = (sum / (float)divisor.OfAll, wide / divisor.OfAll);
                dx[line.Target + (w * pool.Inner) + i] = typeof(T) == typeof(double)
                    ? CpuElement.FromDouble<T>(wide) : CpuElement.FromSingle<T>(sum);
            }
        }
    }
}
