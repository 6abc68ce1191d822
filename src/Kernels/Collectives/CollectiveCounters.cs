namespace Kernels;

/// <summary>What one rank has exchanged with the others, and how long it waited for them. May be read from any thread.</summary>
public sealed class CollectiveCounters
{
    private long _calls;
    private long _bytesSent;
    private long _bytesReceived;
    private long _waitedTicks;

    internal CollectiveCounters()
    {
    }

    /// <summary>Calls so far.</summary>
    public long Calls => Interlocked.Read(ref _calls);

    /// <summary>
    /// Bytes that a rank must at least send for its calls: in an all-reduce 2 (n - 1) / n of the tensor, in a gather, scatter or all-to-all
    /// (n - 1) / n of the larger one. What a library sends beyond that, or by another way, is not known.
    /// </summary>
    public long BytesSent => Interlocked.Read(ref _bytesSent);

    /// <summary>Bytes that a rank must at least receive.</summary>
    public long BytesReceived => Interlocked.Read(ref _bytesReceived);

    /// <summary>
    /// Time that the host spent in calls, with copies between device and host; under NCCL only what queueing takes.
    /// </summary>
    public TimeSpan Waited => TimeSpan.FromTicks(Interlocked.Read(ref _waitedTicks));

    internal void Add(long sent, long received, TimeSpan waited)
    {
        Interlocked.Increment(ref _calls);
        Interlocked.Add(ref _bytesSent, sent);
        Interlocked.Add(ref _bytesReceived, received);
        Interlocked.Add(ref _waitedTicks, waited.Ticks);
    }
}
