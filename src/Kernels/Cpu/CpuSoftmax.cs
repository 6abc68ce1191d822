using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Kernels.Cpu;

/// <summary>The parts that ops over rows of logits share on the CPU device. A logit of -infinity is a masked class.</summary>
internal static unsafe class CpuSoftmax
{
    /// <summary>Below it the exponential is 0 in every type, and its product with a difference that overflows must be 0 too.</summary>
    public const float LowestExponent = -1024;

    /// <summary>The first <paramref name="count"/> of sixteen logits, the others -infinity.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadLogits<T>(T* source, int count)
        where T : unmanaged
    {
        if (count == CpuElement.Width) return CpuElement.Load(source);
        Vector512<float> first = Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count)).AsSingle();
        return Vector512.ConditionalSelect(first, CpuElement.Load(source, count), Vector512.Create(float.NegativeInfinity));
    }

    /// <summary>What an exponential is multiplied by: z - largest from <see cref="LowestExponent"/> on; NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exponent(Vector512<float> difference) => Larger(Vector512.Create(LowestExponent), difference);

    /// <summary>The same in double.</summary>
    public static double Exponent(double difference) => difference < LowestExponent ? LowestExponent : difference;

    /// <summary>The larger of each lane; <paramref name="other"/> where the value is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Larger(Vector512<float> value, Vector512<float> other) =>
        Avx512F.IsSupported ? Avx512F.Max(value, other) : Vector512.ConditionalSelect(Vector512.GreaterThan(value, other), value, other);

    /// <summary>The largest lane; no lane is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vector512<float> values)
    {
        Vector256<float> eight = Vector256.MaxNative(values.GetLower(), values.GetUpper());
        Vector128<float> four = Vector128.MaxNative(eight.GetLower(), eight.GetUpper());
        four = Vector128.MaxNative(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return Vector128.MaxNative(four, Vector128.Shuffle(four, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }
}
