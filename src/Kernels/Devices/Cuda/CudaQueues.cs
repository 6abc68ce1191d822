using Kernels.Interop;
using static Kernels.Interop.CudaDriver;

namespace Kernels.Devices.Cuda;

/// <summary>
/// The streams of a device that may have work. A launch lets go of its memory when it is queued, and cuMemFree need not wait for it, so
/// what frees memory waits for them first. Where the context must be current it is, and errors are for the next call to find: what is
/// released is released whatever the work came to.
/// </summary>
internal sealed class CudaQueues(CudaContext context)
{
    private readonly Lock _ownedLock = new();
    private readonly HashSet<nint> _owned = [];
    private readonly Lock _borrowedLock = new();
    private readonly List<CudaBorrowedStream> _borrowed = [];

    /// <summary>A stream may have work that is waited for in no other way than for all of the context's.</summary>
    private bool _missesMarks;

    /// <summary>A stream of the library's own.</summary>
    public void Add(nint stream)
    {
        lock (_ownedLock) _owned.Add(stream);
    }

    /// <summary>Waits for a stream of the library's own and destroys it.</summary>
    public void Destroy(nint stream)
    {
        lock (_ownedLock)
        {
            cuStreamSynchronize(stream);
            cuStreamDestroy_v2(stream);
            _owned.Remove(stream);
        }
    }

    /// <summary>A stream of another library.</summary>
    public void Add(CudaBorrowedStream stream)
    {
        lock (_borrowedLock) _borrowed.Add(stream);
    }

    /// <summary>Waits for what was queued in a stream of another library, and forgets it.</summary>
    public void Remove(CudaBorrowedStream stream)
    {
        lock (_borrowedLock)
        {
            _borrowed.Remove(stream);
            if (stream.Users > 0) stream.Mark();
        }

        cuEventSynchronize(stream.Value);
        cuEventDestroy_v2(stream.Value);
    }

    /// <summary>Somebody has begun to use a borrowed stream.</summary>
    public void Begin(CudaBorrowedStream stream)
    {
        lock (_borrowedLock) stream.Count(1);
    }

    /// <summary>Somebody will use a borrowed stream no more. Its owner may now destroy it, so an event is put behind its work.</summary>
    public void End(CudaContext context, CudaBorrowedStream stream)
    {
        lock (_borrowedLock)
        {
            stream.Count(-1);
            try
            {
                using CudaContext.Scope scope = context.MakeCurrent();
                _missesMarks |= !stream.Mark();
            }
            catch (Exception e) when (e is DeviceException or ObjectDisposedException)
            {
                _missesMarks = true;
            }
        }
    }

    /// <summary>A stream that is not listed may have work: waiting for it has failed.</summary>
    public void NoteUnknownWork()
    {
        lock (_borrowedLock) _missesMarks = true;
    }

    /// <summary>Waits for all work queued so far.</summary>
    public void Wait()
    {
        CudaBorrowedStream[] borrowed;
        bool missesMarks;
        lock (_borrowedLock)
        {
            borrowed = [.. _borrowed];
            foreach (CudaBorrowedStream stream in borrowed)
            {
                if (stream.Users > 0) _missesMarks |= !stream.Mark();
            }

            (missesMarks, _missesMarks) = (_missesMarks, false);
        }

        if (missesMarks)
        {
            lock (context.WholeContext) cuCtxSynchronize();
        }

        foreach (CudaBorrowedStream stream in borrowed)
        {
            if (!stream.TryHold()) continue;
            cuEventSynchronize(stream.Value);
            stream.DangerousRelease();
        }

        lock (_ownedLock)
        {
            foreach (nint stream in _owned) cuStreamSynchronize(stream);
        }
    }
}

/// <summary>A stream of another library: its handle is that of an event behind what the stream is known to have to do.</summary>
internal sealed class CudaBorrowedStream(CudaContext context, CudaQueues queues, nint stream, nint end, Thread? owner)
    : DriverHandle(context, end)
{
    private int _users;

    /// <summary>Objects over it that were not disposed. Finalizers take no lock, so it is changed in one step.</summary>
    public int Users => Volatile.Read(ref _users);

    public void Count(int change) => Interlocked.Add(ref _users, change);

    /// <summary>Another library captures the stream: it runs nothing, and what it is told becomes part of a graph.</summary>
    public bool IsCaptured =>
        cuStreamIsCapturing(stream, out CudaCaptureStatus status) == CudaStatus.Success && status != CudaCaptureStatus.None;

    /// <summary>
    /// Puts the event behind the work queued so far; false where this thread cannot, for which the default stream of another has no name,
    /// or the driver refuses.
    /// </summary>
    public bool Mark()
    {
        if (owner is not null && owner != Thread.CurrentThread) return false;
        return IsCaptured || cuEventRecord(handle, stream) == CudaStatus.Success;
    }

    public override void Release() => queues.Remove(this);
}

/// <summary>The use of a borrowed stream by one object.</summary>
internal sealed class CudaBorrowing : IDisposable
{
    private readonly CudaContext _context;
    private readonly CudaQueues _queues;
    private readonly CudaBorrowedStream _stream;

    public CudaBorrowing(CudaContext context, CudaQueues queues, CudaBorrowedStream stream)
    {
        (_context, _queues, _stream) = (context, queues, stream);
        queues.Begin(stream);
    }

    /// <summary>Forgotten: the owner may have destroyed the stream already.</summary>
    ~CudaBorrowing() => _stream.Count(-1);

    public void Dispose()
    {
        GC.SuppressFinalize(this);
        _queues.End(_context, _stream);
    }
}
