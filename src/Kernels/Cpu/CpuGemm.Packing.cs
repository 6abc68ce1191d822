using System.Runtime.CompilerServices;

namespace Kernels.Cpu;

internal static unsafe partial class CpuGemm
{
    private static partial class Blocked<T, TSum, TVector, TLanes>
    {
        /// <summary>The rows that one vectorised transposition reads.</summary>
        private const int TransposedRows = 4;

        /// <summary>The rows of 16-bit elements that are widened at a time on their way to a transposition.</summary>
        private const int WidenedRows = 64;

        /// <summary>The elements that <see cref="CpuElement"/> converts at a time.</summary>
        private const int ConvertedElements = 16;

        /// <summary>Copies a matrix into packed rows, converts it to the type of the sums, and fills its rows up with zeros.</summary>
        public static void Pack(long rows, long columns, long paddedColumns, Strided<T> source, TSum* destination, long destinationStride)
        {
            if (source.ColumnStride == 1)
                PackRows(rows, columns, source, destination, destinationStride);
            else if (source.RowStride == 1 && TLanes.CanTranspose)
                PackColumns(rows, columns, source, destination, destinationStride);
            else
                PackElements(rows, columns, source, destination, destinationStride);

            for (long row = 0; row < rows && columns < paddedColumns; row++)
                new Span<TSum>(destination + (row * destinationStride) + columns, (int)(paddedColumns - columns)).Clear();
        }

        /// <summary>Packs a matrix whose rows are contiguous.</summary>
        private static void PackRows(long rows, long columns, Strided<T> source, TSum* destination, long destinationStride)
        {
            if (StoresSums)
            {
                Copy(rows, columns, (TSum*)source.Origin, source.RowStride, destination, destinationStride);
                return;
            }

            for (long row = 0; row < rows; row++) WidenRow(columns, source.At(row, 0), destination + (row * destinationStride));
        }

        /// <summary>Packs a matrix whose columns are contiguous: strips as wide as a vector are transposed in registers.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void PackColumns(long rows, long columns, Strided<T> source, TSum* destination, long destinationStride)
        {
            TSum* widened = stackalloc TSum[StoresSums ? 1 : WidenedRows * ConvertedElements];
            long transposedRows = rows / TransposedRows * TransposedRows;
            long transposedColumns = columns / TLanes.Width * TLanes.Width;
            for (long column = 0; column < transposedColumns; column += TLanes.Width)
            {
                for (long firstRow = 0; firstRow < transposedRows; firstRow += WidenedRows)
                {
                    long endRow = Math.Min(firstRow + WidenedRows, transposedRows);
                    TSum* strip = (TSum*)source.At(firstRow, column);
                    long stripStride = source.ColumnStride;
                    if (!StoresSums)
                    {
                        for (int i = 0; i < TLanes.Width; i++)
                            WidenRow(endRow - firstRow, source.At(firstRow, column + i), widened + (i * WidenedRows));

                        strip = widened;
                        stripStride = WidenedRows;
                    }

                    for (long row = firstRow; row < endRow; row += TransposedRows)
                    {
                        TSum* to = destination + (row * destinationStride) + column;
                        TLanes.Transpose(strip + (row - firstRow), stripStride, to, destinationStride);
                    }
                }
            }

            TSum* lastRows = destination + (transposedRows * destinationStride);
            PackElements(rows - transposedRows, transposedColumns, source.From(transposedRows, 0), lastRows, destinationStride);
            PackElements(
                rows, columns - transposedColumns, source.From(0, transposedColumns), destination + transposedColumns, destinationStride);
        }

        /// <summary>Packs element by element, along the side of the source that lies closer together.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void PackElements(long rows, long columns, Strided<T> source, TSum* destination, long destinationStride)
        {
            if (Math.Abs(source.ColumnStride) <= Math.Abs(source.RowStride))
            {
                for (long row = 0; row < rows; row++)
                {
                    T* from = source.At(row, 0);
                    TSum* to = destination + (row * destinationStride);
                    for (long column = 0; column < columns; column++) to[column] = Widen(from[column * source.ColumnStride]);
                }
            }
            else
            {
                for (long column = 0; column < columns; column++)
                {
                    T* from = source.At(0, column);
                    TSum* to = destination + column;
                    for (long row = 0; row < rows; row++) to[row * destinationStride] = Widen(from[row * source.RowStride]);
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Copy(long rows, long columns, TSum* source, long sourceStride, TSum* destination, long destinationStride)
        {
            for (long row = 0; row < rows; row++)
            {
                long column = 0;
                for (; column + TLanes.Width <= columns; column += TLanes.Width)
                    TLanes.Store(TLanes.Load(source + column), destination + column);

                for (; column < columns; column++) destination[column] = source[column];
                source += sourceStride;
                destination += destinationStride;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void WidenRow(long count, T* source, TSum* destination)
        {
            long i = 0;
            for (; i + ConvertedElements <= count; i += ConvertedElements)
                CpuElement.Store((float*)(destination + i), CpuElement.Load(source + i));

            for (; i < count; i++) destination[i] = Widen(source[i]);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void RoundRow(long count, float* source, T* destination)
        {
            long i = 0;
            for (; i + ConvertedElements <= count; i += ConvertedElements)
                CpuElement.Store(destination + i, CpuElement.Load(source + i));

            for (; i < count; i++) destination[i] = CpuElement.FromSingle<T>(source[i]);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static TSum Widen(T value) =>
            StoresSums ? Unsafe.BitCast<T, TSum>(value) : Unsafe.BitCast<float, TSum>(CpuElement.ToSingle(value));
    }
}
