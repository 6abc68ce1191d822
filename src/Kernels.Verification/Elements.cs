using System.Runtime.CompilerServices;
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
    public static byte[] ToBytes(DType dtype, ReadOnlySpan<double> values) => dtype switch
    {
        DType.Float32 => Store(values, value => (float)value),
        DType.Float16 => Store(values, value => (Half)value),
        DType.BFloat16 => Store(values, value => (BFloat16)value),
        DType.Float64 => Store(values, value => value),
        DType.UInt8 => Store(values, value => (byte)value),
        DType.Int32 => Store(values, value => (int)value),
        DType.UInt32 => Store(values, value => (uint)value),
        DType.UInt64 => Store(values, value => (ulong)value),
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "unknown data type"),
    };

    /// <summary>The values that <paramref name="bytes"/> store.</summary>
    public static double[] FromBytes(DType dtype, ReadOnlySpan<byte> bytes) => dtype switch
    {
        DType.Float32 => Load<float>(bytes, value => value),
        DType.Float16 => Load<Half>(bytes, value => (double)value),
        DType.BFloat16 => Load<BFloat16>(bytes, value => value),
        DType.Float64 => Load<double>(bytes, value => value),
        DType.UInt8 => Load<byte>(bytes, value => value),
        DType.Int32 => Load<int>(bytes, value => value),
        DType.UInt32 => Load<uint>(bytes, value => value),
        DType.UInt64 => Load<ulong>(bytes, value => value),
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "unknown data type"),
    };

    /// <summary>
    /// Uniform values in [low, high), a function of seed and name alone, rounded to what <paramref name="dtype"/> stores.
    /// </summary>
    public static double[] Uniform(DType dtype, long count, ulong seed, string name, double low = -2, double high = 2)
    {
        ulong stream = name.Aggregate(14695981039346656037UL, (hash, letter) => (hash ^ letter) * 1099511628211UL);
        double[] values = new double[count];

        // Benches have problems of 100 million elements, for which one thread would take longer than all that is measured.
        const long PieceLength = 1 << 16;
        long pieces = (count + PieceLength - 1) / PieceLength;
        if (pieces > 1)
            Parallel.For(0, pieces, Fill);
        else if (pieces == 1)
            Fill(0);
        return values;

        void Fill(long piece)
        {
            long end = Math.Min(count, (piece + 1) * PieceLength);
            for (long i = piece * PieceLength; i < end; i += 4)
            {
                uint[] words = PhiloxReference.Block(seed, stream, (ulong)i / 4);
                for (int j = 0; j < 4 && i + j < end; j++) values[i + j] = Round(dtype, low + ((high - low) * (words[j] / 4294967296.0)));
            }
        }
    }

    /// <summary>The largest finite number, half of it, 0 and their negatives, in a random order.</summary>
    public static double[] Extremes(DType dtype, long count, ulong seed) =>
        [.. Integers(count, 5, seed, "extremes").Select(step => Round(dtype, (step - 2) / 2 * Largest(dtype)))];

    /// <summary>The largest finite number of a stored type.</summary>
    public static double Largest(DType dtype) => dtype switch
    {
        DType.Float32 => float.MaxValue,
        DType.Float16 => (double)Half.MaxValue,
        DType.BFloat16 => BFloat16.FromBits(0x7f7f),
        _ => double.MaxValue,
    };

    /// <summary>Integers in [0, limit), a function of seed and name alone.</summary>
    public static double[] Integers(long count, int limit, ulong seed, string name) =>
        [.. Uniform(DType.Float64, count, seed, name, 0, limit).Select(Math.Floor)];

    private static byte[] Store<T>(ReadOnlySpan<double> values, Func<double, T> convert)
        where T : unmanaged
    {
        byte[] bytes = new byte[values.Length * Unsafe.SizeOf<T>()];
        Span<T> stored = MemoryMarshal.Cast<byte, T>(bytes.AsSpan());
        for (int i = 0; i < values.Length; i++) stored[i] = convert(values[i]);
        return bytes;
    }

    private static double[] Load<T>(ReadOnlySpan<byte> bytes, Func<T, double> convert)
        where T : unmanaged
    {
        ReadOnlySpan<T> stored = MemoryMarshal.Cast<byte, T>(bytes);
        double[] values = new double[stored.Length];
        for (int i = 0; i < values.Length; i++) values[i] = convert(stored[i]);
        return values;
    }
}
