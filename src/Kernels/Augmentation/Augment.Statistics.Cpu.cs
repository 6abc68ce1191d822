using System.Numerics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class Augment
{
    /// <summary>A part of an image is a band of rows here.</summary>
    private readonly struct CpuStatistics : ICpuKernel<AugmentStatisticsArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AugmentStatisticsArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                ForReal<double>(arguments);
            else
                ForReal<float>(arguments);
        }

        private static void ForReal<TReal>(in AugmentStatisticsArguments a)
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            switch (a.AugmentImage.InputType)
            {
                case 0: Gather<byte, TReal>(a); break;
                case 1: Gather<Half, TReal>(a); break;
                case 2: Gather<BFloat16, TReal>(a); break;
                case 3: Gather<float, TReal>(a); break;
                default: Gather<double, TReal>(a); break;
            }
        }

        private static void Gather<TIn, TReal>(in AugmentStatisticsArguments arguments)
            where TIn : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            AugmentStatisticsArguments a = arguments;
            CpuParallel.For((long)a.Jobs, job =>
            {
                (long sample, long part) = Math.DivRem(job, a.SampleParts);
                float* row = a.Table.Pointer<float>() + (sample * a.TableWidth);
                int op = AugmentRow.OpOf(row, (int)a.Statistic);
                if (op < 0) return;
                AugmentImageArguments image = a.AugmentImage;
                AugmentReader<TIn, TReal> reader = new(
                    (TIn*)a.X.Pointer<byte>(), sample, (long)(a.Jobs / a.SampleParts), row, image, a.AugmentMap);
                TReal* known = KeptOf<TReal>(a.Statistics, sample, a.AugmentColor);
                long size = image.Channels * AugmentReader<TIn, TReal>.PaddedWidth(image);
                AugmentRow<TIn, TReal> pipeline = new(
                    reader, row, known, a.AugmentColor, CpuScratch.Take<TReal>(AugmentRow<TIn, TReal>.MemoryRows * size));
                AugmentStatistic<TReal> taken = new(
                    AugmentRow.CodeOf(row, op), reader.Channels, (long)image.OutHeight * image.OutWidth, a.AugmentColor, reader.OutWidth,
                    pipeline.Padded);
                long end = (part + 1) * image.OutHeight / a.SampleParts;
                for (long r = part * image.OutHeight / a.SampleParts; r < end; r++)
                {
                    pipeline.Make((int)r, 0, op, picture: null, pipeline.Buffer);
                    taken.Add(pipeline.Buffer);
                }

                taken.Keep(a.Parts.Pointer<TReal>() + (job * StatisticsLength));
            });
        }
    }

    private readonly struct CpuStatisticsJoin : ICpuKernel<AugmentStatisticsJoinArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AugmentStatisticsJoinArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Join<double>(arguments);
            else
                Join<float>(arguments);
        }

        private static void Join<TReal>(in AugmentStatisticsJoinArguments arguments)
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            AugmentStatisticsJoinArguments a = arguments;
            CpuParallel.For((long)a.Samples, sample =>
            {
                float* row = a.Table.Pointer<float>() + (sample * a.TableWidth);
                int op = AugmentRow.OpOf(row, (int)a.Statistic);
                if (op < 0) return;
                AugmentStatistic<TReal> joined = new(AugmentRow.CodeOf(row, op), (int)a.Channels, a.Pixels, a.AugmentColor);
                TReal* parts = a.Parts.Pointer<TReal>() + (sample * a.SampleParts * StatisticsLength);
                for (long part = 0; part < a.SampleParts; part++) joined.Join(parts + (part * StatisticsLength));
                joined.Finish(
                    a.Statistics.Pointer<TReal>() + (((sample * a.AugmentColor.StatisticCount) + a.Statistic) * StatisticsLength));
            });
        }
    }
}
