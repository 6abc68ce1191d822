using System.Runtime.CompilerServices;
using Kernels.Devices;

namespace Kernels.Cpu;

/// <summary>One tile of a list of tensors, as <c>tile_at</c> in <c>tensor_list.h</c> gives it.</summary>
internal readonly record struct CpuTile(long First, long Second, long Flat, long Count, int Tensor, int Group)
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe CpuTile At(ulong* tensors, uint* tiles, long index)
    {
        ulong* entry = tensors + ((long)tiles[index] * TensorTable<float>.Words);
        long length = (long)entry[5];
        long start = (index - (long)entry[4]) * length;
        return new CpuTile(
            (long)entry[0] + start, (long)entry[1] + start, (long)entry[2] + start, Math.Min(length, (long)entry[3] - start), (int)(uint)entry[6],
            (int)(entry[6] >> 32));
    }
}
