using Kernels.Devices;

namespace Kernels;

/// <summary>A run of elements in device memory. Tensors are views into buffers.</summary>
/// <typeparam name="T">Element type: float, Half, BFloat16, double, byte, int, uint or ulong.</typeparam>
public sealed class DeviceBuffer<T> : IDisposable
    where T : unmanaged
{
    internal DeviceBuffer(DeviceMemory memory, long length)
    {
        Memory = memory;
        Length = length;
    }

    /// <summary>The device that holds the memory.</summary>
    public Device Device => Memory.Device;

    /// <summary>Number of elements.</summary>
    public long Length { get; }

    /// <summary>
    /// The native handle: CUdeviceptr, cl_mem, or the address on the CPU. Borrowed: valid until this buffer is disposed.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    public nint NativeHandle
    {
        get
        {
            ObjectDisposedException.ThrowIf(Memory.IsDisposed, this);
            return Memory.Value;
        }
    }

    internal DeviceMemory Memory { get; }

    /// <summary>A tensor over part of this buffer, which stays the owner.</summary>
    /// <param name="offset">First element, counted from the start of the buffer; any alignment.</param>
    /// <param name="shape">Shape of the view, dense and row-major.</param>
    /// <exception cref="ArgumentOutOfRangeException">The view does not lie inside the buffer.</exception>
    public DeviceTensor<T> View(long offset, params ReadOnlySpan<long> shape)
    {
        ObjectDisposedException.ThrowIf(Memory.IsDisposed, this);
        long count = TensorShape.Count(shape);
        if (offset < 0 || offset > Length - count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(offset), offset, $"{count} elements from there do not lie inside a buffer of {Length}.");
        }

        return new DeviceTensor<T>(this, offset, shape.ToArray(), ownsBuffer: false);
    }

    /// <summary>Frees the memory once no running kernel uses it. Later use throws.</summary>
    public void Dispose() => Memory.Dispose();
}
