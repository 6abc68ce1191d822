using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

public static unsafe partial class MaxPool2d
{
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
        if (PoolSquares<T, PoolMaximum, Three>.Run(pool, x, y, indices, 1)) return;
        if (PoolSquares<T, PoolMaximum, Five>.Run(pool, x, y, indices, 1)) return;
        PoolWindows<T, PoolMaximum> windows = new(pool, x, y, indices, default);
        if (typeof(T) != typeof(double) && windows.Bytes <= CpuPool.MostBytes)
        {
            CpuPool.ForLines(windows.Lines, windows.ElementsOfLine, windows.Run);
            return;
        }

        CpuPool.ForLines(pool.Planes * pool.OutHeight, pool.Width * pool.Inner * pool.Window.StrideY, (first, end) =>
        {
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
}
