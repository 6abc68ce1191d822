using System.Runtime.CompilerServices;
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
            // A gradient overlaps none of its uses: where it is large, it is stored past the caches.
            long tileLength = TensorTable<T>.TileLength;
            bool large = (long)a.TensorList.TileCount * tileLength * sizeof(T) >= CpuStreaming.ThresholdBytes;
            CpuParallel.ForRange((long)a.TensorList.TileCount, CpuParallel.ElementsPerChunk / tileLength, (first, end) =>
            {
                ulong* places = a.Places.Pointer<ulong>();
                for (long place = first; place < end; place++)
                {
                    CpuTile tile = CpuTile.At(a.TensorList, place);
                    T* gradient = a.Gradient.Pointer<T>() + tile.First;
                    Tile<T, TReal>(
                        gradient, a.Uses.Pointer<T>() + tile.Second, places + places[tile.Tensor],
                        (long)(places[tile.Tensor + 1] - places[tile.Tensor]), tile.Count, a.Adds != 0,
                        large && (nuint)gradient % (nuint)Vector512<byte>.Count == 0);
                }
            });
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Tile<T, TReal>(T* gradient, T* uses, ulong* places, long useCount, long count, bool adds, bool streams)
            where T : unmanaged
            where TReal : unmanaged
        {
            for (long i = 0; i < count; i += Vector512<TReal>.Count)
            {
                int part = (int)Math.Min(Vector512<TReal>.Count, count - i);
                Vector512<TReal> sum = adds ? CpuReal.Load<T, TReal>(gradient + i, part) : default;
                for (long use = 0; use < useCount; use += AtOnce)
                {
                    Vector512<TReal> four = Tree<T, TReal>(uses + i, places + use, useCount - use, part);
                    sum = adds || use > 0 ? sum + four : four;
                }

                CpuReal.Store(gradient + i, sum, part, streams);
            }
        }

        /// <summary>Up to four uses: neighbours are added, then the sums.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<TReal> Tree<T, TReal>(T* uses, ulong* places, long useCount, int count)
            where T : unmanaged
            where TReal : unmanaged
        {
            Vector512<TReal> sum = CpuReal.Load<T, TReal>(uses + (long)places[0], count);
            if (useCount == 1) return sum;
            sum += CpuReal.Load<T, TReal>(uses + (long)places[1], count);
            if (useCount == 2) return sum;
            Vector512<TReal> last = CpuReal.Load<T, TReal>(uses + (long)places[2], count);
            return sum + (useCount == 3 ? last : last + CpuReal.Load<T, TReal>(uses + (long)places[3], count));
        }
    }
}
