namespace Kernels.Benchmarks;

/// <summary>
/// Times what is queued on a stream, with caches emptied before. On CUDA and OpenCL the device's own events give the time.
/// </summary>
internal sealed class DeviceTimer : IDisposable
{
    /// <summary>More than the last-level cache of common devices.</summary>
    private const long FlushBytes = 256L << 20;

    private readonly DeviceTensor<byte> _flush;

    public DeviceTimer(DeviceStream stream)
    {
        Stream = stream;
        _flush = stream.Device.Allocate<byte>(FlushBytes);
    }

    public DeviceStream Stream { get; }

    /// <summary>Device seconds of what <paramref name="work"/> queues: the time between two events around it.</summary>
    public static double Seconds(DeviceStream stream, Action work)
    {
        using DeviceEvent start = stream.Record();
        work();
        using DeviceEvent end = stream.Record();
        return end.ElapsedSince(start).TotalSeconds;
    }

    /// <summary>
    /// Rewrites a large buffer, then times the work twice. All of it is queued at once: while a GPU is busy with the buffer the host gets
    /// ahead, so that its own time is not in the result.
    /// </summary>
    public Timing Time(Action work)
    {
        // A fast GPU writes the buffer in 60 microseconds, in which the host queues some ten launches; twice that is enough for any op.
        for (int i = Stream.Device.Kind == DeviceKind.Cuda ? 2 : 1; i > 0; i--) Stream.Fill(_flush, (byte)1);
        using DeviceEvent start = Stream.Record();
        work();
        using DeviceEvent middle = Stream.Record();
        work();
        using DeviceEvent end = Stream.Record();
        return new Timing(middle.ElapsedSince(start).TotalMilliseconds, end.ElapsedSince(middle).TotalMilliseconds);
    }

    public void Dispose() => _flush.Dispose();
}
