using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Work that was captured once and can be launched many times at the cost of one launch: a training step, say. Made by
/// <see cref="DeviceStream.Capture"/>.
/// </summary>
/// <remarks>
/// <para>
/// A replay does the same work on the same memory, and gives the same bits as the calls it was captured from. What changes from one replay
/// to the next lies in device memory: a random key (advanced by <see cref="RandomBits.Advance"/> inside the graph), the step count of an
/// optimizer, its learning rates and loss scale. Values of the host (probabilities, keys, options) are those of the capture. So are uploads
/// from spans; an upload from a <see cref="HostBuffer{T}"/> reads what is in the buffer when the replay comes to it.
/// </para>
/// <para>
/// The graph keeps all memory that its work uses: tensors, streams and optimizers may be disposed before it. Its scratch memory is its own.
/// Launches of one graph run one after the other, on whatever streams of the device; other work that uses the same tensors is ordered by
/// the caller, as between streams. On CUDA it is a graph of the driver; the CPU and OpenCL devices queue the recorded work again. Bad data
/// that its kernels meet is reported by the next synchronisation of a stream it was launched on.
/// </para>
/// </remarks>
public sealed class DeviceGraph : IDisposable
{
    private readonly Lock _lock = new();
    private readonly GraphRecording _recording;
    private readonly INativeGraph? _native;

    // A driver orders the launches of its own graphs; others are ordered here, and so are the looks at their errors.
    private DeviceEvent? _lastLaunch;
    private QueueState? _lastQueue;
    private bool _disposed;

    internal DeviceGraph(Device device, GraphRecording recording, INativeGraph? native)
    {
        Device = device;
        _recording = recording;
        _native = native;
    }

    /// <summary>The device that runs the work.</summary>
    public Device Device { get; }

    /// <summary>Kernels that one replay launches.</summary>
    public int KernelCount => _recording.Launches;

    /// <summary>True while there may be errors that nobody has seen.</summary>
    internal bool MayHaveErrors => _recording.Errors.IsArmed;

    /// <summary>Queues one replay.</summary>
    /// <param name="stream">A stream of <see cref="Device"/>, not necessarily the one that was captured.</param>
    /// <exception cref="ArgumentException">The stream belongs to another device.</exception>
    /// <exception cref="InvalidOperationException">The stream is being captured.</exception>
    /// <exception cref="ObjectDisposedException">The graph, the stream or the device was disposed.</exception>
    /// <exception cref="DeviceException">The driver refuses.</exception>
    public void Launch(DeviceStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (stream.Device != Device)
        {
            throw new ArgumentException(
                $"DeviceGraph.Launch: the stream belongs to {stream.Device}, the graph to {Device}.", nameof(stream));
        }

        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            stream.CheckQueues("DeviceGraph.Launch");
            WaitForLastLaunch(stream);
            if (_recording.Errors.IsUsed)
            {
                // Ahead: some of the work may be queued, whatever fails then.
                _recording.Errors.Launched();
                stream.Queue.Launched(this);
            }

            if (_native is null)
                _recording.Play(stream);
            else
                _native.Launch(stream);
            Device.Counters.Launched(_recording.Launches);
            if (_native is not null && !_recording.Errors.IsUsed) return;
            DeviceEvent launched = stream.Record();
            _lastLaunch?.Dispose();
            (_lastLaunch, _lastQueue) = (launched, stream.Queue);
        }
    }

    /// <summary>Lets the graph and the memory it kept go, when replays that are queued have run.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
            _native?.Dispose();
            if (_native is null) WaitForEnd();
            _lastLaunch?.Dispose();
            _recording.Dispose();
            if (!MayHaveErrors) _recording.Errors.Dispose();
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"graph of {KernelCount} kernels on {Device.Id}";

    /// <summary>Throws the first error of its kernels that nobody has seen.</summary>
    internal void ThrowDataErrors(DeviceStream stream)
    {
        lock (_lock)
        {
            if (!_disposed && MayHaveErrors) WaitForLastLaunch(stream);
            _recording.Errors.ThrowIfAny(stream);
            if (_disposed && !MayHaveErrors) _recording.Errors.Dispose();
        }
    }

    /// <summary>Nobody will look for errors on one of the queues it was launched on.</summary>
    internal void ForgetErrors()
    {
        lock (_lock)
        {
            if (_disposed) _recording.Errors.Dispose();
        }
    }

    /// <summary>Copies that are queued may read host memory of the recording, which no driver keeps.</summary>
    private void WaitForEnd()
    {
        try
        {
            _lastLaunch?.Wait();
        }
        catch (Exception e) when (e is DeviceException or ObjectDisposedException)
        {
            // The stream reports what failed.
        }
    }

    private void WaitForLastLaunch(DeviceStream stream)
    {
        if (_lastLaunch is not null && _lastQueue != stream.Queue) stream.WaitFor(_lastLaunch);
    }
}
