using System.Diagnostics;
using Kernels.Interop;

namespace Kernels;

/// <summary>
/// Looks after the calls that are queued or run: asks for errors of the communicator, and tells of the first call that runs for longer than
/// the limit. A call's time begins when its stream has come to it, so that work before it does not count.
/// </summary>
internal sealed class NcclWatch : IDisposable
{
    private const int Interval = 20; // milliseconds

    private readonly TimeSpan _limit;
    private readonly ErrorOf _error;
    private readonly Action<CollectiveCall, NcclResult, string> _end;
    private readonly Timer _timer;
    private readonly Lock _lock = new();
    private readonly Queue<Pending> _pending = new();
    private long _running; // when the first one began to run; 0 before
    private DeviceEvent? _lastEnd; // of the last call, done or not
    private bool _disposed;

    public NcclWatch(TimeSpan limit, ErrorOf error, Action<CollectiveCall, NcclResult, string> end)
    {
        (_limit, _error, _end) = (limit, error, end);
        _timer = new Timer(_ => Look());
    }

    /// <summary>What the communicator says of itself.</summary>
    public delegate NcclResult ErrorOf(out string text);

    public void Add(Pending pending)
    {
        lock (_lock)
        {
            if (_disposed)
            {
                pending.Release(null);
                return;
            }

            if (_pending.Count == 0)
            {
                _lastEnd?.Dispose();
                _timer.Change(Interval, Timeout.Infinite);
            }

            _pending.Enqueue(pending);
            _lastEnd = pending.End;
        }
    }

    /// <summary>What the stream does next waits for the last call.</summary>
    public void Join(DeviceStream stream)
    {
        lock (_lock)
        {
            if (_lastEnd is not null) stream.WaitFor(_lastEnd);
        }
    }

    /// <summary>Looks now.</summary>
    public void Look()
    {
        CollectiveCall call;
        NcclResult error;
        string text;
        lock (_lock)
        {
            if (_disposed || _pending.Count == 0) return;
            call = _pending.Peek().Call;
            error = _error(out text);
            bool isLate = false;
            try
            {
                isLate = error == NcclResult.Success && IsLate(out call);
            }
            catch (DeviceException)
            {
                Clear(); // the context is lost, as whoever waits for it is told
                return;
            }

            if (error == NcclResult.Success && !isLate)
            {
                if (_pending.Count > 0) _timer.Change(Interval, Timeout.Infinite);
                return;
            }

            Clear();
        }

        _end(call, error, text);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            Clear();
        }

        _timer.Dispose();
    }

    /// <summary>Lets go of calls that are done; true when the next one takes too long.</summary>
    private bool IsLate(out CollectiveCall call)
    {
        call = default;
        while (_pending.TryPeek(out Pending pending))
        {
            call = pending.Call;
            if (pending.End.IsCompleted)
            {
                _pending.Dequeue().Release(_lastEnd);
                _running = 0;
                continue;
            }

            if (_running == 0 && pending.Begin.IsCompleted) _running = Stopwatch.GetTimestamp();
            return _running != 0 && Stopwatch.GetElapsedTime(_running) > _limit;
        }

        return false;
    }

    private void Clear()
    {
        while (_pending.TryDequeue(out Pending pending)) pending.Release(_lastEnd);
        _lastEnd?.Dispose();
        _lastEnd = null;
    }

    /// <summary>A call between two events.</summary>
    public readonly record struct Pending(CollectiveCall Call, DeviceEvent Begin, DeviceEvent End)
    {
        /// <summary>Frees the events, but for the one that is still asked for.</summary>
        public void Release(DeviceEvent? kept)
        {
            Begin.Dispose();
            if (End != kept) End.Dispose();
        }
    }
}
