namespace Kernels;

/// <summary>A point in a stream's work, made by <see cref="DeviceStream.Record"/>: completed once everything queued before it is.</summary>
public abstract class DeviceEvent : IDisposable
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(1);

    private protected DeviceEvent(Device device) => Device = device;

    /// <summary>The device of the stream that recorded the event.</summary>
    public Device Device { get; }

    /// <summary>True when the work before the event is done. Does not block.</summary>
    /// <exception cref="DeviceException">That work failed.</exception>
    public abstract bool IsCompleted { get; }

    /// <summary>Blocks until the work before the event is done.</summary>
    /// <exception cref="DeviceException">That work failed.</exception>
    public abstract void Wait();

    /// <summary>Completes when the work before the event is done, without keeping a thread.</summary>
    /// <param name="cancellationToken">Ends the waiting; the work goes on.</param>
    /// <exception cref="DeviceException">That work failed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled before the work was done.</exception>
    public async Task WaitAsync(CancellationToken cancellationToken = default)
    {
        // Asking now and then: a callback of the driver would have to outlive the event, and CUDA makes none once the context is lost.
        cancellationToken.ThrowIfCancellationRequested();
        while (!IsCompleted) await Task.Delay(PollInterval, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Device time between two completed events of the same device. Blocks until both are done.</summary>
    /// <param name="earlier">The event recorded first.</param>
    /// <exception cref="ArgumentException">The events belong to different devices.</exception>
    public TimeSpan ElapsedSince(DeviceEvent earlier)
    {
        ArgumentNullException.ThrowIfNull(earlier);
        if (earlier.Device != Device)
            throw new ArgumentException($"DeviceEvent.ElapsedSince: the events belong to {Device} and {earlier.Device}.", nameof(earlier));
        earlier.Wait();
        Wait();
        return ElapsedSinceCore(earlier);
    }

    /// <summary>Frees the event; work is not affected.</summary>
    public abstract void Dispose();

    private protected abstract TimeSpan ElapsedSinceCore(DeviceEvent earlier);
}
