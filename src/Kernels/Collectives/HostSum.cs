using System.Numerics;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>
/// Sums over ranks of values in host memory, in a fixed binary tree over ranks: neighbours are added, then neighbouring sums. In float
/// (double for double), rounded once.
/// </summary>
internal static unsafe class HostSum
{
    /// <summary>destination[i] = the sum over sources of source[i]; the destination may be one of them.</summary>
    public static void Sum(DType dtype, nint[] sources, nint destination, long count)
    {
        switch (dtype)
        {
            case DType.Float32: Sum<float, float>(sources, destination, count); break;
            case DType.Float16: Sum<Half, float>(sources, destination, count); break;
            case DType.BFloat16: Sum<BFloat16, float>(sources, destination, count); break;
            case DType.Float64: Sum<double, double>(sources, destination, count); break;
            default: throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "not a floating-point type");
        }
    }

    private static void Sum<T, TReal>(nint[] sources, nint destination, long count)
        where T : unmanaged
        where TReal : unmanaged
    {
        CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) =>
        {
            for (long i = first; i < end; i += Vector512<TReal>.Count)
            {
                int width = (int)Math.Min(Vector512<TReal>.Count, end - i);
                CpuReal.Store((T*)destination + i, Tree<T, TReal>(sources, i, width), width);
            }
        });
    }

    private static Vector512<TReal> Tree<T, TReal>(ReadOnlySpan<nint> sources, long index, int width)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (sources.Length == 1) return CpuReal.Load<T, TReal>((T*)sources[0] + index, width);
        int left = 1 << BitOperations.Log2((uint)sources.Length - 1); // the largest power of two below
        return Tree<T, TReal>(sources[..left], index, width) + Tree<T, TReal>(sources[left..], index, width);
    }
}
