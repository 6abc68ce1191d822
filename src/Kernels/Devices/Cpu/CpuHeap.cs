using System.Runtime.InteropServices;
using Kernels.Interop;

namespace Kernels.Devices.Cpu;

/// <summary>
/// Native memory for tensors and scratch: on 64-byte boundaries, so that whole vectors and cache lines are aligned, and where it is large,
/// in huge pages as far as it fills them.
/// </summary>
internal static unsafe class CpuHeap
{
    /// <summary>Bytes of a cache line and of the widest vector.</summary>
    public const int Alignment = 64;

    /// <summary>Memory that is not cleared. May be freed by any thread.</summary>
    /// <exception cref="OutOfMemoryException">It cannot be had.</exception>
    public static void* Allocate(long bytes)
    {
        nuint whole = (nuint)bytes & ~(nuint)(HugePages.Bytes - 1);
        if (whole == 0) return NativeMemory.AlignedAlloc((nuint)bytes, Alignment);
        void* memory = NativeMemory.AlignedAlloc((nuint)bytes, HugePages.Bytes);
        HugePages.Ask(memory, whole);
        return memory;
    }

    public static void Free(void* memory) => NativeMemory.AlignedFree(memory);
}
