using System.Runtime.InteropServices;

namespace Kernels.Devices.Cpu;

/// <summary>Native memory on 64-byte boundaries, so that whole vectors and cache lines are aligned. May be freed by any thread.</summary>
internal sealed unsafe class CpuMemory : DeviceMemory
{
    private const nuint Alignment = 64;

    /// <summary>Total memory of the machine or the container; 0 when unknown.</summary>
    public static readonly long TotalBytes = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    private CpuMemory(Device device, nint address, long bytes, bool owns)
        : base(device, context: null, address, bytes, owns)
    {
    }

    public static CpuMemory Allocate(Device device, long bytes)
    {
        // Some systems promise more than they have, and end the process when it is used.
        if (TotalBytes > 0 && bytes > TotalBytes) throw OutOfMemory(device, bytes);
        try
        {
            return new CpuMemory(device, (nint)NativeMemory.AlignedAlloc((nuint)Math.Max(bytes, 1), Alignment), bytes, owns: true);
        }
        catch (OutOfMemoryException e)
        {
            throw OutOfMemory(device, bytes, e);
        }
    }

    public static CpuMemory Borrow(Device device, nint address, long bytes) => new(device, address, bytes, owns: false);

    public override void Release() => NativeMemory.AlignedFree((void*)handle);

    private static OutOfDeviceMemoryException OutOfMemory(Device device, long bytes, OutOfMemoryException? inner = null) =>
        new($"{device}: {bytes} bytes of host memory cannot be had.", bytes, inner: inner);
}
