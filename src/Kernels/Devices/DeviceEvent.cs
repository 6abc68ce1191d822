namespace Kernels;

/// <summary>A point in a stream's work, made by <see cref="DeviceStream.Record"/>: completed once everything queued before it is.</summary>
public abstract class DeviceEvent : IDisposable
{
    private protected DeviceEvent(Device device) => Device = device;

    /// <summary>The device of the stream that recorded the event.</summary>
    public Device Device { get; }

    /// <summary>True when the work before the event is done. Does not block.</summary>
    /// <exception cref="DeviceException">That work failed.</exception>
    public abstract bool IsCompleted { get; }

    /// <summary>Blocks until the work before the event is done.</summary>
    /// <exception cref="DeviceException">That work failed.</exception>
    public abstract void Wait();

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
