using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

// Moments where channels come last.
internal static unsafe partial class NormPasses
{
    /// <summary>Moments of parts of all channels at once, whose elements lie side by side.</summary>
    private readonly struct CpuMomentsColumns : ICpuKernel<BatchNormMomentsColumnsArguments>
    {
        /// <summary>Rows whose sums are kept in float.</summary>
        private const long Chunk = 256, ChunkOfDoubles = 64;

        private const int FloatRows = 4, DoubleRows = 2;

        public static void Run<T>(in KernelVariant variant, in BatchNormMomentsColumnsArguments arguments)
            where T : unmanaged
        {
            BatchNormMomentsColumnsArguments a = arguments;
            CpuParallel.For((long)(a.NormShape.Sets * a.Splits), part =>
            {
                if (typeof(T) == typeof(double))
                    PartInDouble(a, part);
                else
                    Part<T>(a, part);
            });
        }

        private static (long Set, long Split, long Begin, long End) RowsOf(in BatchNormMomentsColumnsArguments a, long part)
        {
            (long set, long split) = Math.DivRem(part, (long)a.Splits);
            long outer = (long)a.NormShape.Outer, begin = split * (long)a.Share;
            return (set, split, (set * outer) + begin, (set * outer) + Math.Min(outer, begin + (long)a.Share));
        }

        private static void Part<T>(in BatchNormMomentsColumnsArguments a, long part)
            where T : unmanaged
        {
            long channels = (long)a.NormShape.Channels, units = (long)a.NormShape.Sets * channels;
            long stride = (channels + CpuElement.Width - 1) / CpuElement.Width * CpuElement.Width;
            (long set, long split, long begin, long end) = RowsOf(a, part);
            float* floats = (float*)NativeMemory.AlignedAlloc(
                (nuint)(stride * ((FloatRows * sizeof(float)) + (DoubleRows * sizeof(double)))), (nuint)Vector512<byte>.Count);
            double* doubles = (double*)(floats + (FloatRows * stride));
            try
            {
                long merged = 0;
                foreach ((long runBegin, long runEnd, bool counts) in new CpuNormLengths(a.NormLengths).RowRuns(begin, end))
                {
                    for (long first = runBegin; counts && first < runEnd; first += Chunk)
                    {
                        long rows = Math.Min(Chunk, runEnd - first);
                        AddRows(a.X.Pointer<T>() + (first * channels), rows, channels, floats, stride);
                        Merge(merged, rows, floats, doubles, stride);
                        merged += rows;
                    }
                }

                float* record = a.Partial.Pointer<float>() + (split * MomentRows * units);
                for (long c = 0; c < channels; c++)
                {
                    CpuMoments own = merged == 0
                        ? default
                        : new CpuMoments { Count = merged, Reference = doubles[c], Squares = doubles[stride + c] };
                    own.Store(record, (set * channels) + c, units);
                }
            }
            finally
            {
                NativeMemory.AlignedFree(floats);
            }
        }

        /// <summary>The first row, and sums of distances from it: plain, squared, and squared when scaled down.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void AddRows<T>(T* x, long rows, long channels, float* floats, long stride)
            where T : unmanaged
        {
            for (long c = 0; c < channels; c += CpuElement.Width)
                CpuElement.Load(x + c, (int)Math.Min(CpuElement.Width, channels - c)).Store(floats + c);
            NativeMemory.Clear(floats + stride, (nuint)(3 * stride * sizeof(float)));
            for (long row = 0; row < rows; row += CpuNormRuns.Band)
            {
                T* band = x + (row * channels);
                int height = (int)Math.Min(CpuNormRuns.Band, rows - row);
                long c = 0;
                for (; c + (4 * CpuElement.Width) <= channels; c += 4 * CpuElement.Width)
                    AddWideColumns(band + c, height, channels, floats + c, stride);
                for (; c + CpuElement.Width <= channels; c += CpuElement.Width)
                    AddColumns(band + c, CpuElement.Width, height, channels, floats + c, stride);
                if (c < channels) AddLastColumns(band + c, (int)(channels - c), height, channels, floats + c, stride);
            }
        }

        // Out of line, as its loads of parts of a vector may be calls, around which no vector stays in a register.
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        private static void AddLastColumns<T>(T* x, int count, int rows, long channels, float* floats, long stride)
            where T : unmanaged => AddColumns(x, count, rows, channels, floats, stride);

        /// <summary>The sums of 64 columns stay in registers for a few rows, of which whole lines are read one after the other.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void AddWideColumns<T>(T* x, int rows, long channels, float* floats, long stride)
            where T : unmanaged
        {
            const int Width = CpuElement.Width;
            ColumnSums a = new(floats, stride), b = new(floats + Width, stride);
            ColumnSums c = new(floats + (2 * Width), stride), d = new(floats + (3 * Width), stride);
            for (int row = 0; row < rows; row++, x += channels)
            {
                a.Add(CpuElement.Load(x));
                b.Add(CpuElement.Load(x + Width));
                c.Add(CpuElement.Load(x + (2 * Width)));
                d.Add(CpuElement.Load(x + (3 * Width)));
            }

            a.Store(floats, stride);
            b.Store(floats + Width, stride);
            c.Store(floats + (2 * Width), stride);
            d.Store(floats + (3 * Width), stride);
        }

        /// <summary>The same of up to 16 columns.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void AddColumns<T>(T* x, int count, int rows, long channels, float* floats, long stride)
            where T : unmanaged
        {
            ColumnSums sums = new(floats, stride);
            for (int row = 0; row < rows; row++, x += channels) sums.Add(CpuElement.Load(x, count));
            sums.Store(floats, stride);
        }

        /// <summary>Sums of the distances of 16 columns from the first row: plain, squared, and squared when scaled down.</summary>
        private struct ColumnSums
        {
            private readonly Vector512<float> _from;
            private Vector512<float> _sum, _squares, _coarse;

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public ColumnSums(float* floats, long stride)
            {
                _from = Vector512.Load(floats);
                _sum = Vector512.Load(floats + stride);
                _squares = Vector512.Load(floats + (2 * stride));
                _coarse = Vector512.Load(floats + (3 * stride));
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public void Add(Vector512<float> value)
            {
                Vector512<float> distance = value - _from, scaled = distance * Vector512.Create(CpuMoments.Down);
                _sum += distance;
                _squares = Vector512.FusedMultiplyAdd(distance, distance, _squares);
                _coarse = Vector512.FusedMultiplyAdd(scaled, scaled, _coarse);
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public readonly void Store(float* floats, long stride)
            {
                _sum.Store(floats + stride);
                _squares.Store(floats + (2 * stride));
                _coarse.Store(floats + (3 * stride));
            }
        }

        /// <summary>Merges the sums over <paramref name="rows"/> rows into mean and squares over <paramref name="before"/> rows.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Merge(long before, long rows, float* floats, double* doubles, long stride)
        {
            Vector512<double> unscaled = Vector512.Create(1 / (double)CpuMoments.Down);
            double share = rows / (double)(before + rows);
            for (long c = 0; c < stride; c += Vector512<double>.Count)
            {
                Vector512<double> sum = Widened(floats + stride + c), squares = Widened(floats + (2 * stride) + c);
                Vector512<double> coarse = Widened(floats + (3 * stride) + c) * unscaled * unscaled;
                squares = Vector512.ConditionalSelect(Vector512.Equals(squares - squares, Vector512<double>.Zero), squares, coarse);
                Vector512<double> distance = sum / rows, mean = Widened(floats + c) + distance;
                squares = squares - (distance * sum);
                squares = Vector512.ConditionalSelect(Vector512.LessThan(squares, Vector512<double>.Zero), Vector512<double>.Zero, squares);
                if (before > 0)
                {
                    Vector512<double> known = Vector512.Load(doubles + c), apart = mean - known;
                    squares += Vector512.Load(doubles + stride + c) + (apart * apart * (before * share));
                    mean = known + (apart * share);
                }

                mean.Store(doubles + c);
                squares.Store(doubles + stride + c);
            }
        }

        private static Vector512<double> Widened(float* values) => Vector512.WidenLower(Vector512.Create(Vector256.Load(values), default));

        private static void PartInDouble(in BatchNormMomentsColumnsArguments a, long part)
        {
            long channels = (long)a.NormShape.Channels, units = (long)a.NormShape.Sets * channels;
            (long set, long split, long begin, long end) = RowsOf(a, part);
            double* rows = a.Partial.Pointer<double>() + (split * MomentRows * units);
            for (long c = 0; c < channels; c++)
            {
                CpuMoments total = default;
                foreach ((long runBegin, long runEnd, bool counts) in new CpuNormLengths(a.NormLengths).RowRuns(begin, end))
                {
                    for (long first = runBegin; counts && first < runEnd; first += ChunkOfDoubles)
                    {
                        long last = Math.Min(runEnd, first + ChunkOfDoubles);
                        double* x = a.X.Pointer<double>() + c;
                        double from = x[first * channels], sum = 0, squares = 0;
                        for (long row = first; row < last; row++)
                        {
                            double distance = x[row * channels] - from;
                            sum += distance;
                            squares += distance * distance;
                        }

                        total.Merge(CpuMoments.Of(last - first, from, sum, squares));
                    }
                }

                total.Store(rows, (set * channels) + c, units);
            }
        }
    }
}
