using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>The kernel of <see cref="TiedGradients{T}"/>.</summary>
internal static unsafe class TiedGradientsKernels
{
    public static readonly KernelDefinition<TiedGradientsSumArguments> Sum = EntryPoints.TiedGradientsSum.Float<CpuSum>();

    private readonly struct CpuSum : ICpuKernel<TiedGradientsSumArguments>
    {
        public static void Run<T>(in KernelVariant variant, in TiedGradientsSumArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(TiedGradientsSumArguments a)
            where T : unmanaged
            where TReal : unmanaged
        {
            CpuParallel.ForRange((long)a.TensorList.TileCount, CpuParallel.ElementsPerChunk / TensorTable<T>.TileLength, (first, end) =>
            {
                ulong* places = a.Places.Pointer<ulong>();
                for (long place = first; place < end; place++)
                {
                    CpuTile tile = CpuTile.At(a.TensorList, place);
                    long firstUse = (long)places[tile.Tensor], lastUse = (long)places[tile.Tensor + 1];
                    T* gradient = a.Gradient.Pointer<T>() + tile.First;
                    T* uses = a.Uses.Pointer<T>() + tile.Second;
                    for (long i = 0; i < tile.Count; i += Vector512<TReal>.Count)
                    {
                        int count = (int)Math.Min(Vector512<TReal>.Count, tile.Count - i);
                        long use = firstUse;
                        Vector512<TReal> sum = a.Adds != 0
                            ? CpuReal.Load<T, TReal>(gradient + i, count) : CpuReal.Load<T, TReal>(uses + (long)places[use++] + i, count);
                        for (; use < lastUse; use++) sum += CpuReal.Load<T, TReal>(uses + (long)places[use] + i, count);
                        CpuReal.Store(gradient + i, sum, count);
                    }
                }
            });
        }
    }
}
