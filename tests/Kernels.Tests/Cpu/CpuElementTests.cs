using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Xunit;

namespace Kernels.Tests.Cpu;

/// <summary>Sixteen conversions at a time give what the scalar conversions give, so that a tail has the bits of the rest.</summary>
public sealed unsafe class CpuElementTests
{
    private const int RandomFloats = 1 << 20;

    [Fact]
    public void EveryHalf_WidensAsTheScalarDoes() => CheckWidening<Half>();

    [Fact]
    public void EveryBFloat16_WidensAsTheScalarDoes() => CheckWidening<BFloat16>();

    [Fact]
    public void Floats_NarrowToHalfAsTheScalarDoes() => CheckNarrowing<Half>(bits => (float)BitConverter.UInt16BitsToHalf(bits));

    [Fact]
    public void Floats_NarrowToBFloat16AsTheScalarDoes() => CheckNarrowing<BFloat16>(bits => BFloat16.FromBits(bits));

    /// <summary>A tail reads and writes its own elements only; the lanes past it are 0.</summary>
    [Fact]
    public void Parts_TouchOnlyTheirElements()
    {
        CheckParts<float>();
        CheckParts<Half>();
        CheckParts<BFloat16>();
    }

    [Fact]
    public void Double_RoundsOnceWhenStoredAsDouble()
    {
        Assert.Equal(0.1, CpuElement.FromDouble<double>(0.1));
        Assert.Equal(0.1f, CpuElement.FromDouble<float>(0.1));
        Assert.Equal((double)(Half)0.1f, CpuElement.ToDouble(CpuElement.FromDouble<Half>(0.1)));
    }

    private static void CheckWidening<T>()
        where T : unmanaged
    {
        ushort* stored = stackalloc ushort[CpuElement.Width];
        for (int first = 0; first < 1 << 16; first += CpuElement.Width)
        {
            for (int lane = 0; lane < CpuElement.Width; lane++) stored[lane] = (ushort)(first + lane);
            Vector512<float> wide = CpuElement.Load((T*)stored);
            for (int lane = 0; lane < CpuElement.Width; lane++)
            {
                float expected = CpuElement.ToSingle(((T*)stored)[lane]);
                if (!SameOrBothNaN(expected, wide[lane]))
                    Assert.Fail($"{typeof(T).Name} {stored[lane]:x4} widens to {wide[lane]:R}, expected {expected:R}");
            }
        }
    }

    private static void CheckNarrowing<T>(Func<ushort, float> widen)
        where T : unmanaged
    {
        ushort* stored = stackalloc ushort[CpuElement.Width];
        foreach (float[] chunk in Floats(widen).Chunk(CpuElement.Width).Where(chunk => chunk.Length == CpuElement.Width))
        {
            CpuElement.Store((T*)stored, Vector512.Create(chunk));
            for (int lane = 0; lane < CpuElement.Width; lane++)
            {
                T expected = CpuElement.FromSingle<T>(chunk[lane]), actual = ((T*)stored)[lane];
                bool same = float.IsNaN(chunk[lane]) ? float.IsNaN(CpuElement.ToSingle(actual)) : *(ushort*)&expected == *(ushort*)&actual;
                if (!same) Assert.Fail($"{chunk[lane]:R} narrows to {actual}, expected {expected}");
            }
        }
    }

    /// <summary>
    /// Each value of the type, the middle to its neighbour (a tie), and the floats right beside both; then floats of any bits.
    /// </summary>
    private static IEnumerable<float> Floats(Func<ushort, float> widen)
    {
        for (int bits = 0; bits < 1 << 16; bits++)
        {
            float value = widen((ushort)bits);
            float neighbour = widen((ushort)Math.Min(bits + 1, ushort.MaxValue));
            float middle = (float)(((double)value + neighbour) / 2);
            foreach (float around in (float[])[value, middle])
            {
                yield return around;
                yield return MathF.BitIncrement(around);
                yield return MathF.BitDecrement(around);
            }
        }

        // 65,504 is the largest half: up to 65,520 it is the nearest, from there on infinity is.
        float[] edges = [65519.996f, 65520, 65535, 65536, float.MaxValue, float.Epsilon, -float.Epsilon, float.NaN, float.PositiveInfinity];
        foreach (float edge in edges) yield return edge;
        Random random = new(5);
        for (int i = 0; i < RandomFloats; i++) yield return BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
    }

    private static void CheckParts<T>()
        where T : unmanaged
    {
        T one = CpuElement.FromSingle<T>(1), two = CpuElement.FromSingle<T>(2);
        T[] memory = new T[CpuElement.Width + 1];
        for (int count = 0; count <= CpuElement.Width; count++)
        {
            Array.Fill(memory, one);
            fixed (T* start = memory)
            {
                Vector512<float> loaded = CpuElement.Load(start, count);
                for (int lane = 0; lane < CpuElement.Width; lane++) Assert.Equal(lane < count ? 1 : 0, loaded[lane]);
                CpuElement.Store(start, Vector512.Create(2f), count);
            }

            Assert.Equal([.. Enumerable.Repeat(two, count), .. Enumerable.Repeat(one, memory.Length - count)], memory);
        }
    }

    private static bool SameOrBothNaN(float expected, float actual) =>
        float.IsNaN(expected) ? float.IsNaN(actual) : BitConverter.SingleToInt32Bits(expected) == BitConverter.SingleToInt32Bits(actual);
}
