using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Devices.Cpu;

namespace Kernels.Cpu;

/// <summary>Rows of stored elements to the arithmetic type and back.</summary>
internal static unsafe class CpuConvert
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TSum Widen<T, TSum>(T value)
        where T : unmanaged
        where TSum : unmanaged => typeof(TSum) == typeof(double)
            ? Unsafe.BitCast<double, TSum>(CpuElement.ToDouble(value)) : Unsafe.BitCast<float, TSum>(CpuElement.ToSingle(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Round<T, TSum>(TSum value)
        where T : unmanaged
        where TSum : unmanaged => typeof(TSum) == typeof(double)
            ? CpuElement.FromDouble<T>(Unsafe.BitCast<TSum, double>(value)) : CpuElement.FromSingle<T>(Unsafe.BitCast<TSum, float>(value));

    /// <summary>Widens a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Widen<T, TSum>(T* source, TSum* destination, int count)
        where T : unmanaged
        where TSum : unmanaged
    {
        if (typeof(TSum) == typeof(double))
        {
            for (int k = 0; k < count; k++) destination[k] = Widen<T, TSum>(source[k]);
            return;
        }

        int i = 0;
        for (; i + CpuElement.Width <= count; i += CpuElement.Width)
            CpuElement.Store((float*)(destination + i), CpuElement.Load(source + i));
        if (i < count) CpuElement.Store((float*)(destination + i), CpuElement.Load(source + i, count - i), count - i);
    }

    /// <summary>Widens the rows of a matrix.</summary>
    /// <param name="source">Stored elements.</param>
    /// <param name="sourceStride">From one stored row to the next.</param>
    /// <param name="destination">Rows in the arithmetic type.</param>
    /// <param name="destinationStride">From one of them to the next.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="count">Elements of a row.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WidenRows<T, TSum>(
        T* source, long sourceStride, TSum* destination, long destinationStride, long rows, int count)
        where T : unmanaged
        where TSum : unmanaged
    {
        for (; rows > 0; rows--, source += sourceStride, destination += destinationStride) Widen(source, destination, count);
    }

    /// <summary>Adds a bias, one for all or one for each; rectifies; rounds a row.</summary>
    /// <param name="source">Sums.</param>
    /// <param name="destination">Results.</param>
    /// <param name="count">Elements.</param>
    /// <param name="bias">The bias, or null.</param>
    /// <param name="isShared">True when all elements have the bias of the first.</param>
    /// <param name="rectifies">True to replace what is at most 0 by 0.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Round<T, TSum>(TSum* source, T* destination, int count, T* bias, bool isShared, bool rectifies)
        where T : unmanaged
        where TSum : unmanaged
    {
        TSum shared = bias == null ? default : Widen<T, TSum>(*bias);
        int i = 0;
        for (; typeof(TSum) == typeof(float) && i < count; i += CpuElement.Width)
        {
            int width = Math.Min(CpuElement.Width, count - i);
            Vector512<float> value = CpuElement.Load((float*)(source + i), width);
            if (bias != null)
            {
                value += isShared
                    ? Vector512.Create(Unsafe.BitCast<TSum, float>(shared)) : CpuElement.Load(bias + i, width);
            }

            if (rectifies) value = Vector512.AndNot(value, Vector512.LessThanOrEqual(value, Vector512<float>.Zero));
            CpuElement.Store(destination + i, value, width);
        }

        for (; i < count; i++)
        {
            double value = CpuElement.ToDouble(source[i]);
            if (bias != null) value += CpuElement.ToDouble(isShared ? *bias : bias[i]);
            destination[i] = CpuElement.FromDouble<T>(rectifies && value <= 0 ? 0 : value);
        }
    }

    /// <summary>Adds a bias, one for each row or one for each column; rectifies; rounds the rows of a tile.</summary>
    /// <param name="source">Sums.</param>
    /// <param name="sourceStride">From one row of sums to the next.</param>
    /// <param name="destination">Results.</param>
    /// <param name="destinationStride">From one row of results to the next.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="count">Elements of a row.</param>
    /// <param name="bias">The biases, or null.</param>
    /// <param name="isShared">True when the elements of a row share one.</param>
    /// <param name="rectifies">True to replace what is at most 0 by 0.</param>
    /// <param name="streams">True to store past the caches where rows lie on whole cache lines.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RoundRows<T, TSum>(
        TSum* source, long sourceStride, T* destination, long destinationStride, long rows, int count, T* bias, bool isShared,
        bool rectifies, bool streams)
        where T : unmanaged
        where TSum : unmanaged
    {
        for (long row = 0; row < rows; row++, source += sourceStride, destination += destinationStride)
        {
            if (typeof(TSum) == typeof(double))
            {
                Round(source, destination, count, bias != null && isShared ? bias + row : bias, isShared, rectifies);
                continue;
            }

            Vector512<float> addend = bias != null && isShared ? Vector512.Create(CpuElement.ToSingle(bias[row])) : default;
            bool isOwn = bias != null && !isShared;
            float* from = (float*)source;
            int i = 0;
            if (typeof(T) == typeof(float) && streams && ((nuint)destination & (CpuHeap.Alignment - 1)) == 0)
            {
                for (; i + CpuElement.Width <= count; i += CpuElement.Width)
                {
                    if (isOwn) addend = CpuElement.Load(bias + i);
                    Finish(CpuElement.Load(from + i), bias != null, addend, rectifies).StoreAlignedNonTemporal((float*)(destination + i));
                }
            }

            for (; i + CpuElement.Width <= count; i += CpuElement.Width)
            {
                if (isOwn) addend = CpuElement.Load(bias + i);
                CpuElement.Store(destination + i, Finish(CpuElement.Load(from + i), bias != null, addend, rectifies));
            }

            if (i == count) continue;
            if (isOwn) addend = CpuElement.Load(bias + i, count - i);
            Vector512<float> last = Finish(CpuElement.Load(from + i, count - i), bias != null, addend, rectifies);
            CpuElement.Store(destination + i, last, count - i);
        }
    }

    /// <summary>Without a bias nothing is added, so that -0 stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Finish(Vector512<float> value, bool hasBias, Vector512<float> bias, bool rectifies)
    {
        if (hasBias) value += bias;
        return rectifies ? Vector512.AndNot(value, Vector512.LessThanOrEqual(value, Vector512<float>.Zero)) : value;
    }
}
