namespace Kernels.Devices;

/// <summary>
/// A block of device memory. The handle is the address on CPU and CUDA and the cl_mem on OpenCL. A launch holds a reference while it
/// is queued or run, so disposing a tensor on another thread cannot free memory under it.
/// </summary>
internal abstract class DeviceMemory : NativeHandle, IReleasable
{
    private readonly DriverContext? _context;
    private readonly bool _owns;

    /// <param name="device">The device that holds the memory.</param>
    /// <param name="context">The driver's context that must outlive it; null where there is none.</param>
    /// <param name="value">Address or cl_mem.</param>
    /// <param name="bytes">Size.</param>
    /// <param name="owns">False for memory borrowed from another library.</param>
    protected DeviceMemory(Device device, DriverContext? context, nint value, long bytes, bool owns)
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

    /// <summary>
    /// Blocks of one address space reach each other by offsets, and may be loans of the same memory. All blocks of a device are in the
    /// space 0, unless the handle is no address and each block is a space of its own.
    /// </summary>
    public virtual nint AddressSpace => 0;

    /// <summary>The place of the first byte in its address space.</summary>
    public virtual long Address => Value;

    /// <summary>
    /// A stream was told to write to these bytes (first, count) by a transfer or a restore: what is derived from them is out of date.
    /// Kernels and other libraries write without a word.
    /// </summary>
    public event Action<DeviceStream, long, long>? Written;

    /// <summary>Tells who lent the memory that nothing uses it any more.</summary>
    public Action? Returned { get; set; }

    /// <summary>Tells who listens to <see cref="Written"/>.</summary>
    public void NoteWritten(DeviceStream stream, long firstByte, long bytes) => Written?.Invoke(stream, firstByte, bytes);

    /// <summary>Never: a loan of nothing has the handle 0, and must still let go of the context.</summary>
    public override bool IsInvalid => false;

    public void ReleaseNow()
    {
        if (_owns)
        {
            if (_context is null)
                Release();
            else if (!_context.TryRelease(this))
                return;
            Device.Counters.MemoryFreed(Bytes);
            if (Bytes > 0) GC.RemoveMemoryPressure(Bytes);
        }

        Returned?.Invoke();
        _context?.DangerousRelease();
    }

    public abstract void Release();

    protected sealed override bool ReleaseHandle()
    {
        if (IsDisposed || _context is null)
            ReleaseNow();
        else
            _context.Abandon(this);
        return true;
    }
}
