using System.Runtime.InteropServices;

namespace Kernels.Devices;

/// <summary>
/// A handle that knows whether its owner disposed it. A SafeHandle that was disposed stays open to new users as long as others hold it, for
/// ever where they take turns; this one refuses them, and is released when the last user is done.
/// </summary>
internal abstract class NativeHandle() : SafeHandle(0, ownsHandle: true)
{
    private volatile bool _disposed;
    private int _kept;

    public bool IsDisposed => _disposed;

    /// <summary>The raw handle. Valid only between <see cref="Hold"/> and its release, or while the caller owns it.</summary>
    public nint Value => handle;

    /// <summary>Keeps the handle from being released until <see cref="SafeHandle.DangerousRelease"/>.</summary>
    /// <exception cref="ObjectDisposedException">It was disposed, and no graph keeps it.</exception>
    public void Hold()
    {
        ObjectDisposedException.ThrowIf(_disposed && Volatile.Read(ref _kept) == 0, this);
        bool held = false;
        DangerousAddRef(ref held);
    }

    /// <summary>As <see cref="Hold"/>; false where it is gone.</summary>
    public bool TryHold()
    {
        try
        {
            Hold();
            return true;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>From here on it can be held also when it is disposed: a graph replays work that uses it.</summary>
    /// <exception cref="ObjectDisposedException">It was disposed already.</exception>
    public void Keep()
    {
        Hold();
        Interlocked.Increment(ref _kept);
    }

    /// <summary>Ends <see cref="Keep"/>.</summary>
    public void LetGo()
    {
        Interlocked.Decrement(ref _kept);
        DangerousRelease();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _disposed = true;
        base.Dispose(disposing);
    }
}

/// <summary>Holds a handle during a call that uses its value.</summary>
internal readonly ref struct HandleLease : IDisposable
{
    private readonly NativeHandle _handle;

    public HandleLease(NativeHandle handle)
    {
        handle.Hold();
        _handle = handle;
    }

    public void Dispose() => _handle.DangerousRelease();
}
