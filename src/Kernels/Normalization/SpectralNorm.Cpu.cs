using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class SpectralNorm
{
    /// <summary>Blocks of rows whose sums of the columns are made side by side, at most; later they are added in their order.</summary>
    private const long MostBlocks = 32;

    /// <summary>Rows that one pass over sums of the columns adds, and at least the rows of a block.</summary>
    private const int RowsAtOnce = 4;

    /// <summary>What a vector is multiplied by to be of length 1; one shorter than epsilon is divided by that.</summary>
    private readonly record struct UnitVector(double Scale, double Length)
    {
        public static UnitVector Of<TReal>(TReal* values, ulong count, double epsilon)
            where TReal : unmanaged
        {
            CpuSquares<TReal> squares = default;
            for (ulong i = 0; i < count; i += (ulong)Vector512<TReal>.Count)
                squares.Add(CpuReal.Load(values + i, (int)Math.Min((ulong)Vector512<TReal>.Count, count - i)));
            (double down, double plain, double up) = squares.Sums();
            (double length, double scale) = CpuSquares<TReal>.Norm(down, plain, up);
            return new UnitVector(scale, scale == 1 && length < epsilon ? epsilon : length);
        }

        public void Write<TReal>(TReal* source, TReal* target, ulong count)
            where TReal : unmanaged
        {
            for (ulong i = 0; i < count; i++) target[i] = CpuElement.FromDouble<TReal>(CpuElement.ToDouble(source[i]) * Scale / Length);
        }
    }

    private static Vector512<TReal> Products<T, TReal>(T* a, TReal* b, long count)
        where T : unmanaged
        where TReal : unmanaged
    {
        // Four sums, for a multiply-add waits for the one before it.
        int width = Vector512<TReal>.Count;
        Vector512<TReal> sum0 = Vector512<TReal>.Zero, sum1 = sum0, sum2 = sum0, sum3 = sum0;
        long i = 0;
        for (; i + (4 * width) <= count; i += 4 * width)
        {
            sum0 = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(a + i, width), CpuReal.Load(b + i, width), sum0);
            sum1 = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(a + i + width, width), CpuReal.Load(b + i + width, width), sum1);
            sum2 = CpuReal.FusedMultiplyAdd(
                CpuReal.Load<T, TReal>(a + i + (2 * width), width), CpuReal.Load(b + i + (2 * width), width), sum2);
            sum3 = CpuReal.FusedMultiplyAdd(
                CpuReal.Load<T, TReal>(a + i + (3 * width), width), CpuReal.Load(b + i + (3 * width), width), sum3);
        }

        for (; i < count; i += width)
        {
            int part = (int)Math.Min(width, count - i);
            sum0 = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(a + i, part), CpuReal.Load(b + i, part), sum0);
        }

        return sum0 + sum1 + (sum2 + sum3);
    }

    private readonly struct CpuRowProducts : ICpuKernel<SpectralNormRowsArguments>
    {
        public static void Run<T>(in KernelVariant variant, in SpectralNormRowsArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(SpectralNormRowsArguments a)
            where T : unmanaged
            where TReal : unmanaged
        {
            long columns = (long)a.Columns;
            CpuParallel.ForRange((long)a.Rows, Math.Max(1, CpuParallel.ElementsPerChunk / columns), (first, end) =>
            {
                for (long row = first; row < end; row++)
                {
                    Vector512<TReal> sum = Products(a.Weight.Pointer<T>() + (row * columns), a.V.Pointer<TReal>(), columns);
                    a.Products.Pointer<TReal>()[row] = Vector512.Sum(sum);
                }
            });
        }
    }

    private readonly struct CpuColumnSums : ICpuKernel<SpectralNormColumnsArguments>
    {
        public static void Run<T>(in KernelVariant variant, in SpectralNormColumnsArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(SpectralNormColumnsArguments a)
            where T : unmanaged
            where TReal : unmanaged
        {
            TReal* products = a.Products.Pointer<TReal>();
            TReal* u = a.U.Pointer<TReal>();
            UnitVector.Of(products, a.Rows, a.Epsilon).Write(products, u, a.Rows);
            (long rows, long columns) = ((long)a.Rows, (long)a.Columns);
            long wanted = (rows + MostBlocks - 1) / MostBlocks;
            long blockRows = (wanted + RowsAtOnce - 1) / RowsAtOnce * RowsAtOnce, blocks = (rows + blockRows - 1) / blockRows;
            TReal* sums = CpuScratch.TakeShared<TReal>(blocks * columns);

            // From the last block to the first: the pass before this one has left the end of a large matrix in the caches.
            CpuParallel.For(blocks, index =>
            {
                long block = blocks - 1 - index, last = Math.Min(rows, (block + 1) * blockRows);
                for (long row = block * blockRows; row < last; row += RowsAtOnce)
                {
                    AddRows(
                        a.Weight.Pointer<T>() + (row * columns), u + row, (int)Math.Min(RowsAtOnce, last - row), columns,
                        sums + (block * columns), row == block * blockRows);
                }
            });
            CpuParallel.ForRange(columns, CpuParallel.ElementsPerChunk / MostBlocks, (first, end) =>
            {
                for (long column = first; column < end; column += Vector512<TReal>.Count)
                {
                    int part = (int)Math.Min(Vector512<TReal>.Count, end - column);
                    Vector512<TReal> sum = CpuReal.Load(sums + column, part);
                    for (long block = 1; block < blocks; block++) sum += CpuReal.Load(sums + (block * columns) + column, part);
                    CpuReal.Store(a.Sums.Pointer<TReal>() + column, sum, part);
                }
            });
        }

        /// <summary>Up to four rows, as they lie in memory, times their elements of u, added to the sums or in their place.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void AddRows<T, TReal>(T* weight, TReal* u, int rows, long columns, TReal* sums, bool starts)
            where T : unmanaged
            where TReal : unmanaged
        {
            // A row that is not there is the first one, times 0: which its own infinities must not reach, so it goes row by row.
            if (rows < RowsAtOnce)
            {
                for (int row = 0; row < rows; row++) AddRow(weight + (row * columns), u[row], columns, sums, starts && row == 0);
                return;
            }

            Vector512<TReal> u0 = Vector512.Create(u[0]), u1 = Vector512.Create(u[1]), u2 = Vector512.Create(u[2]);
            Vector512<TReal> u3 = Vector512.Create(u[3]);
            for (long column = 0; column < columns; column += Vector512<TReal>.Count)
            {
                int part = (int)Math.Min(Vector512<TReal>.Count, columns - column);
                T* first = weight + column;
                Vector512<TReal> sum = starts ? Vector512<TReal>.Zero : CpuReal.Load(sums + column, part);
                sum = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(first, part), u0, sum);
                sum = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(first + columns, part), u1, sum);
                sum = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(first + (2 * columns), part), u2, sum);
                sum = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(first + (3 * columns), part), u3, sum);
                CpuReal.Store(sums + column, sum, part);
            }
        }

        private static void AddRow<T, TReal>(T* weight, TReal factor, long columns, TReal* sums, bool starts)
            where T : unmanaged
            where TReal : unmanaged
        {
            for (long column = 0; column < columns; column += Vector512<TReal>.Count)
            {
                int part = (int)Math.Min(Vector512<TReal>.Count, columns - column);
                Vector512<TReal> sum = starts ? Vector512<TReal>.Zero : CpuReal.Load(sums + column, part);
                sum = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(weight + column, part), Vector512.Create(factor), sum);
                CpuReal.Store(sums + column, sum, part);
            }
        }
    }

    private readonly struct CpuApply : ICpuKernel<SpectralNormApplyArguments>
    {
        public static void Run<T>(in KernelVariant variant, in SpectralNormApplyArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(SpectralNormApplyArguments a)
            where T : unmanaged
            where TReal : unmanaged
        {
            TReal* first = a.First.Pointer<TReal>();
            TReal sigma;
            if (a.Iterated != 0)
            {
                UnitVector unit = UnitVector.Of(first, a.Count, a.Epsilon);
                unit.Write(first, a.V.Pointer<TReal>(), a.Count);

                // Of a vector shorter than epsilon the product with what becomes of it is not its length.
                double length = UnitVector.Of(first, a.Count, 0).Length;
                sigma = CpuElement.FromDouble<TReal>(length / unit.Scale * (length / unit.Length));
            }
            else
            {
                sigma = Vector512.Sum(Products(first, a.Second.Pointer<TReal>(), (long)a.Count));
            }

            *a.Sigma.Pointer<TReal>() = sigma;
            T* weights = a.Weight.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            bool streams = weights != y && CpuStreaming.Pays(y, (long)a.Size * sizeof(T));
            CpuParallel.ForRange((long)a.Size, CpuParallel.ElementsPerChunk, (start, end) =>
            {
                Vector512<TReal> divisor = Vector512.Create(sigma);
                for (long i = start; i < end; i += Vector512<TReal>.Count)
                {
                    int part = (int)Math.Min(Vector512<TReal>.Count, end - i);
                    CpuReal.Store(y + i, CpuReal.Load<T, TReal>(weights + i, part) / divisor, part, streams);
                }
            });
        }
    }

    private readonly struct CpuOverlap : ICpuKernel<SpectralNormOverlapArguments>
    {
        public static void Run<T>(in KernelVariant variant, in SpectralNormOverlapArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(SpectralNormOverlapArguments a)
            where T : unmanaged
            where TReal : unmanaged
        {
            T* weight = a.Weight.Pointer<T>();
            T* dy = a.Dy.Pointer<T>();
            CpuParallel.ForRange((long)a.Size, TileLength, (first, end) =>
            {
                Vector512<TReal> sum = Vector512<TReal>.Zero;
                for (long i = first; i < end; i += Vector512<TReal>.Count)
                {
                    int part = (int)Math.Min(Vector512<TReal>.Count, end - i);
                    sum = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(weight + i, part), CpuReal.Load<T, TReal>(dy + i, part), sum);
                }

                a.Overlaps.Pointer<TReal>()[first / TileLength] = Vector512.Sum(sum);
            });
        }
    }

    private readonly struct CpuBackward : ICpuKernel<SpectralNormBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in SpectralNormBackwardArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(SpectralNormBackwardArguments a)
            where T : unmanaged
            where TReal : unmanaged, INumberBase<TReal>
        {
            long columns = (long)a.Columns, rows = (long)a.Size / columns;
            TReal sigma = *a.Sigma.Pointer<TReal>(), overlap = TReal.Zero;
            for (long tile = 0; tile < ((long)a.Size + TileLength - 1) / TileLength; tile++) overlap += a.Overlaps.Pointer<TReal>()[tile];
            overlap /= sigma;
            T* dy = a.Dy.Pointer<T>();
            T* dweight = a.Dweight.Pointer<T>();
            bool streams = dy != dweight && CpuStreaming.Pays(dweight, (long)a.Size * sizeof(T));
            bool lines = columns * sizeof(T) % Vector512<byte>.Count == 0;
            CpuParallel.ForRange(rows, Math.Max(1, CpuParallel.ElementsPerChunk / columns), (first, end) =>
            {
                for (long row = first; row < end; row++)
                {
                    Vector512<TReal> slope = Vector512.Create(-overlap * a.U.Pointer<TReal>()[row]);
                    for (long column = 0; column < columns; column += Vector512<TReal>.Count)
                    {
                        int part = (int)Math.Min(Vector512<TReal>.Count, columns - column);
                        long place = (row * columns) + column;
                        Vector512<TReal> v = CpuReal.Load(a.V.Pointer<TReal>() + column, part);
                        Vector512<TReal> gradient = CpuReal.FusedMultiplyAdd(slope, v, CpuReal.Load<T, TReal>(dy + place, part));
                        CpuReal.Store(dweight + place, gradient / Vector512.Create(sigma), part, streams && lines);
                    }
                }
            });
        }
    }
}
