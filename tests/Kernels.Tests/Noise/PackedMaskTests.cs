using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>Masks as bits: what is exported is what forward applies, and applying it gives forward's bits.</summary>
public sealed class PackedMaskTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(20260101, 99);

    /// <summary>Less than a word, words exactly, a tail of one, and more than one core's share; on and off a Philox block.</summary>
    public static TheoryData<string, int, ulong> Shapes =>
    [
        .. from device in TestDevices.All
           from length in (int[])[1, 31, 32, 33, 1003, 70_003]
           from start in (ulong[])[0, 64, 13]
           select (device.Id, length, start),
    ];

    [Theory]
    [MemberData(nameof(Shapes))]
    public void ExportedBits_AreTheMaskOfForward(string deviceId, int length, ulong start)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (double p in (double[])[0, 1e-9, 0.3, 1 - 1e-9, 1])
        {
            uint[] words = Export(stream, length, p, start);
            bool[] mask = [.. Enumerable.Range(0, length).Select(i => (words[i / 32] >> (i % 32) & 1) != 0)];
            Bits.AssertEqual<bool>(Bits.ForwardMask<float>(stream, length, p, Key, start), mask, $"p = {p}");
            if (length % 32 != 0) Assert.Equal(0u, words[^1] >> (length % 32));
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void ApplyingExportedBits_GivesTheBitsOfForward(string deviceId, int length, ulong start)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (DropoutScaling scaling in Enum.GetValues<DropoutScaling>())
        {
            Check<float>(stream, length, start, scaling);
            Check<Half>(stream, length, start, scaling);
            Check<BFloat16>(stream, length, start, scaling);
            if (stream.Device.SupportsFloat64) Check<double>(stream, length, start, scaling);
        }
    }

    private static void Check<T>(DeviceStream stream, int length, ulong start, DropoutScaling scaling)
        where T : unmanaged
    {
        const double P = 0.3;
        using DeviceTensor<T> x = stream.Device.Upload<T>(Bits.Uniform<T>(length, 5), length);
        using DeviceTensor<T> drawn = stream.Device.Allocate<T>(length), applied = stream.Device.Allocate<T>(length);
        using DeviceTensor<uint> mask = stream.Device.Upload<uint>(Export(stream, length, P, start), Dropout.MaskWords(length));
        Dropout.Forward(stream, x, drawn, P, Key, new DropoutOptions { GlobalStart = start, Scaling = scaling });
        Dropout.ApplyMask(stream, x, mask, applied, P, scaling);
        Bits.AssertEqual<T>(drawn.ToArray(stream), applied.ToArray(stream), $"{drawn} {scaling}");

        Dropout.ApplyMask(stream, x, mask, x, P, scaling);
        Bits.AssertEqual<T>(drawn.ToArray(stream), x.ToArray(stream), $"{drawn} {scaling} in place");
    }

    /// <summary>Words of the mask, between two words that must not change.</summary>
    private static uint[] Export(DeviceStream stream, int length, double dropProbability, ulong start)
    {
        const uint Guard = 0xA5A5A5A5;
        int words = (int)Dropout.MaskWords(length);
        using DeviceBuffer<uint> buffer = stream.Device.AllocateBuffer<uint>(words + 2);
        stream.Fill(buffer.View(0, words + 2), Guard);
        Dropout.ExportMask(stream, buffer.View(1, words), length, dropProbability, Key, new DropoutOptions { GlobalStart = start });
        uint[] all = buffer.View(0, words + 2).ToArray(stream);
        Assert.Equal((Guard, Guard), (all[0], all[^1]));
        return all[1..^1];
    }
}
