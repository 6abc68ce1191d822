using System.Numerics;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class SpectralNorm
{
    /// <summary>Columns that a core takes at a time.</summary>
    private const long ColumnsPerChunk = 512;

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
        Vector512<TReal> sum = Vector512<TReal>.Zero;
        for (long i = 0; i < count; i += Vector512<TReal>.Count)
        {
            int part = (int)Math.Min(Vector512<TReal>.Count, count - i);
            sum = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(a + i, part), CpuReal.Load(b + i, part), sum);
        }

        return sum;
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
            long columns = (long)a.Columns;
            CpuParallel.ForRange(columns, ColumnsPerChunk, (first, end) =>
            {
                for (long column = first; column < end; column += Vector512<TReal>.Count)
                {
                    int part = (int)Math.Min(Vector512<TReal>.Count, end - column);
                    Vector512<TReal> sum = Vector512<TReal>.Zero;
                    for (long row = 0; row < (long)a.Rows; row++)
                    {
                        Vector512<TReal> weight = CpuReal.Load<T, TReal>(a.Weight.Pointer<T>() + (row * columns) + column, part);
                        sum = CpuReal.FusedMultiplyAdd(weight, Vector512.Create(u[row]), sum);
                    }

                    CpuReal.Store(a.Sums.Pointer<TReal>() + column, sum, part);
                }
            });
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
            CpuParallel.ForRange((long)a.Size, CpuParallel.ElementsPerChunk, (start, end) =>
            {
                for (long i = start; i < end; i += Vector512<TReal>.Count)
                {
                    int part = (int)Math.Min(Vector512<TReal>.Count, end - i);
                    Vector512<TReal> weight = CpuReal.Load<T, TReal>(a.Weight.Pointer<T>() + i, part);
                    CpuReal.Store(a.Y.Pointer<T>() + i, weight / Vector512.Create(sigma), part);
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
                        CpuReal.Store(dweight + place, gradient / Vector512.Create(sigma), part);
                    }
                }
            });
        }
    }
}
