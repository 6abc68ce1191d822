using System.Numerics;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class Augment
{
    /// <summary>Rows of the output that a thread takes at a time.</summary>
    private const int RowsPerBand = 32;

    private readonly struct CpuApply : ICpuKernel<AugmentApplyArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AugmentApplyArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                ForReal<T, double>(arguments, variant.Has(0));
            else
                ForReal<T, float>(arguments, variant.Has(0));
        }

        private static void ForReal<T, TReal>(in AugmentApplyArguments a, bool hasColors)
            where T : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            switch (a.AugmentImage.InputType)
            {
                case 0: Apply<byte, T, TReal>(a, hasColors); break;
                case 1: Apply<Half, T, TReal>(a, hasColors); break;
                case 2: Apply<BFloat16, T, TReal>(a, hasColors); break;
                case 3: Apply<float, T, TReal>(a, hasColors); break;
                default: Apply<double, T, TReal>(a, hasColors); break;
            }
        }

        private static void Apply<TIn, T, TReal>(in AugmentApplyArguments arguments, bool hasColors)
            where TIn : unmanaged
            where T : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            AugmentApplyArguments a = arguments;
            AugmentImageArguments image = a.AugmentImage;
            (long samples, long height) = ((long)(a.Tiles / a.SampleTiles), image.OutHeight);
            long bands = (height + RowsPerBand - 1) / RowsPerBand;
            CpuParallel.For(samples * bands, piece =>
            {
                (long sample, long band) = Math.DivRem(piece, bands);
                float* row = a.Table.Pointer<float>() + (sample * a.TableWidth);
                AugmentReader<TIn, TReal> reader = new(
                    (TIn*)a.X.Pointer<byte>(), sample, samples, row, image, a.AugmentMap);
                AugmentRow<TIn, TReal> pipeline = new(
                    reader, hasColors ? row : null, a.Statistics.Pointer<TReal>(), sample, a.AugmentColor);
                long elements = image.Channels * height * image.OutWidth;
                T* y = a.Y.Pointer<T>() + (sample * elements);
                for (long r = band * RowsPerBand; r < Math.Min(height, (band + 1) * RowsPerBand); r++)
                {
                    TReal* values = pipeline.Row((int)r, hasColors ? AugmentRow.CountOf(row) : 0);
                    StoreRow(a, hasColors ? row : null, y, (int)r, values, reader.Padded);
                }
            });
        }

        /// <summary>Normalizes a row, erases what is in the box, where <paramref name="row"/> has one, and stores it.</summary>
        private static void StoreRow<T, TReal>(in AugmentApplyArguments a, float* row, T* y, int r, TReal* values, int padded)
            where T : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            int width = (int)a.AugmentImage.OutWidth, channels = (int)a.AugmentImage.Channels;
            bool hasBox = row != null && r >= row[BoxPlace] && r < row[BoxPlace + 2] && row[BoxPlace + 1] < row[BoxPlace + 3];
            Span<double> scales = [a.Normalize.Scale0, a.Normalize.Scale1, a.Normalize.Scale2, a.Normalize.Scale3];
            Span<double> shifts = [a.Normalize.Shift0, a.Normalize.Shift1, a.Normalize.Shift2, a.Normalize.Shift3];
            for (int channel = 0; channel < channels; channel++)
            {
                TReal* from = values + ((long)channel * padded);
                Vector512<TReal> scale = Vector512.Create(TReal.CreateTruncating(scales[Math.Min(channel, 3)]));
                Vector512<TReal> shift = Vector512.Create(TReal.CreateTruncating(shifts[Math.Min(channel, 3)]));
                for (int i = 0; i < width; i += Vector512<TReal>.Count)
                    AugmentRow.Fma(Vector512.Load(from + i), scale, shift).Store(from + i);
                if (hasBox)
                {
                    int left = FirstFrom(row[BoxPlace + 1], width), right = FirstFrom(row[BoxPlace + 3], width);
                    new Span<TReal>(from + left, right - left).Fill(TReal.CreateTruncating(a.Erased));
                }

                long place = (long)r * width;
                T* to = y + (place * a.YPixel) + ((long)channel * a.YChannel);
                if (a.YPixel == 1)
                {
                    for (int i = 0; i < width; i += Vector512<TReal>.Count)
                    {
                        int count = Math.Min(Vector512<TReal>.Count, width - i);
                        CpuReal.Store(to + i, Vector512.Load(from + i), count);
                    }

                    continue;
                }

                for (int i = 0; i < width; i++)
                    to[(long)i * a.YPixel] = CpuElement.FromDouble<T>(double.CreateTruncating(from[i]));
            }
        }
    }

    /// <summary>The first of so many columns that is no less than a number.</summary>
    private static int FirstFrom(float number, int columns) => number > 0 ? (int)MathF.Ceiling(MathF.Min(number, columns)) : 0;

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
            CpuParallel.For((long)a.Samples, sample =>
            {
                float* row = a.Table.Pointer<float>() + (sample * a.TableWidth);
                int op = -1;
                for (int i = 0, seen = 0; i < AugmentRow.CountOf(row); i++)
                {
                    bool needs = AugmentRow.NeedsStatistics(AugmentRow.CodeOf(row, i));
                    if (needs && seen++ == a.Statistic) op = i;
                }

                if (op < 0) return;
                AugmentReader<TIn, TReal> reader = new(
                    (TIn*)a.X.Pointer<byte>(), sample, (long)a.Samples, row, a.AugmentImage, a.AugmentMap);
                TReal* all = a.Statistics.Pointer<TReal>();
                AugmentRow<TIn, TReal> pipeline = new(reader, row, all, sample, a.AugmentColor);
                TReal* own = all + (((sample * a.AugmentColor.StatisticCount) + a.Statistic) * StatisticsLength);
                switch (AugmentRow.CodeOf(row, op))
                {
                    case Contrast: own[0] = Mean(a, pipeline, op); break;
                    case Autocontrast: Extremes(a, pipeline, op, own); break;
                    default: Curve(a, pipeline, op, own); break;
                }
            });
        }

        private static TReal Mean<TIn, TReal>(in AugmentStatisticsArguments a, AugmentRow<TIn, TReal> pipeline, int op)
            where TIn : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            (int height, int width) = ((int)a.AugmentImage.OutHeight, (int)a.AugmentImage.OutWidth);
            double sum = 0;
            for (int r = 0; r < height; r++)
            {
                TReal* values = pipeline.Row(r, op);
                for (int i = 0; i < width; i++)
                    sum += double.CreateTruncating(AugmentRow.Grey(values, i, pipeline.Padded, (int)a.AugmentImage.Channels));
            }

            return TReal.CreateTruncating(sum / ((double)height * width));
        }

        private static void Extremes<TIn, TReal>(in AugmentStatisticsArguments a, AugmentRow<TIn, TReal> pipeline, int op, TReal* own)
            where TIn : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            int channels = (int)a.AugmentImage.Channels;
            Span<TReal> least = stackalloc TReal[channels], most = stackalloc TReal[channels];
            least.Fill(TReal.PositiveInfinity);
            most.Fill(TReal.NegativeInfinity);
            for (int r = 0; r < (int)a.AugmentImage.OutHeight; r++)
            {
                TReal* values = pipeline.Row(r, op);
                for (int channel = 0; channel < channels; channel++)
                {
                    foreach (TReal value in new Span<TReal>(values + (channel * pipeline.Padded), (int)a.AugmentImage.OutWidth))
                    {
                        least[channel] = TReal.MinNumber(least[channel], value);
                        most[channel] = TReal.MaxNumber(most[channel], value);
                    }
                }
            }

            TReal white = TReal.CreateTruncating(a.AugmentColor.White);
            for (int channel = 0; channel < channels; channel++)
            {
                TReal range = most[channel] - least[channel];
                own[channel * Levels] = range > TReal.Zero ? least[channel] : TReal.Zero;
                own[(channel * Levels) + 1] = range > TReal.Zero ? white / range : TReal.One;
            }
        }

        private static void Curve<TIn, TReal>(in AugmentStatisticsArguments a, AugmentRow<TIn, TReal> pipeline, int op, TReal* own)
            where TIn : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            int channels = (int)a.AugmentImage.Channels;
            TReal levels = TReal.CreateTruncating(a.AugmentColor.Levels);
            Span<int> histogram = stackalloc int[3 * Levels];
            histogram.Clear();
            for (int r = 0; r < (int)a.AugmentImage.OutHeight; r++)
            {
                TReal* values = pipeline.Row(r, op);
                for (int channel = 0; channel < channels; channel++)
                {
                    foreach (TReal value in new Span<TReal>(values + (channel * pipeline.Padded), (int)a.AugmentImage.OutWidth))
                        histogram[(channel * Levels) + AugmentRow.LevelOf(value, levels)]++;
                }
            }

            for (int channel = 0; channel < channels; channel++)
            {
                Span<int> counts = histogram.Slice(channel * Levels, Levels);
                int total = 0, last = 0;
                for (int level = 0; level < Levels; level++)
                {
                    total += counts[level];
                    if (counts[level] > 0) last = counts[level];
                }

                long step = (total - last) / (Levels - 1), below = 0;
                for (int level = 0; level < Levels; level++)
                {
                    long mapped = step == 0 ? level : Math.Min((below + (step / 2)) / step, Levels - 1);
                    own[(channel * Levels) + level] = TReal.CreateTruncating((double)mapped) / levels;
                    below += counts[level];
                }
            }
        }
    }

    /// <summary>Levels of a curve.</summary>
    internal const int Levels = 256;
}
