using System.Runtime.CompilerServices;
using Kernels.Devices;

namespace Kernels.Cpu;

/// <summary>One tile of a list of tensors, as <c>tile_at</c> in <c>tensor_list.h</c> gives it.</summary>
/// <param name="Index">Its place among the tiles of all launches.</param>
internal readonly record struct CpuTile(long Index, long First, long Second, long Flat, long Count, int Tensor, int Group)
{
    /// <summary>A tile of this launch by its place among them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe CpuTile At(in TensorListArguments list, long place)
    {
        long index = (long)list.FirstTile + place;
        ulong* entry = list.Tensors.Pointer<ulong>() + ((long)list.Tiles.Pointer<uint>()[index] * TensorTable<float>.Words);
        long length = (long)entry[5];
        long start = (index - (long)entry[4]) * length;
        return new CpuTile(
            index, (long)entry[0] + start, (long)entry[1] + start, (long)entry[2] + start, Math.Min(length, (long)entry[3] - start),
            (int)(uint)entry[6],
            (int)(entry[6] >> 32));
    }
}
