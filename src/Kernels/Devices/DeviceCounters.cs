namespace Kernels;

/// <summary>Counters of a device's memory, launches and work so far. Exact: counted at each call, not polled from a driver.</summary>
public sealed class DeviceCounters
{
    private long _liveBytes;
    private long _liveBlocks;
    private long _launches;
    private long _compilations;

    /// <summary>Bytes of device memory now held by buffers, scratch included.</summary>
    public long LiveBytes => Interlocked.Read(ref _liveBytes);

    /// <summary>Blocks of device memory now held.</summary>
    public long LiveBlocks => Interlocked.Read(ref _liveBlocks);

    /// <summary>Kernels launched.</summary>
    public long Launches => Interlocked.Read(ref _launches);

    /// <summary>Programs handed to a compiler, so neither found in memory nor in the disk cache.</summary>
    public long Compilations => Interlocked.Read(ref _compilations);

    internal void MemoryAllocated(long bytes)
    {
        Interlocked.Add(ref _liveBytes, bytes);
        Interlocked.Increment(ref _liveBlocks);
    }

    internal void MemoryFreed(long bytes)
    {
        Interlocked.Add(ref _liveBytes, -bytes);
        Interlocked.Decrement(ref _liveBlocks);
    }

    internal void Launched(int kernels = 1) => Interlocked.Add(ref _launches, kernels);

    internal void Compiled() => Interlocked.Increment(ref _compilations);
}
