using Kernels.Devices;

namespace Kernels;

/// <summary>
/// A dense, row-major tensor in device memory, with 64-bit lengths and any element alignment. What <see cref="Device.Allocate"/> and
/// <see cref="Device.Upload"/> return owns its memory; views and slices do not.
/// </summary>
/// <typeparam name="T">Element type: float, Half, BFloat16, double, byte, int, uint or ulong.</typeparam>
public sealed class DeviceTensor<T> : IDisposable
    where T : unmanaged
{
    private readonly long[] _shape;
    private readonly bool _ownsBuffer;

    internal DeviceTensor(DeviceBuffer<T> buffer, long offset, long[] shape, bool ownsBuffer)
    {
        Buffer = buffer;
        Offset = offset;
        _shape = shape;
        _ownsBuffer = ownsBuffer;
        Length = TensorShape.Count(shape);
    }

    /// <summary>The buffer that holds the elements.</summary>
    public DeviceBuffer<T> Buffer { get; }

    /// <summary>First element inside <see cref="Buffer"/>.</summary>
    public long Offset { get; }

    /// <summary>The dimensions, slowest first.</summary>
    public ReadOnlySpan<long> Shape => _shape;

    /// <summary>Number of elements.</summary>
    public long Length { get; }

    /// <summary>The device that holds the tensor.</summary>
    public Device Device => Buffer.Device;

    /// <summary>The stored data type.</summary>
    public DType DType => DTypes.Of<T>();

    /// <summary>True when eight elements can be read in 16-byte accesses: the first element lies on 16 bytes.</summary>
    internal bool IsVectorAligned => FirstByte % 16 == 0;

    /// <summary>The place of the first element in the address space of its memory.</summary>
    internal long FirstByte => Buffer.Memory.Address + (Offset * DType.SizeInBytes());

    internal TensorArgument Argument => new(Buffer.Memory, (ulong)Offset);

    /// <summary>The same elements in another shape of the same length. A view: this tensor stays the owner.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public DeviceTensor<T> Reshape(params ReadOnlySpan<long> shape)
    {
        if (TensorShape.Count(shape) != Length)
        {
            throw new ArgumentException(
                $"DeviceTensor.Reshape: {TensorShape.Format(_shape)} does not have the elements of {TensorShape.Format(shape)}.",
                nameof(shape));
        }

        return new DeviceTensor<T>(Buffer, Offset, shape.ToArray(), ownsBuffer: false);
    }

    /// <summary>
    /// Entries <paramref name="start"/> to start + count - 1 of the first dimension. A view: this tensor stays the owner.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">They do not lie inside the first dimension.</exception>
    public DeviceTensor<T> Slice(long start, long count)
    {
        long available = _shape.Length == 0 ? 0 : _shape[0];
        if (start < 0 || count < 0 || start > available - count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(start), start, $"{count} entries from there do not lie in the first dimension of {TensorShape.Format(_shape)}.");
        }

        long stride = available == 0 ? 0 : Length / available;
        return new DeviceTensor<T>(Buffer, Offset + (start * stride), [count, .. _shape.AsSpan(1)], ownsBuffer: false);
    }

    /// <summary>All elements, row-major. Blocks; meant for tests and small results. Use a stream to order it after other work.</summary>
    public T[] ToArray(DeviceStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        T[] values = new T[checked((int)Length)];
        stream.Download(this, values);
        return values;
    }

    /// <summary>Frees the memory if this tensor owns it.</summary>
    public void Dispose()
    {
        if (_ownsBuffer) Buffer.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"{DType.ShortName()}{TensorShape.Format(_shape)} on {Device.Id}";

    internal bool Overlaps<TOther>(DeviceTensor<TOther> other)
        where TOther : unmanaged
    {
        return Length > 0 && other.Length > 0 && MayShareMemoryWith(other)
            && FirstByte < other.FirstByte + (other.Length * other.DType.SizeInBytes())
                && other.FirstByte < FirstByte + (Length * DType.SizeInBytes());
    }

    /// <summary>True when both tensors are the same elements in memory, so that an elementwise op works in place.</summary>
    internal bool IsSameMemoryAs(DeviceTensor<T> other) =>
        Length == other.Length && MayShareMemoryWith(other) && FirstByte == other.FirstByte;

    /// <summary>Two buffers of one address space can be loans of the same memory, and the addresses decide.</summary>
    private bool MayShareMemoryWith<TOther>(DeviceTensor<TOther> other)
        where TOther : unmanaged =>
        Device == other.Device && Buffer.Memory.AddressSpace == other.Buffer.Memory.AddressSpace;
}
