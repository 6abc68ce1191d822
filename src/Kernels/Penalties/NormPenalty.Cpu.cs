using System.Numerics;
using System.Runtime.Intrinsics;
using Kernels.Devices;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>The kernels of <see cref="NormPenalty{T}"/>.</summary>
internal static unsafe class NormPenaltyKernels
{
    public const uint GradientSwitch = 1;

    public static readonly KernelDefinition<NormPenaltyTilesArguments> Tiles =
        EntryPoints.NormPenaltyTiles.Float<CpuTiles>(switches: ["HAS_GRADIENT"]);

    public static readonly KernelDefinition<NormPenaltyValueArguments> Value = EntryPoints.NormPenaltyValue.Float<CpuValue>();

    private readonly struct CpuTiles : ICpuKernel<NormPenaltyTilesArguments>
    {
        public static void Run<T>(in KernelVariant variant, in NormPenaltyTilesArguments arguments)
            where T : unmanaged
        {
            bool hasGradient = (variant.Switches & GradientSwitch) != 0;
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments, hasGradient);
            else
                Run<T, float>(arguments, hasGradient);
        }

        private static void Run<T, TReal>(NormPenaltyTilesArguments a, bool hasGradient)
            where T : unmanaged
            where TReal : unmanaged, IFloatingPointIeee754<TReal>
        {
            CpuParallel.ForRange((long)a.TensorList.TileCount, CpuParallel.ElementsPerChunk / TensorTable<T>.TileLength, (first, end) =>
            {
                for (long place = first; place < end; place++)
                {
                    CpuTile tile = CpuTile.At(a.TensorList, place);
                    TReal* own = a.Coefficients.Pointer<TReal>() + (3 * (long)tile.Tensor);
                    T* gradient = hasGradient ? a.Gradient.Pointer<T>() + tile.Second : null;
                    a.Sums.Pointer<TReal>()[tile.Index] =
                        Tile(a.Parameter.Pointer<T>() + tile.First, gradient, tile.Count, own[0], own[1], own[2], TReal.CreateChecked(a.GradientScale));
                }
            });
        }

        private static TReal Tile<T, TReal>(T* parameter, T* gradient, long count, TReal absolute, TReal square, TReal slope, TReal scale)
            where T : unmanaged
            where TReal : unmanaged, IFloatingPointIeee754<TReal>
        {
            // A tensor that is excluded is not read: NaN in it does not matter.
            if (absolute == TReal.Zero && square == TReal.Zero) return TReal.Zero;
            Vector512<TReal> magnitudes = Vector512<TReal>.Zero, squares = Vector512<TReal>.Zero;
            Vector512<TReal> ofSign = Vector512.Create(scale * absolute), ofWeight = Vector512.Create(scale * slope);
            for (long i = 0; i < count; i += Vector512<TReal>.Count)
            {
                int part = (int)Math.Min(Vector512<TReal>.Count, count - i);
                Vector512<TReal> weight = CpuReal.Load<T, TReal>(parameter + i, part);
                magnitudes += Vector512.Abs(weight);
                squares += weight * weight;
                if (gradient == null) continue;
                Vector512<TReal> added = (ofSign * CpuReal.SignOf(weight)) + (ofWeight * weight);
                CpuReal.Store(gradient + i, CpuReal.Load<T, TReal>(gradient + i, part) + added, part);
            }

            // A strength of 0 leaves its sum out, which may be infinite.
            TReal ofMagnitudes = absolute == TReal.Zero ? TReal.Zero : absolute * Vector512.Sum(magnitudes);
            return ofMagnitudes + (square == TReal.Zero ? TReal.Zero : square * Vector512.Sum(squares));
        }
    }

    private readonly struct CpuValue : ICpuKernel<NormPenaltyValueArguments>
    {
        public static void Run<T>(in KernelVariant variant, in NormPenaltyValueArguments arguments)
            where T : unmanaged
        {
            double sum = 0;
            if (typeof(T) == typeof(double))
            {
                for (ulong tile = 0; tile < arguments.TileCount; tile++) sum += arguments.Sums.Pointer<double>()[tile];
                *arguments.Value.Pointer<double>() = sum;
            }
            else
            {
                for (ulong tile = 0; tile < arguments.TileCount; tile++) sum += arguments.Sums.Pointer<float>()[tile];
                *arguments.Value.Pointer<float>() = (float)sum;
            }
        }
    }
}
