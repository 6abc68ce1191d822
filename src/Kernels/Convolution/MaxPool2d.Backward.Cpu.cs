using Kernels.Cpu;

namespace Kernels;

public static unsafe partial class MaxPool2d
{
    private static void Backward<T>(CpuPool pool, PoolTaps indices, T* dy, T* dx)
        where T : unmanaged
    {
        PoolGradients<T, PoolMaximum> gradients = new(pool, dy, dx, indices, default);
        if (typeof(T) != typeof(double) && gradients.Bytes <= CpuPool.MostBytes)
        {
            CpuPool.ForLines(gradients.Lines, gradients.ElementsOfLine, gradients.Run);
            return;
        }

        CpuPool.ForLines(pool.Planes * pool.Height, pool.Width * pool.Inner, (first, end) =>
        {
            for (long line = first; line < end; line++) GatherElements(pool, indices, dy, dx, line);
        });
    }

    /// <summary>One row of the map, element by element: the windows that took it in their order, in the arithmetic type.</summary>
    private static void GatherElements<T>(in CpuPool pool, PoolTaps indices, T* dy, T* dx, long number)
        where T : unmanaged
    {
        PoolWindowArguments window = pool.Window;
        CpuPoolGradientLine line = new(pool, number);
        for (long w = 0; w < pool.Width; w++)
        {
            uint place = (uint)w + window.PadLeft;
            (uint firstColumn, uint lastColumn) = line.ColumnsOf(place);
            for (long i = 0; i < pool.Inner; i++)
            {
                (float sum, double wide) = (0, 0);
                for (uint row = line.FirstRow; row <= line.LastRow; row++)
                {
                    if (line.RowTap(row) is not (>= 0 and var r)) continue;
                    for (uint column = firstColumn; column <= lastColumn; column++)
                    {
                        if (line.ColumnTap(place, column) is not (>= 0 and var s)) continue;
                        long from = line.Output(row, column) + i;
                        if (indices[from] != (r * window.WindowWidth) + s) continue;
                        if (typeof(T) == typeof(double))
                            wide += CpuElement.ToDouble(dy[from]);
                        else
                            sum += CpuElement.ToSingle(dy[from]);
                    }
                }

                dx[line.Target + (w * pool.Inner) + i] = typeof(T) == typeof(double)
                    ? CpuElement.FromDouble<T>(wide) : CpuElement.FromSingle<T>(sum);
            }
        }
    }
}
