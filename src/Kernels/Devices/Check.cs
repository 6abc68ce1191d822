using System.Diagnostics.CodeAnalysis;

namespace Kernels.Devices;

/// <summary>
/// The preconditions that ops share. Each is checked before anything is launched and says op, argument, value and shape.
/// </summary>
internal static class Check
{
    /// <summary>There is something: a device, a stream, a tensor, a list of them.</summary>
    public static void NotNull(string op, [NotNull] object? value, string name)
    {
        if (value is null) throw new ArgumentNullException(name, $"{op}: {name} is null.");
    }

    /// <summary>Not null, not disposed, on the stream's device, of a type the device can calculate with.</summary>
    public static void Tensor<T>(string op, DeviceStream stream, DeviceTensor<T> tensor, string name)
        where T : unmanaged
    {
        NotNull(op, stream, nameof(stream));
        NotNull(op, tensor, name);
        if (tensor.Buffer.Memory.IsDisposed) throw new ObjectDisposedException(name, $"{op}: {name} was disposed.");
        if (tensor.Device != stream.Device)
            throw new ArgumentException($"{op}: {name} is on {tensor.Device}, the stream on {stream.Device}.", name);
        if (tensor.DType == DType.Float64 && !stream.Device.SupportsFloat64)
            throw new NotSupportedException($"{op}: {stream.Device} has no double precision, which {name} needs.");
    }

    /// <summary>A tensor of the floating-point types, as <see cref="Tensor"/>.</summary>
    public static void FloatTensor<T>(string op, DeviceStream stream, DeviceTensor<T> tensor, string name)
        where T : unmanaged
    {
        Tensor(op, stream, tensor, name);
        if (!tensor.DType.IsFloat())
            throw new ArgumentException($"{op}: {name} stores {tensor.DType.ShortName()}, not a floating-point type.", name);
    }

    /// <summary>The tensor has exactly this shape.</summary>
    public static void Shape<T>(string op, DeviceTensor<T> tensor, string name, params ReadOnlySpan<long> expected)
        where T : unmanaged
    {
        if (!tensor.Shape.SequenceEqual(expected))
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(tensor.Shape)}, expected {TensorShape.Format(expected)}.", name);
        }
    }

    /// <summary>The tensor has this many dimensions.</summary>
    public static void Rank<T>(string op, DeviceTensor<T> tensor, string name, int rank)
        where T : unmanaged
    {
        if (tensor.Shape.Length != rank)
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(tensor.Shape)}, expected {rank} dimensions.", name);
        }
    }

    /// <summary>Source and destination of an elementwise op: float tensors of one shape, the same memory or disjoint.</summary>
    public static void Elementwise<T>(
        string op, DeviceStream stream, DeviceTensor<T> source, string sourceName, DeviceTensor<T> destination, string destinationName)
        where T : unmanaged
    {
        FloatTensor(op, stream, source, sourceName);
        FloatTensor(op, stream, destination, destinationName);
        Shape(op, destination, destinationName, source.Shape);
        if (!source.IsSameMemoryAs(destination)) Disjoint(op, source, sourceName, destination, destinationName);
    }

    /// <summary>The tensors share no memory.</summary>
    public static void Disjoint<TA, TB>(string op, DeviceTensor<TA> a, string aName, DeviceTensor<TB> b, string bName)
        where TA : unmanaged
        where TB : unmanaged
    {
        if (a.Overlaps(b)) throw new ArgumentException($"{op}: {aName} {a} and {bName} {b} overlap in memory.", bName);
    }

    /// <summary>The longest row of a softmax: in float, 2^24 ones can still be counted and added.</summary>
    public const long LongestSoftmaxRow = 1 << 24;

    /// <summary>The rows of a softmax, along the last axis, are no longer than <see cref="LongestSoftmaxRow"/>.</summary>
    public static void SoftmaxRow<T>(string op, DeviceTensor<T> tensor, string name)
        where T : unmanaged
    {
        if (tensor.Shape[^1] > LongestSoftmaxRow)
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(tensor.Shape)}; a row of a softmax has at most 2^24 elements.", name);
        }
    }

    /// <summary>A probability in [0, 1], not NaN.</summary>
    public static void Probability(string op, double value, string name)
    {
        if (!(value is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(name, value, $"{op}: {name} lies in [0, 1].");
    }

    /// <summary>A finite number of at least <paramref name="minimum"/>.</summary>
    public static void AtLeast(string op, double value, string name, double minimum)
    {
        if (!(value >= minimum) || double.IsInfinity(value))
            throw new ArgumentOutOfRangeException(name, value, $"{op}: {name} is finite and at least {minimum}.");
    }

    /// <summary>A finite number.</summary>
    public static void Finite(string op, double value, string name)
    {
        if (!double.IsFinite(value)) throw new ArgumentOutOfRangeException(name, value, $"{op}: {name} is finite.");
    }

    /// <summary>State beside a tensor: float beside float and the half types, double beside double.</summary>
    public static void Real<T, TReal>(string op, DeviceTensor<T> tensor, DeviceTensor<TReal> state, string name)
        where T : unmanaged
        where TReal : unmanaged
    {
        DType expected = tensor.DType == DType.Float64 ? DType.Float64 : DType.Float32;
        if (state.DType == expected) return;
        throw new ArgumentException(
            $"{op}: {name} stores {state.DType.ShortName()}, expected {expected.ShortName()} for {tensor.DType.ShortName()}.", name);
    }

    /// <summary>One of the named values of an enumeration.</summary>
    public static void Defined<TEnum>(string op, TEnum value, string name)
        where TEnum : struct, Enum
    {
        if (!Enum.IsDefined(value)) throw new ArgumentOutOfRangeException(name, value, $"{op}: unknown {name}.");
    }

    /// <summary>A random key: when in device memory, a tensor of two ulong on the stream's device.</summary>
    public static void Key(string op, DeviceStream stream, in RandomKeySource key, string name)
    {
        if (!key.IsOnDevice) return;
        Tensor(op, stream, key.Tensor!, name);
        Shape(op, key.Tensor!, name, 2);
    }

    /// <summary>The elements from <paramref name="globalStart"/> on can be counted in 64 bits, with room to round up to a draw.</summary>
    public static void IndexRange(string op, long count, ulong globalStart)
    {
        if (globalStart > ulong.MaxValue - (ulong)count - 64)
            throw new ArgumentOutOfRangeException(nameof(globalStart), globalStart, $"{op}: {count} elements from there exceed 2^64.");
    }
}
