using System.Numerics;

namespace Kernels.Devices;

/// <summary>
/// Scratch memory of one stream, in power-of-two sizes. A block that is given back serves the next request of its size; as all users share
/// one stream, its order makes that safe without waiting. The pool gives memory back when the stream is disposed.
/// </summary>
/// <param name="device">Where the memory comes from.</param>
/// <param name="largestKeptBytes">Larger blocks go back to the device when somebody waits for the stream; freeing them earlier would wait,
/// too.</param>
internal sealed class ScratchPool(Device device, long largestKeptBytes = 64L << 20) : IDisposable
{

    private const int SmallestSizeLog2 = 8;

    private readonly Stack<DeviceMemory>?[] _free = new Stack<DeviceMemory>?[64];
    private bool _disposed;

    public Lease<T> Rent<T>(long length)
        where T : unmanaged
    {
        long bytes = Math.Max(1, length * DTypes.Of<T>().SizeInBytes());
        int sizeLog2 = Math.Max(SmallestSizeLog2, 64 - BitOperations.LeadingZeroCount((ulong)(bytes - 1)));
        DeviceMemory? memory = null;
        lock (_free)
        {
            if (_free[sizeLog2] is { Count: > 0 } stack) memory = stack.Pop();
        }

        memory ??= Allocate(1L << sizeLog2);
        return new Lease<T>(this, new DeviceBuffer<T>(memory, length), sizeLog2);
    }

    /// <summary>Gives large blocks that nobody rents back to the device.</summary>
    public void Trim() => Free(largestKeptBytes);

    public void Dispose()
    {
        lock (_free)
        {
            _disposed = true;
            Free(0);
        }
    }

    private DeviceMemory Allocate(long bytes)
    {
        try
        {
            return device.AllocateMemory(bytes);
        }
        catch (OutOfDeviceMemoryException) when (Free(0))
        {
            // What lay about in other sizes may be enough.
            return device.AllocateMemory(bytes);
        }
    }

    /// <summary>False when there was nothing to free.</summary>
    private bool Free(long largestKept)
    {
        bool freed = false;
        lock (_free)
        {
            for (int sizeLog2 = SmallestSizeLog2; sizeLog2 < _free.Length; sizeLog2++)
            {
                for (; 1L << sizeLog2 > largestKept && _free[sizeLog2] is { Count: > 0 } stack; freed = true) stack.Pop().Dispose();
            }
        }

        return freed;
    }

    private void Return(DeviceMemory memory, int sizeLog2)
    {
        lock (_free)
        {
            if (!_disposed)
            {
                (_free[sizeLog2] ??= new()).Push(memory);
                return;
            }
        }

        memory.Dispose();
    }

    /// <summary>Scratch memory in use by one op; dispose it when the last kernel that needs it is queued.</summary>
    internal readonly struct Lease<T>(ScratchPool pool, DeviceBuffer<T> buffer, int sizeLog2) : IDisposable
        where T : unmanaged
    {
        public DeviceBuffer<T> Buffer => buffer;

        public TensorArgument Argument => new(buffer.Memory, 0);

        public void Dispose() => pool.Return(buffer.Memory, sizeLog2);
    }
}
