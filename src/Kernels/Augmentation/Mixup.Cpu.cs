using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class Mixup
{
    private readonly struct CpuApply : ICpuKernel<MixupApplyArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MixupApplyArguments arguments)
            where T : unmanaged
        {
            MixupApplyArguments a = arguments;
            T* x = a.X.Pointer<T>();
            T* pool = a.Pool.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            int* pairs = a.Pairs.Pointer<int>();
            long run = (long)a.Run;
            bool streaming = CpuStreaming.Pays(y, (long)a.Count * sizeof(T));
            CpuParallel.ForRange((long)a.Count, CpuParallel.ElementsPerChunk, (first, end) =>
            {
                for (long start = first; start < end;)
                {
                    (long row, long inRow) = Math.DivRem(start, run);
                    long count = Math.Min(end - start, run - inRow);
                    int other = pairs[(2 * row) + a.Backward];
                    bool exists = other >= 0 && (ulong)other < a.PoolRows;
                    if (!exists && other != -1 && inRow == 0) CpuDataError.Report(a.Error, row);
                    double own = Share<T>(a.Shares, row);
                    double part = exists ? Missing<T>(a.Backward != 0 ? Share<T>(a.Shares, other) : own) : 0;
                    CpuMixture.Write(x + start, own, exists ? pool + (other * run) + inRow : null, part, y + start, count, streaming);
                    start += count;
                }
            });
        }

        private static double Share<T>(TensorArgument shares, long row)
            where T : unmanaged => typeof(T) == typeof(double) ? shares.Pointer<double>()[row] : shares.Pointer<float>()[row];

        /// <summary>1 - share in the arithmetic type.</summary>
        private static double Missing<T>(double share)
            where T : unmanaged => typeof(T) == typeof(double) ? 1 - share : 1 - (float)share;
    }
}

/// <summary>The CPU's loop of weighted sums of two rows: y = own * x + part * other, where a term of weight 0 is not read.</summary>
internal static unsafe class CpuMixture
{
    public static void Write<T>(T* x, double own, T* other, double part, T* y, long count, bool streaming)
        where T : unmanaged
    {
        if (part == 0) other = null;
        if (own == 0 && other == null)
            CpuResidual.Clear(y, count);
        else if (own == 0)
            CpuResidual.Add(null, other, y, count, part, relu: false, streaming);
        else if (other == null)
            CpuResidual.Add(null, x, y, count, own, relu: false, streaming);
        else if (typeof(T) == typeof(double))
            for (long i = 0; i < count; i++) ((double*)y)[i] = Math.FusedMultiplyAdd(own, ((double*)x)[i], part * ((double*)other)[i]);
        else if (streaming)
            Vectors<T, StreamingStore>(x, (float)own, other, (float)part, y, count);
        else
            Vectors<T, CachedStore>(x, (float)own, other, (float)part, y, count);
    }

    private static void Vectors<T, TStore>(T* x, float own, T* other, float part, T* y, long count)
        where T : unmanaged
        where TStore : struct, IVectorStore
    {
        // Up to the first whole vector of y: a streaming store needs its alignment.
        long i = typeof(TStore) == typeof(StreamingStore) ? CpuResidual.UpToVector(y, count) : 0;
        Vector512<float> a = Vector512.Create(own), b = Vector512.Create(part);
        Parts(x, a, other, b, y, 0, i);
        for (; i + 32 <= count; i += 32)
        {
            Vector512<float> low = Sum(x, a, other, b, i, CpuElement.Width);
            Vector512<float> high = Sum(x, a, other, b, i + CpuElement.Width, CpuElement.Width);
            CpuElement.Store32<T, TStore>(y + i, low, high);
        }

        Parts(x, a, other, b, y, i, count);
    }

    private static void Parts<T>(T* x, Vector512<float> a, T* other, Vector512<float> b, T* y, long first, long end)
        where T : unmanaged
    {
        for (long i = first; i < end; i += CpuElement.Width)
        {
            int part = (int)Math.Min(CpuElement.Width, end - i);
            CpuElement.Store(y + i, Sum(x, a, other, b, i, part), part);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Sum<T>(T* x, Vector512<float> a, T* other, Vector512<float> b, long i, int part)
        where T : unmanaged =>
        Vector512.FusedMultiplyAdd(a, CpuElement.Load(x + i, part), b * CpuElement.Load(other + i, part));
}
