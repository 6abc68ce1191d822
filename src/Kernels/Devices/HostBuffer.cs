using Kernels.Devices;

namespace Kernels;

/// <summary>Host memory for asynchronous transfers. Do not touch it between starting a transfer and the completion of its event.</summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class HostBuffer<T> : IDisposable
    where T : unmanaged
{
    internal HostBuffer(DeviceMemory memory, int length)
    {
        Memory = memory;
        Length = length;
    }

    /// <summary>Number of elements.</summary>
    public int Length { get; }

    /// <summary>The elements.</summary>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    public Span<T> Span
    {
        get
        {
            ObjectDisposedException.ThrowIf(Memory.IsDisposed, this);
            return new Span<T>((void*)Memory.Value, Length);
        }
    }

    internal DeviceMemory Memory { get; }

    /// <summary>Frees the memory. A transfer still under way must be waited for first.</summary>
    public void Dispose() => Memory.Dispose();
}
