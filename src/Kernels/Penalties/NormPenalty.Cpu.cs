using System.Numerics;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>What a tensor's weights are multiplied by: <c>penalty_coefficients</c> in <c>norm_penalty.cl</c>, field by field.</summary>
internal struct PenaltyCoefficients<TReal>
    where TReal : unmanaged
{
    public TReal Magnitude;
    public TReal Root;
    public TReal Slope;
}

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
                    ref PenaltyCoefficients<TReal> own = ref ((PenaltyCoefficients<TReal>*)a.Coefficients.Pointer<TReal>())[tile.Tensor];
                    T* gradient = hasGradient ? a.Gradient.Pointer<T>() + tile.Second : null;
                    a.Sums.Pointer<TReal>()[tile.Index] =
                        Tile(a.Parameter.Pointer<T>() + tile.First, gradient, tile.Count, own, TReal.CreateChecked(a.GradientScale));
                }
            });
        }

        private static TReal Tile<T, TReal>(T* parameter, T* gradient, long count, PenaltyCoefficients<TReal> own, TReal gradientScale)
            where T : unmanaged
            where TReal : unmanaged, IFloatingPointIeee754<TReal>
        {
            // 0 is absent: what it would multiply is not looked at. Without either a tensor is not read: NaN in it does not matter.
            bool hasL1 = own.Magnitude != TReal.Zero, hasL2 = own.Root != TReal.Zero;
            if (!hasL1 && !hasL2) return TReal.Zero;
            Vector512<TReal> value = Vector512<TReal>.Zero;
            Vector512<TReal> magnitude = Vector512.Create(own.Magnitude), root = Vector512.Create(own.Root),
                slope = Vector512.Create(own.Slope);
            Vector512<TReal> scale = Vector512.Create(gradientScale);
            for (long i = 0; i < count; i += Vector512<TReal>.Count)
            {
                int part = (int)Math.Min(Vector512<TReal>.Count, count - i);
                Vector512<TReal> weight = CpuReal.Load<T, TReal>(parameter + i, part), added = Vector512<TReal>.Zero;
                if (hasL1)
                {
                    value += magnitude * Vector512.Abs(weight);
                    added = magnitude * CpuReal.SignOf(weight);
                }

                if (hasL2)
                {
                    Vector512<TReal> rooted = root * weight;
                    value += rooted * rooted;
                    added += slope * weight;
                }

                if (gradient != null) CpuReal.Store(gradient + i, CpuReal.Load<T, TReal>(gradient + i, part) + (scale * added), part);
            }

            return Vector512.Sum(value);
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
