using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>
/// Linux's pages of 2 MiB, for those who ask. A page fault then brings 512 times as much, and the processor finds the addresses of far
/// larger tensors without a walk through the page tables; most systems give such pages to no one who has not asked.
/// </summary>
internal static unsafe partial class HugePages
{
    /// <summary>Bytes of a huge page, which begins at a multiple of them: of x86, and of Arm with base pages of 4 KiB.</summary>
    internal const int Bytes = 2 << 20;

    /// <summary>MADV_HUGEPAGE.</summary>
    private const int HugePageAdvice = 14;

    /// <summary>Asks for them in whole pages of memory not yet used. It is advice: a system that has none does as it always did.</summary>
    internal static void Ask(void* address, nuint bytes)
    {
        if (OperatingSystem.IsLinux()) _ = Advise(address, bytes, HugePageAdvice);
    }

    [LibraryImport("libc", EntryPoint = "madvise")] private static partial int Advise(void* address, nuint bytes, int advice);
}
