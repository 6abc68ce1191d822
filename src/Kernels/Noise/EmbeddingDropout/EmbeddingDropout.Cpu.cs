using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class EmbeddingDropout
{
    /// <summary>A row without a gradient; sorts after all ids.</summary>
    private const ulong NoKey = ulong.MaxValue;

    private static bool Keeps(RandomKey key, long id, long n, ulong start, ulong period, ulong stride, ulong idStride, uint threshold)
    {
        if (threshold is 0 or 65536) return threshold != 0;
        ulong unit = ((start + ((ulong)n / period)) * stride) + ((ulong)id * idStride);
        return Philox.Lane(key, unit) < threshold;
    }

    private static void CpuKeys(EmbeddingDropoutSortArguments a)
    {
        RandomKey key = a.Key.Resolve();
        CpuParallel.ForRange((long)a.Count, 1 << 11, (first, end) =>
        {
            int* ids = a.Ids.Pointer<int>();
            ulong* keys = a.Keys.Pointer<ulong>();
            for (long n = first; n < end; n++)
            {
                keys[n] = NoKey;
                long id = ids[n];
                if (id < 0 || id >= (long)a.Vocabulary)
                    CpuDataError.Report(a.Error, n);
                else if ((ulong)id != a.Padding && Keeps(key, id, n, a.Start, a.Period, a.Stride, a.IdStride, a.Threshold))
                    keys[n] = ((ulong)id << 32) | (ulong)n;
            }
        });
    }

    private readonly struct CpuForward : ICpuKernel<EmbeddingDropoutForwardArguments>
    {
        private const int RowsAhead = 8;
        private const int LinesAhead = 4;

        public static void Run<T>(in KernelVariant variant, in EmbeddingDropoutForwardArguments arguments)
            where T : unmanaged
        {
            EmbeddingDropoutForwardArguments a = arguments;
            RandomKey key = a.Key.Resolve();
            (long count, long width) = ((long)a.Count, (long)a.Width);
            bool streaming = width * sizeof(T) % Vector512<byte>.Count == 0
                && CpuStreaming.Pays(a.Y.Pointer<T>(), count * width * sizeof(T));
            CpuParallel.ForRange(count, Math.Max(1, CpuParallel.ElementsPerChunk / width), (first, end) =>
            {
                // Rows lie anywhere in the table: several are asked for before the first of them is needed.
                T** rows = stackalloc T*[RowsAhead];
                for (long start = first; start < end; start += RowsAhead)
                {
                    long ahead = Math.Min(RowsAhead, end - start);
                    for (long i = 0; i < ahead; i++) rows[i] = Find<T>(a, key, start + i);
                    for (long i = 0; i < ahead; i++)
                    {
                        T* y = a.Y.Pointer<T>() + ((start + i) * width);
                        if (streaming)
                            Row<T, StreamingStore>(rows[i], y, width, a.Scale);
                        else
                            Row<T, CachedStore>(rows[i], y, width, a.Scale);
                    }
                }
            });
        }

        /// <summary>
        /// The row of a position, or null where it is dropped or there is none. Its first lines are on their way; the rest follows them.
        /// </summary>
        private static T* Find<T>(in EmbeddingDropoutForwardArguments a, RandomKey key, long n)
            where T : unmanaged
        {
            long id = a.Ids.Pointer<int>()[n];
            if (id < 0 || id >= (long)a.Vocabulary)
            {
                CpuDataError.Report(a.Error, n);
                return null;
            }

            if (!Keeps(key, id, n, a.Start, a.Period, a.Stride, a.IdStride, a.Threshold)) return null;
            T* row = a.Table.Pointer<T>() + (id * (long)a.Width);
            for (int line = 0; line < LinesAhead && Sse.IsSupported; line++) Sse.Prefetch0((byte*)row + (line * Vector512<byte>.Count));
            return row;
        }

        /// <summary>y = scale * row, or +0 where there is none.</summary>
        private static void Row<T, TStore>(T* row, T* y, long width, double scale)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            long i = 0;
            int step = Vector512<byte>.Count / sizeof(T);
            if (row == null)
            {
                for (; i + step <= width; i += step) TStore.Store((byte*)(y + i), Vector512<byte>.Zero);
                new Span<T>(y + i, (int)(width - i)).Clear();
                return;
            }

            Vector512<float> factor = Vector512.Create((float)scale);
            for (; typeof(T) == typeof(float) && i + step <= width; i += step)
                TStore.Store((byte*)(y + i), (CpuElement.Load(row + i) * factor).AsByte());
            for (; sizeof(T) == 2 && i + step <= width; i += step)
            {
                Vector256<ushort> low = CpuElement.NarrowToStored<T>(CpuElement.Load(row + i) * factor);
                Vector256<ushort> high = CpuElement.NarrowToStored<T>(CpuElement.Load(row + i + 16) * factor);
                TStore.Store((byte*)(y + i), Vector512.Create(low, high).AsByte());
            }

            for (; i < width; i++)
            {
                y[i] = typeof(T) == typeof(double)
                    ? CpuElement.FromDouble<T>(CpuElement.ToDouble(row[i]) * scale)
                    : CpuElement.FromSingle<T>(CpuElement.ToSingle(row[i]) * (float)scale);
            }
        }
    }

    /// <summary>There is nothing to join: the CPU adds whole ids.</summary>
    private readonly struct CpuJoin : ICpuKernel<EmbeddingDropoutJoinArguments>
    {
        public static void Run<T>(in KernelVariant variant, in EmbeddingDropoutJoinArguments arguments)
            where T : unmanaged
        {
            // CpuScatter has done it.
        }
    }

    private readonly struct CpuScatter : ICpuKernel<EmbeddingDropoutScatterArguments>
    {
        public static void Run<T>(in KernelVariant variant, in EmbeddingDropoutScatterArguments arguments)
            where T : unmanaged
        {
            EmbeddingDropoutScatterArguments a = arguments;
            (long count, long width) = ((long)a.Count, (long)a.Width);

            // A range of keys takes the ids that begin in it, and with them their keys beyond its end.
            CpuParallel.ForRange(count, Math.Max(1, CpuParallel.ElementsPerChunk / width), (first, end) =>
            {
                ulong* keys = a.Keys.Pointer<ulong>();
                long next;
                for (long head = first; head < end && keys[head] != NoKey; head = next)
                {
                    ulong id = keys[head] >> 32;
                    for (next = head + 1; next < count && keys[next] >> 32 == id;) next++;
                    if (head > 0 && keys[head - 1] >> 32 == id) continue;
                    AddRows(keys + head, next - head, a.Dy.Pointer<T>(), a.Dtable.Pointer<T>() + ((long)id * width), width, a.Scale);
                }
            });
        }

        /// <summary>target += scale * (sum of the rows of dy that the keys name, in their order).</summary>
        private static void AddRows<T>(ulong* keys, long rows, T* dy, T* target, long width, double scale)
            where T : unmanaged
        {
            long i = 0;
            Vector512<float> factor = Vector512.Create((float)scale);
            for (; typeof(T) != typeof(double) && i + 64 <= width; i += 64)
            {
                Vector512<float> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
                for (long row = 0; row < rows; row++)
                {
                    T* source = dy + ((uint)keys[row] * width) + i;
                    sum0 += CpuElement.Load(source);
                    sum1 += CpuElement.Load(source + 16);
                    sum2 += CpuElement.Load(source + 32);
                    sum3 += CpuElement.Load(source + 48);
                }

                CpuElement.Store(target + i, Vector512.FusedMultiplyAdd(factor, sum0, CpuElement.Load(target + i)));
                CpuElement.Store(target + i + 16, Vector512.FusedMultiplyAdd(factor, sum1, CpuElement.Load(target + i + 16)));
                CpuElement.Store(target + i + 32, Vector512.FusedMultiplyAdd(factor, sum2, CpuElement.Load(target + i + 32)));
                CpuElement.Store(target + i + 48, Vector512.FusedMultiplyAdd(factor, sum3, CpuElement.Load(target + i + 48)));
            }

            for (; typeof(T) != typeof(double) && i < width; i += CpuElement.Width)
            {
                int part = (int)Math.Min(CpuElement.Width, width - i);
                Vector512<float> sum = default;
                for (long row = 0; row < rows; row++) sum += CpuElement.Load(dy + ((uint)keys[row] * width) + i, part);
                CpuElement.Store(target + i, Vector512.FusedMultiplyAdd(factor, sum, CpuElement.Load(target + i, part)), part);
            }

            for (; i < width; i++)
            {
                double sum = 0;
                for (long row = 0; row < rows; row++) sum += CpuElement.ToDouble(dy[((uint)keys[row] * width) + i]);
                target[i] = CpuElement.FromDouble<T>(CpuElement.ToDouble(target[i]) + (scale * sum));
            }
        }
    }
}
