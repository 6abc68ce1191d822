using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

internal static unsafe partial class NormPasses
{
    /// <summary>The gradient of a normalized value in double; y may be null.</summary>
    private static double GradientInDouble(
        double dy, double z, double* y, ulong index, in NormEpilogueArguments epilogue, RandomKey key)
    {
        if (y != null) return *y <= 0 ? 0 : dy * epilogue.DropScale * BlockScale<double>(epilogue);
        return DropInDouble(epilogue.Rectifies != 0 && z <= 0 ? 0 : dy, index, epilogue, key);
    }

    /// <summary>Where y says what passed nothing is drawn.</summary>
    private static void DispatchBackward<TBody>(TBody body, bool hasOutput, in NormEpilogueArguments epilogue)
        where TBody : struct, ICpuNormBody => Dispatch(body, hasOutput, epilogue.Rectifies != 0, !hasOutput && Drops(epilogue));

    private static void AddSumsInDouble(
        double* dy, double* x, double* y, long count, ulong index, in CpuNormMap map, in NormEpilogueArguments epilogue, RandomKey key,
        ref double sum, ref double product)
    {
        for (long i = 0; i < count; i++)
        {
            double distance = x[i] - map.Center, z = Math.FusedMultiplyAdd(distance, map.Slope, map.Level);
            double gradient = GradientInDouble(dy[i], z, y == null ? null : y + i, index + (ulong)i, epilogue, key);
            sum += gradient;
            product += gradient * distance;
        }
    }

    private static void BackwardInDouble(
        double* dy, double* x, double* y, double* dx, double* dResidual, long count, ulong index, in CpuNormMap map,
        in NormEpilogueArguments epilogue, RandomKey key)
    {
        for (long i = 0; i < count; i++)
        {
            double distance = x[i] - map.Center, z = Math.FusedMultiplyAdd(distance, map.Slope, map.Level);
            double gradient = GradientInDouble(dy[i], z, y == null ? null : y + i, index + (ulong)i, epilogue, key);
            if (dResidual != null) dResidual[i] = gradient;
            dx[i] = map.Slope * (gradient - map.Shift - (map.Tilt * distance));
        }
    }

    private static void StoreSums<TReal>(TReal* rows, long unit, long units, double sum, double product, double count)
        where TReal : unmanaged
    {
        rows[unit] = CpuElement.FromDouble<TReal>(sum);
        rows[units + unit] = CpuElement.FromDouble<TReal>(product);
        rows[(2 * units) + unit] = CpuElement.FromDouble<TReal>(count);
    }

    private static T* At<T>(TensorArgument tensor, long index)
        where T : unmanaged => tensor.IsPresent ? tensor.Pointer<T>() + index : null;

    /// <summary>
    /// Sums, gradients and dx of a channel, or of a few neighbours, at a time, so that their elements are still in the cache for dx.
    /// </summary>
    private readonly struct CpuBackward : ICpuKernel<BatchNormBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BatchNormBackwardArguments arguments)
            where T : unmanaged
        {
            (double Gamma, double Beta)[] gradients = new (double, double)[arguments.NormShape.Sets * arguments.NormShape.Channels];
            if (typeof(T) == typeof(double))
                Units<T, double, CpuNormForm<Off, Off, Off>>(arguments, gradients);
            else
                DispatchBackward(new Body<T>(arguments, gradients), arguments.Y.IsPresent, arguments.NormEpilogue);
            if (typeof(T) == typeof(double))
                Store<double>(arguments, gradients);
            else
                Store<float>(arguments, gradients);
        }

        /// <summary>The gradients of the channels, which are sums over the sets.</summary>
        private static void Store<TReal>(in BatchNormBackwardArguments a, (double Gamma, double Beta)[] gradients)
            where TReal : unmanaged
        {
            long channels = (long)a.NormShape.Channels;
            for (long channel = 0; channel < channels; channel++)
            {
                (double gamma, double beta) = (0, 0);
                for (long unit = channel; unit < gradients.Length; unit += channels)
                    (gamma, beta) = (gamma + gradients[unit].Gamma, beta + gradients[unit].Beta);
                if (a.Dgamma.IsPresent) a.Dgamma.Pointer<TReal>()[channel] = CpuElement.FromDouble<TReal>(gamma);
                if (a.Dbeta.IsPresent) a.Dbeta.Pointer<TReal>()[channel] = CpuElement.FromDouble<TReal>(beta);
            }
        }

        private readonly struct Body<T>(BatchNormBackwardArguments a, (double Gamma, double Beta)[] gradients) : ICpuNormBody
            where T : unmanaged
        {
            public void Run<TForm>()
                where TForm : struct, ICpuNormForm => Units<T, float, TForm>(a, gradients);
        }

        private static void Units<T, TReal, TForm>(BatchNormBackwardArguments a, (double Gamma, double Beta)[] gradients)
            where T : unmanaged
            where TReal : unmanaged
            where TForm : struct, ICpuNormForm
        {
            bool streams = a.Dx.Pointer<T>() != a.Dy.Pointer<T>()
                && Streams(a.Dx.Pointer<T>(), Length(a.NormShape), (long)a.NormShape.Inner);
            ForNeighbours<T>(a.NormShape, (unit, count) =>
            {
                if (streams)
                    Neighbours<T, TReal, TForm, StreamingStore>(a, unit, count, gradients);
                else
                    Neighbours<T, TReal, TForm, CachedStore>(a, unit, count, gradients);
            });
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Neighbours<T, TReal, TForm, TStore>(
            in BatchNormBackwardArguments a, long unit, int count, (double Gamma, double Beta)[] gradients)
            where T : unmanaged
            where TReal : unmanaged
            where TForm : struct, ICpuNormForm
            where TStore : struct, IVectorStore
        {
            (long outer, long channels, long inner) = ((long)a.NormShape.Outer, (long)a.NormShape.Channels, (long)a.NormShape.Inner);
            (long set, long channel) = Math.DivRem(unit, channels);
            RandomKey key = a.NormEpilogue.Key.Resolve();
            ushort* buffer = stackalloc ushort[CpuKeepLanes.BufferLength];
            CpuKeepLanes keep = KeepOf(a.NormEpilogue, buffer);
            float scale = ScaleOf(a.NormEpilogue);
            Unit* units = stackalloc Unit[count];
            new Span<Unit>(units, count).Clear();
            for (int i = 0; i < count; i++)
            {
                units[i].Map = MapOf<TReal>(a.NormChannel, unit + i, channel + i, isVariance: false, 0);
                units[i].Coefficients = new CpuPlaneCoefficients(units[i].Map);
            }

            for (long n = set * outer; n < (set + 1) * outer; n++)
            {
                long at = ((n * channels) + channel) * inner;
                for (int i = 0; i < count; i++, at += inner)
                {
                    ulong index = a.NormEpilogue.Start + (ulong)at;
                    if (count > 1)
                    {
                        Prefetch(a.Dy.Pointer<T>() + at + (channels * inner), inner);
                        Prefetch(a.X.Pointer<T>() + at + (channels * inner), inner);
                    }

                    if (typeof(T) == typeof(double))
                    {
                        AddSumsInDouble(
                            At<double>(a.Dy, at), At<double>(a.X, at), At<double>(a.Y, at), inner, index, units[i].Map, a.NormEpilogue, key,
                            ref units[i].Sum, ref units[i].Product);
                    }
                    else
                    {
                        CpuNormRuns.Sums<T, TForm>(
                            At<T>(a.Dy, at), At<T>(a.X, at), At<T>(a.Y, at), inner, index, units[i].Coefficients, keep, scale,
                            ref units[i].Sums);
                    }
                }
            }

            for (int i = 0; i < count; i++)
            {
                (double sum, double product) = typeof(T) == typeof(double) ? (units[i].Sum, units[i].Product) : units[i].Sums.Total();
                double inverse = CpuElement.ToDouble(a.NormChannel.Spread.Pointer<TReal>()[unit + i]);
                units[i].Map.Correct(sum, product, RestOf<TReal>(a.NormChannel, unit + i), inverse, outer * inner, out double dGamma);
                gradients[unit + i] = (dGamma, sum);
                units[i].Coefficients = new CpuPlaneCoefficients(units[i].Map);
            }

            // Backwards: what was read last is what the cache has.
            for (long n = ((set + 1) * outer) - 1; n >= set * outer; n--)
            {
                long at = ((n * channels) + channel) * inner;
                for (int i = 0; i < count; i++, at += inner)
                {
                    ulong index = a.NormEpilogue.Start + (ulong)at;
                    if (count > 1 && typeof(TStore) == typeof(CachedStore))
                        Prefetch(a.Dx.Pointer<T>() + at - (channels * inner), inner);
                    if (typeof(T) == typeof(double))
                    {
                        BackwardInDouble(
                            At<double>(a.Dy, at), At<double>(a.X, at), At<double>(a.Y, at), At<double>(a.Dx, at),
                            At<double>(a.Dresidual, at), inner, index, units[i].Map, a.NormEpilogue, key);
                    }
                    else
                    {
                        CpuNormRuns.Backward<T, TStore, TForm, CpuPlaneCoefficients>(
                            At<T>(a.Dy, at), At<T>(a.X, at), At<T>(a.Y, at), At<T>(a.Dx, at), At<T>(a.Dresidual, at), inner, index,
                            units[i].Coefficients, keep, scale);
                    }
                }
            }
        }

        private struct Unit
        {
            public CpuNormMap Map;
            public CpuPlaneCoefficients Coefficients;
            public CpuGradientSums Sums;
            public double Sum, Product;
        }
    }

    /// <summary>Sums of parts of channels.</summary>
    private readonly struct CpuSumsPlanes : ICpuKernel<BatchNormSumsPlanesArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BatchNormSumsPlanesArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Jobs<T, double, CpuNormForm<Off, Off, Off>>(arguments);
            else
                DispatchBackward(new Body<T>(arguments), arguments.Y.IsPresent, arguments.NormEpilogue);
        }

        private readonly struct Body<T>(BatchNormSumsPlanesArguments a) : ICpuNormBody
            where T : unmanaged
        {
            public void Run<TForm>()
                where TForm : struct, ICpuNormForm => Jobs<T, float, TForm>(a);
        }

        private static void Jobs<T, TReal, TForm>(BatchNormSumsPlanesArguments a)
            where T : unmanaged
            where TReal : unmanaged
            where TForm : struct, ICpuNormForm
        {
            long channels = (long)a.NormShape.Channels, units = (long)a.NormShape.Sets * channels;
            CpuParallel.For(units * (long)a.Splits, job =>
            {
                (long split, long unit) = Math.DivRem(job, units);
                CpuNormMap map = MapOf<TReal>(a.NormChannel, unit, unit % channels, isVariance: false, 0);
                RandomKey key = a.NormEpilogue.Key.Resolve();
                ushort* buffer = stackalloc ushort[CpuKeepLanes.BufferLength];
                CpuKeepLanes keep = KeepOf(a.NormEpilogue, buffer);
                float scale = ScaleOf(a.NormEpilogue);
                CpuPlaneCoefficients coefficients = new(map);
                CpuGradientSums sums = default;
                (double sum, double product, long elements) = (0, 0, 0);
                foreach ((long at, long count) in new CpuPlaneRuns(
                    a.NormShape, new CpuNormLengths(a.NormLengths), unit, split, (long)a.Share, (long)a.Width))
                {
                    ulong index = a.NormEpilogue.Start + (ulong)at;
                    elements += count;
                    if (typeof(T) == typeof(double))
                    {
                        AddSumsInDouble(
                            At<double>(a.Dy, at), At<double>(a.X, at), At<double>(a.Y, at), count, index, map, a.NormEpilogue, key,
                            ref sum, ref product);
                    }
                    else
                    {
                        CpuNormRuns.Sums<T, TForm>(
                            At<T>(a.Dy, at), At<T>(a.X, at), At<T>(a.Y, at), count, index, coefficients, keep, scale, ref sums);
                    }
                }

                if (typeof(T) != typeof(double)) (sum, product) = sums.Total();
                StoreSums(a.Partial.Pointer<TReal>() + (split * GradientRows * units), unit, units, sum, product, elements);
            });
        }
    }

    /// <summary>Sums of parts of all channels at once, whose elements lie side by side.</summary>
    private readonly struct CpuSumsColumns : ICpuKernel<BatchNormSumsColumnsArguments>
    {
        /// <summary>Rows whose sums are kept in float.</summary>
        private const long Chunk = 256;

        public static void Run<T>(in KernelVariant variant, in BatchNormSumsColumnsArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                InDouble(arguments);
            else
                DispatchBackward(new Body<T>(arguments), arguments.Y.IsPresent, arguments.NormEpilogue);
        }

        private static (long Set, long Split, long Begin, long End) RowsOf(in BatchNormSumsColumnsArguments a, long part)
        {
            (long set, long split) = Math.DivRem(part, (long)a.Splits);
            long outer = (long)a.NormShape.Outer, begin = split * (long)a.Share;
            return (set, split, (set * outer) + begin, (set * outer) + Math.Min(outer, begin + (long)a.Share));
        }

        private static void InDouble(BatchNormSumsColumnsArguments a)
        {
            long channels = (long)a.NormShape.Channels, units = (long)a.NormShape.Sets * channels;
            CpuParallel.For((long)(a.NormShape.Sets * a.Splits), part =>
            {
                (long set, long split, long begin, long end) = RowsOf(a, part);
                RandomKey key = a.NormEpilogue.Key.Resolve();
                CpuNormLengths lengths = new(a.NormLengths);
                for (long channel = 0; channel < channels; channel++)
                {
                    long unit = (set * channels) + channel;
                    CpuNormMap map = MapOf<double>(a.NormChannel, unit, channel, isVariance: false, 0);
                    (double sum, double product, long rows) = (0, 0, 0);
                    for (long row = begin; row < end; row++)
                    {
                        if (lengths.Counted(row, 1) == 0) continue;
                        rows++;
                        long at = (row * channels) + channel;
                        AddSumsInDouble(
                            At<double>(a.Dy, at), At<double>(a.X, at), At<double>(a.Y, at), 1, a.NormEpilogue.Start + (ulong)at, map,
                            a.NormEpilogue, key, ref sum, ref product);
                    }

                    StoreSums(
                        a.Partial.Pointer<double>() + (split * GradientRows * units), unit, units, sum, product, rows);
                }
            });
        }

        private readonly struct Body<T>(BatchNormSumsColumnsArguments a) : ICpuNormBody
            where T : unmanaged
        {
            public void Run<TForm>()
                where TForm : struct, ICpuNormForm
            {
                long channels = (long)a.NormShape.Channels;
                BatchNormSumsColumnsArguments arguments = a;
                for (long set = 0; set < (long)a.NormShape.Sets; set++)
                {
                    using CpuColumnMaps maps = new(channels);
                    for (long channel = 0; channel < channels; channel++)
                        maps.Set(channel, MapOf<float>(a.NormChannel, (set * channels) + channel, channel, isVariance: false, 0));
                    CpuColumnCoefficients coefficients = maps.Coefficients;
                    long first = set * (long)a.Splits;
                    CpuParallel.For((long)a.Splits, split => Part<T, TForm>(arguments, first + split, coefficients));
                }
            }
        }

        private static void Part<T, TForm>(in BatchNormSumsColumnsArguments a, long part, CpuColumnCoefficients coefficients)
            where T : unmanaged
            where TForm : struct, ICpuNormForm
        {
            long channels = (long)a.NormShape.Channels, units = (long)a.NormShape.Sets * channels;
            long stride = (channels + CpuElement.Width - 1) / CpuElement.Width * CpuElement.Width;
            (long set, long split, long begin, long end) = RowsOf(a, part);
            ushort* buffer = stackalloc ushort[CpuKeepLanes.BufferLength];
            CpuKeepLanes keep = KeepOf(a.NormEpilogue, buffer);
            float* floats = (float*)NativeMemory.AlignedAlloc(
                (nuint)(2 * stride * (sizeof(float) + sizeof(double))), (nuint)Vector512<byte>.Count);
            double* doubles = (double*)(floats + (2 * stride));
            float scale = ScaleOf(a.NormEpilogue);
            long rows = 0;
            try
            {
                NativeMemory.Clear(doubles, (nuint)(2 * stride * sizeof(double)));
                foreach ((long runBegin, long runEnd, bool counts) in new CpuNormLengths(a.NormLengths).RowRuns(begin, end))
                {
                    for (long first = runBegin; counts && first < runEnd; first += Chunk)
                    {
                        long height = Math.Min(Chunk, runEnd - first), at = first * channels;
                        rows += height;
                        NativeMemory.Clear(floats, (nuint)(2 * stride * sizeof(float)));
                        CpuNormRuns.ColumnSums<T, TForm>(
                            At<T>(a.Dy, at), At<T>(a.X, at), At<T>(a.Y, at), height, channels, a.NormEpilogue.Start + (ulong)at,
                            coefficients, keep, scale, floats, floats + stride);
                        for (long c = 0; c < 2 * stride; c += Vector512<float>.Count)
                        {
                            (Vector512<double> lower, Vector512<double> upper) = Vector512.Widen(Vector512.Load(floats + c));
                            (Vector512.Load(doubles + c) + lower).Store(doubles + c);
                            (Vector512.Load(doubles + c + Vector512<double>.Count) + upper).Store(doubles + c + Vector512<double>.Count);
                        }
                    }
                }

                float* partial = a.Partial.Pointer<float>() + (split * GradientRows * units);
                for (long c = 0; c < channels; c++)
                    StoreSums(partial, (set * channels) + c, units, doubles[c], doubles[stride + c], rows);
            }
            finally
            {
                NativeMemory.AlignedFree(floats);
            }
        }
    }

    private readonly struct CpuGradients : ICpuKernel<BatchNormGradientsArguments>
    {
        private const long ChannelsPerChunk = 16;

        public static void Run<T>(in KernelVariant variant, in BatchNormGradientsArguments arguments)
            where T : unmanaged
        {
            BatchNormGradientsArguments a = arguments;
            CpuParallel.ForRange((long)a.Channels, ChannelsPerChunk, (first, end) =>
            {
                if (typeof(T) == typeof(double))
                    Channels<double>(a, first, end);
                else
                    Channels<float>(a, first, end);
            });
        }

        private static void Channels<TReal>(in BatchNormGradientsArguments a, long first, long end)
            where TReal : unmanaged
        {
            long units = (long)(a.Sets * a.Channels);
            TReal* statistics = a.Statistics.Pointer<TReal>();
            for (long channel = first; channel < end; channel++)
            {
                (double ofGamma, double ofBeta) = (0, 0);
                for (long unit = channel; unit < units; unit += (long)a.Channels)
                {
                    (double sum, double product, double count) = (0, 0, 0);
                    for (long split = 0; split < (long)a.Splits; split++)
                    {
                        TReal* partial = a.Partial.Pointer<TReal>() + (split * GradientRows * units) + unit;
                        sum += CpuElement.ToDouble(partial[0]);
                        product += CpuElement.ToDouble(partial[units]);
                        count += CpuElement.ToDouble(partial[2 * units]);
                    }

                    CpuNormMap map = new() { Center = CpuElement.ToDouble(statistics[unit]) };
                    map.Correct(
                        sum, product, CpuElement.ToDouble(statistics[units + unit]), CpuElement.ToDouble(statistics[(2 * units) + unit]),
                        count, out double dGamma);
                    if (a.Record.IsPresent) StoreSums(a.Record.Pointer<TReal>(), unit, units, sum, product, count);
                    if (a.Corrections.IsPresent)
                    {
                        a.Corrections.Pointer<TReal>()[unit] = CpuElement.FromDouble<TReal>(map.Shift);
                        a.Corrections.Pointer<TReal>()[units + unit] = CpuElement.FromDouble<TReal>(map.Tilt);
                    }

                    ofGamma += dGamma;
                    ofBeta += sum;
                }

                if (a.Dgamma.IsPresent) a.Dgamma.Pointer<TReal>()[channel] = CpuElement.FromDouble<TReal>(ofGamma);
                if (a.Dbeta.IsPresent) a.Dbeta.Pointer<TReal>()[channel] = CpuElement.FromDouble<TReal>(ofBeta);
            }
        }
    }

    private readonly struct CpuApplyGradient : ICpuKernel<BatchNormApplyGradientArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BatchNormApplyGradientArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Planes<T, double, CpuNormForm<Off, Off, Off>, CachedStore>(arguments);
            else
                DispatchBackward(new Body<T>(arguments), arguments.Y.IsPresent, arguments.NormEpilogue);
        }

        private static CpuNormMap CorrectedMap<TReal>(in BatchNormApplyGradientArguments a, long unit, long channel)
            where TReal : unmanaged
        {
            long units = (long)(a.NormShape.Sets * a.NormShape.Channels);
            return MapOf<TReal>(a.NormChannel, unit, channel, isVariance: false, 0) with
            {
                Shift = CpuElement.ToDouble(a.Corrections.Pointer<TReal>()[unit]),
                Tilt = CpuElement.ToDouble(a.Corrections.Pointer<TReal>()[units + unit]),
            };
        }

        private readonly struct Body<T>(BatchNormApplyGradientArguments a) : ICpuNormBody
            where T : unmanaged
        {
            public void Run<TForm>()
                where TForm : struct, ICpuNormForm
            {
                bool isPlane = a.NormShape.Inner > 1;
                bool streams = a.Dx.Pointer<T>() != a.Dy.Pointer<T>()
                    && Streams(a.Dx.Pointer<T>(), Length(a.NormShape), (long)(isPlane ? a.NormShape.Inner : a.NormShape.Channels));
                if (isPlane && streams) Planes<T, float, TForm, StreamingStore>(a);
                if (isPlane && !streams) Planes<T, float, TForm, CachedStore>(a);
                if (!isPlane && streams) Rows<T, TForm, StreamingStore>(a);
                if (!isPlane && !streams) Rows<T, TForm, CachedStore>(a);
            }
        }

        /// <summary>In double also planes of one element.</summary>
        private static void Planes<T, TReal, TForm, TStore>(BatchNormApplyGradientArguments a)
            where T : unmanaged
            where TReal : unmanaged
            where TForm : struct, ICpuNormForm
            where TStore : struct, IVectorStore
        {
            (long outer, long channels, long inner) = ((long)a.NormShape.Outer, (long)a.NormShape.Channels, (long)a.NormShape.Inner);
            CpuParallel.ForRange(Length(a.NormShape) / inner, Math.Max(1, CpuParallel.ElementsPerChunk / inner), (first, end) =>
            {
                RandomKey key = a.NormEpilogue.Key.Resolve();
                ushort* buffer = stackalloc ushort[CpuKeepLanes.BufferLength];
                CpuKeepLanes keep = KeepOf(a.NormEpilogue, buffer);
                float scale = ScaleOf(a.NormEpilogue);
                for (long plane = first; plane < end; plane++)
                {
                    (long row, long channel) = Math.DivRem(plane, channels);
                    long at = plane * inner;
                    ulong index = a.NormEpilogue.Start + (ulong)at;
                    CpuNormMap map = CorrectedMap<TReal>(a, (row / outer * channels) + channel, channel);
                    if (typeof(T) == typeof(double))
                    {
                        BackwardInDouble(
                            At<double>(a.Dy, at), At<double>(a.X, at), At<double>(a.Y, at), At<double>(a.Dx, at),
                            At<double>(a.Dresidual, at), inner, index, map, a.NormEpilogue, key);
                    }
                    else
                    {
                        CpuNormRuns.Backward<T, TStore, TForm, CpuPlaneCoefficients>(
                            At<T>(a.Dy, at), At<T>(a.X, at), At<T>(a.Y, at), At<T>(a.Dx, at), At<T>(a.Dresidual, at), inner, index,
                            new CpuPlaneCoefficients(map), keep, scale);
                    }
                }
            });
        }

        private static void Rows<T, TForm, TStore>(BatchNormApplyGradientArguments a)
            where T : unmanaged
            where TForm : struct, ICpuNormForm
            where TStore : struct, IVectorStore
        {
            ForRowsFromLast(
                a.NormShape, a.NormEpilogue, (unit, channel) => CorrectedMap<float>(a, unit, channel),
                (long at, long count, in CpuColumnCoefficients coefficients, in CpuKeepLanes keep, float scale) =>
                    CpuNormRuns.Backward<T, TStore, TForm, CpuColumnCoefficients>(
                        At<T>(a.Dy, at), At<T>(a.X, at), At<T>(a.Y, at), At<T>(a.Dx, at), At<T>(a.Dresidual, at), count,
                        a.NormEpilogue.Start + (ulong)at, coefficients, keep, scale));
        }
    }
}
