using System.Runtime.InteropServices;
using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Values of any stored type as double, and back.</summary>
public static class Elements
{
    /// <summary>The value after being stored.</summary>
    public static double Round(DType dtype, double value) => dtype switch
    {
        DType.Float32 => (float)value,
        DType.Float16 => (double)(Half)value,
        DType.BFloat16 => (BFloat16)value,
        _ => value,
    };

    /// <summary>Bytes of <paramref name="values"/> as stored.</summary>
    public static byte[] ToBytes(DType dtype, ReadOnlySpan<double> values)
    {
        byte[] bytes = new byte[values.Length * dtype.SizeInBytes()];
        for (int i = 0; i < values.Length; i++)
        {
            Span<byte> target = bytes.AsSpan(i * dtype.SizeInBytes());
            switch (dtype)
            {
                case DType.Float32: MemoryMarshal.Write(target, (float)values[i]); break;
                case DType.Float16: MemoryMarshal.Write(target, (Half)values[i]); break;
                case DType.BFloat16: MemoryMarshal.Write(target, (BFloat16)values[i]); break;
                case DType.Float64: MemoryMarshal.Write(target, values[i]); break;
                case DType.UInt8: MemoryMarshal.Write(target, (byte)values[i]); break;
                case DType.Int32: MemoryMarshal.Write(target, (int)values[i]); break;
                case DType.UInt32: MemoryMarshal.Write(target, (uint)values[i]); break;
                case DType.UInt64: MemoryMarshal.Write(target, (ulong)values[i]); break;
                default: throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "unknown data type");
            }
        }

        return bytes;
    }

    /// <summary>Element <paramref name="index"/> of stored <paramref name="bytes"/>.</summary>
    public static double FromBytes(DType dtype, ReadOnlySpan<byte> bytes, long index)
    {
        ReadOnlySpan<byte> source = bytes[(int)(index * dtype.SizeInBytes())..];
        return dtype switch
        {
            DType.Float32 => MemoryMarshal.Read<float>(source),
            DType.Float16 => (double)MemoryMarshal.Read<Half>(source),
            DType.BFloat16 => MemoryMarshal.Read<BFloat16>(source),
            DType.Float64 => MemoryMarshal.Read<double>(source),
            DType.UInt8 => source[0],
            DType.Int32 => MemoryMarshal.Read<int>(source),
            DType.UInt32 => MemoryMarshal.Read<uint>(source),
            DType.UInt64 => MemoryMarshal.Read<ulong>(source),
            _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "unknown data type"),
        };
    }

    /// <summary>Uniform values in [low, high), a function of seed and name alone, rounded to what <paramref name="dtype"/> stores.</summary>
    public static double[] Uniform(DType dtype, long count, ulong seed, string name, double low = -2, double high = 2)
    {
        ulong stream = name.Aggregate(14695981039346656037UL, (hash, letter) => (hash ^ letter) * 1099511628211UL);
        double[] values = new double[count];
        for (long i = 0; i < count; i += 4)
        {
            uint[] words = PhiloxReference.Block(seed, stream, (ulong)i / 4);
            for (int j = 0; j < 4 && i + j < count; j++) values[i + j] = Round(dtype, low + ((high - low) * (words[j] / 4294967296.0)));
        }

        return values;
    }

    /// <summary>Integers in [0, limit), a function of seed and name alone.</summary>
    public static double[] Integers(long count, int limit, ulong seed, string name) =>
        [.. Uniform(DType.Float64, count, seed, name, 0, limit).Select(Math.Floor)];
}
