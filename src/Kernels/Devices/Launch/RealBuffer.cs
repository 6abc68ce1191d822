using System.Runtime.CompilerServices;

namespace Kernels.Devices;

/// <summary>Device memory in the arithmetic type of <typeparamref name="T"/>: float, or double for double.</summary>
internal sealed class RealBuffer<T> : IDisposable
    where T : unmanaged
{
    private readonly DeviceTensor<float>? _single;
    private readonly DeviceTensor<double>? _double;

    public RealBuffer(Device device, long length)
    {
        Length = length;
        if (typeof(T) == typeof(double))
            _double = device.Allocate<double>(length);
        else
            _single = device.Allocate<float>(length);
    }

    public long Length { get; }

    public TensorArgument Argument => _double?.Argument ?? _single!.Argument;

    /// <summary>The stored type is a floating-point type that the device can calculate with.</summary>
    public static void CheckStored(string op, Device device)
    {
        DType stored = DTypes.Of<T>();
        if (!stored.IsFloat()) throw new ArgumentException($"{op}: parameters are of a floating-point type, not {stored.ShortName()}.");
        if (stored == DType.Float64 && !device.SupportsFloat64)
            throw new NotSupportedException($"{op}: {device} has no double precision, which double parameters need.");
    }

    /// <summary>Scratch memory for values of the arithmetic type.</summary>
    public static ScratchPool.Lease<T> RentScratch(DeviceStream stream, long length) =>
        stream.RentScratch<T>(length * ((typeof(T) == typeof(double) ? sizeof(double) : sizeof(float)) / Unsafe.SizeOf<T>()));

    /// <summary>Queues setting all numbers, in pieces that the stream puts aside, so that nobody waits.</summary>
    public void Upload(DeviceStream stream, ReadOnlySpan<double> values)
    {
        const int Piece = DeviceStream.LargestStagedUpload / sizeof(double);
        Span<float> rounded = _double is null ? new float[Math.Min(Piece, values.Length)] : [];
        for (int start = 0; start < values.Length; start += Piece)
        {
            ReadOnlySpan<double> piece = values.Slice(start, Math.Min(Piece, values.Length - start));
            if (_double is not null)
            {
                stream.Upload(piece, _double.Slice(start, piece.Length));
                continue;
            }

            for (int i = 0; i < piece.Length; i++) rounded[i] = (float)piece[i];
            stream.Upload<float>(rounded[..piece.Length], _single!.Slice(start, piece.Length));
        }
    }

    /// <summary>Queues setting a part to one number.</summary>
    public void Fill(DeviceStream stream, long start, long length, double value)
    {
        if (_double is not null)
            stream.Fill(_double.Slice(start, length), value);
        else
            stream.Fill(_single!.Slice(start, length), (float)value);
    }

    public double Read(DeviceStream stream, int index) =>
        _double is not null ? _double.Slice(index, 1).ToArray(stream)[0] : _single!.Slice(index, 1).ToArray(stream)[0];

    public DeviceTensor<TReal> View<TReal>(long offset, ReadOnlySpan<long> shape)
        where TReal : unmanaged
    {
        if (((object?)_double ?? _single) is not DeviceTensor<TReal> tensor)
        {
            throw new ArgumentException(
                $"State of {DTypes.Of<T>().ShortName()} parameters is {(_double is null ? "float" : "double")}, not {typeof(TReal).Name}.");
        }

        return tensor.Buffer.View(offset, shape);
    }

    public void Dispose()
    {
        _single?.Dispose();
        _double?.Dispose();
    }
}
