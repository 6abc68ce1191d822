using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Kernels.Native;

/// <summary>Memory of a device, for callers that have no allocator of their own.</summary>
public static unsafe class MemoryExports
{
    /// <summary>Allocates memory, not initialised, on a boundary of at least 64 bytes.</summary>
    /// <param name="device">The device.</param>
    /// <param name="bytes">How much.</param>
    /// <param name="memory">Gets the handle, to be set in tensors or asked for its address.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_memory_allocate")]
    public static Status Allocate(CDevice device, ulong bytes, [Out] CMemory* memory) => Failure.Guard(() =>
    {
        const string Op = "memory_allocate";
        Arguments.Result(memory, Op, nameof(memory));
        *memory = default;
        if (bytes > long.MaxValue) throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"{Op}: {nameof(bytes)} is below 2^63.");
        Device owner = Arguments.Device(device).Device;
        *memory = new CMemory(Handles.Add(new MemoryEntry(owner.AllocateBuffer<byte>((long)bytes).Memory)));
    });

    /// <summary>
    /// The address of memory, a CUdeviceptr or a cl_mem, valid until it is freed: for other libraries and for data of tensors.
    /// </summary>
    /// <param name="memory">The memory.</param>
    /// <param name="address">Gets the address.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_memory_address")]
    public static Status Address(CMemory memory, [Out] void** address) => Failure.Guard(() =>
    {
        Arguments.Result(address, "memory_address", nameof(address));
        *address = (void*)Handles.Get<MemoryEntry>(memory.Value, nameof(memory)).Memory.Value;
    });

    /// <summary>Frees memory once no queued work and no graph uses it.</summary>
    /// <param name="memory">The memory.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_memory_free")]
    public static Status Free([AllowNull] CMemory memory) => Failure.Guard(() => Handles.Remove<MemoryEntry>(memory.Value, nameof(memory)));
}
