using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>The kernel of <see cref="TiedGradients{T}"/>.</summary>
internal static unsafe class TiedGradientsKernels
{
    public static readonly KernelDefinition<TiedGradientsSumArguments> Sum = EntryPoints.TiedGradientsSum.Float<CpuSum>();

    /// <summary>Uses that are added up in a tree; trees join what there is one after the other.</summary>
    private const int AtOnce = 4;

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
                        Vector512<TReal> sum = default;
                        if (a.Adds != 0) sum = CpuReal.Load<T, TReal>(gradient + i, count);
                        for (long use = firstUse; use < lastUse; use += AtOnce)
                        {
                            Vector512<TReal> four = Tree<T, TReal>(uses + i, places + use, Math.Min(AtOnce, lastUse - use), count);
                            sum = a.Adds != 0 || use > firstUse ? sum + four : four;
                        }

                        CpuReal.Store(gradient + i, sum, count);
                    }
                }
            });
        }

        /// <summary>Neighbours are added, then neighbouring sums.</summary>
        private static Vector512<TReal> Tree<T, TReal>(T* uses, ulong* places, long useCount, int count)
            where T : unmanaged
            where TReal : unmanaged
        {
            if (useCount == 1) return CpuReal.Load<T, TReal>(uses + (long)places[0], count);
            long left = useCount > 2 ? 2 : 1;
            return Tree<T, TReal>(uses, places, left, count) + Tree<T, TReal>(uses, places + left, useCount - left, count);
        }
    }
}
