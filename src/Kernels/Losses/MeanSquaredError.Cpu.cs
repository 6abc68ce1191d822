using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class MeanSquaredError
{
    private readonly struct CpuParts : ICpuKernel<MeanSquaredErrorArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MeanSquaredErrorArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(MeanSquaredErrorArguments a)
            where T : unmanaged
            where TReal : unmanaged
        {
            double slope = a.Slope;
            if (a.LossGradient.IsPresent)
            {
                double factor = CpuElement.ToDouble(*a.LossGradient.Pointer<TReal>());
                slope = double.IsFinite(factor) ? slope * factor : double.NaN;
            }

            long length = ElementsPerBlock * (long)a.PartBlocks;
            CpuParallel.ForRange((long)a.Parts, Math.Max(1, CpuParallel.ElementsPerChunk / length), (first, end) =>
            {
                for (long part = first; part < end; part++)
                {
                    long start = part * length, stop = Math.Min((long)a.Count, start + length);
                    a.Sums.Pointer<TReal>()[part] = CpuElement.FromDouble<TReal>(Sum<T, TReal>(a, slope, start, stop));
                }
            });
        }

        /// <summary>
        /// Each lane adds its own, and double adds what a short stretch has: no sum of floats is long, whatever the size of a part.
        /// </summary>
        private static double Sum<T, TReal>(in MeanSquaredErrorArguments a, double slope, long start, long stop)
            where T : unmanaged
            where TReal : unmanaged
        {
            const int Stretch = 4096;
            double total = 0;
            for (long first = start; first < stop; first += Stretch)
            {
                Vector512<TReal> sum = Vector512<TReal>.Zero, share = Create<TReal>(a.Share), slopes = Create<TReal>(slope);
                long end = Math.Min(stop, first + Stretch);
                for (long i = first; i < end; i += Vector512<TReal>.Count)
                {
                    int count = (int)Math.Min(Vector512<TReal>.Count, end - i);
                    Vector512<TReal> difference = CpuReal.Load<T, TReal>(a.Predictions.Pointer<T>() + i, count)
                        - CpuReal.Load<T, TReal>(a.Targets.Pointer<T>() + i, count);
                    sum += difference * (share * difference);
                    if (!a.Gradient.IsPresent) continue;
                    T* gradient = a.Gradient.Pointer<T>() + i;
                    Vector512<TReal> own = slopes * difference;
                    CpuReal.Store(gradient, a.Accumulates == 0 ? own : CpuReal.Load<T, TReal>(gradient, count) + own, count);
                }

                for (int lane = 0; lane < Vector512<TReal>.Count; lane++) total += CpuElement.ToDouble(sum[lane]);
            }

            return total;
        }

        private static Vector512<TReal> Create<TReal>(double value)
            where TReal : unmanaged => Vector512.Create(CpuElement.FromDouble<TReal>(value));
    }
}
