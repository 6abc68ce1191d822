using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class StochasticDepth
{
    /// <summary>
    /// Calls the body with stretches of one decision: first element, count, whether it is kept. A chunk of a core has one or more.
    /// </summary>
    private static void ForEachStretch(ulong count, ulong run, ulong start, uint threshold, KeyArguments key, Action<long, long, bool> body)
    {
        RandomKey resolved = key.Resolve();
        CpuParallel.ForRange((long)count, CpuParallel.ElementsPerChunk, (first, end) =>
        {
            for (long i = first; i < end;)
            {
                long row = i / (long)run;
                long next = Math.Min(end, (row + 1) * (long)run);
                bool keep = threshold is 0 or >= KeepAll ? threshold != 0 : Philox.Lane(resolved, start + (ulong)row) < threshold;
                body(i, next - i, keep);
                i = next;
            }
        });
    }

    private readonly struct CpuForward : ICpuKernel<StochasticDepthForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in StochasticDepthForwardArguments arguments)
            where T : unmanaged
        {
            StochasticDepthForwardArguments a = arguments;
            bool relu = (variant.Switches & ReluSwitch) != 0;
            T* x = a.X.Pointer<T>();
            T* f = a.F.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            bool streaming = x != y && f != y && CpuStreaming.Pays(y, (long)a.Count * sizeof(T));
            ForEachStretch(a.Count, a.Run, a.Start, a.Threshold, a.Key, (first, count, keep) =>
                CpuResidual.Add(x + first, keep ? f + first : null, y + first, count, a.Scale, relu, streaming));
        }
    }

    private readonly struct CpuBackward : ICpuKernel<StochasticDepthBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in StochasticDepthBackwardArguments arguments)
            where T : unmanaged
        {
            StochasticDepthBackwardArguments a = arguments;
            bool relu = (variant.Switches & ReluSwitch) != 0;
            T* y = a.Y.Pointer<T>();
            T* dy = a.Dy.Pointer<T>();
            T* df = a.Df.Pointer<T>();
            T* dx = a.Dx.Pointer<T>();
            if (!relu && dx == dy) dx = null;
            bool branchStreams = df != dy && CpuStreaming.Pays(df, (long)a.Count * sizeof(T));
            bool streams = branchStreams && dx != dy && (dx == null || CpuStreaming.Pays(dx, (long)a.Count * sizeof(T)));
            ForEachStretch(a.Count, a.Run, a.Start, a.Threshold, a.Key, (first, count, keep) =>
            {
                T* skip = dx == null ? null : dx + first;
                if (relu && streams)
                    Rectified<T, StreamingStore>(y + first, dy + first, df + first, skip, count, keep, a.Scale);
                else if (relu)
                    Rectified<T, CachedStore>(y + first, dy + first, df + first, skip, count, keep, a.Scale);
                else
                    Plain(dy + first, df + first, skip, count, keep, a.Scale, branchStreams);
            });
        }

        private static void Plain<T>(T* dy, T* df, T* dx, long count, bool keep, double scale, bool streaming)
            where T : unmanaged
        {
            if (dx != null) Buffer.MemoryCopy(dy, dx, count * sizeof(T), count * sizeof(T));
            if (keep)
                CpuResidual.Add(null, dy, df, count, scale, relu: false, streaming);
            else
                CpuResidual.Clear(df, count);
        }

        private static void Rectified<T, TStore>(T* y, T* dy, T* df, T* dx, long count, bool keep, double scale)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            if (typeof(T) == typeof(double))
            {
                for (long j = 0; j < count; j++)
                {
                    double gradient = CpuElement.ToDouble(y[j]) <= 0 ? 0 : CpuElement.ToDouble(dy[j]);
                    if (dx != null) dx[j] = CpuElement.FromDouble<T>(gradient);
                    df[j] = CpuElement.FromDouble<T>(keep ? gradient * scale : 0);
                }

                return;
            }

            // Both results lie alike where they are streamed, so up to the first whole vector of the one is that of the other.
            long i = typeof(TStore) == typeof(StreamingStore) ? CpuResidual.UpToVector(df, count) : 0;
            Vector512<float> factor = Vector512.Create(keep ? (float)scale : 0);
            Parts(y, dy, df, dx, 0, i, keep, factor);
            for (; i + 32 <= count; i += 32)
            {
                Vector512<float> low = Passing(y, dy, i, CpuElement.Width), high = Passing(y, dy, i + CpuElement.Width, CpuElement.Width);
                if (dx != null) CpuElement.Store32<T, TStore>(dx + i, low, high);
                CpuElement.Store32<T, TStore>(df + i, Branch(low, keep, factor), Branch(high, keep, factor));
            }

            Parts(y, dy, df, dx, i, count, keep, factor);
        }

        private static void Parts<T>(T* y, T* dy, T* df, T* dx, long first, long end, bool keep, Vector512<float> factor)
            where T : unmanaged
        {
            for (long i = first; i < end; i += CpuElement.Width)
            {
                int part = (int)Math.Min(CpuElement.Width, end - i);
                Vector512<float> gradient = Passing(y, dy, i, part);
                if (dx != null) CpuElement.Store(dx + i, gradient, part);
                CpuElement.Store(df + i, Branch(gradient, keep, factor), part);
            }
        }

        /// <summary>dy where the ReLU passed.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Passing<T>(T* y, T* dy, long i, int part)
            where T : unmanaged =>
            Vector512.AndNot(CpuElement.Load(dy + i, part), Vector512.LessThanOrEqual(CpuElement.Load(y + i, part), Vector512<float>.Zero));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Branch(Vector512<float> gradient, bool keep, Vector512<float> factor) =>
            keep ? gradient * factor : Vector512<float>.Zero;
    }
}

/// <summary>The CPU's loop of residual sums: y = x + scale * f for a stretch of elements.</summary>
internal static unsafe class CpuResidual
{
    /// <summary>Without <paramref name="f"/> the sum is x, without <paramref name="x"/> it is scale * f, whose -0 stays.</summary>
    public static void Add<T>(T* x, T* f, T* y, long count, double scale, bool relu, bool streaming)
        where T : unmanaged
    {
        if (f == null && !relu && x == y) return;
        if (typeof(T) == typeof(double))
            Doubles((double*)x, (double*)f, (double*)y, count, scale, relu);
        else if (streaming)
            Vectors<T, StreamingStore>(x, f, y, count, (float)scale, relu);
        else
            Vectors<T, CachedStore>(x, f, y, count, (float)scale, relu);
    }

    /// <summary>Sets a stretch to 0.</summary>
    public static void Clear<T>(T* y, long count)
        where T : unmanaged
    {
        for (long i = 0; i < count; i += int.MaxValue) new Span<T>(y + i, (int)Math.Min(int.MaxValue, count - i)).Clear();
    }

    /// <summary>How many elements lie before the first whole vector, at most <paramref name="count"/>.</summary>
    public static long UpToVector<T>(T* y, long count)
        where T : unmanaged => Math.Min(count, (long)((nuint)(-(nint)y) % (nuint)Vector512<byte>.Count) / sizeof(T));

    private static void Vectors<T, TStore>(T* x, T* f, T* y, long count, float scale, bool relu)
        where T : unmanaged
        where TStore : struct, IVectorStore
    {
        // Up to the first whole vector of y: a streaming store needs its alignment.
        long i = typeof(TStore) == typeof(StreamingStore) ? UpToVector(y, count) : 0;
        Vector512<float> factor = Vector512.Create(scale);
        Parts(x, f, y, 0, i, factor, relu);
        for (; i + 32 <= count; i += 32)
        {
            Vector512<float> low = Sum(x, f, i, CpuElement.Width, factor, relu);
            Vector512<float> high = Sum(x, f, i + CpuElement.Width, CpuElement.Width, factor, relu);
            CpuElement.Store32<T, TStore>(y + i, low, high);
        }

        Parts(x, f, y, i, count, factor, relu);
    }

    private static void Parts<T>(T* x, T* f, T* y, long first, long end, Vector512<float> factor, bool relu)
        where T : unmanaged
    {
        for (long i = first; i < end; i += CpuElement.Width)
        {
            int part = (int)Math.Min(CpuElement.Width, end - i);
            CpuElement.Store(y + i, Sum(x, f, i, part, factor, relu), part);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Sum<T>(T* x, T* f, long i, int part, Vector512<float> factor, bool relu)
        where T : unmanaged
    {
        Vector512<float> sum = f == null ? CpuElement.Load(x + i, part)
            : x == null ? factor * CpuElement.Load(f + i, part)
            : Vector512.FusedMultiplyAdd(factor, CpuElement.Load(f + i, part), CpuElement.Load(x + i, part));
        return relu ? Vector512.AndNot(sum, Vector512.LessThanOrEqual(sum, Vector512<float>.Zero)) : sum;
    }

    private static void Doubles(double* x, double* f, double* y, long count, double scale, bool relu)
    {
        for (long i = 0; i < count; i++)
        {
            double sum = f == null ? x[i] : x == null ? scale * f[i] : Math.FusedMultiplyAdd(scale, f[i], x[i]);
            y[i] = relu && sum <= 0 ? 0 : sum;
        }
    }
}
