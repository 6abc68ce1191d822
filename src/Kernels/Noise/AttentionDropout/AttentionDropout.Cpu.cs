using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <remarks>
/// On the CPU a row's values in the arithmetic type stay in a buffer of the first- or second-level cache, so that scores are read from
/// memory once, however long the row.
/// </remarks>
public static unsafe partial class AttentionDropout
{
    /// <summary>
    /// Elements that a row's buffer has beyond the keys: whole vectors are loaded, and its start is moved to a cache line.
    /// </summary>
    private const int BufferSlack = 64;

    private static long RowsPerChunk(ulong keys) => Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, (long)keys));

    /// <summary>The number of keys of a row that take part, and its additive mask, null without one.</summary>
    private static long VisibleKeys<T>(in AttentionArguments a, long row, out T* mask)
        where T : unmanaged
    {
        (long queries, long heads, long keys) = ((long)a.Queries, (long)a.Heads, (long)a.Keys);
        (long query, long head, long batch) = (row % queries, row / queries % heads, row / queries / heads);
        mask = a.Mask.Pointer<T>();
        if (mask != null) mask += (batch * (long)a.MaskBatchStride) + (head * (long)a.MaskHeadStride) + (query * (long)a.MaskQueryStride);

        long visible = keys;
        if (a.KeyLengths.IsPresent)
        {
            int length = a.KeyLengths.Pointer<int>()[batch];
            if (length < 0 || length > keys) CpuDataError.Report(a.Error, batch);
            visible = Math.Clamp(length, 0, keys);
        }

        return a.Causal != 0 ? Math.Clamp(query + 1 + keys - queries, 0, visible) : visible;
    }

    /// <summary>
    /// z of the visible keys, -infinity for the masked and up to <paramref name="end"/>; returns the largest, NaN passed over.
    /// </summary>
    private static float Logits<T>(T* scores, T* mask, long visible, long end, float scale, float* z)
        where T : unmanaged
    {
        long whole = visible / (2 * CpuElement.Width) * (2 * CpuElement.Width);
        Vector512<float> largest = WholeLogits(scores, mask, whole, Vector512.Create(scale), z);
        if (whole < end) largest = CpuSoftmax.Larger(LastLogits(scores, mask, whole, visible, end, Vector512.Create(scale), z), largest);
        return CpuSoftmax.Largest(largest);
    }

    private static Vector512<float> WholeLogits<T>(T* scores, T* mask, long count, Vector512<float> scale, float* z)
        where T : unmanaged
    {
        Vector512<float> even = Vector512.Create(float.NegativeInfinity), odd = even;
        for (long i = 0; i < count; i += 2 * CpuElement.Width)
        {
            Vector512<float> low = CpuElement.Load(scores + i) * scale, high = CpuElement.Load(scores + i + CpuElement.Width) * scale;
            if (mask != null)
            {
                low = AddMask(low, CpuElement.Load(mask + i));
                high = AddMask(high, CpuElement.Load(mask + i + CpuElement.Width));
            }

            low.Store(z + i);
            high.Store(z + i + CpuElement.Width);
            even = CpuSoftmax.Larger(low, even);
            odd = CpuSoftmax.Larger(high, odd);
        }

        return CpuSoftmax.Larger(odd, even);
    }

    /// <summary>The rest of a row, out of line because partial loads are calls, which would move the loop's registers to memory.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<float> LastLogits<T>(T* scores, T* mask, long first, long visible, long end, Vector512<float> scale, float* z)
        where T : unmanaged
    {
        Vector512<float> masked = Vector512.Create(float.NegativeInfinity), largest = masked;
        for (long i = first; i < end; i += CpuElement.Width)
        {
            // Hidden keys may be read, though not past the end of the row; what they hold does not matter.
            int count = (int)Math.Min(CpuElement.Width, end - i);
            Vector512<float> logits = CpuElement.Load(scores + i, count) * scale;
            if (mask != null) logits = AddMask(logits, CpuElement.Load(mask + i, count));
            logits = Vector512.ConditionalSelect(
                Vector512.LessThan(Vector512<float>.Indices, Vector512.Create((float)(visible - i))), logits, masked);
            logits.Store(z + i);
            largest = CpuSoftmax.Larger(logits, largest);
        }

        return largest;
    }

    /// <summary>
    /// The end of the work on a row: the visible keys rounded up to whole double vectors, as far as the row goes. What follows is 0.
    /// </summary>
    private static long WorkEnd(long visible, long keys) => Math.Min((visible + 31) / 32 * 32, keys);

    private static void Zero<T, TStore>(T* target, long count)
        where T : unmanaged
        where TStore : struct, IVectorStore
    {
        long i = 0;
        for (; i + 32 <= count; i += 32) CpuElement.Store32<T, TStore>(target + i, Vector512<float>.Zero, Vector512<float>.Zero);
        NativeMemory.Clear(target + i, (nuint)((count - i) * sizeof(T)));
    }

    /// <summary>-infinity masks whatever it is added to, also NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> AddMask(Vector512<float> logits, Vector512<float> added)
    {
        Vector512<float> masked = Vector512.Create(float.NegativeInfinity);
        return Vector512.ConditionalSelect(Vector512.Equals(added, masked), masked, logits + added);
    }

    /// <summary>
    /// z becomes exp(z - reference); returns the sum, in a fixed order. Meanwhile as many scores of the next row come into the cache: where
    /// a row is not read to its end, the processor does not guess where the next one begins.
    /// </summary>
    private static float Exponentials<T>(float* z, long count, float reference, T* next)
        where T : unmanaged
    {
        Vector512<float> shift = Vector512.Create(reference);
        Vector512<float> even = Vector512<float>.Zero, odd = even;
        long i = 0;
        for (; i + 32 <= count; i += 32)
        {
            if (Sse.IsSupported) Sse.Prefetch0(next + i);
            if (Sse.IsSupported && sizeof(T) == sizeof(float)) Sse.Prefetch0(next + i + CpuElement.Width);
            Vector512<float> low = CpuExp.Exp(Vector512.Load(z + i) - shift), high = CpuExp.Exp(Vector512.Load(z + i + 16) - shift);
            low.Store(z + i);
            high.Store(z + i + 16);
            even += low;
            odd += high;
        }

        for (; i < count; i += CpuElement.Width)
        {
            Vector512<float> e = CpuExp.Exp(Vector512.Load(z + i) - shift);
            e.Store(z + i);
            even += e;
        }

        return Vector512.Sum(even + odd);
    }

    private readonly struct CpuForward : ICpuKernel<AttentionDropoutForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AttentionDropoutForwardArguments arguments)
            where T : unmanaged
        {
            AttentionDropoutForwardArguments a = arguments;
            long keys = (long)a.Attention.Keys;
            T* y = a.Y.Pointer<T>();
            bool streaming = y != a.Scores.Pointer<T>() && keys * sizeof(T) % Vector512<byte>.Count == 0
                && CpuStreaming.Pays(y, (long)a.Attention.Rows * keys * sizeof(T));
            CpuParallel.ForRange((long)a.Attention.Rows, RowsPerChunk(a.Attention.Keys), (first, end) =>
            {
                if (typeof(T) == typeof(double))
                    RowsInDouble(a, first, end);
                else if (streaming)
                    RowsInFloat<T, StreamingStore>(a, first, end);
                else
                    RowsInFloat<T, CachedStore>(a, first, end);
            });
        }

        private static void RowsInFloat<T, TStore>(in AttentionDropoutForwardArguments a, long first, long end)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            AttentionArguments rows = a.Attention;
            long keys = (long)rows.Keys;
            ushort* lanes = stackalloc ushort[CpuKeepLanes.BufferLength];
            CpuKeepLanes keep = new(rows.Key.Resolve(), rows.Threshold, lanes);
            float[] buffer = ArrayPool<float>.Shared.Rent(checked((int)keys + BufferSlack));
            fixed (float* unaligned = buffer)
            {
                float* z = Aligned(unaligned);
                for (long row = first; row < end; row++)
                {
                    T* scores = a.Scores.Pointer<T>() + (row * keys);
                    T* y = a.Y.Pointer<T>() + (row * keys);
                    long visible = VisibleKeys(rows, row, out T* mask), work = WorkEnd(visible, keys);
                    float largest = Logits(scores, mask, visible, work, (float)rows.Scale, z);
                    float reference = float.IsNegativeInfinity(largest) ? 0 : largest;
                    float sum = Exponentials(z, work, reference, scores + keys);
                    float factor = sum == 0 ? 0 : (float)rows.KeepScale / sum;
                    if (float.IsNaN(sum))
                    {
                        // Rare, so done again: the masked keys have to be told from the others.
                        Logits(scores, mask, visible, work, (float)rows.Scale, z);
                        for (long k = 0; k < work; k++) z[k] = float.IsNegativeInfinity(z[k]) ? 0 : float.NaN;
                        factor = 1;
                    }

                    for (long k = 0; k < work; k += CpuKeepLanes.Segment)
                    {
                        int count = (int)Math.Min(CpuKeepLanes.Segment, work - k);
                        ushort* drawn = keep.Draw(rows.Start + (ulong)((row * keys) + k), count);
                        Drop<T, TStore>(z + k, drawn, keep.Limit, factor, y + k, count);
                    }

                    Zero<T, TStore>(y + work, keys - work);
                }
            }

            ArrayPool<float>.Shared.Return(buffer);
        }

        private static void Drop<T, TStore>(float* e, ushort* lanes, ushort limit, float factor, T* y, int count)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            Vector512<ushort> limits = Vector512.Create(limit);
            Vector512<float> factors = Vector512.Create(factor);
            int i = 0;
            for (; i + 32 <= count; i += 32)
            {
                CpuKeepLanes.Masks(lanes + i, limits, out Vector512<int> low, out Vector512<int> high);
                low &= (Vector512.Load(e + i) * factors).AsInt32();
                high &= (Vector512.Load(e + i + 16) * factors).AsInt32();
                CpuElement.Store32<T, TStore>(y + i, low.AsSingle(), high.AsSingle());
            }

            for (; i < count; i++) y[i] = lanes[i] < limit ? CpuElement.FromSingle<T>(e[i] * factor) : default;
        }

        private static void RowsInDouble(in AttentionDropoutForwardArguments a, long first, long end)
        {
            long keys = (long)a.Attention.Keys;
            RandomKey key = a.Attention.Key.Resolve();
            for (long row = first; row < end; row++)
            {
                double* scores = a.Scores.Pointer<double>() + (row * keys);
                double* y = a.Y.Pointer<double>() + (row * keys);
                long visible = VisibleKeys(a.Attention, row, out double* mask);
                double reference = Reference(scores, mask, visible, a.Attention.Scale), sum = 0;
                for (long k = 0; k < visible; k++) sum += Math.Exp(Logit(scores, mask, k, a.Attention.Scale) - reference);
                for (long k = 0; k < visible; k++)
                {
                    double z = Logit(scores, mask, k, a.Attention.Scale);
                    bool keep = !double.IsNegativeInfinity(z) && Keeps(key, a.Attention, row, k);
                    y[k] = keep ? Math.Exp(z - reference) / sum * a.Attention.KeepScale : 0;
                }

                NativeMemory.Clear(y + visible, (nuint)((keys - visible) * sizeof(double)));
            }
        }
    }

    private readonly struct CpuBackward : ICpuKernel<AttentionDropoutBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AttentionDropoutBackwardArguments arguments)
            where T : unmanaged
        {
            AttentionDropoutBackwardArguments a = arguments;
            long keys = (long)a.Attention.Keys;
            T* dscores = a.Dscores.Pointer<T>();
            bool streaming = dscores != a.Dy.Pointer<T>() && dscores != a.Scores.Pointer<T>()
                && keys * sizeof(T) % Vector512<byte>.Count == 0
                && CpuStreaming.Pays(dscores, (long)a.Attention.Rows * keys * sizeof(T));
            CpuParallel.ForRange((long)a.Attention.Rows, RowsPerChunk(a.Attention.Keys), (first, end) =>
            {
                if (typeof(T) == typeof(double))
                    RowsInDouble(a, first, end);
                else if (streaming)
                    RowsInFloat<T, StreamingStore>(a, first, end);
                else
                    RowsInFloat<T, CachedStore>(a, first, end);
            });
        }

        private static void RowsInFloat<T, TStore>(in AttentionDropoutBackwardArguments a, long first, long end)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            AttentionArguments rows = a.Attention;
            long keys = (long)rows.Keys;
            long stride = (keys + CpuElement.Width - 1) / CpuElement.Width * CpuElement.Width;
            ushort* lanes = stackalloc ushort[CpuKeepLanes.BufferLength];
            CpuKeepLanes keep = new(rows.Key.Resolve(), rows.Threshold, lanes);
            float[] buffer = ArrayPool<float>.Shared.Rent(checked((int)(2 * stride) + BufferSlack));
            fixed (float* unaligned = buffer)
            {
                float* e = Aligned(unaligned);
                float* dp = e + stride;
                for (long row = first; row < end; row++)
                {
                    T* scores = a.Scores.Pointer<T>() + (row * keys);
                    T* dy = a.Dy.Pointer<T>() + (row * keys);
                    T* dscores = a.Dscores.Pointer<T>() + (row * keys);
                    long visible = VisibleKeys(rows, row, out T* mask), work = WorkEnd(visible, keys);
                    float largest = Logits(scores, mask, visible, work, (float)rows.Scale, e);
                    float reference = float.IsNegativeInfinity(largest) ? 0 : largest, sum = 0, product = 0;
                    for (long k = 0; k < work; k += CpuKeepLanes.Segment)
                    {
                        int count = (int)Math.Min(CpuKeepLanes.Segment, work - k);
                        ushort* drawn = keep.Draw(rows.Start + (ulong)((row * keys) + k), count);
                        (float, float) part = Gradients(e + k, dp + k, dy + k, drawn, keep.Limit, reference, (float)rows.KeepScale, count);
                        sum += part.Item1;
                        product += part.Item2;
                    }

                    (float factor, float mean) = sum == 0 ? (0, 0) : ((float)rows.Scale / sum, product / sum);
                    if (float.IsFinite(mean))
                        Differences<T, TStore>(e, dp, mean, factor, dscores, work);
                    else
                        SpecialDifferences(scores, mask, visible, e, dp, mean, factor, (float)rows.Scale, dscores, work);
                    Zero<T, TStore>(dscores + work, keys - work);
                }
            }

            ArrayPool<float>.Shared.Return(buffer);
        }

        /// <summary>
        /// z becomes e = exp(z - reference), dp = m * dy / q with 0 for masked keys; returns the sums of e and of e * dp.
        /// </summary>
        private static (float Sum, float Product) Gradients<T>(
            float* z, float* dp, T* dy, ushort* lanes, ushort limit, float reference, float keepScale, int count)
            where T : unmanaged
        {
            Vector512<ushort> limits = Vector512.Create(limit);
            Vector512<float> shift = Vector512.Create(reference), factor = Vector512.Create(keepScale);
            Vector512<float> sum = Vector512<float>.Zero, product = sum;
            int i = 0;
            for (; i + 32 <= count; i += 32)
            {
                CpuKeepLanes.Masks(lanes + i, limits, out Vector512<int> low, out Vector512<int> high);
                Add(z + i, dp + i, CpuElement.Load(dy + i) * factor, low, shift, ref sum, ref product);
                Add(z + i + 16, dp + i + 16, CpuElement.Load(dy + i + 16) * factor, high, shift, ref sum, ref product);
            }

            if (i < count)
            {
                CpuKeepLanes.Masks(lanes + i, limits, out Vector512<int> low, out Vector512<int> high);
                Add(z + i, dp + i, CpuElement.Load(dy + i, Math.Min(16, count - i)) * factor, low, shift, ref sum, ref product);
                if (i + 16 < count)
                    Add(z + i + 16, dp + i + 16, CpuElement.Load(dy + i + 16, count - i - 16) * factor, high, shift, ref sum, ref product);
            }

            return (Vector512.Sum(sum), Vector512.Sum(product));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Add(
            float* z, float* dp, Vector512<float> gradient, Vector512<int> keep, Vector512<float> shift, ref Vector512<float> sum,
            ref Vector512<float> product)
        {
            Vector512<float> logits = Vector512.Load(z);
            keep = Vector512.AndNot(keep, Vector512.Equals(logits, Vector512.Create(float.NegativeInfinity)).AsInt32());
            gradient = (gradient.AsInt32() & keep).AsSingle();
            Vector512<float> exponential = CpuExp.Exp(logits - shift);
            gradient.Store(dp);
            exponential.Store(z);
            sum += exponential;
            product += exponential * gradient;
        }

        /// <summary>
        /// The 0 that is added makes the gradient of a masked key, 0 times a finite number, +0 whatever the number's sign.
        /// </summary>
        private static void Differences<T, TStore>(float* e, float* dp, float mean, float factor, T* dscores, long count)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            Vector512<float> means = Vector512.Create(mean), factors = Vector512.Create(factor), zero = Vector512<float>.Zero;
            long i = 0;
            for (; i + 32 <= count; i += 32)
            {
                Vector512<float> low = factors * Vector512.Load(e + i), high = factors * Vector512.Load(e + i + 16);
                low = Vector512.FusedMultiplyAdd(low, Vector512.Load(dp + i) - means, zero);
                high = Vector512.FusedMultiplyAdd(high, Vector512.Load(dp + i + 16) - means, zero);
                CpuElement.Store32<T, TStore>(dscores + i, low, high);
            }

            for (; i < count; i++) dscores[i] = CpuElement.FromSingle<T>(MathF.FusedMultiplyAdd(factor * e[i], dp[i] - mean, 0));
        }

        /// <summary>A row with NaN or infinities: masked keys are 0 all the same, which takes another look at the scores.</summary>
        private static void SpecialDifferences<T>(
            T* scores, T* mask, long visible, float* e, float* dp, float mean, float factor, float scale, T* dscores, long end)
            where T : unmanaged
        {
            for (long k = 0; k < end; k++)
            {
                bool masked = k >= visible || double.IsNegativeInfinity(Logit(scores, mask, k, scale));
                dscores[k] = masked ? default : CpuElement.FromSingle<T>(factor * e[k] * (dp[k] - mean));
            }
        }

        private static void RowsInDouble(in AttentionDropoutBackwardArguments a, long first, long end)
        {
            long keys = (long)a.Attention.Keys;
            RandomKey key = a.Attention.Key.Resolve();
            for (long row = first; row < end; row++)
            {
                double* scores = a.Scores.Pointer<double>() + (row * keys);
                double* dy = a.Dy.Pointer<double>() + (row * keys);
                double* dscores = a.Dscores.Pointer<double>() + (row * keys);
                long visible = VisibleKeys(a.Attention, row, out double* mask);
                double reference = Reference(scores, mask, visible, a.Attention.Scale), sum = 0, product = 0;
                for (long k = 0; k < visible; k++)
                {
                    double z = Logit(scores, mask, k, a.Attention.Scale);
                    if (double.IsNegativeInfinity(z)) continue;
                    double e = Math.Exp(z - reference);
                    sum += e;
                    product += e * (Keeps(key, a.Attention, row, k) ? dy[k] * a.Attention.KeepScale : 0);
                }

                double mean = product / sum;
                for (long k = 0; k < visible; k++)
                {
                    double z = Logit(scores, mask, k, a.Attention.Scale), dp = Keeps(key, a.Attention, row, k)
                        ? dy[k] * a.Attention.KeepScale : 0;
                    dscores[k] = double.IsNegativeInfinity(z) ? 0 : a.Attention.Scale * (Math.Exp(z - reference) / sum) * (dp - mean);
                }

                NativeMemory.Clear(dscores + visible, (nuint)((keys - visible) * sizeof(double)));
            }
        }
    }

    private static bool Keeps(RandomKey key, in AttentionArguments a, long row, long k) =>
        a.Threshold > ushort.MaxValue || Philox.Lane(key, a.Start + (ulong)((row * (long)a.Keys) + k)) < a.Threshold;

    /// <summary>
    /// The largest z, from which exponentials are taken; 0 where all keys are masked. NaN is passed over and reaches the sum.
    /// </summary>
    private static double Reference(double* scores, double* mask, long visible, double scale)
    {
        double largest = double.NegativeInfinity;
        for (long k = 0; k < visible; k++) largest = Logit(scores, mask, k, scale) is var z && z > largest ? z : largest;
        return double.IsNegativeInfinity(largest) ? 0 : largest;
    }

    /// <summary>z of one key in the arithmetic type: a product that overflows it to -infinity masks the key.</summary>
    private static double Logit<T>(T* scores, T* mask, long k, double scale)
        where T : unmanaged
    {
        double added = mask == null ? 0 : CpuElement.ToDouble(mask[k]);
        if (double.IsNegativeInfinity(added)) return added;
        if (typeof(T) == typeof(double)) return (CpuElement.ToDouble(scores[k]) * scale) + added;
        return (CpuElement.ToSingle(scores[k]) * (float)scale) + (float)added;
    }

    private static float* Aligned(float* buffer) => (float*)(((nuint)buffer + 63) & ~(nuint)63);
}
