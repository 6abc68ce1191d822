using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class SameClassNeighbours
{
    private readonly struct CpuFind : ICpuKernel<SameClassNeighboursArguments>
    {
        /// <summary>Rows whose distances are made side by side.</summary>
        private const int TileRows = 4;

        public static void Run<T>(in KernelVariant variant, in SameClassNeighboursArguments arguments)
            where T : unmanaged
        {
            SameClassNeighboursArguments a = arguments;
            int rows = (int)a.Rows;
            int* labels = a.Labels.Pointer<int>();
            foreach (IGrouping<int, int> members in Enumerable.Range(0, rows).GroupBy(row => labels[row]))
            {
                if (typeof(T) == typeof(double))
                    OfClass<T, double>(a, [.. members]);
                else
                    OfClass<T, float>(a, [.. members]);
            }
        }

        /// <summary>
        /// The rows of a class feature by feature, so that a vector holds one feature of as many rows, whose sums go on side by side.
        /// </summary>
        private static void OfClass<T, TReal>(SameClassNeighboursArguments a, int[] members)
            where T : unmanaged
            where TReal : unmanaged
        {
            int width = Vector512<TReal>.Count, wanted = (int)a.Wanted;
            long run = (long)a.Run, padded = (members.Length + width - 1) / width * width;
            T* features = a.Features.Pointer<T>();
            int* neighbours = a.Neighbours.Pointer<int>();

            // Of what lies behind the last row nothing is used.
            TReal* byFeature = CpuScratch.TakeShared<TReal>(run * padded);
            CpuParallel.ForRange(members.Length, 64, (first, end) =>
            {
                for (long member = first; member < end; member++)
                    for (long i = 0; i < run; i++) byFeature[(i * padded) + member] = Real<T, TReal>(features[(members[member] * run) + i]);
            });
            long tiles = (members.Length + TileRows - 1) / TileRows;
            CpuParallel.ForRange(tiles, Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, TileRows * run * padded)), (first, end) =>
            {
                TReal* distances = CpuScratch.Take<TReal>(TileRows * padded);
                ulong[] nearest = new ulong[wanted];
                for (long tile = first; tile < end; tile++)
                {
                    long from = tile * TileRows, rows = Math.Min(TileRows, members.Length - from);
                    Distances(byFeature, run, padded, from, rows, distances);
                    for (long member = from; member < from + rows; member++)
                    {
                        Nearest(distances + ((member - from) * padded), members, member, nearest);
                        int* found = neighbours + (members[member] * (long)wanted);
                        for (int place = 0; place < wanted; place++)
                            found[place] = nearest[place] == ulong.MaxValue ? -1 : (int)(uint)nearest[place];
                    }
                }
            });
        }

        /// <summary>
        /// Squared distances of a tile's rows from all rows of the class. Each is one sum over the features in their order, and the eight
        /// of four rows and two vectors go on side by side: for as many loads, four times the sums.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Distances<TReal>(TReal* byFeature, long run, long padded, long from, long rows, TReal* distances)
            where TReal : unmanaged
        {
            int width = Vector512<TReal>.Count;
            for (long start = 0; start < padded; start += 2 * width)
            {
                // A row or a vector that is not there is the last one that is, once more.
                long second = Math.Min(start + width, padded - width);
                TReal* row0 = byFeature + from, row1 = byFeature + from + Math.Min(1, rows - 1);
                TReal* row2 = byFeature + from + Math.Min(2, rows - 1), row3 = byFeature + from + Math.Min(3, rows - 1);
                TReal* others = byFeature + start, more = byFeature + second;
                Vector512<TReal> low0 = default, low1 = default, low2 = default, low3 = default;
                Vector512<TReal> high0 = default, high1 = default, high2 = default, high3 = default;
                for (long i = 0; i < run * padded; i += padded)
                {
                    Vector512<TReal> low = Vector512.Load(others + i), high = Vector512.Load(more + i);
                    Add(Vector512.Create(row0[i]), low, high, ref low0, ref high0);
                    Add(Vector512.Create(row1[i]), low, high, ref low1, ref high1);
                    Add(Vector512.Create(row2[i]), low, high, ref low2, ref high2);
                    Add(Vector512.Create(row3[i]), low, high, ref low3, ref high3);
                }

                low0.Store(distances + start);
                high0.Store(distances + second);
                low1.Store(distances + padded + start);
                high1.Store(distances + padded + second);
                low2.Store(distances + (2 * padded) + start);
                high2.Store(distances + (2 * padded) + second);
                low3.Store(distances + (3 * padded) + start);
                high3.Store(distances + (3 * padded) + second);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Add<TReal>(
            Vector512<TReal> own, Vector512<TReal> low, Vector512<TReal> high, ref Vector512<TReal> lowSum, ref Vector512<TReal> highSum)
            where TReal : unmanaged
        {
            Vector512<TReal> first = own - low, second = own - high;
            lowSum = CpuReal.FusedMultiplyAdd(first, first, lowSum);
            highSum = CpuReal.FusedMultiplyAdd(second, second, highSum);
        }

        /// <summary>
        /// The nearest of all rows but the row itself; a vector in which none is nearer than the last of them is passed over.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Nearest<TReal>(TReal* distances, int[] members, long self, ulong[] nearest)
            where TReal : unmanaged
        {
            int width = Vector512<TReal>.Count;
            Array.Fill(nearest, ulong.MaxValue);
            Vector512<TReal> bound = Vector512<TReal>.AllBitsSet;
            for (int start = 0; start < members.Length; start += width)
            {
                // What does not compare is looked at: NaN, which is as far as infinity, and all while there are too few.
                ulong open = ~Vector512.GreaterThanOrEqual(Vector512.Load(distances + start), bound).ExtractMostSignificantBits();
                open &= ulong.MaxValue >> (64 - Math.Min(width, members.Length - start));
                if (open == 0) continue;
                for (; open != 0; open &= open - 1)
                {
                    int other = start + BitOperations.TrailingZeroCount(open);
                    if (other != self) Keep(nearest, Key(Single(distances[other]), members[other]));
                }

                bound = Vector512.Create(Real<float, TReal>(BitConverter.UInt32BitsToSingle((uint)(nearest[^1] >> 32))));
            }
        }

        private static TReal Real<T, TReal>(T value)
            where T : unmanaged
            where TReal : unmanaged =>
            typeof(TReal) == typeof(double) ? (TReal)(object)CpuElement.ToDouble(value) : (TReal)(object)CpuElement.ToSingle(value);

        private static float Single<TReal>(TReal value)
            where TReal : unmanaged => typeof(TReal) == typeof(double) ? (float)(double)(object)value : (float)(object)value;

        private static ulong Key(float distance, int row) =>
            ((ulong)(float.IsNaN(distance) ? 0x7f800000u : BitConverter.SingleToUInt32Bits(distance)) << 32) | (uint)row;

        private static void Keep(ulong[] nearest, ulong key)
        {
            if (key >= nearest[^1]) return;
            int place = nearest.Length - 1;
            for (; place > 0 && nearest[place - 1] > key; place--) nearest[place] = nearest[place - 1];
            nearest[place] = key;
        }
    }
}
