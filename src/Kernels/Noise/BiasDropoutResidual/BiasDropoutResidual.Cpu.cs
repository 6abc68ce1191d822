using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class BiasDropoutResidual
{
    /// <summary>Where the rows' decisions begin, in Philox blocks; elements are 2^64 at most and end before 2^61.</summary>
    private const ulong RowBlocks = 1UL << 63;

    private static bool KeepsRow(RandomKey key, ulong row, uint threshold)
    {
        if (threshold > ushort.MaxValue) return true;
        (uint w0, uint w1, uint w2, uint w3) = Philox.Block(key, RowBlocks + (row / Philox.LanesPerBlock));
        uint word = (row % Philox.LanesPerBlock / 2) switch { 0 => w0, 1 => w1, 2 => w2, _ => w3 };
        return (ushort)(word >> (int)(16 * (row % 2))) < threshold;
    }

    private static bool KeepsElement(RandomKey key, ulong index, uint threshold) =>
        threshold > ushort.MaxValue || Philox.Lane(key, index) < threshold;

    private static long RowsPerChunk(long columns) => Math.Max(1, CpuParallel.ElementsPerChunk / columns);

    /// <summary>Whether rows of a result are written past the caches: large, not in place, and each on its cache line.</summary>
    private static bool Streams<T>(T* result, T* source, T* otherSource, long rows, long columns)
        where T : unmanaged =>
        result != source && result != otherSource && columns * sizeof(T) % Vector512<byte>.Count == 0
            && CpuStreaming.Pays(result, rows * columns * sizeof(T));

    /// <summary>
    /// Bias and channel scale as floats, made once for all rows: 0 and 1 where they are absent, the scale times a factor.
    /// </summary>
    private readonly struct Parameters : IDisposable
    {
        private readonly float* _memory;

        public Parameters(long columns)
        {
            long stride = (columns + CpuElement.Width - 1) / CpuElement.Width * CpuElement.Width;
            _memory = (float*)NativeMemory.AlignedAlloc((nuint)(2 * stride * sizeof(float)), (nuint)Vector512<byte>.Count);
            Bias = _memory;
            Factor = _memory + stride;
        }

        public float* Bias { get; }

        public float* Factor { get; }

        public static Parameters Of<T>(TensorArgument bias, TensorArgument channelScale, long columns, double factor)
            where T : unmanaged
        {
            Parameters parameters = new(columns);
            T* stored = bias.Pointer<T>();
            T* scale = channelScale.Pointer<T>();
            for (long d = 0; d < columns; d++)
            {
                parameters.Bias[d] = stored == null ? 0 : CpuElement.ToSingle(stored[d]);
                parameters.Factor[d] = (float)factor * (scale == null ? 1 : CpuElement.ToSingle(scale[d]));
            }

            return parameters;
        }

        public void Dispose() => NativeMemory.AlignedFree(_memory);
    }

    private readonly struct CpuForward : ICpuKernel<BiasDropoutResidualForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BiasDropoutResidualForwardArguments arguments)
            where T : unmanaged
        {
            BiasDropoutResidualForwardArguments a = arguments;
            (long rows, long columns) = ((long)a.Rows, (long)a.Columns);
            if (typeof(T) == typeof(double))
            {
                CpuParallel.ForRange(rows, RowsPerChunk(columns), (first, end) => RowsInDouble(a, first, end));
                return;
            }

            bool streams = Streams(a.Y.Pointer<T>(), a.X.Pointer<T>(), a.Residual.Pointer<T>(), rows, columns);
            using Parameters parameters = Parameters.Of<T>(a.Bias, a.ChannelScale, columns, a.Scale);
            float* bias = parameters.Bias;
            float* factor = parameters.Factor;
            CpuParallel.ForRange(rows, RowsPerChunk(columns), (first, end) =>
            {
                if (streams)
                    RowsInFloat<T, StreamingStore>(a, bias, factor, first, end);
                else
                    RowsInFloat<T, CachedStore>(a, bias, factor, first, end);
            });
        }

        private static void RowsInFloat<T, TStore>(
            in BiasDropoutResidualForwardArguments a, float* bias, float* factor, long first, long end)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            long columns = (long)a.Columns;
            RandomKey key = a.Key.Resolve();
            ushort* buffer = stackalloc ushort[CpuKeepLanes.BufferLength];
            CpuKeepLanes keep = new(key, a.Threshold, buffer);
            for (long n = first; n < end; n++)
            {
                T* x = a.X.Pointer<T>() + (n * columns);
                T* residual = a.Residual.Pointer<T>() + (n * columns);
                T* y = a.Y.Pointer<T>() + (n * columns);
                ulong row = a.StartRow + (ulong)n;
                if (!KeepsRow(key, row, a.RowThreshold))
                {
                    if (residual != y)
                    {
                        CpuStreaming.Copy((byte*)residual, (byte*)y, columns * sizeof(T), (long)a.Rows * columns * sizeof(T));
                    }

                    continue;
                }

                for (long d = 0; d < columns; d += CpuKeepLanes.Segment)
                {
                    int count = (int)Math.Min(CpuKeepLanes.Segment, columns - d);
                    ushort* lanes = keep.Draw((row * a.Columns) + (ulong)d, count);
                    Add<T, TStore>(x + d, bias + d, factor + d, residual + d, y + d, lanes, keep.Limit, count);
                }
            }
        }

        private static void Add<T, TStore>(T* x, float* bias, float* factor, T* residual, T* y, ushort* lanes, ushort limit, int count)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            Vector512<ushort> limits = Vector512.Create(limit);
            int i = 0;
            for (; i + 32 <= count; i += 32)
            {
                CpuKeepLanes.Masks(lanes + i, limits, out Vector512<int> low, out Vector512<int> high);
                Vector512<float> first = Sum(x + i, bias + i, factor + i, residual + i, low);
                Vector512<float> second = Sum(x + i + 16, bias + i + 16, factor + i + 16, residual + i + 16, high);
                CpuElement.Store32<T, TStore>(y + i, first, second);
            }

            for (; i < count; i++)
            {
                float sum = CpuElement.ToSingle(residual[i]);
                if (lanes[i] < limit) sum += (CpuElement.ToSingle(x[i]) + bias[i]) * factor[i];
                y[i] = CpuElement.FromSingle<T>(sum);
            }
        }

        /// <summary>The residual as it is where dropped, also -0.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Sum<T>(T* x, float* bias, float* factor, T* residual, Vector512<int> keep)
            where T : unmanaged
        {
            Vector512<float> skipped = CpuElement.Load(residual);
            Vector512<float> branch = (CpuElement.Load(x) + Vector512.Load(bias)) * Vector512.Load(factor);
            return Vector512.ConditionalSelect(keep.AsSingle(), skipped + branch, skipped);
        }

        private static void RowsInDouble(in BiasDropoutResidualForwardArguments a, long first, long end)
        {
            long columns = (long)a.Columns;
            RandomKey key = a.Key.Resolve();
            double* bias = a.Bias.Pointer<double>();
            double* scale = a.ChannelScale.Pointer<double>();
            for (long n = first; n < end; n++)
            {
                ulong row = a.StartRow + (ulong)n;
                bool keepsRow = KeepsRow(key, row, a.RowThreshold);
                for (long d = 0; d < columns; d++)
                {
                    long i = (n * columns) + d;
                    double y = a.Residual.Pointer<double>()[i];
                    if (keepsRow && KeepsElement(key, (row * a.Columns) + (ulong)d, a.Threshold))
                        y += (a.X.Pointer<double>()[i] + (bias == null ? 0 : bias[d])) * (scale == null ? 1 : scale[d]) * a.Scale;
                    a.Y.Pointer<double>()[i] = y;
                }
            }
        }
    }

    private readonly struct CpuBackward : ICpuKernel<BiasDropoutResidualBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BiasDropoutResidualBackwardArguments arguments)
            where T : unmanaged
        {
            BiasDropoutResidualBackwardArguments a = arguments;
            long columns = (long)a.Columns;
            if (typeof(T) == typeof(double))
            {
                CpuParallel.For((long)a.Splits, split => SplitInDouble(a, split));
                return;
            }

            bool streams = Streams(a.Dx.Pointer<T>(), a.Dy.Pointer<T>(), null, (long)a.Rows, columns);
            using Parameters parameters = Parameters.Of<T>(a.Bias, a.ChannelScale, columns, 1);
            float* bias = parameters.Bias;
            float* factor = parameters.Factor;
            CpuParallel.For((long)a.Splits, split =>
            {
                if (streams)
                    Split<T, StreamingStore>(a, bias, factor, split);
                else
                    Split<T, CachedStore>(a, bias, factor, split);
            });
        }

        /// <summary>Every splits-th strip of rows, from the strip of this number on, and the sums over them.</summary>
        private static void Split<T, TStore>(in BiasDropoutResidualBackwardArguments a, float* bias, float* factor, long split)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            long columns = (long)a.Columns;
            RandomKey key = a.Key.Resolve();
            ushort* buffer = stackalloc ushort[CpuKeepLanes.BufferLength];
            CpuKeepLanes keep = new(key, a.Threshold, buffer);
            float* biasSums = Sums<float>(a.PartialBias, split, columns);
            float* scaleSums = Sums<float>(a.PartialScale, split, columns);
            foreach (ulong row in new StripRowsOf(a, split))
            {
                long first = (long)(row - a.StartRow) * columns;
                T* dy = a.Dy.Pointer<T>() + first;
                T* dx = a.Dx.Pointer<T>() + first;
                T* x = a.X.IsPresent ? a.X.Pointer<T>() + first : null;
                if (!KeepsRow(key, row, a.RowThreshold))
                {
                    NativeMemory.Clear(dx, (nuint)(columns * sizeof(T)));
                    continue;
                }

                for (long d = 0; d < columns; d += CpuKeepLanes.Segment)
                {
                    int count = (int)Math.Min(CpuKeepLanes.Segment, columns - d);
                    ushort* lanes = keep.Draw((row * a.Columns) + (ulong)d, count);
                    if (scaleSums != null)
                    {
                        AddScaleGradient(dy + d, x + d, bias + d, (float)a.Scale, scaleSums + d, lanes, keep.Limit, count);
                    }

                    float* sums = biasSums == null ? null : biasSums + d;
                    Gradient<T, TStore>(dy + d, dx + d, factor + d, (float)a.Scale, sums, lanes, keep.Limit, count);
                }
            }
        }

        /// <summary>Row <paramref name="split"/> of the partial sums, set to 0; null when they are not wanted.</summary>
        private static TSum* Sums<TSum>(TensorArgument partial, long split, long columns)
            where TSum : unmanaged
        {
            if (!partial.IsPresent) return null;
            TSum* sums = partial.Pointer<TSum>() + (split * columns);
            NativeMemory.Clear(sums, (nuint)(columns * sizeof(TSum)));
            return sums;
        }

        /// <summary>Reads dy before <see cref="Gradient"/> overwrites it where it works in place.</summary>
        private static void AddScaleGradient<T>(T* dy, T* x, float* bias, float scale, float* sums, ushort* lanes, ushort limit, int count)
            where T : unmanaged
        {
            Vector512<ushort> limits = Vector512.Create(limit);
            Vector512<float> scales = Vector512.Create(scale);
            int i = 0;
            for (; i + 32 <= count; i += 32)
            {
                CpuKeepLanes.Masks(lanes + i, limits, out Vector512<int> low, out Vector512<int> high);
                low &= ((CpuElement.Load(x + i) + Vector512.Load(bias + i)) * (CpuElement.Load(dy + i) * scales)).AsInt32();
                high &= ((CpuElement.Load(x + i + 16) + Vector512.Load(bias + i + 16)) * (CpuElement.Load(dy + i + 16) * scales)).AsInt32();
                (Vector512.Load(sums + i) + low.AsSingle()).Store(sums + i);
                (Vector512.Load(sums + i + 16) + high.AsSingle()).Store(sums + i + 16);
            }

            for (; i < count; i++)
            {
                if (lanes[i] < limit) sums[i] += (CpuElement.ToSingle(x[i]) + bias[i]) * (CpuElement.ToSingle(dy[i]) * scale);
            }
        }

        private static void Gradient<T, TStore>(
            T* dy, T* dx, float* factor, float scale, float* sums, ushort* lanes, ushort limit, int count)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            Vector512<ushort> limits = Vector512.Create(limit);
            Vector512<float> scales = Vector512.Create(scale);
            int i = 0;
            for (; i + 32 <= count; i += 32)
            {
                CpuKeepLanes.Masks(lanes + i, limits, out Vector512<int> low, out Vector512<int> high);
                low &= (CpuElement.Load(dy + i) * scales * Vector512.Load(factor + i)).AsInt32();
                high &= (CpuElement.Load(dy + i + 16) * scales * Vector512.Load(factor + i + 16)).AsInt32();
                CpuElement.Store32<T, TStore>(dx + i, low.AsSingle(), high.AsSingle());
                if (sums == null) continue;
                (Vector512.Load(sums + i) + low.AsSingle()).Store(sums + i);
                (Vector512.Load(sums + i + 16) + high.AsSingle()).Store(sums + i + 16);
            }

            for (; i < count; i++)
            {
                float gradient = lanes[i] < limit ? CpuElement.ToSingle(dy[i]) * scale * factor[i] : 0;
                dx[i] = CpuElement.FromSingle<T>(gradient);
                if (sums != null) sums[i] += gradient;
            }
        }

        private static void SplitInDouble(in BiasDropoutResidualBackwardArguments a, long split)
        {
            long columns = (long)a.Columns;
            RandomKey key = a.Key.Resolve();
            double* bias = a.Bias.Pointer<double>();
            double* scale = a.ChannelScale.Pointer<double>();
            double* biasSums = Sums<double>(a.PartialBias, split, columns);
            double* scaleSums = Sums<double>(a.PartialScale, split, columns);
            foreach (ulong row in new StripRowsOf(a, split))
            {
                bool keepsRow = KeepsRow(key, row, a.RowThreshold);
                for (long d = 0; d < columns; d++)
                {
                    long i = ((long)(row - a.StartRow) * columns) + d;
                    bool keep = keepsRow && KeepsElement(key, (row * a.Columns) + (ulong)d, a.Threshold);
                    double gradient = keep ? a.Dy.Pointer<double>()[i] * a.Scale : 0;
                    if (keep && scaleSums != null) scaleSums[d] += (a.X.Pointer<double>()[i] + (bias == null ? 0 : bias[d])) * gradient;
                    if (keep && scale != null) gradient *= scale[d];
                    if (biasSums != null) biasSums[d] += gradient;
                    a.Dx.Pointer<double>()[i] = gradient;
                }
            }
        }

        /// <summary>The rows of a split, counted in the whole tensor, in ascending order.</summary>
        private struct StripRowsOf(in BiasDropoutResidualBackwardArguments a, long split)
        {
            private readonly ulong _start = a.StartRow, _end = a.StartRow + a.Rows, _skip = (a.Splits - 1) * StripRows;
            private ulong _next = ((a.StartRow / StripRows) + (ulong)split) * StripRows;

            public ulong Current { get; private set; }

            public readonly StripRowsOf GetEnumerator() => this;

            public bool MoveNext()
            {
                if (_next < _start) _next = _start;
                Current = _next++;
                if (_next % StripRows == 0) _next += _skip;
                return Current < _end;
            }
        }
    }
}
