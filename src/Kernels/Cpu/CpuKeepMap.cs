using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Devices.Cpu;

namespace Kernels.Cpu;

/// <summary>The values of kept and of dropped elements; a type parameter, so that each loop is compiled for one map.</summary>
internal interface IKeepMap
{
    /// <summary>The value of a dropped element, whatever it was.</summary>
    double Dropped { get; }

    Vector512<float> Kept(Vector512<float> x);

    float Kept(float x);

    double Kept(double x);
}

/// <summary>Dropout: scale * x, dropped to 0.</summary>
internal readonly struct ScaleMap(double scale) : IKeepMap
{
    public double Dropped => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Kept(Vector512<float> x) => x * Vector512.Create((float)scale);

    public float Kept(float x) => x * (float)scale;

    public double Kept(double x) => x * scale;
}

/// <summary>Alpha dropout: scale * x + shift, dropped to a constant.</summary>
internal readonly struct AffineMap(double scale, double shift, double dropped) : IKeepMap
{
    public double Dropped => dropped;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Kept(Vector512<float> x) =>
        Vector512.FusedMultiplyAdd(x, Vector512.Create((float)scale), Vector512.Create((float)shift));

    public float Kept(float x) => MathF.FusedMultiplyAdd(x, (float)scale, (float)shift);

    public double Kept(double x) => Math.FusedMultiplyAdd(x, scale, shift);
}

/// <summary>The CPU's loop of every op that draws one decision an element: y = lane &lt; T ? kept(x) : dropped.</summary>
internal static unsafe class CpuKeepMap
{
    /// <summary>The whole tensor, on all cores.</summary>
    public static void Run<T, TMap>(T* x, T* y, long count, ulong start, uint threshold, RandomKey key, TMap map)
        where T : unmanaged
        where TMap : struct, IKeepMap
    {
        // Up to the next block of the whole tensor element by element, so that all other pieces start on one.
        long head = Math.Min(count, (long)(((ulong)Philox.LanesPerBlock - (start % Philox.LanesPerBlock)) % Philox.LanesPerBlock));
        Scalar(x, y, 0, head, start, threshold, key, map);
        bool streaming = x != y && CpuStreaming.Pays(y + head, (count - head) * sizeof(T));
        CpuPhilox philox = new(key);
        CpuParallel.ForRange(count - head, CpuParallel.ElementsPerChunk, (first, end) =>
        {
            CpuPhilox local = philox;
            long i = streaming
                ? Vectors<T, TMap, StreamingStore>(x, y, head + first, head + end, start, threshold, local, map)
                : Vectors<T, TMap, CachedStore>(x, y, head + first, head + end, start, threshold, local, map);
            Scalar(x, y, i, head + end, start, threshold, key, map);
        });
    }

    /// <summary>One stretch on this core, whose lanes are in memory: from any of them 32 can be read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Stretch<T, TMap, TStore>(T* x, T* y, int count, ushort* lanes, ushort limit, TMap map)
        where T : unmanaged
        where TMap : struct, IKeepMap
        where TStore : struct, IVectorStore
    {
        int i = 0;
        if (typeof(T) != typeof(double))
        {
            Vector512<ushort> limits = Vector512.Create(limit);
            for (; i + 32 <= count; i += 32)
                Apply32<T, TMap, TStore>(x + i, y + i, Vector512.LessThan(Vector512.Load(lanes + i), limits), map);
        }

        for (; i < count; i++) y[i] = One(x[i], lanes[i] < limit, map);
    }

    /// <summary>
    /// The lanes below a threshold as all-ones; T = 65536 does not fit a lane and is never asked for, since it draws nothing.
    /// </summary>
    public static Vector512<ushort> ThresholdVector(uint threshold) => Vector512.Create((ushort)Math.Min(threshold, ushort.MaxValue));

    /// <summary>As many whole draws of 64 elements as fit; returns where it stopped.</summary>
    private static long Vectors<T, TMap, TStore>(
        T* x, T* y, long first, long end, ulong start, uint threshold, in CpuPhilox philox, TMap map)
        where T : unmanaged
        where TMap : struct, IKeepMap
        where TStore : struct, IVectorStore
    {
        long i = first;
        if (typeof(T) == typeof(double)) return i;
        Vector512<ushort> limit = ThresholdVector(threshold);
        ushort* lanes = stackalloc ushort[CpuPhilox.LanesOfFour];
        for (; i + CpuPhilox.LanesOfFour <= end; i += CpuPhilox.LanesOfFour)
        {
            philox.DrawFour((start + (ulong)i) / Philox.LanesPerBlock, lanes);
            for (int lane = 0; lane < CpuPhilox.LanesOfFour; lane += 32)
                Apply32<T, TMap, TStore>(x + i + lane, y + i + lane, Vector512.LessThan(Vector512.Load(lanes + lane), limit), map);
        }

        for (; i + CpuPhilox.Lanes <= end; i += CpuPhilox.Lanes)
        {
            philox.Draw((start + (ulong)i) / Philox.LanesPerBlock, out Vector512<ushort> low, out Vector512<ushort> high);
            Apply32<T, TMap, TStore>(x + i, y + i, Vector512.LessThan(low, limit), map);
            Apply32<T, TMap, TStore>(x + i + 32, y + i + 32, Vector512.LessThan(high, limit), map);
        }

        return i;
    }

    /// <summary>32 elements under 32 masks of 16 bits. The mask selects bits, so that a dropped NaN is gone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Apply32<T, TMap, TStore>(T* x, T* y, Vector512<ushort> keep, TMap map)
        where T : unmanaged
        where TMap : struct, IKeepMap
        where TStore : struct, IVectorStore
    {
        Vector512<float> low = map.Kept(CpuElement.Load(x));
        Vector512<float> high = map.Kept(CpuElement.Load(x + 16));
        if (typeof(T) == typeof(float))
        {
            // Widening with sign turns 16 bits of ones into 32.
            Vector512<int> lowMask = Vector512.WidenLower(keep.AsInt16()), highMask = Vector512.WidenUpper(keep.AsInt16());
            if (typeof(TMap) == typeof(ScaleMap))
            {
                TStore.Store((byte*)y, (low.AsInt32() & lowMask).AsByte());
                TStore.Store((byte*)(y + 16), (high.AsInt32() & highMask).AsByte());
                return;
            }

            Vector512<int> dropped = Vector512.Create((float)map.Dropped).AsInt32();
            TStore.Store((byte*)y, Vector512.ConditionalSelect(lowMask, low.AsInt32(), dropped).AsByte());
            TStore.Store((byte*)(y + 16), Vector512.ConditionalSelect(highMask, high.AsInt32(), dropped).AsByte());
        }
        else
        {
            Vector512<ushort> stored = Vector512.Create(CpuElement.NarrowToStored<T>(low), CpuElement.NarrowToStored<T>(high));
            T dropped = CpuElement.FromSingle<T>((float)map.Dropped);
            TStore.Store((byte*)y,
                Vector512.ConditionalSelect(keep, stored, Vector512.Create(Unsafe.BitCast<T, ushort>(dropped))).AsByte());
        }
    }

    private static void Scalar<T, TMap>(T* x, T* y, long first, long end, ulong start, uint threshold, RandomKey key, TMap map)
        where T : unmanaged
        where TMap : struct, IKeepMap
    {
        for (long i = first; i < end; i++) y[i] = One(x[i], Philox.Lane(key, start + (ulong)i) < threshold, map);
    }

    private static T One<T, TMap>(T x, bool isKept, TMap map)
        where T : unmanaged
        where TMap : struct, IKeepMap =>
        typeof(T) == typeof(double)
            ? CpuElement.FromDouble<T>(isKept ? map.Kept(CpuElement.ToDouble(x)) : map.Dropped)
            : CpuElement.FromSingle<T>(isKept ? map.Kept(CpuElement.ToSingle(x)) : (float)map.Dropped);
}
