namespace Kernels.Devices.Cpu;

/// <summary>Memory of the host, of <see cref="CpuHeap"/> or borrowed. May be freed by any thread.</summary>
internal sealed unsafe class CpuMemory : DeviceMemory
{
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
            return new CpuMemory(device, (nint)CpuHeap.Allocate(Math.Max(bytes, 1)), bytes, owns: true);
        }
        catch (OutOfMemoryException e)
        {
            throw OutOfMemory(device, bytes, e);
        }
    }

    public static CpuMemory Borrow(Device device, nint address, long bytes) => new(device, address, bytes, owns: false);

    public override void Release() => CpuHeap.Free((void*)handle);

    private static OutOfDeviceMemoryException OutOfMemory(Device device, long bytes, OutOfMemoryException? inner = null) =>
        new($"{device}: {bytes} bytes of host memory cannot be had.", bytes, inner: inner);
}
