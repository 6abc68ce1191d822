using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class SameClassNeighbours
{
    private readonly struct CpuFind : ICpuKernel<SameClassNeighboursArguments>
    {
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
            TReal[] byFeature = new TReal[run * padded];
            CpuParallel.ForRange(members.Length, 64, (first, end) =>
            {
                for (long member = first; member < end; member++)
                    for (long i = 0; i < run; i++) byFeature[(i * padded) + member] = Real<T, TReal>(features[(members[member] * run) + i]);
            });
            CpuParallel.ForRange(members.Length, Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, run * padded)), (first, end) =>
            {
                ulong[] nearest = new ulong[wanted];
                for (long member = first; member < end; member++)
                {
                    Array.Fill(nearest, ulong.MaxValue);
                    for (int start = 0; start < members.Length; start += width)
                    {
                        Vector512<TReal> distances = Vector512<TReal>.Zero;
                        fixed (TReal* values = byFeature)
                        {
                            for (long i = 0; i < run; i++)
                            {
                                Vector512<TReal> own = Vector512.Create(values[(i * padded) + member]);
                                Vector512<TReal> difference = own - Vector512.Load(values + (i * padded) + start);
                                distances = CpuReal.FusedMultiplyAdd(difference, difference, distances);
                            }
                        }

                        for (int lane = 0; lane < width && start + lane < members.Length; lane++)
                            if (start + lane != member) Keep(nearest, Key(Single(distances[lane]), members[start + lane]));
                    }

                    for (int place = 0; place < wanted; place++)
                    {
                        neighbours[(members[member] * (long)wanted) + place] =
                            nearest[place] == ulong.MaxValue ? -1 : (int)(uint)nearest[place];
                    }
                }
            });
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
