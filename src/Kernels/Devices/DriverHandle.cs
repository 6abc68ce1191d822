using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Kernels.Devices;

/// <summary>
/// The context of a GPU driver, shared by all that was made in it and released with the last of it. It also holds the queue of handles that the
/// garbage collector found: finalizers never call a driver, they leave their handle here for the next call on the device.
/// </summary>
internal abstract class DriverContext : SafeHandle
{
    private readonly ConcurrentQueue<IReleasable> _abandoned = new();

    protected DriverContext(nint value)
        : base(0, ownsHandle: true) => SetHandle(value);

    public override bool IsInvalid => handle == 0;

    public nint Value => handle;

    public void Abandon(IReleasable resource) => _abandoned.Enqueue(resource);

    /// <summary>Releases what finalizers have left. Called at the start of calls that may wait or allocate anyway.</summary>
    public void ReleaseAbandoned()
    {
        while (_abandoned.TryDequeue(out IReleasable? resource)) resource.ReleaseNow();
    }

    /// <summary>Gives the context back to the driver. Never throws.</summary>
    protected abstract void Release();

    protected sealed override bool ReleaseHandle()
    {
        // The last reference can go on the finalizer thread; the driver is then called from another one.
        ThreadPool.UnsafeQueueUserWorkItem(static context => context.Release(), this, preferLocal: false);
        return true;
    }
}

/// <summary>Something whose release was put off.</summary>
internal interface IReleasable
{
    void ReleaseNow();
}

/// <summary>A handle made in a driver's context (stream, event, kernel): keeps the context alive, is never released by a finalizer itself.</summary>
internal abstract class DriverHandle : SafeHandle, IReleasable
{
    private readonly DriverContext _context;
    private bool _disposed;

    protected DriverHandle(DriverContext context, nint value)
        : base(0, ownsHandle: true)
    {
        bool added = false;
        context.DangerousAddRef(ref added);
        _context = context;
        SetHandle(value);
    }

    public override bool IsInvalid => handle == 0;

    public nint Value => handle;

    public void ReleaseNow()
    {
        Release();
        _context.DangerousRelease();
    }

    /// <summary>Gives the handle back to the driver. Never throws.</summary>
    protected abstract void Release();

    protected override void Dispose(bool disposing)
    {
        if (disposing) _disposed = true;
        base.Dispose(disposing);
    }

    protected sealed override bool ReleaseHandle()
    {
        if (_disposed)
            ReleaseNow();
        else
            _context.Abandon(this);
        return true;
    }
}
