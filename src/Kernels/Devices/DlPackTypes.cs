using System.Globalization;
using System.Runtime.InteropServices;

namespace Kernels.Devices;

/// <summary>A tensor of another library, once it is known to be one that ops take.</summary>
/// <param name="Pointer">Where its memory begins.</param>
/// <param name="FirstElement">Elements from there to the first.</param>
/// <param name="Elements">Elements from there to the end.</param>
/// <param name="DType">What it stores.</param>
/// <param name="Shape">The dimensions.</param>
internal readonly record struct DlPackView(nint Pointer, long FirstElement, long Elements, DType DType, long[] Shape);

/// <summary><c>DLDevice</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DlDevice
{
    public int Type;
    public int Id;
}

/// <summary><c>DLDataType</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DlDataType
{
    public byte Code;
    public byte Bits;
    public ushort Lanes;
}

/// <summary><c>DLTensor</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct DlTensor
{
    public void* Data;
    public DlDevice Device;
    public int Rank;
    public DlDataType Type;
    public long* Shape;
    public long* Strides;
    public ulong ByteOffset;
}

/// <summary><c>DLManagedTensor</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct DlManagedTensor
{
    public DlTensor Tensor;
    public void* Context;
    public delegate* unmanaged[Cdecl]<DlManagedTensor*, void> Deleter;
}

/// <summary><c>DLManagedTensorVersioned</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct DlManagedTensorVersioned
{
    public uint Major;
    public uint Minor;
    public void* Context;
    public delegate* unmanaged[Cdecl]<DlManagedTensorVersioned*, void> Deleter;
    public ulong Flags;
    public DlTensor Tensor;
}

/// <summary>The numbers of DLPack for devices and types.</summary>
internal static unsafe class DlPackTypes
{
    private const int Cpu = 1, Cuda = 2, CudaHost = 3, OpenCl = 4, CudaManaged = 13;
    private const byte Int = 0, UInt = 1, Float = 2, BFloat = 4, Bool = 6;

    public static DlDevice DeviceOf(Device device) => device.Kind switch
    {
        DeviceKind.Cpu => new DlDevice { Type = Cpu },
        DeviceKind.Cuda => new DlDevice { Type = Cuda, Id = NumberOf(device) },
        _ => new DlDevice { Type = OpenCl, Id = NumberOf(device) },
    };

    public static DlDataType TypeOf(DType type) => new()
    {
        Code = type switch
        {
            DType.BFloat16 => BFloat,
            DType.Int32 => Int,
            DType.UInt8 or DType.UInt32 or DType.UInt64 => UInt,
            _ => Float,
        },
        Bits = (byte)(8 * type.SizeInBytes()),
        Lanes = 1,
    };

    /// <exception cref="ArgumentException">It is on another device, of a type that no op takes, or not dense.</exception>
    public static DlPackView View(Device device, in DlTensor tensor)
    {
        bool isHere = device.Kind switch
        {
            DeviceKind.Cpu => tensor.Device.Type is Cpu or CudaHost,
            DeviceKind.Cuda => tensor.Device.Type is CudaHost or CudaManaged
                || (tensor.Device.Type == Cuda && tensor.Device.Id == NumberOf(device)),
            _ => tensor.Device.Type == OpenCl,
        };
        if (!isHere)
        {
            throw new ArgumentException(
                $"DlPack: the tensor is on the device {tensor.Device.Id} of type {tensor.Device.Type}, not on {device}.", nameof(tensor));
        }

        DType type = TypeOf(tensor.Type);
        if (tensor.Rank < 0 || (tensor.Rank > 0 && tensor.Shape is null))
            throw new ArgumentException($"DlPack: the tensor has {tensor.Rank} dimensions and no shape.", nameof(tensor));
        long[] shape = new ReadOnlySpan<long>(tensor.Shape, tensor.Rank).ToArray();
        long count = TensorShape.Count(shape);
        if (tensor.Strides is not null && !TensorShape.IsDense(shape, new ReadOnlySpan<long>(tensor.Strides, tensor.Rank)))
        {
            throw new ArgumentException(
                $"DlPack: the tensor has the shape {TensorShape.Format(shape)} and the strides "
                + $"{TensorShape.Format(new ReadOnlySpan<long>(tensor.Strides, tensor.Rank))}; only dense rows are taken.",
                nameof(tensor));
        }

        int size = type.SizeInBytes();
        if (count == 0) return new DlPackView(0, 0, 0, type, shape);
        if (tensor.Data is null) throw new ArgumentException("DlPack: the tensor has elements and no data.", nameof(tensor));
        if (tensor.ByteOffset % (ulong)size != 0 || tensor.ByteOffset / (ulong)size > (ulong)(long.MaxValue - count))
        {
            throw new ArgumentException(
                $"DlPack: the tensor begins after {tensor.ByteOffset} bytes, no whole number of elements of {size}.", nameof(tensor));
        }

        long first = (long)tensor.ByteOffset / size;
        return new DlPackView((nint)tensor.Data, first, first + count, type, shape);
    }

    private static DType TypeOf(DlDataType type) => (type.Code, type.Bits, type.Lanes) switch
    {
        (Float, 32, 1) => DType.Float32,
        (Float, 16, 1) => DType.Float16,
        (BFloat, 16, 1) => DType.BFloat16,
        (Float, 64, 1) => DType.Float64,
        (UInt or Bool, 8, 1) => DType.UInt8,
        (Int, 32, 1) => DType.Int32,
        (UInt, 32, 1) => DType.UInt32,
        (UInt, 64, 1) => DType.UInt64,
        _ => throw new ArgumentException(
            $"DlPack: no op takes elements of code {type.Code}, {type.Bits} bits and {type.Lanes} lanes.", nameof(type)),
    };

    private static int NumberOf(Device device) =>
        device.Id.LastIndexOf(':') is >= 0 and int colon ? int.Parse(device.Id.AsSpan(colon + 1), CultureInfo.InvariantCulture) : 0;
}
