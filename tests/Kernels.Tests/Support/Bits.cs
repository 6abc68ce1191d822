using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kernels.Cpu;
using Kernels.Reference;
using Xunit;

namespace Kernels.Tests.Support;

/// <summary>Bit-for-bit comparison, masks as a dropout call shows them, and uploads off alignment.</summary>
internal static class Bits
{
    /// <summary>Fails at the first element whose bits differ.</summary>
    public static void AssertEqual<T>(ReadOnlySpan<T> expected, ReadOnlySpan<T> actual, string what = "")
        where T : unmanaged
    {
        Assert.Equal(expected.Length, actual.Length);
        int index = MemoryMarshal.AsBytes(expected).CommonPrefixLength(MemoryMarshal.AsBytes(actual)) / Unsafe.SizeOf<T>();
        if (index < expected.Length)
            Assert.Fail($"{what}: element {index} of {expected.Length} is {actual[index]}, expected {expected[index]}");
    }

    /// <summary>The mask that a forward call applies: which of <paramref name="length"/> ones it keeps.</summary>
    public static bool[] ForwardMask<T>(
        DeviceStream stream, int length, double dropProbability, RandomKeySource key,
        ulong globalStart = 0, int elementOffset = 0, bool inPlace = false)
        where T : unmanaged
    {
        T one = CpuElement.FromSingle<T>(1);
        using DeviceBuffer<T> source = stream.Device.AllocateBuffer<T>(length + elementOffset);
        using DeviceBuffer<T> destination = stream.Device.AllocateBuffer<T>(length + elementOffset);
        DeviceTensor<T> x = source.View(elementOffset, length);
        DeviceTensor<T> y = inPlace ? x : destination.View(elementOffset, length);
        stream.Fill(x, one);
        Dropout.Forward(stream, x, y, dropProbability, key, new DropoutOptions { GlobalStart = globalStart });
        return [.. y.ToArray(stream).Select(value => CpuElement.ToSingle(value) != 0)];
    }

    /// <summary>The mask as the reference defines it.</summary>
    public static bool[] ReferenceMask(int length, double dropProbability, RandomKey key, ulong globalStart = 0) =>
        [.. Enumerable.Range(0, length).Select(i => DropoutReference.Keeps(dropProbability, key.Seed, key.Offset, globalStart + (ulong)i))];

    /// <summary>Uniform values in [-2, 2) as stored.</summary>
    public static T[] Uniform<T>(int count, ulong seed)
        where T : unmanaged =>
        [.. Verification.Elements.Uniform(DTypes.Of<T>(), count, seed, "values").Select(CpuElement.FromDouble<T>)];
}
