using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>
/// The promise: the mask is a function of key, probability and index. The same bits on every device, in every type, however the tensor is
/// cut, aligned and aliased, and the same again in backward.
/// </summary>
public sealed class MaskTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(0x8badf00ddeadbeef, 0x1_0000_0007);

    /// <summary>
    /// Less than a block, blocks exactly, a draw of the CPU's generator and its neighbours, a tail, more than one core's share.
    /// </summary>
    private static readonly int[] Lengths = [1, 7, 8, 9, 63, 64, 65, 1003, 70_003];

    /// <summary>The whole; on and off a block; where the block number leaves 32 bits; far out.</summary>
    private static readonly ulong[] Starts = [0, 8, 3, (1UL << 35) - 20, (1UL << 63) + 5];

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Mask_IsTheReferences(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (int length in Lengths)
        {
            foreach (ulong start in Starts)
            {
                bool[] mask = Bits.ForwardMask<float>(stream, length, 0.3, Key, start);
                Bits.AssertEqual<bool>(Bits.ReferenceMask(length, 0.3, Key, start), mask, $"{length} from {start}");
            }
        }

        foreach (double p in (double[])[0, 1e-9, 1e-4, 0.1, 0.5, 0.9, 1 - 1e-9, 1])
            Bits.AssertEqual<bool>(Bits.ReferenceMask(1003, p, Key), Bits.ForwardMask<float>(stream, 1003, p, Key), $"p = {p}");
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Mask_IsTheSameInEveryType(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        bool[] expected = Bits.ForwardMask<float>(stream, 1003, 0.3, Key);
        Bits.AssertEqual<bool>(expected, Bits.ForwardMask<Half>(stream, 1003, 0.3, Key), "f16");
        Bits.AssertEqual<bool>(expected, Bits.ForwardMask<BFloat16>(stream, 1003, 0.3, Key), "bf16");
        if (stream.Device.SupportsFloat64) Bits.AssertEqual<bool>(expected, Bits.ForwardMask<double>(stream, 1003, 0.3, Key), "f64");
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Mask_DoesNotDependOnAlignmentOrAliasing(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        bool[] expected = Bits.ReferenceMask(517, 0.4, Key);
        for (int offset = 0; offset < 16; offset++)
        {
            Bits.AssertEqual<bool>(expected, Bits.ForwardMask<float>(stream, 517, 0.4, Key, elementOffset: offset), $"f32 {offset} off");
            Bits.AssertEqual<bool>(expected, Bits.ForwardMask<Half>(stream, 517, 0.4, Key, elementOffset: offset), $"f16 {offset} off");
            bool[] inPlace = Bits.ForwardMask<float>(stream, 517, 0.4, Key, elementOffset: offset, inPlace: true);
            Bits.AssertEqual<bool>(expected, inPlace, $"f32 {offset} off, in place");
        }
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Shards_TogetherAreTheWhole(string deviceId)
    {
        const int Length = 10_007;
        using DeviceStream stream = devices.CreateStream(deviceId);
        bool[] whole = Bits.ReferenceMask(Length, 0.25, Key);
        Random random = new(3);
        foreach (int shards in (int[])[1, 2, 4, 8])
        {
            int[] even = [.. Enumerable.Range(0, shards + 1).Select(i => i * Length / shards)];
            int[] uneven = [0, .. Enumerable.Range(1, shards - 1).Select(_ => random.Next(Length + 1)).Order(), Length];
            foreach (int[] cuts in (int[][])[even, uneven])
            {
                bool[] together = [.. cuts.Zip(cuts.Skip(1), (start, end) =>
                    Bits.ForwardMask<float>(stream, end - start, 0.25, Key, (ulong)start)).SelectMany(mask => mask)];
                Bits.AssertEqual<bool>(whole, together, $"cut at {string.Join(", ", cuts)}");
            }
        }
    }

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
    public void Backward_HasTheMaskOfForward(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (ulong start in Starts)
        {
            using DeviceTensor<float> dx = stream.Device.Allocate<float>(1003);
            using DeviceTensor<float> dy = stream.Device.Upload<float>([.. Enumerable.Repeat(1f, 1003)], 1003);
            Dropout.Backward(stream, dy, dx, 0.3, Key, new DropoutOptions { GlobalStart = start });
            bool[] mask = [.. dx.ToArray(stream).Select(value => value != 0)];
            Bits.AssertEqual<bool>(Bits.ForwardMask<float>(stream, 1003, 0.3, Key, start), mask, $"from {start}");
        }
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
