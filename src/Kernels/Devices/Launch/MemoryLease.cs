using System.Runtime.CompilerServices;

namespace Kernels.Devices;

/// <summary>
/// Holds a reference to every memory block of a launch while it is queued or run, and refuses blocks that were disposed. A binder of
/// arguments adds each block as it meets it; disposing the lease lets them go. By itself it is the binder of a launch that needs no more.
/// </summary>
internal ref struct MemoryLease : IArgumentBinder, IDisposable
{
    private Blocks _blocks;
    private int _count;

    public static MemoryLease Take<TArguments>(in TArguments arguments)
        where TArguments : struct, IKernelArguments
    {
        MemoryLease lease = default;
        try
        {
            arguments.Bind(ref lease);
            return lease;
        }
        catch
        {
            lease.Dispose();
            throw;
        }
    }

    public static MemoryLease Take(DeviceMemory memory)
    {
        MemoryLease lease = default;
        lease.Add(memory);
        return lease;
    }

    /// <summary>Holds the memory of a tensor that is present, and returns its handle or null.</summary>
    public nint Add(TensorArgument tensor)
    {
        if (tensor.Memory is not { } memory) return 0;
        Add(memory);
        return memory.Value;
    }

    public void Tensor(TensorArgument value, string name) => Add(value);

    public void UInt64(ulong value, string name)
    {
        // Only memory is leased.
    }

    public void UInt32(uint value, string name)
    {
        // Only memory is leased.
    }

    public void Real(double value, string name)
    {
        // Only memory is leased.
    }

    /// <summary>Has a graph keep the blocks.</summary>
    public readonly void KeepFor(GraphRecording recording)
    {
        for (int i = 0; i < _count; i++) recording.Keep(_blocks[i]);
    }

    public void Dispose()
    {
        for (int i = 0; i < _count; i++) _blocks[i].DangerousRelease();
        _count = 0;
    }

    private void Add(DeviceMemory memory)
    {
        // In this order, so that a block is counted where it is held, and only there.
        _blocks[_count] = memory;
        memory.Hold();
        _count++;
    }

    /// <summary>More tensors than any kernel takes; exceeding it throws at the first launch of the offending kernel.</summary>
    [InlineArray(24)]
    private struct Blocks
    {
        private DeviceMemory _first;
    }
}
