using System.Runtime.Intrinsics;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels.Benchmarks;

/// <summary>Measures the float multiply-add peak of a device: what a compute-bound op is held against.</summary>
public static unsafe class MultiplyAddPeak
{
    private const int ChainsPerItem = 8;

    private static readonly KernelDefinition<PeakArguments> Kernel = EntryPoints.Peak.Fixed(CpuPeak);

    /// <summary>Floating-point operations per second, the best of several runs.</summary>
    public static double Measure(DeviceStream stream)
    {
        (long items, long steps) = stream.Device.Kind == DeviceKind.Cpu ? (16 * ChainsPerItem * 64, 20_000) : (1L << 20, 512);
        using DeviceTensor<float> target = stream.Device.Allocate<float>(items);
        PeakArguments arguments = new() { Target = target.Argument, Items = (ulong)items, Steps = (ulong)steps, A = 0.999, B = 0.001 };
        double best = double.PositiveInfinity;
        for (int run = 0; run < 7; run++)
        {
            double seconds = DeviceTimer.Seconds(
                stream, () => stream.Launch(Kernel, new KernelVariant(DType.Float32), LaunchShape.Items(items, Kernel), arguments));
            if (run > 0) best = Math.Min(best, seconds);
        }

        return 2.0 * ChainsPerItem * items * steps / best;
    }

    private static void CpuPeak(in KernelVariant variant, in PeakArguments arguments)
    {
        PeakArguments a = arguments;
        int vectors = (int)a.Items / Vector512<float>.Count;
        CpuParallel.ForRange(vectors, Math.Max(1, vectors / (4 * Environment.ProcessorCount)), (first, end) =>
        {
            Vector512<float> factor = Vector512.Create((float)a.A), addend = Vector512.Create((float)a.B);
            for (long i = first; i < end; i++)
            {
                Vector512<float> c0 = Vector512.Create((float)i), c1 = c0 + c0, c2 = c1 + c0, c3 = c2 + c0;
                Vector512<float> c4 = c3 + c0, c5 = c4 + c0, c6 = c5 + c0, c7 = c6 + c0;
                for (ulong step = 0; step < a.Steps; step++)
                {
                    c0 = Vector512.FusedMultiplyAdd(factor, c0, addend);
                    c1 = Vector512.FusedMultiplyAdd(factor, c1, addend);
                    c2 = Vector512.FusedMultiplyAdd(factor, c2, addend);
                    c3 = Vector512.FusedMultiplyAdd(factor, c3, addend);
                    c4 = Vector512.FusedMultiplyAdd(factor, c4, addend);
                    c5 = Vector512.FusedMultiplyAdd(factor, c5, addend);
                    c6 = Vector512.FusedMultiplyAdd(factor, c6, addend);
                    c7 = Vector512.FusedMultiplyAdd(factor, c7, addend);
                }

                (c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7).Store(a.Target.Pointer<float>() + (i * Vector512<float>.Count));
            }
        });
    }
}
