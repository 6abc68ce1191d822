namespace Kernels.Devices;

/// <summary>
/// What belongs to a native queue, whatever number of streams are made over it: its order is what makes the use of scratch memory safe.
/// Streams that wrap the same queue share one, which stays with the device, so that wrapping and disposing cost nothing and wait for
/// nobody.
/// </summary>
/// <param name="device">The device of the queue.</param>
/// <param name="owner">The only thread for which the queue's handle means this queue, or null for all.</param>
/// <param name="isBorrowed">Its owner can capture it and launch the graph without a word.</param>
internal class QueueState(Device device, Thread? owner = null, bool isBorrowed = false) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<DeviceGraph> _launched = [];

    public ScratchPool Scratch { get; } = new(device);

    public DataErrorLog Errors { get; } = new(device, looksAlways: isBorrowed);

    public GroupCounters Counters { get; } = new(device);

    /// <summary>Its owner can capture it and launch the graph beside what is told to it later.</summary>
    public bool IsBorrowed => isBorrowed;

    /// <summary>The handle means this queue on one thread alone.</summary>
    public bool IsOfOneThread => owner is not null;

    /// <exception cref="InvalidOperationException">The handle means another queue on this thread.</exception>
    public void ThrowIfOfAnotherThread()
    {
        if (owner is not null && owner != Thread.CurrentThread)
            throw new InvalidOperationException("DeviceStream: the default stream of a thread is used on the thread that wrapped it.");
    }

    /// <summary>A graph that may report bad data was launched: the next look looks at it too.</summary>
    public void Launched(DeviceGraph graph)
    {
        lock (_lock)
        {
            if (!_launched.Contains(graph)) _launched.Add(graph);
        }
    }

    /// <summary>Throws the first error that kernels or graphs of this queue have reported and nobody has seen.</summary>
    public void ThrowDataErrors(DeviceStream stream)
    {
        Errors.ThrowIfAny(stream);
        DeviceGraph[] launched;
        lock (_lock) launched = _launched.Count == 0 ? [] : [.. _launched];
        foreach (DeviceGraph graph in launched)
        {
            graph.ThrowDataErrors(stream);
            lock (_lock)
            {
                if (!graph.MayHaveErrors) _launched.Remove(graph);
            }
        }
    }

    public virtual void Dispose()
    {
        lock (_lock) _launched.ForEach(graph => graph.ForgetErrors());
        Scratch.Dispose();
        Errors.Dispose();
        Counters.Dispose();
    }
}

/// <summary>Which queue a handle of another library means.</summary>
/// <param name="Handle">The handle; one for all names of a queue.</param>
/// <param name="Owner">The only thread for which the handle means this queue, or null for all.</param>
internal readonly record struct QueueKey(nint Handle, Thread? Owner = null);
