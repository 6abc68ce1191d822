using Kernels.Devices;

namespace Kernels.Cpu;

/// <summary>The managed twin of <c>report_error</c>: the lowest index of data that an op cannot use stays in the slot.</summary>
internal static unsafe class CpuDataError
{
    private const long LargestIndex = uint.MaxValue - 1;

    public static void Report(TensorArgument slot, long index)
    {
        ref uint lowest = ref *slot.Pointer<uint>();
        uint mine = (uint)Math.Min(index, LargestIndex);
        uint seen = Volatile.Read(ref lowest);
        while (mine < seen)
        {
            uint before = Interlocked.CompareExchange(ref lowest, mine, seen);
            if (before == seen) return;
            seen = before;
        }
    }
}
