using System.Numerics;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class Augment
{
    /// <summary>Rows of the output that a thread takes at a time where it does not take whole images.</summary>
    private const int RowsPerBand = 32;

    /// <summary>Bytes of an image of the output, as it is computed, that stays in a core's cache.</summary>
    private const long LargestKept = 4 << 20;

    /// <summary>Of as many images each core can take whole ones.</summary>
    private const long ManyImages = 64;

    /// <summary>
    /// Whether a thread of the CPU makes a whole image at once and takes the statistics of its ops on the way, while all its pixels are in
    /// the cache, so that none is read twice and nobody needs to take statistics first.
    /// </summary>
    private static bool IsKept(in AugmentImageArguments image, bool isDouble) =>
        (long)image.Channels * image.OutHeight * image.OutWidth * (isDouble ? sizeof(double) : sizeof(float)) <= LargestKept;

    /// <summary>The statistics of a sample, of those of a batch; null where there are none.</summary>
    private static TReal* KeptOf<TReal>(TensorArgument statistics, long sample, in AugmentColorArguments color)
        where TReal : unmanaged => statistics.IsPresent
            ? statistics.Pointer<TReal>() + (sample * color.StatisticCount * StatisticsLength) : null;

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
            (long samples, int height) = ((long)(a.Jobs / a.SampleJobs), (int)image.OutHeight);
            bool isKept = IsKept(image, typeof(TReal) == typeof(double)), takesStatistics = isKept && a.AugmentColor.StatisticCount > 0;
            int rows = takesStatistics || (isKept && samples >= ManyImages) ? height : Math.Min(height, RowsPerBand);
            long bands = (height + rows - 1) / rows;
            long rowBytes = (long)image.OutWidth * sizeof(T);
            bool streaming = typeof(T) == typeof(TReal) && a.YPixel == 1 && rowBytes % sizeof(Vector512<T>) == 0
                && CpuStreaming.Pays(a.Y.Pointer<T>(), samples * image.Channels * height * rowBytes);
            CpuParallel.For(samples * bands, piece =>
            {
                (long sample, long band) = Math.DivRem(piece, bands);
                (int First, int End) part = ((int)band * rows, (int)Math.Min(height, (band + 1) * rows));
                float* row = a.Table.Pointer<float>() + (sample * a.TableWidth);

                // Neighbours are read with the rows.
                (int First, int End) read = (Math.Max(0, part.First - 1), Math.Min(height, part.End + 1));
                long size = image.Channels * AugmentReader<TIn, TReal>.PaddedWidth(image);
                long pixels = AugmentReader<TIn, TReal>.MostPixels(image, read.End - read.First) * sizeof(uint);
                long ownBytes = (AugmentRow<TIn, TReal>.MemoryRows + (takesStatistics ? height + 1L : 0)) * size * sizeof(TReal);
                long statisticBytes = takesStatistics ? a.AugmentColor.StatisticCount * StatisticsLength * sizeof(TReal) : 0;
                byte* memory = CpuScratch.Take<byte>(ownBytes + statisticBytes + pixels);
                AugmentReader<TIn, TReal> reader = new(
                    (TIn*)a.X.Pointer<byte>(), sample, samples, row, image, a.AugmentMap, read,
                    pixels > 0 ? (uint*)(memory + ownBytes + statisticBytes) : null);
                TReal* statistics = takesStatistics ? (TReal*)(memory + ownBytes) : KeptOf<TReal>(a.Statistics, sample, a.AugmentColor);
                AugmentRow<TIn, TReal> pipeline = new(reader, hasColors ? row : null, statistics, a.AugmentColor, (TReal*)memory);
                int end = hasColors && image.Channels is 1 or 3 ? AugmentRow.CountOf(row) : 0, done = 0;
                TReal* picture = null;
                if (takesStatistics)
                {
                    picture = (TReal*)memory + (AugmentRow<TIn, TReal>.MemoryRows * size);
                    done = TakeStatistics(a, pipeline, row, statistics, ref picture);
                }

                bool isOwn = picture == null || pipeline.IsSharpened(done, end);
                T* y = a.Y.Pointer<T>() + (sample * image.Channels * height * image.OutWidth);
                for (int r = part.First; r < part.End; r++)
                {
                    TReal* values = isOwn ? pipeline.Buffer : picture + (r * size);
                    pipeline.Make(r, done, end, picture, values);
                    StoreRow(a, hasColors ? row : null, y, r, values, pipeline.Padded, streaming);
                }
            });
        }

        /// <summary>
        /// Makes all rows by the ops before the last that needs statistics, and takes those of each in the same pass over them.
        /// </summary>
        /// <param name="a">The call.</param>
        /// <param name="pipeline">The sample's.</param>
        /// <param name="row">Its row of the table.</param>
        /// <param name="kept">What is found, which the pipeline reads.</param>
        /// <param name="picture">Memory for one row more than the image has; then the rows, or null where no op needs statistics.</param>
        /// <returns>The first op that is not done.</returns>
        private static int TakeStatistics<TIn, TReal>(
            in AugmentApplyArguments a, in AugmentRow<TIn, TReal> pipeline, float* row, TReal* kept, ref TReal* picture)
            where TIn : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            // Rows that look at neighbours are written one place before where they were read, and a list sharpens once.
            TReal* memory = picture;
            TReal* made = null;
            int done = 0;
            for (int statistic = 0; statistic < a.AugmentColor.StatisticCount; statistic++)
            {
                int op = AugmentRow.OpOf(row, statistic);
                if (op < 0) break;
                TReal* target = made == null ? memory + pipeline.Size : pipeline.IsSharpened(done, op) ? memory : made;
                AugmentStatistic<TReal> taken = new(
                    AugmentRow.CodeOf(row, op), (int)a.AugmentImage.Channels, (long)a.AugmentImage.OutHeight * a.AugmentImage.OutWidth,
                    a.AugmentColor, (int)a.AugmentImage.OutWidth, pipeline.Padded);
                for (int r = 0; r < (int)a.AugmentImage.OutHeight; r++)
                {
                    pipeline.Make(r, done, op, made, target + (r * pipeline.Size));
                    taken.Add(target + (r * pipeline.Size));
                }

                taken.Finish(kept + (statistic * StatisticsLength));
                made = target;
                done = op;
            }

            picture = made;
            return done;
        }

        /// <summary>Normalizes a row, erases what is in the box, where <paramref name="row"/> has one, and stores it.</summary>
        private static void StoreRow<T, TReal>(
            in AugmentApplyArguments a, float* row, T* y, int r, TReal* values, int padded, bool streaming)
            where T : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            int width = (int)a.AugmentImage.OutWidth, channels = (int)a.AugmentImage.Channels;
            bool hasBox = row != null && r >= row[BoxPlace] && r < row[BoxPlace + 2] && row[BoxPlace + 1] < row[BoxPlace + 3];
            (int left, int right) = hasBox ? (FirstFrom(row[BoxPlace + 1], width), FirstFrom(row[BoxPlace + 3], width)) : (0, 0);
            Span<double> scales = [a.Normalize.Scale0, a.Normalize.Scale1, a.Normalize.Scale2, a.Normalize.Scale3];
            Span<double> shifts = [a.Normalize.Shift0, a.Normalize.Shift1, a.Normalize.Shift2, a.Normalize.Shift3];
            TReal erased = TReal.CreateTruncating(a.Erased);
            for (int channel = 0; channel < channels; channel++)
            {
                TReal* from = values + ((long)channel * padded);
                TReal scale = TReal.CreateTruncating(scales[Math.Min(channel, 3)]);
                TReal shift = TReal.CreateTruncating(shifts[Math.Min(channel, 3)]);
                long place = (long)r * width;
                T* to = y + (place * a.YPixel) + ((long)channel * a.YChannel);
                if (a.YPixel != 1)
                {
                    for (int i = 0; i < width; i++)
                    {
                        TReal value = i >= left && i < right ? erased : TReal.FusedMultiplyAdd(from[i], scale, shift);
                        to[(long)i * a.YPixel] = CpuElement.FromDouble<T>(double.CreateTruncating(value));
                    }
                }
                else if (streaming)
                {
                    StorePlane<T, TReal, StreamingStore>(from, scale, shift, erased, left, right, to, width);
                }
                else
                {
                    StorePlane<T, TReal, CachedStore>(from, scale, shift, erased, left, right, to, width);
                }
            }
        }

        private static void StorePlane<T, TReal, TStore>(
            TReal* from, TReal scale, TReal shift, TReal erased, int left, int right, T* to, int width)
            where T : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
            where TStore : struct, IVectorStore
        {
            Vector512<TReal> scales = Vector512.Create(scale), shifts = Vector512.Create(shift), box = Vector512.Create(erased);
            Vector512<TReal> first = Vector512.Create(TReal.CreateTruncating(left)), end = Vector512.Create(TReal.CreateTruncating(right));
            for (int i = 0; i < width; i += Vector512<TReal>.Count)
            {
                int count = Math.Min(Vector512<TReal>.Count, width - i);
                Vector512<TReal> value = AugmentRow.Fma(Vector512.Load(from + i), scales, shifts);
                if (left < right)
                {
                    Vector512<TReal> column = Vector512<TReal>.Indices + Vector512.Create(TReal.CreateTruncating(i));
                    Vector512<TReal> isErased = Vector512.GreaterThanOrEqual(column, first) & Vector512.LessThan(column, end);
                    value = Vector512.ConditionalSelect(isErased, box, value);
                }

                if (typeof(TStore) == typeof(StreamingStore))
                    TStore.Store((byte*)(to + i), value.AsByte());
                else
                    CpuReal.Store(to + i, value, count);
            }
        }
    }

    /// <summary>The first of so many columns that is no less than a number.</summary>
    private static int FirstFrom(float number, int columns) => number > 0 ? (int)MathF.Ceiling(MathF.Min(number, columns)) : 0;

    /// <summary>Levels of a curve.</summary>
    internal const int Levels = 256;
}
