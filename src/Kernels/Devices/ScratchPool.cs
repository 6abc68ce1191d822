using System.Numerics;

namespace Kernels.Devices;

/// <summary>
/// Scratch memory of one stream, in power-of-two sizes. A block that is given back serves the next request of its size; as all users share one
/// stream, its order makes that safe without waiting. The pool gives memory back when the stream is disposed.
/// </summary>
internal sealed class ScratchPool(Device device) : IDisposable
{
    /// <summary>Blocks above this size go back to the device at once: keeping them would double the peak of a large job.</summary>
    private const long LargestPooledBytes = 64L << 20;

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

        memory ??= device.AllocateMemory(1L << sizeLog2);
        return new Lease<T>(this, new DeviceBuffer<T>(memory, length), sizeLog2);
    }

    public void Dispose()
    {
        lock (_free)
        {
            _disposed = true;
            foreach (Stack<DeviceMemory>? stack in _free)
            {
                while (stack is { Count: > 0 }) stack.Pop().Dispose();
            }
        }
    }

    private void Return(DeviceMemory memory, int sizeLog2)
    {
        lock (_free)
        {
            if (!_disposed && 1L << sizeLog2 <= LargestPooledBytes)
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
        public TensorArgument Argument => new(buffer.Memory, 0);

        public void Dispose() => pool.Return(buffer.Memory, sizeLog2);
    }
}
