using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kernels.Devices;

namespace Kernels.Native;

/// <summary>A device behind its handle, and how it sees memory that callers lend for a call.</summary>
internal sealed unsafe class DeviceEntry(Device device) : IDisposable
{
    /// <summary>
    /// Where the block begins that stands for all that callers may lend. Not at 0, as a null pointer is an absent tensor, and on the
    /// boundary of the widest access.
    /// </summary>
    private const nint FirstByte = 16;

    /// <summary>What was lent for the call that runs on this thread, and is given back at its end.</summary>
    [ThreadStatic]
    private static List<IDisposable>? _lent;

    private readonly object?[] _buffers = new object?[Enum.GetValues<DType>().Length];
    private readonly DeviceMemory? _memory =
        device.Kind == DeviceKind.OpenCl ? null : device.WrapMemory(FirstByte, long.MaxValue - FirstByte);

    private bool _isFreed;

    public Device Device { get; } = device;

    /// <summary>
    /// A tensor over memory of the caller. Where memory has addresses, all of it is one block that is made once, so that a call makes
    /// neither a handle nor work for the finalizer; a cl_mem is retained for as long as something uses it.
    /// </summary>
    /// <param name="tensor">What the caller says.</param>
    /// <param name="op">For messages.</param>
    /// <param name="name">For messages.</param>
    /// <param name="keeps">Whether it is used after this call.</param>
    /// <exception cref="ArgumentException">It is not dense, not aligned, or does not fit its memory.</exception>
    public DeviceTensor<T> TensorOf<T>(in CTensor tensor, string op, string name, bool keeps = false)
        where T : unmanaged
    {
        if (_isFreed) throw new InvalidHandleException($"{op}: the device of the stream, {Device}, was freed.");
        long[] shape = ShapeOf(tensor, op, name);
        long count = TensorShape.Count(shape);
        CheckDense(tensor, shape, op, name);
        if (tensor.ByteOffset % (ulong)sizeof(T) != 0 || tensor.ByteOffset > long.MaxValue)
        {
            throw new ArgumentException(
                $"{op}: byte_offset of {name} is {tensor.ByteOffset}, no whole number of elements of {sizeof(T)} bytes.", name);
        }

        long offset = (long)tensor.ByteOffset / sizeof(T);
        if (tensor.Memory.Value != 0)
        {
            DeviceMemory owned = Handles.Get<MemoryEntry>(tensor.Memory.Value, $"{op}: memory of {name}").Memory;
            return new DeviceBuffer<T>(owned, owned.Bytes / sizeof(T)).View(offset, shape);
        }

        if (tensor.Data is null && count > 0) throw new ArgumentException($"{op}: data of {name} is NULL.", name);
        if (_memory is null)
        {
            DeviceTensor<T> lent = Device.WrapTensor<T>((nint)tensor.Data, (long)tensor.ByteOffset, shape);
            if (!keeps) (_lent ??= []).Add(lent);
            return lent;
        }

        ulong address = (ulong)tensor.Data + tensor.ByteOffset;
        if (count == 0 || tensor.Data is null) address = (ulong)FirstByte;
        if (address % (ulong)sizeof(T) != 0 || address < (ulong)FirstByte || address > long.MaxValue)
        {
            throw new ArgumentException(
                $"{op}: {name} lies at 0x{address:x}, which is no place for elements of {sizeof(T)} bytes.", name);
        }

        return new DeviceTensor<T>(BufferOf<T>(_memory), ((long)address - FirstByte) / sizeof(T), shape, ownsBuffer: false);
    }

    /// <summary>Gives back what callers lent for one call.</summary>
    public static void EndCall()
    {
        if (_lent is not { Count: > 0 } lent) return;
        foreach (IDisposable tensor in lent) tensor.Dispose();
        lent.Clear();
    }

    public void Dispose()
    {
        _isFreed = true;
        _memory?.Dispose();
        Device.Dispose();
    }

    public override string ToString() => $"a device, {Device}";

    private DeviceBuffer<T> BufferOf<T>(DeviceMemory memory)
        where T : unmanaged
    {
        // Two threads may each make one, which are as good as each other.
        ref object? buffer = ref _buffers[(int)DTypes.Of<T>()];
        return Unsafe.As<DeviceBuffer<T>>(buffer ??= new DeviceBuffer<T>(memory, memory.Bytes / sizeof(T)));
    }

    private static long[] ShapeOf(in CTensor tensor, string op, string name)
    {
        const int MostDimensions = 32;
        if (tensor.Rank is < 0 or > MostDimensions)
            throw new ArgumentException($"{op}: rank of {name} is {tensor.Rank}; it lies in [0, {MostDimensions}].", name);
        if (tensor.Rank > 0 && tensor.Shape is null) throw new ArgumentException($"{op}: shape of {name} is NULL.", name);
        return new ReadOnlySpan<long>(tensor.Shape, tensor.Rank).ToArray();
    }

    private static void CheckDense(in CTensor tensor, long[] shape, string op, string name)
    {
        if (tensor.Strides is null) return;
        ReadOnlySpan<long> strides = new(tensor.Strides, tensor.Rank);
        if (TensorShape.IsDense(shape, strides)) return;
        throw new ArgumentException(
            $"{op}: {name} has the shape {TensorShape.Format(shape)} and the strides {TensorShape.Format(strides)}; only dense rows are "
            + "taken.",
            name);
    }
}

/// <summary>A stream behind its handle.</summary>
internal sealed class StreamEntry(DeviceStream stream, DeviceEntry device) : IDisposable
{
    public DeviceStream Stream { get; } = stream;

    public DeviceEntry Device { get; } = device;

    public void Dispose() => Stream.Dispose();

    public override string ToString() => $"a stream of {Device.Device}";
}

/// <summary>Memory that this library allocated, or that came with a deleter.</summary>
internal sealed class MemoryEntry(DeviceMemory memory) : IDisposable
{
    public DeviceMemory Memory { get; } = memory;

    public void Dispose() => Memory.Dispose();

    public override string ToString() => $"memory of {Memory.Bytes} bytes on {Memory.Device}";
}

/// <summary>What keeps tensors that C sees: their shapes lie in memory that does not move.</summary>
internal abstract unsafe class ViewingEntry : IDisposable
{
    private readonly List<long[]> _shapes = [];

    public abstract void Dispose();

    /// <summary>A view for C, valid as long as this object.</summary>
    protected void Show<T>(DeviceTensor<T> tensor, CTensor* view)
        where T : unmanaged
    {
        long[] shape = GC.AllocateUninitializedArray<long>(Math.Max(1, tensor.Shape.Length), pinned: true);
        tensor.Shape.CopyTo(shape);
        lock (_shapes) _shapes.Add(shape);
        *view = new CTensor
        {
            Data = (void*)tensor.Buffer.NativeHandle,
            ByteOffset = (ulong)(tensor.Offset * sizeof(T)),
            Dtype = tensor.DType,
            Rank = tensor.Shape.Length,
            Shape = (long*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(shape)),
        };
    }
}
