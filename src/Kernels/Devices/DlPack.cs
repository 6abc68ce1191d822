using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Tensors to and from other libraries of the same process by DLPack, without a copy: PyTorch, NumPy, CuPy, JAX, TVM. Both of its structs
/// are taken and made, <c>DLManagedTensorVersioned</c> of major version 1 and the older <c>DLManagedTensor</c>.
/// </summary>
/// <remarks>
/// The order of work between libraries is the caller's: wrap the other library's stream (<see cref="Device.WrapStream"/>), or synchronize.
/// Deleters run exactly once, on any thread.
/// </remarks>
public static unsafe class DlPack
{
    private const uint MajorVersion = 1;
    private const ulong ReadOnlyFlag = 1;

    /// <summary>
    /// Takes over a tensor of another library. Disposing the result, or letting the collector find it, calls the deleter, once no launch
    /// uses the memory; work that is queued may still do, as with all borrowed memory.
    /// </summary>
    /// <param name="device">The device that the tensor is on.</param>
    /// <param name="managed">The struct. When this method throws it stays the caller's.</param>
    /// <param name="versioned">Which struct it is.</param>
    /// <param name="mayBeReadOnly">Whether the caller only reads the result, and so takes a tensor that must not be written.</param>
    /// <exception cref="ArgumentException">The tensor is null, on another device, of another type than <typeparamref name="T"/>, read-only,
    /// or its strides are not those of dense rows.</exception>
    /// <exception cref="NotSupportedException">The struct is of another major version.</exception>
    public static DeviceTensor<T> Import<T>(Device device, nint managed, bool versioned, bool mayBeReadOnly = false)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(device);
        DlPackView view = View(device, (void*)managed, versioned, mayBeReadOnly);
        if (view.DType != DTypes.Of<T>())
        {
            throw new ArgumentException(
                $"DlPack.Import: the tensor stores {view.DType.ShortName()}, not {DTypes.Of<T>().ShortName()}.", nameof(managed));
        }

        DeviceBuffer<T> buffer = new(Borrow(device, view, managed, versioned), view.Elements);
        return new DeviceTensor<T>(buffer, view.FirstElement, view.Shape, ownsBuffer: true);
    }

    /// <summary>
    /// Lends a tensor to another library, which calls the struct's deleter when it has done. Until then the memory stays, also when the
    /// tensor is disposed.
    /// </summary>
    /// <param name="tensor">The tensor; its memory is shared.</param>
    /// <param name="versioned">Which struct to make: the newer where the other side knows it.</param>
    /// <returns>A <c>DLManagedTensorVersioned*</c>, or a <c>DLManagedTensor*</c>.</returns>
    /// <exception cref="ObjectDisposedException">The tensor was disposed.</exception>
    public static nint Export<T>(DeviceTensor<T> tensor, bool versioned)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(tensor);
        DeviceMemory memory = tensor.Buffer.Memory;
        int rank = tensor.Shape.Length;
        int head = versioned ? sizeof(DlManagedTensorVersioned) : sizeof(DlManagedTensor);
        memory.Hold();
        void* block = null;
        GCHandle context = default;
        try
        {
            block = NativeMemory.Alloc((nuint)(head + (2 * rank * sizeof(long))));
            long* shape = (long*)((byte*)block + head), strides = shape + rank;
            tensor.Shape.CopyTo(new Span<long>(shape, rank));
            long stride = 1;
            for (int i = rank - 1; i >= 0; i--)
            {
                strides[i] = stride;
                stride *= Math.Max(1, shape[i]);
            }

            context = GCHandle.Alloc(memory);
            long firstByte = tensor.Offset * sizeof(T);
            // Some readers forget the offset; where memory has addresses there is none.
            bool hasAddress = tensor.Device.Kind != DeviceKind.OpenCl;
            DlTensor lent = new()
            {
                Data = tensor.Length == 0 ? null : (void*)(memory.Value + (nint)(hasAddress ? firstByte : 0)),
                Device = DlPackTypes.DeviceOf(tensor.Device),
                Rank = rank,
                Type = DlPackTypes.TypeOf(tensor.DType),
                Shape = shape,
                Strides = strides,
                ByteOffset = tensor.Length == 0 || hasAddress ? 0 : (ulong)firstByte,
            };
            if (versioned)
            {
                *(DlManagedTensorVersioned*)block = new DlManagedTensorVersioned
                {
                    Major = MajorVersion,
                    Minor = 0,
                    Context = (void*)GCHandle.ToIntPtr(context),
                    Deleter = &DeleteVersioned,
                    Tensor = lent,
                };
            }
            else
            {
                *(DlManagedTensor*)block = new DlManagedTensor
                {
                    Tensor = lent,
                    Context = (void*)GCHandle.ToIntPtr(context),
                    Deleter = &Delete,
                };
            }

            return (nint)block;
        }
        catch
        {
            if (context.IsAllocated) context.Free();
            NativeMemory.Free(block);
            memory.DangerousRelease();
            throw;
        }
    }

    /// <summary>What a managed tensor says of itself, checked.</summary>
    internal static DlPackView View(Device device, void* managed, bool versioned, bool mayBeReadOnly)
    {
        if (managed is null) throw new ArgumentNullException(nameof(managed), "DlPack.Import: the tensor is null.");
        if (!versioned) return DlPackTypes.View(device, ((DlManagedTensor*)managed)->Tensor);
        DlManagedTensorVersioned* tensor = (DlManagedTensorVersioned*)managed;
        if (tensor->Major != MajorVersion)
        {
            throw new NotSupportedException(
                $"DlPack.Import: the tensor is of version {tensor->Major}.{tensor->Minor}, and version {MajorVersion} is known.");
        }

        if ((tensor->Flags & ReadOnlyFlag) != 0 && !mayBeReadOnly)
            throw new ArgumentException("DlPack.Import: the tensor is read-only.", nameof(managed));
        return DlPackTypes.View(device, tensor->Tensor);
    }

    /// <summary>The memory of a tensor, which is given back to its deleter at the end.</summary>
    internal static DeviceMemory Borrow(Device device, in DlPackView view, nint managed, bool versioned)
    {
        DeviceMemory memory = device.WrapMemory(view.Pointer, view.Elements * view.DType.SizeInBytes());
        memory.Returned = versioned
            ? () => CallDeleter((DlManagedTensorVersioned*)managed)
            : () => CallDeleter((DlManagedTensor*)managed);
        return memory;
    }

    private static void CallDeleter(DlManagedTensor* managed)
    {
        if (managed->Deleter is not null) managed->Deleter(managed);
    }

    private static void CallDeleter(DlManagedTensorVersioned* managed)
    {
        if (managed->Deleter is not null) managed->Deleter(managed);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Delete(DlManagedTensor* managed) => Release(managed->Context, managed);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void DeleteVersioned(DlManagedTensorVersioned* managed) => Release(managed->Context, managed);

    private static void Release(void* context, void* block)
    {
        GCHandle handle = GCHandle.FromIntPtr((nint)context);
        DeviceMemory memory = (DeviceMemory)handle.Target!;
        handle.Free();
        NativeMemory.Free(block);
        try
        {
            memory.DangerousRelease();
        }
        catch (Exception e) when (e is DeviceException or ObjectDisposedException)
        {
            // Nobody to tell: the device reports what is wrong to the next call.
        }
    }
}
