using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Kernels.Devices.Cpu;

/// <summary>
/// Asks for memory that is needed soon. The hardware foresees what lies behind what was read, but hardly beyond a page, and not the next of
/// many planes or rows: where they are short, cores would wait for the first lines of each.
/// </summary>
internal static unsafe class CpuPrefetch
{
    private const int LineBytes = 64;

    /// <summary>Brings a range into the second-level cache. It may reach past the end of an allocation: nothing is read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Range(void* first, long bytes)
    {
        if (!Sse.IsSupported) return;
        for (byte* line = (byte*)first, end = line + bytes; line < end; line += LineBytes) Sse.Prefetch1(line);
    }
}
