using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

internal static unsafe partial class PartialSums
{
    private readonly struct CpuReduce : ICpuKernel<PartialSumsReduceArguments>
    {
        /// <summary>Columns that share one pass over the splits.</summary>
        private const int ColumnBlock = 1024;

        public static void Run<T>(in KernelVariant variant, in PartialSumsReduceArguments arguments)
            where T : unmanaged
        {
            PartialSumsReduceArguments a = arguments;
            CpuParallel.ForRange((long)a.Columns, ColumnBlock, (first, end) =>
            {
                if (typeof(T) == typeof(double))
                    Columns<T, double>(a, first, (int)(end - first));
                else
                    Columns<T, float>(a, first, (int)(end - first));
            });
        }

        private static void Columns<T, TSum>(in PartialSumsReduceArguments a, long first, int width)
            where T : unmanaged
            where TSum : unmanaged
        {
            double* sums = stackalloc double[ColumnBlock];
            new Span<double>(sums, width).Clear();
            for (long split = 0; split < (long)a.Splits; split++)
            {
                TSum* partial = a.Partial.Pointer<TSum>() + (split * (long)a.Columns) + first;
                for (int i = 0; i < width; i++) sums[i] += CpuElement.ToDouble(partial[i]);
            }

            for (int i = 0; i < width; i++) a.Sums.Pointer<T>()[first + i] = CpuElement.FromDouble<T>(sums[i]);
        }
    }
}
