using System.Globalization;
using Kernels.Interop;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Where the CPU device's memory lies, and the pages that it asks for.</summary>
public sealed class CpuMemoryTests(TestDevices devices)
{
    /// <summary>Nothing, one byte, just no huge page, one, one and a part, several.</summary>
    public static TheoryData<long> Sizes => [0, 1, HugePages.Bytes - 1, HugePages.Bytes, (3 * HugePages.Bytes / 2) + 1, 16L << 20];

    [Theory]
    [MemberData(nameof(Sizes))]
    public void BlocksBeginOnABoundary(long bytes)
    {
        using Device device = devices.OpenOwn("cpu");
        using DeviceStream stream = device.CreateStream();
        using (DeviceBuffer<byte> block = device.AllocateBuffer<byte>(bytes))
        {
            Assert.Equal(0, block.NativeHandle % (bytes < HugePages.Bytes ? 64 : HugePages.Bytes));
            Assert.Equal((bytes, 1), (device.Counters.LiveBytes, device.Counters.LiveBlocks));
            using DeviceTensor<byte> all = block.View(0, bytes);
            stream.Fill(all, (byte)7);
            Assert.True(all.ToArray(stream).AsSpan().IndexOfAnyExcept((byte)7) < 0);
        }

        Assert.Equal((0, 0), (device.Counters.LiveBytes, device.Counters.LiveBlocks));
    }

    [Fact]
    public void LargeBlocksAskForHugePages()
    {
        const string Setting = "/sys/kernel/mm/transparent_hugepage/enabled", Maps = "/proc/self/smaps";
        Assert.SkipUnless(File.Exists(Setting) && File.Exists(Maps), "no huge pages for those who ask");
        using Device device = devices.OpenOwn("cpu");
        using DeviceBuffer<byte> block = device.AllocateBuffer<byte>((5 * HugePages.Bytes) + 1);
        Assert.Contains("hg", FlagsOf(block.NativeHandle, Maps));
        Assert.Contains("hg", FlagsOf(block.NativeHandle + (5 * HugePages.Bytes) - 1, Maps));
    }

    /// <summary>What the system notes of the pages at an address, two letters each.</summary>
    private static string[] FlagsOf(nint address, string maps)
    {
        const string Flags = "VmFlags:";
        bool isInside = false;
        foreach (string line in File.ReadLines(maps))
        {
            string[] range = line.Split(' ')[0].Split('-');
            if (range is [string first, string end])
                isInside = address >= Address(first) && address < Address(end);
            else if (isInside && line.StartsWith(Flags, StringComparison.Ordinal))
                return line[Flags.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        }

        return [];

        static nint Address(string text) => nint.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }
}
