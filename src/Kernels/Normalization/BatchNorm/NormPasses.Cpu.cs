using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

internal static unsafe partial class NormPasses
{
    /// <summary>The threshold below which every lane is.</summary>
    private const uint AllKept = 65536;

    /// <summary>A loop that is compiled for each form.</summary>
    private interface ICpuNormBody
    {
        void Run<TForm>()
            where TForm : struct, ICpuNormForm;
    }

    /// <summary>Forward, with a residual or without.</summary>
    private static void Dispatch<TBody>(TBody body, bool hasSecond, in NormEpilogueArguments epilogue)
        where TBody : struct, ICpuNormBody => Dispatch(body, hasSecond, epilogue.Rectifies != 0, Drops(epilogue));

    private static bool Drops(in NormEpilogueArguments epilogue) => epilogue.Threshold < AllKept || epilogue.Kept.IsPresent;

    /// <summary>The decisions of the elements of a call.</summary>
    private static CpuKeepLanes KeepOf(in NormEpilogueArguments epilogue, ushort* buffer) => new(
        epilogue.Key.Resolve(), epilogue.Threshold, buffer, (ulong*)epilogue.Kept.Pointer<uint>(), epilogue.Start);

    /// <summary>What is kept is multiplied by this.</summary>
    private static float ScaleOf(in NormEpilogueArguments epilogue) => (float)(epilogue.DropScale * BlockScale<float>(epilogue));

    private static double BlockScale<TReal>(in NormEpilogueArguments epilogue)
        where TReal : unmanaged => Number<TReal>(epilogue.Scales, 0, epilogue.BlockScale);

    /// <summary>Dropout and DropBlock of an element; <paramref name="index"/> is that of the whole tensor.</summary>
    private static double DropInDouble(double value, ulong index, in NormEpilogueArguments epilogue, RandomKey key)
    {
        if (epilogue.Threshold < AllKept)
            value = Philox.Lane(key, index) < epilogue.Threshold ? value * epilogue.DropScale : 0;
        if (!epilogue.Kept.IsPresent) return value;
        ulong at = index - epilogue.Start;
        return (epilogue.Kept.Pointer<uint>()[at / 32] >> (int)(at % 32) & 1) != 0 ? value * BlockScale<double>(epilogue) : 0;
    }

    private static void Dispatch<TBody>(TBody body, bool hasSecond, bool rectifies, bool drops)
        where TBody : struct, ICpuNormBody
    {
        switch (hasSecond, rectifies, drops)
        {
            case (false, false, false): body.Run<CpuNormForm<Off, Off, Off>>(); break;
            case (false, false, true): body.Run<CpuNormForm<Off, Off, On>>(); break;
            case (false, true, false): body.Run<CpuNormForm<Off, On, Off>>(); break;
            case (false, true, true): body.Run<CpuNormForm<Off, On, On>>(); break;
            case (true, false, false): body.Run<CpuNormForm<On, Off, Off>>(); break;
            case (true, false, true): body.Run<CpuNormForm<On, Off, On>>(); break;
            case (true, true, false): body.Run<CpuNormForm<On, On, Off>>(); break;
            default: body.Run<CpuNormForm<On, On, On>>(); break;
        }
    }

    /// <summary>True where stores past the caches are whole lines, or nearly all of them.</summary>
    private static bool Streams<T>(T* result, long count, long run)
        where T : unmanaged =>
        count * sizeof(T) >= CpuStreaming.ThresholdBytes && run * sizeof(T) >= 64
        && ((run * sizeof(T) % 64 == 0 && ((nuint)result & 63) == 0) || run >= CpuKeepLanes.Segment);

    private static long Length(in NormShapeArguments shape) => (long)(shape.Sets * shape.Outer * shape.Channels * shape.Inner);

    /// <summary>The map of a unit, from what is stored; the deviation may be a variance.</summary>
    private static CpuNormMap MapOf<TReal>(in NormChannelArguments channels, long unit, long channel, bool isVariance, double epsilon)
        where TReal : unmanaged
    {
        double spread = CpuElement.ToDouble(channels.Spread.Pointer<TReal>()[unit]);
        double inverse = !isVariance ? spread : double.IsFinite(spread) ? 1 / Math.Sqrt(spread + epsilon) : double.NaN;
        return CpuNormMap.Of(
            CpuElement.ToDouble(channels.Mean.Pointer<TReal>()[unit]), RestOf<TReal>(channels, unit), inverse,
            Number<TReal>(channels.Gamma, channel, 1), Number<TReal>(channels.Beta, channel, 0));
    }

    private static double RestOf<TReal>(in NormChannelArguments channels, long unit)
        where TReal : unmanaged => Number<TReal>(channels.Rest, unit, 0);

    private static double Number<TReal>(TensorArgument tensor, long index, double absent)
        where TReal : unmanaged
    {
        TReal* values = tensor.Pointer<TReal>();
        return values == null ? absent : CpuElement.ToDouble(values[index]);
    }

    /// <summary>y of a run in double.</summary>
    private static void ForwardInDouble(
        double* x, double* residual, double* y, long count, ulong index, in CpuNormMap map, in NormEpilogueArguments epilogue,
        RandomKey key)
    {
        for (long i = 0; i < count; i++)
        {
            double z = Math.FusedMultiplyAdd(x[i] - map.Center, map.Slope, map.Level);
            if (residual != null) z += residual[i];
            if (epilogue.Rectifies != 0 && z <= 0) z = 0;
            y[i] = DropInDouble(z, index + (ulong)i, epilogue, key);
        }
    }

    private static void StoreStatistics<TReal>(TReal* statistics, long unit, long units, in CpuMoments moments, double epsilon)
        where TReal : unmanaged
    {
        (TReal mean, TReal rest) = moments.SplitMean<TReal>();
        double inverse = moments.Count == 0 ? 0 : 1 / Math.Sqrt(moments.Variance + epsilon);
        statistics[unit] = mean;
        statistics[units + unit] = rest;
        statistics[(2 * units) + unit] = CpuElement.FromDouble<TReal>(inverse);
    }

    /// <summary>Moves the running values of a channel on by one set; one of fewer than two elements moves nothing.</summary>
    private static void RunOn<TReal>(
        TReal* runningMean, TReal* runningVariance, long channel, in CpuMoments moments, double share, bool isUnbiased)
        where TReal : unmanaged
    {
        if (moments.Count < 2) return;
        double variance = moments.Variance * (isUnbiased ? moments.Count / (moments.Count - 1) : 1);
        runningMean[channel] = CpuElement.FromDouble<TReal>(
            ((1 - share) * CpuElement.ToDouble(runningMean[channel])) + (share * moments.Mean));
        runningVariance[channel] = CpuElement.FromDouble<TReal>(
            ((1 - share) * CpuElement.ToDouble(runningVariance[channel])) + (share * variance));
    }

    /// <summary>
    /// Calls <paramref name="body"/> with the first of some units and their count. Small planes of neighbouring channels go together: each
    /// alone would be a few lines of memory, far from the next.
    /// </summary>
    private static void ForNeighbours<T>(in NormShapeArguments shape, Action<long, int> body)
        where T : unmanaged
    {
        const long RowBytes = 8192, CachedBytes = 256 << 10, FewestJobs = 16;
        long channels = (long)shape.Channels, plane = Math.Max(1, (long)shape.Inner * sizeof(T));
        long most = Math.Min(RowBytes / plane, CachedBytes / plane / Math.Max(1, (long)shape.Outer));
        long together = Math.Max(1, Math.Min(most, channels / FewestJobs)), jobs = ((channels - 1) / together) + 1;
        CpuParallel.For((long)shape.Sets * jobs, job =>
        {
            (long set, long part) = Math.DivRem(job, jobs);
            long first = part * together;
            body((set * channels) + first, (int)Math.Min(together, channels - first));
        });
    }

    /// <summary>Elements of so many rows from one on, whose coefficients follow each other as they do.</summary>
    private delegate void CpuRowsBody(
        long at, long count, in CpuColumnCoefficients coefficients, in CpuKeepLanes keep, float scale);

    /// <summary>
    /// Calls <paramref name="body"/> for the rows of each set, channels last, with the maps of its units: from the last row on, as what
    /// the statistics or the sums read last is what the cache has.
    /// </summary>
    private static void ForRowsFromLast(
        NormShapeArguments shape, NormEpilogueArguments epilogue, Func<long, long, CpuNormMap> mapOf, CpuRowsBody body)
    {
        (long outer, long channels) = ((long)shape.Outer, (long)shape.Channels);
        long together = CpuColumnMaps.RowsTogether(channels);
        for (long set = 0; set < (long)shape.Sets; set++)
        {
            long firstRow = set * outer;
            using CpuColumnMaps maps = new(channels, together);
            for (long channel = 0; channel < channels; channel++) maps.Set(channel, mapOf((set * channels) + channel, channel));
            CpuColumnCoefficients coefficients = maps.Coefficients;
            CpuParallel.ForRange(outer, Math.Max(1, CpuParallel.ElementsPerChunk / channels), (first, end) =>
            {
                ushort* buffer = stackalloc ushort[CpuKeepLanes.BufferLength];
                CpuKeepLanes keep = KeepOf(epilogue, buffer);
                float scale = ScaleOf(epilogue);
                long stop = firstRow + outer - first;
                for (long row = firstRow + outer - end; row < stop; row += together)
                    body(row * channels, Math.Min(together, stop - row) * channels, coefficients, keep, scale);
            });
        }
    }

    /// <summary>
    /// Asks for a small plane of the next turn, as the processor does not foresee where the next sample begins. It may lie outside the
    /// tensor.
    /// </summary>
    private static void Prefetch<T>(T* plane, long count)
        where T : unmanaged
    {
        for (long i = 0; Sse.IsSupported && i < count; i += Vector512<byte>.Count / sizeof(T)) Sse.Prefetch0(plane + i);
    }

    /// <summary>
    /// Moments, statistics and y of a channel, or of a few neighbours, at a time, so that their elements are still in the cache for y.
    /// </summary>
    private readonly struct CpuForward : ICpuKernel<BatchNormForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BatchNormForwardArguments arguments)
            where T : unmanaged
        {
            CpuMoments[] moments = new CpuMoments[arguments.NormShape.Sets * arguments.NormShape.Channels];
            if (typeof(T) == typeof(double))
                Units<T, double, CpuNormForm<Off, Off, Off>>(arguments, moments);
            else
                Dispatch(new Body<T>(arguments, moments), arguments.Residual.IsPresent, arguments.NormEpilogue);
            if (!arguments.RunningMean.IsPresent) return;
            if (typeof(T) == typeof(double))
                RunOn<double>(arguments, moments);
            else
                RunOn<float>(arguments, moments);
        }

        private static void RunOn<TReal>(in BatchNormForwardArguments a, CpuMoments[] moments)
            where TReal : unmanaged
        {
            for (int unit = 0; unit < moments.Length; unit++)
            {
                NormPasses.RunOn(
                    a.RunningMean.Pointer<TReal>(), a.RunningVariance.Pointer<TReal>(), unit % (long)a.NormShape.Channels, moments[unit],
                    a.Share, a.IsUnbiased != 0);
            }
        }

        private readonly struct Body<T>(BatchNormForwardArguments a, CpuMoments[] moments) : ICpuNormBody
            where T : unmanaged
        {
            public void Run<TForm>()
                where TForm : struct, ICpuNormForm => Units<T, float, TForm>(a, moments);
        }

        private static void Units<T, TReal, TForm>(BatchNormForwardArguments a, CpuMoments[] moments)
            where T : unmanaged
            where TReal : unmanaged
            where TForm : struct, ICpuNormForm
        {
            bool streams = Streams(a.Y.Pointer<T>(), Length(a.NormShape), (long)a.NormShape.Inner);
            ForNeighbours<T>(a.NormShape, (unit, count) =>
            {
                if (streams)
                    Neighbours<T, TReal, TForm, StreamingStore>(a, unit, count, moments);
                else
                    Neighbours<T, TReal, TForm, CachedStore>(a, unit, count, moments);
            });
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Neighbours<T, TReal, TForm, TStore>(
            in BatchNormForwardArguments a, long unit, int count, CpuMoments[] moments)
            where T : unmanaged
            where TReal : unmanaged
            where TForm : struct, ICpuNormForm
            where TStore : struct, IVectorStore
        {
            (long outer, long channels, long inner) = ((long)a.NormShape.Outer, (long)a.NormShape.Channels, (long)a.NormShape.Inner);
            (long set, long channel) = Math.DivRem(unit, channels);
            T* x = a.X.Pointer<T>();
            T* residual = a.Residual.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            Unit* units = stackalloc Unit[count];
            new Span<Unit>(units, count).Clear();
            for (long n = set * outer; n < (set + 1) * outer; n++)
            {
                T* planes = x + (((n * channels) + channel) * inner);
                for (int i = 0; i < count; i++, planes += inner)
                {
                    if (count > 1) Prefetch(planes + (channels * inner), inner);
                    units[i].Sums.Add(planes, inner);
                }
            }

            TReal* statistics = a.Statistics.Pointer<TReal>();
            for (int i = 0; i < count; i++)
            {
                long at = unit + i;
                StoreStatistics(statistics, at, moments.Length, moments[at] = units[i].Sums.Total(), a.Epsilon);

                // From what is stored, as backward has it.
                units[i].Map = CpuNormMap.Of(
                    CpuElement.ToDouble(statistics[at]), CpuElement.ToDouble(statistics[moments.Length + at]),
                    CpuElement.ToDouble(statistics[(2 * moments.Length) + at]), Number<TReal>(a.Gamma, channel + i, 1),
                    Number<TReal>(a.Beta, channel + i, 0));
                units[i].Coefficients = new CpuPlaneCoefficients(units[i].Map);
            }

            RandomKey key = a.NormEpilogue.Key.Resolve();
            ushort* buffer = stackalloc ushort[CpuKeepLanes.BufferLength];
            CpuKeepLanes keep = KeepOf(a.NormEpilogue, buffer);
            float scale = ScaleOf(a.NormEpilogue);

            // Backwards: what was read last is what the cache has.
            for (long n = ((set + 1) * outer) - 1; n >= set * outer; n--)
            {
                long at = ((n * channels) + channel) * inner;
                for (int i = 0; i < count; i++, at += inner)
                {
                    ulong index = a.NormEpilogue.Start + (ulong)at;
                    T* past = residual == null ? null : residual + at;
                    if (count > 1 && typeof(TStore) == typeof(CachedStore)) Prefetch(y + at - (channels * inner), inner);
                    if (typeof(T) == typeof(double))
                    {
                        ForwardInDouble(
                            (double*)(x + at), (double*)past, (double*)(y + at), inner, index, units[i].Map, a.NormEpilogue, key);
                    }
                    else
                    {
                        CpuNormRuns.Forward<T, TStore, TForm, CpuPlaneCoefficients>(
                            x + at, past, y + at, inner, index, units[i].Coefficients, keep, scale);
                    }
                }
            }
        }

        private struct Unit
        {
            public CpuMomentSums Sums;
            public CpuNormMap Map;
            public CpuPlaneCoefficients Coefficients;
        }
    }

    /// <summary>Moments of parts of channels.</summary>
    private readonly struct CpuMomentsPlanes : ICpuKernel<BatchNormMomentsPlanesArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BatchNormMomentsPlanesArguments arguments)
            where T : unmanaged
        {
            BatchNormMomentsPlanesArguments a = arguments;
            long units = (long)(a.NormShape.Sets * a.NormShape.Channels);
            CpuParallel.For(units * (long)a.Splits, job =>
            {
                (long split, long unit) = Math.DivRem(job, units);
                CpuMomentSums sums = default;
                foreach ((long first, long count) in new CpuPlaneRuns(
                    a.NormShape, new CpuNormLengths(a.NormLengths), unit, split, (long)a.Share, (long)a.Width))
                {
                    sums.Add(a.X.Pointer<T>() + first, count);
                }

                if (typeof(T) == typeof(double))
                    sums.Total().Store(a.Partial.Pointer<double>() + (split * MomentRows * units), unit, units);
                else
                    sums.Total().Store(a.Partial.Pointer<float>() + (split * MomentRows * units), unit, units);
            });
        }
    }

    /// <summary>
    /// The runs of neighbours that are the places of a part of a unit, as far as they count: first element and count of each.
    /// </summary>
    private struct CpuPlaneRuns(
        NormShapeArguments shape, CpuNormLengths lengths, long unit, long split, long share, long width)
    {
        private readonly long _end = Math.Min((split + 1) * share, (long)shape.Outer * width);
        private long _place = split * share;

        public (long First, long Count) Current { get; private set; }

        public readonly CpuPlaneRuns GetEnumerator() => this;

        public bool MoveNext()
        {
            while (_place < _end)
            {
                (long plane, long block) = Math.DivRem(_place, width);
                long blocks = Math.Min(width - block, _end - _place);
                _place += blocks;
                (long set, long channel) = Math.DivRem(unit, (long)shape.Channels);
                long row = (set * (long)shape.Outer) + plane, begin = ((row * (long)shape.Channels) + channel) * (long)shape.Inner;
                long first = Math.Max(begin, (begin / 8 * 8) + (8 * block));
                long end = Math.Min(
                    begin + lengths.Counted(row, (long)shape.Inner), (begin / 8 * 8) + (8 * (block + blocks)));
                if (end <= first) continue;
                Current = (first, end - first);
                return true;
            }

            return false;
        }
    }

    private readonly struct CpuStatistics : ICpuKernel<BatchNormStatisticsArguments>
    {
        private const long ChannelsPerChunk = 16;

        public static void Run<T>(in KernelVariant variant, in BatchNormStatisticsArguments arguments)
            where T : unmanaged
        {
            BatchNormStatisticsArguments a = arguments;
            CpuParallel.ForRange((long)a.Channels, ChannelsPerChunk, (first, end) =>
            {
                if (typeof(T) == typeof(double))
                    Channels<double>(a, first, end);
                else
                    Channels<float>(a, first, end);
            });
        }

        private static void Channels<TReal>(in BatchNormStatisticsArguments a, long first, long end)
            where TReal : unmanaged
        {
            long units = (long)(a.Sets * a.Channels);
            TReal* statistics = a.Statistics.Pointer<TReal>();
            for (long channel = first; channel < end; channel++)
            {
                for (long set = 0; set < (long)a.Sets; set++)
                {
                    long unit = (set * (long)a.Channels) + channel;
                    CpuMoments total = default;
                    for (long split = 0; split < (long)a.Splits; split++)
                        total.Merge(CpuMoments.Load(a.Partial.Pointer<TReal>() + (split * MomentRows * units), unit, units));
                    if (a.Record.IsPresent) total.Store(a.Record.Pointer<TReal>(), unit, units);
                    if (statistics != null) StoreStatistics(statistics, unit, units, total, a.Epsilon);
                    if (!a.RunningMean.IsPresent) continue;
                    RunOn(
                        a.RunningMean.Pointer<TReal>(), a.RunningVariance.Pointer<TReal>(), channel, total, a.Share, a.IsUnbiased != 0);
                }
            }
        }
    }

    /// <summary>Maps of columns in arrays with room for whole vectors, once for each of so many rows.</summary>
    private readonly struct CpuColumnMaps : IDisposable
    {
        private const int Maps = 5;

        /// <summary>Elements of narrow rows that one loop takes together; their maps stay in the first-level cache.</summary>
        private const long ElementsTogether = 512;

        private readonly float* _maps;
        private readonly long _columns, _end, _stride;

        public CpuColumnMaps(long columns, long rows = 1)
        {
            (_columns, _end) = (columns, rows * columns);

            // A loop takes two vectors at a time.
            _stride = (_end + (2 * CpuElement.Width) - 1) / CpuElement.Width * CpuElement.Width;
            nuint bytes = (nuint)(Maps * _stride * sizeof(float));
            _maps = (float*)NativeMemory.AlignedAlloc(bytes, (nuint)Vector512<byte>.Count);
            NativeMemory.Clear(_maps, bytes);
        }

        public CpuColumnCoefficients Coefficients => new(_maps, _stride);

        public static long RowsTogether(long columns) => Math.Max(1, ElementsTogether / columns);

        public void Set(long column, in CpuNormMap map)
        {
            for (long at = column; at < _end; at += _columns)
            {
                _maps[at] = (float)map.Center;
                _maps[_stride + at] = (float)map.Slope;
                _maps[(2 * _stride) + at] = (float)map.Level;
                _maps[(3 * _stride) + at] = (float)map.Shift;
                _maps[(4 * _stride) + at] = (float)map.Tilt;
            }
        }

        public void Dispose() => NativeMemory.AlignedFree(_maps);
    }
}
