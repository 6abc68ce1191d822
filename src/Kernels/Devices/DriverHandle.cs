using System.Collections.Concurrent;

namespace Kernels.Devices;

/// <summary>
/// The context of a GPU driver, shared by all that was made in it and released with the last of it. It also holds the queue of handles that
/// the garbage collector found: finalizers never call a driver, they leave their handle here for the next call on the device.
/// </summary>
internal abstract class DriverContext : NativeHandle
{
    private readonly ConcurrentQueue<IReleasable> _abandoned = new();
    private volatile bool _deviceIsGone;

    protected DriverContext(nint value) => SetHandle(value);

    public override bool IsInvalid => handle == 0;

    public void Abandon(IReleasable resource)
    {
        _abandoned.Enqueue(resource);
        if (_deviceIsGone) ReleaseAbandonedElsewhere();
    }

    /// <summary>Has the driver release a resource; false when that could not be done now and stays in the queue. Never throws.</summary>
    public bool TryRelease(IReleasable resource)
    {
        if (TryReleaseCore(resource)) return true;
        _abandoned.Enqueue(resource);
        return false;
    }

    /// <summary>Releases what finalizers have left. Called at the start of calls that may wait or allocate anyway.</summary>
    public void ReleaseAbandoned()
    {
        // No more than there are now, as what cannot be released comes back.
        for (int i = _abandoned.Count; i > 0 && _abandoned.TryDequeue(out IReleasable? resource); i--) resource.ReleaseNow();
    }

    /// <summary>Gives the context back to the driver. Never throws.</summary>
    protected abstract void Release();

    protected virtual bool TryReleaseCore(IReleasable resource)
    {
        resource.Release();
        return true;
    }

    protected override void Dispose(bool disposing)
    {
        // No later call on the device will see to what finalizers leave from now on.
        _deviceIsGone = true;
        if (!_abandoned.IsEmpty) ReleaseAbandonedElsewhere();
        base.Dispose(disposing);
    }

    protected sealed override bool ReleaseHandle()
    {
        // Where nobody disposed the device, the last reference can go on the finalizer thread; the driver is then called from another one.
        if (IsDisposed)
            Release();
        else
            ThreadPool.UnsafeQueueUserWorkItem(static context => context.Release(), this, preferLocal: false);
        return true;
    }

    private void ReleaseAbandonedElsewhere() =>
        ThreadPool.UnsafeQueueUserWorkItem(static context => context.ReleaseAbandoned(), this, preferLocal: false);
}

/// <summary>Something whose release was put off.</summary>
internal interface IReleasable
{
    void ReleaseNow();

    /// <summary>Gives the handle back to the driver; called by the context alone. Never throws.</summary>
    void Release();
}

/// <summary>
/// A handle made in a driver's context (stream, event, kernel): keeps the context alive, is never released by a finalizer itself.
/// </summary>
internal abstract class DriverHandle : NativeHandle, IReleasable
{
    private readonly DriverContext _context;

    protected DriverHandle(DriverContext context, nint value)
    {
        bool added = false;
        context.DangerousAddRef(ref added);
        _context = context;
        SetHandle(value);
    }

    public override bool IsInvalid => handle == 0;

    public void ReleaseNow()
    {
        if (_context.TryRelease(this)) _context.DangerousRelease();
    }

    public abstract void Release();

    protected sealed override bool ReleaseHandle()
    {
        if (IsDisposed)
            ReleaseNow();
        else
            _context.Abandon(this);
        return true;
    }
}
