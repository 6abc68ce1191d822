using System.Runtime.CompilerServices;

namespace Kernels.Devices;

/// <summary>
/// Holds a reference to every memory block of a launch while it is queued or run, and refuses blocks that were disposed. Binding a record to
/// it collects the blocks; disposing it lets them go.
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

    public void Tensor(TensorArgument value, string name = "")
    {
        if (value.Memory is { } memory) Add(memory);
    }

    public void Key(in KeyArgument value, string name = "") => Tensor(value.Device);

    public void UInt64(ulong value, string name = "")
    {
        // Only memory is leased.
    }

    public void UInt32(uint value, string name = "")
    {
        // Only memory is leased.
    }

    public void Real(double value, string name = "")
    {
        // Only memory is leased.
    }

    public void Dispose()
    {
        for (int i = 0; i < _count; i++) _blocks[i].DangerousRelease();
        _count = 0;
    }

    private void Add(DeviceMemory memory)
    {
        memory.Hold();
        _blocks[_count++] = memory;
    }

    /// <summary>More tensors than any kernel takes; exceeding it throws at the first launch of the offending kernel.</summary>
    [InlineArray(16)]
    private struct Blocks
    {
        private DeviceMemory _first;
    }
}
