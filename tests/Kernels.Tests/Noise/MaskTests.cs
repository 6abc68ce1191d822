using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>
/// Where masks come from beside the call itself: the theories and properties hold them against the reference in every type, length and
/// alignment.
/// </summary>
public sealed class MaskTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(0x8badf00ddeadbeef, 0x1_0000_0007);

    /// <summary>A tensor whose shards live on different devices has one mask all the same.</summary>
    [Fact]
    public void ShardsOnDifferentDevices_TogetherAreTheWhole()
    {
        const int Length = 5_003, Shards = 6;
        DeviceStream[] streams = [.. devices.OpenAll().Select(device => device.CreateStream())];
        int[] cuts = [.. Enumerable.Range(0, Shards + 1).Select(i => i * Length / Shards)];
        bool[] together = [.. Enumerable.Range(0, Shards).SelectMany(i =>
            Bits.ForwardMask<float>(streams[i % streams.Length], cuts[i + 1] - cuts[i], 0.5, Key, (ulong)cuts[i]))];
        Bits.AssertEqual<bool>(Bits.ReferenceMask(Length, 0.5, Key), together);
        foreach (DeviceStream stream in streams) stream.Dispose();
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void KeyInDeviceMemory_DrawsAsTheHostsAndAdvances(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceBuffer<ulong> memory = stream.Device.AllocateBuffer<ulong>(5);
        using DeviceTensor<uint> bits = stream.Device.Allocate<uint>(32), hostBits = stream.Device.Allocate<uint>(32);
        DeviceTensor<ulong> key = memory.View(3, 2);
        stream.Upload<ulong>([Key.Seed, Key.Offset], key);
        Check(Key);
        RandomBits.Advance(stream, key);
        Check(Key.Next());
        RandomBits.Advance(stream, key, steps: 1UL << 40);
        Check(Key with { Offset = Key.Offset + 1 + (1UL << 40) });

        void Check(RandomKey host)
        {
            Bits.AssertEqual<bool>(Bits.ForwardMask<float>(stream, 1003, 0.3, host), Bits.ForwardMask<float>(stream, 1003, 0.3, key),
                "mask");
            RandomBits.Fill(stream, bits, key);
            RandomBits.Fill(stream, hostBits, host);
            Assert.Equal(hostBits.ToArray(stream), bits.ToArray(stream));
            Dropout.ExportMask(stream, bits, 1003, 0.3, key);
            Dropout.ExportMask(stream, hostBits, 1003, 0.3, host);
            Assert.Equal(hostBits.ToArray(stream), bits.ToArray(stream));
            Assert.Equal([host.Seed, host.Offset], key.ToArray(stream));
        }
    }
}
