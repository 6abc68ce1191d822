using System.Runtime.CompilerServices;

namespace Kernels.Devices;

/// <summary>The memory of a tensor, whatever it stores.</summary>
/// <param name="Memory">The block that it lies in.</param>
/// <param name="First">Bytes from the start of the block.</param>
/// <param name="Bytes">How many.</param>
internal readonly record struct TensorBytes(DeviceMemory Memory, long First, long Bytes)
{
    public static TensorBytes Of<T>(DeviceTensor<T> tensor)
        where T : unmanaged =>
        new(tensor.Buffer.Memory, tensor.Offset * Unsafe.SizeOf<T>(), tensor.Length * Unsafe.SizeOf<T>());
}
