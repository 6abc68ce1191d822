using System.Runtime.InteropServices;

namespace Kernels.Devices.Cpu;

/// <summary>Native memory on 64-byte boundaries, so that whole vectors and cache lines are aligned. May be freed by any thread.</summary>
internal sealed unsafe class CpuMemory : DeviceMemory
{
    private const nuint Alignment = 64;

    private CpuMemory(Device device, nint address, long bytes, bool owns)
        : base(device, context: null, address, bytes, owns)
    {
    }

    public static CpuMemory Allocate(Device device, long bytes)
    {
        try
        {
            return new CpuMemory(device, (nint)NativeMemory.AlignedAlloc((nuint)Math.Max(bytes, 1), Alignment), bytes, owns: true);
        }
        catch (OutOfMemoryException e)
        {
            throw new OutOfDeviceMemoryException($"{device}: {bytes} bytes of host memory cannot be had.", bytes, inner: e);
        }
    }

    public static CpuMemory Borrow(Device device, nint address, long bytes) => new(device, address, bytes, owns: false);

    protected override void Release() => NativeMemory.AlignedFree((void*)handle);
}
