using System.Runtime.InteropServices;
using Kernels.Devices;

namespace Kernels.Native;

/// <summary>
/// DLPack: tensors to and from other libraries of the process, without a copy. Structs are those of its header: DLTensor, DLManagedTensor,
/// and DLManagedTensorVersioned of major version 1. Strides other than those of dense rows are refused.
/// </summary>
public static unsafe class DlpackExports
{
    /// <summary>A view of a tensor of another library, which stays its owner.</summary>
    /// <param name="device">The device that it is on.</param>
    /// <param name="dlTensor">A DLTensor.</param>
    /// <param name="tensor">Gets the view, whose shape is that of the DLTensor.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_tensor_from_dlpack")]
    public static Status TensorFromDlpack(CDevice device, void* dlTensor, [Out] CTensor* tensor) => Failure.Guard(() =>
    {
        const string Op = "tensor_from_dlpack";
        Arguments.Result(dlTensor, Op, nameof(dlTensor));
        Arguments.Result(tensor, Op, nameof(tensor));
        DlTensor* source = (DlTensor*)dlTensor;
        *tensor = Describe(DlPackTypes.View(Arguments.Device(device).Device, *source), source->Shape);
    });

    /// <summary>
    /// Takes over a tensor of another library: freeing the memory calls its deleter, once. When this fails the tensor stays the caller's.
    /// </summary>
    /// <param name="device">The device that it is on.</param>
    /// <param name="managed">A DLManagedTensor, or a DLManagedTensorVersioned.</param>
    /// <param name="versioned">Which of the two.</param>
    /// <param name="mayBeReadOnly">Whether the caller only reads it, and so takes one that must not be written.</param>
    /// <param name="memory">Gets the handle.</param>
    /// <param name="tensor">Gets the tensor over that memory; its shape lies in the DLPack struct, and is gone with the memory.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_memory_from_dlpack")]
    public static Status MemoryFromDlpack(
        CDevice device, [Out] void* managed, bool versioned, bool mayBeReadOnly, [Out] CMemory* memory, [Out] CTensor* tensor) =>
        Failure.Guard(() =>
        {
            const string Op = "memory_from_dlpack";
            Arguments.Result(managed, Op, nameof(managed));
            Arguments.Result(memory, Op, nameof(memory));
            Arguments.Result(tensor, Op, nameof(tensor));
            *memory = default;
            Device owner = Arguments.Device(device).Device;
            DlPackView view = DlPack.View(owner, managed, versioned, mayBeReadOnly);
            long* shape = versioned ? ((DlManagedTensorVersioned*)managed)->Tensor.Shape : ((DlManagedTensor*)managed)->Tensor.Shape;
            *memory = new CMemory(Handles.Add(new MemoryEntry(DlPack.Borrow(owner, view, (nint)managed, versioned))));
            *tensor = Describe(view, shape) with { Data = null, Memory = *memory };
        });

    /// <summary>Lends a tensor to another library, which calls the deleter of the struct when it has done.</summary>
    /// <param name="device">The device that it is on.</param>
    /// <param name="tensor">The tensor; where it has memory of this library, that stays until then.</param>
    /// <param name="versioned">Whether to make a DLManagedTensorVersioned, or a DLManagedTensor.</param>
    /// <param name="managed">Gets the struct.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_tensor_to_dlpack")]
    public static Status TensorToDlpack(CDevice device, CTensor* tensor, bool versioned, [Out] void** managed) => Failure.Guard(() =>
    {
        const string Op = "tensor_to_dlpack";
        Arguments.Result(managed, Op, nameof(managed));
        *managed = null;
        DeviceEntry owner = Arguments.Device(device);
        *managed = (void*)(Arguments.TypeOf(tensor, Op, nameof(tensor)) switch
        {
            DType.Float32 => Export<float>(owner, tensor, versioned),
            DType.Float16 => Export<Half>(owner, tensor, versioned),
            DType.BFloat16 => Export<BFloat16>(owner, tensor, versioned),
            DType.Float64 => Export<double>(owner, tensor, versioned),
            DType.UInt8 => Export<byte>(owner, tensor, versioned),
            DType.Int32 => Export<int>(owner, tensor, versioned),
            DType.UInt32 => Export<uint>(owner, tensor, versioned),
            DType.UInt64 => Export<ulong>(owner, tensor, versioned),
            _ => throw Arguments.NoSuchTypes(Op, nameof(tensor), tensor->Dtype),
        });
    });

    private static nint Export<T>(DeviceEntry owner, CTensor* tensor, bool versioned)
        where T : unmanaged =>
        DlPack.Export(owner.TensorOf<T>(*tensor, "tensor_to_dlpack", nameof(tensor), keeps: true), versioned);

    private static CTensor Describe(in DlPackView view, long* shape) => new()
    {
        Data = (void*)view.Pointer,
        ByteOffset = (ulong)(view.FirstElement * view.DType.SizeInBytes()),
        Dtype = view.DType,
        Rank = view.Shape.Length,
        Shape = shape,
    };
}
