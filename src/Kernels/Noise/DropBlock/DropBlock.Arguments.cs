using Kernels.Devices;

namespace Kernels;

public static unsafe partial class DropBlock
{
    /// <summary>One pass of the dilation: bits at distances 0 to Width - 1, and of those again Count times along each axis, Pitch bits apart.</summary>
    internal readonly record struct SpreadPass(ulong Width, ulong CountX, ulong PitchX, ulong CountY, ulong PitchY, ulong CountZ, ulong PitchZ)
    {
        /// <summary>Rows, or planes, that one pass combines; larger boxes are built from such.</summary>
        private const long MostCombined = 8;

        /// <summary>Neighbours that one pass combines within 64 bits.</summary>
        private const long MostNeighbours = 32;

        /// <summary>The passes that together cover a block.</summary>
        public static List<SpreadPass> For(in DropBlockGeometry geometry)
        {
            List<(long Count, long Step)> x = Factors(geometry.BlockWidth, MostNeighbours);
            List<(long Count, long Step)> y = Factors(geometry.BlockHeight, MostCombined);
            List<(long Count, long Step)> z = Factors(geometry.BlockDepth, MostCombined);
            List<SpreadPass> passes = [];
            for (int i = 0; i < Math.Max(x.Count, Math.Max(y.Count, z.Count)); i++)
            {
                ((long countX, long stepX), (long countY, long stepY), (long countZ, long stepZ)) = (At(x, i), At(y, i), At(z, i));
                passes.Add(new SpreadPass(
                    (ulong)(i == 0 ? countX : 1), (ulong)(i == 0 ? 1 : countX), (ulong)stepX, (ulong)countY, (ulong)(stepY * geometry.Width), (ulong)countZ,
                    (ulong)(stepZ * geometry.Width * geometry.Height)));
            }

            return passes;

            static (long Count, long Step) At(List<(long Count, long Step)> factors, int index) => index < factors.Count ? factors[index] : (1, 1);
        }

        /// <summary>A window of <paramref name="size"/> as windows of windows: copies of one that is already there, at most its own size apart.</summary>
        private static List<(long Count, long Step)> Factors(long size, long most)
        {
            if (size <= most) return [(size, 1)];
            long count = Math.Min(MostCombined, (size + most - 1) / most), step = size / count;
            return [.. Factors(size - ((count - 1) * step), most), (count, step)];
        }
    }

    internal readonly record struct SeedsArguments(
        TensorArgument Seeds, ulong Cells, ulong Depth, ulong Height, ulong Width, ulong SeedDepth, ulong SeedHeight, ulong SeedWidth, ulong FirstUnit,
        ulong Threshold, KeyArgument Key) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Seeds);
            binder.UInt64(Cells);
            binder.UInt64(Depth);
            binder.UInt64(Height);
            binder.UInt64(Width);
            binder.UInt64(SeedDepth);
            binder.UInt64(SeedHeight);
            binder.UInt64(SeedWidth);
            binder.UInt64(FirstUnit);
            binder.UInt64(Threshold);
            binder.Key(Key);
        }
    }

    internal readonly record struct SpreadArguments(
        TensorArgument Source, TensorArgument Target, ulong Cells, ulong Width, ulong CountX, ulong PitchX, ulong CountY, ulong PitchY, ulong CountZ,
        ulong PitchZ, uint Invert) : IKernelArguments
    {
        /// <summary>How many bits ahead of a bit its sources reach.</summary>
        public long Reach => (long)(Width - 1 + ((CountX - 1) * PitchX) + ((CountY - 1) * PitchY) + ((CountZ - 1) * PitchZ));

        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Source);
            binder.Tensor(Target);
            binder.UInt64(Cells);
            binder.UInt64(Width);
            binder.UInt64(CountX);
            binder.UInt64(PitchX);
            binder.UInt64(CountY);
            binder.UInt64(PitchY);
            binder.UInt64(CountZ);
            binder.UInt64(PitchZ);
            binder.UInt32(Invert);
        }
    }

    internal readonly record struct CountArguments(TensorArgument Mask, TensorArgument Counts, ulong Units, ulong UnitCells, ulong Parts, ulong PartCells)
        : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Mask);
            binder.Tensor(Counts);
            binder.UInt64(Units);
            binder.UInt64(UnitCells);
            binder.UInt64(Parts);
            binder.UInt64(PartCells);
        }
    }

    internal readonly record struct ScaleArguments(TensorArgument Counts, TensorArgument Scales, ulong Units, ulong UnitCells, ulong Parts) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Counts);
            binder.Tensor(Scales);
            binder.UInt64(Units);
            binder.UInt64(UnitCells);
            binder.UInt64(Parts);
        }
    }

    internal readonly record struct ApplyArguments(
        TensorArgument X, TensorArgument Y, TensorArgument Mask, TensorArgument Scales, ulong Count, ulong Inner, ulong Outer, ulong MaskInner,
        ulong MaskOuter, ulong MaskSample, ulong ScaleInner, ulong ScaleOuter, ulong ScaleSample, double Scale, ulong NoiseStart, KeyArgument Key)
        : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(X);
            binder.Tensor(Y);
            binder.Tensor(Mask);
            binder.Tensor(Scales);
            binder.UInt64(Count);
            binder.UInt64(Inner);
            binder.UInt64(Outer);
            binder.UInt64(MaskInner);
            binder.UInt64(MaskOuter);
            binder.UInt64(MaskSample);
            binder.UInt64(ScaleInner);
            binder.UInt64(ScaleOuter);
            binder.UInt64(ScaleSample);
            binder.Real(Scale);
            binder.UInt64(NoiseStart);
            binder.Key(Key);
        }
    }
}
