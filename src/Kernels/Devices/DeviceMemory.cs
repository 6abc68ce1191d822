using System.Runtime.InteropServices;

namespace Kernels.Devices;

/// <summary>
/// A block of device memory. The handle is the address on CPU and CUDA and the cl_mem on OpenCL. A launch holds a reference while it
/// is queued or run, so disposing a tensor on another thread cannot free memory under it.
/// </summary>
internal abstract class DeviceMemory : SafeHandle, IReleasable
{
    private readonly DriverContext? _context;
    private readonly bool _owns;
    private bool _disposed;

    /// <param name="device">The device that holds the memory.</param>
    /// <param name="context">The driver's context that must outlive it; null where there is none.</param>
    /// <param name="value">Address or cl_mem.</param>
    /// <param name="bytes">Size.</param>
    /// <param name="owns">False for memory borrowed from another library.</param>
    protected DeviceMemory(Device device, DriverContext? context, nint value, long bytes, bool owns)
        : base(0, ownsHandle: true)
    {
        bool added = false;
        context?.DangerousAddRef(ref added);
        _context = context;
        Device = device;
        Bytes = bytes;
        _owns = owns;
        SetHandle(value);
        if (!owns) return;
        device.Counters.MemoryAllocated(bytes);
        // Small managed wrappers hide large native blocks from the collector; tell it, or loops that forget Dispose run out of memory.
        if (bytes > 0) GC.AddMemoryPressure(bytes);
    }

    public Device Device { get; }

    public long Bytes { get; }

    public override bool IsInvalid => handle == 0;

    /// <summary>The raw handle. Valid only between <see cref="SafeHandle.DangerousAddRef"/> and its release, or while the caller owns it.</summary>
    public nint Value => handle;

    public void ReleaseNow()
    {
        if (_owns)
        {
            Release();
            Device.Counters.MemoryFreed(Bytes);
            if (Bytes > 0) GC.RemoveMemoryPressure(Bytes);
        }

        _context?.DangerousRelease();
    }

    /// <summary>Gives owned memory back. Never throws.</summary>
    protected abstract void Release();

    protected override void Dispose(bool disposing)
    {
        if (disposing) _disposed = true;
        base.Dispose(disposing);
    }

    protected sealed override bool ReleaseHandle()
    {
        if (_disposed || _context is null)
            ReleaseNow();
        else
            _context.Abandon(this);
        return true;
    }
}
