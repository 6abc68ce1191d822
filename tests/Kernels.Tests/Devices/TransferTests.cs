using System.Runtime.InteropServices;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Uploads, downloads, copies and fills move every bit to its place and leave the neighbours alone.</summary>
public sealed class TransferTests(TestDevices devices)
{
    /// <summary>Elements before and after each view, which must stay as they were.</summary>
    private const int Margin = 5;

    /// <summary>
    /// One element; around the vector widths; more than the CPU device gives to one core at a time, for one-byte elements too.
    /// </summary>
    private static readonly int[] Lengths = [1, 7, 64, 1001, (3 << 20) + 13];

    private const int LongestAtEveryOffset = 1001;

    public static TheoryData<string, DType> DevicesAndTypes =>
        [.. from device in TestDevices.All from dtype in Enum.GetValues<DType>() select (device.Id, dtype)];

    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(DevicesAndTypes))]
    public void EveryBitArrives(string deviceId, DType dtype)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        if (dtype == DType.Float64 && !stream.Device.SupportsFloat64) Assert.Skip($"{stream.Device} has no double precision");
        foreach (int length in Lengths)
        {
            foreach (int offset in length > LongestAtEveryOffset ? [1] : (int[])[0, 1, 3])
            {
                switch (dtype)
                {
                    case DType.Float32: CheckTransfers<float>(stream, length, offset); break;
                    case DType.Float16: CheckTransfers<Half>(stream, length, offset); break;
                    case DType.BFloat16: CheckTransfers<BFloat16>(stream, length, offset); break;
                    case DType.Float64: CheckTransfers<double>(stream, length, offset); break;
                    case DType.UInt8: CheckTransfers<byte>(stream, length, offset); break;
                    case DType.Int32: CheckTransfers<int>(stream, length, offset); break;
                    case DType.UInt32: CheckTransfers<uint>(stream, length, offset); break;
                    case DType.UInt64: CheckTransfers<ulong>(stream, length, offset); break;
                    default: throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "unknown data type");
                }
            }
        }
    }

    /// <summary>The patterns for which a driver may take another path: all zero, equal halves of 8 bytes, all different.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void FillsWithEveryKindOfPattern(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (ulong pattern in (ulong[])[0, 1, 0x0123_4567_0123_4567, 0x0123_4567_89ab_cdef, ulong.MaxValue])
        {
            using DeviceTensor<ulong> tensor = stream.Device.Allocate<ulong>(1023);
            stream.Fill(tensor, pattern);
            Assert.All(tensor.ToArray(stream), value => Assert.Equal(pattern, value));
        }
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void HostBuffersTransferInOrderOfTheStream(string deviceId)
    {
        const int Length = 100_003;
        Device device = devices.Open(deviceId);
        using DeviceStream uploading = device.CreateStream();
        using DeviceStream downloading = device.CreateStream();
        using HostBuffer<float> source = device.AllocateHost<float>(Length);
        using HostBuffer<float> result = device.AllocateHost<float>(Length);
        using DeviceTensor<float> tensor = device.Allocate<float>(Length);
        for (int round = 0; round < 10; round++)
        {
            for (int i = 0; i < Length; i++) source.Span[i] = round + i;
            uploading.Upload(source, tensor);
            Relu.Forward(uploading, tensor, tensor);
            using DeviceEvent uploaded = uploading.Record();
            downloading.WaitFor(uploaded);
            downloading.Download(tensor, result);
            using DeviceEvent downloaded = downloading.Record();
            downloaded.Wait();
            Assert.True(downloaded.IsCompleted);
            Assert.True(source.Span.SequenceEqual(result.Span), $"round {round}");
        }
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void LengthsOnBothSidesMustAgree(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> tensor = stream.Device.Allocate<float>(4);
        using DeviceTensor<float> longer = stream.Device.Allocate<float>(5);
        using HostBuffer<float> host = stream.Device.AllocateHost<float>(3);
        Assert.Throws<ArgumentException>(() => stream.Upload(new float[3], tensor));
        Assert.Throws<ArgumentException>(() => stream.Download(tensor, new float[5]));
        Assert.Throws<ArgumentException>(() => stream.Upload(host, tensor));
        Assert.Throws<ArgumentException>(() => stream.Download(tensor, host));
        Assert.Throws<ArgumentException>(() => stream.Copy(tensor, longer));
        Assert.Throws<ArgumentException>(() => stream.Device.Upload<float>(new float[3], 2, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.Device.AllocateHost<float>(-1));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void NullIsRefused(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> tensor = stream.Device.Allocate<float>(4);
        using HostBuffer<float> host = stream.Device.AllocateHost<float>(4);
        Assert.Throws<ArgumentNullException>("source", () => stream.Upload((HostBuffer<float>)null!, tensor));
        Assert.Throws<ArgumentNullException>("destination", () => stream.Download(tensor, (HostBuffer<float>)null!));
        Assert.Throws<ArgumentNullException>("destination", () => stream.Upload(host, null!));
        Assert.Throws<ArgumentNullException>("source", () => stream.Download(null!, host));
        Assert.Throws<ArgumentNullException>("source", () => stream.Copy(null!, tensor));
        Assert.Throws<ArgumentNullException>("destination", () => stream.Copy(tensor, null!));
        Assert.Throws<ArgumentNullException>("stream", () => tensor.ToArray(null!));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void CopyRefusesPartialOverlap(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<int> tensor = stream.Device.Upload<int>([0, 1, 2, 3, 4, 5, 6, 7], 8);
        Assert.Throws<ArgumentException>(() => stream.Copy(tensor.Slice(0, 5), tensor.Slice(3, 5)));
        stream.Copy(tensor.Slice(0, 5), tensor.Slice(0, 5));
        stream.Copy(tensor.Slice(0, 4), tensor.Slice(4, 4));
        Assert.Equal([0, 1, 2, 3, 0, 1, 2, 3], tensor.ToArray(stream));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void NothingIsAValidTransfer(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> empty = stream.Device.Upload<float>([], 3, 0);
        using HostBuffer<float> host = stream.Device.AllocateHost<float>(0);
        stream.Upload<float>([], empty);
        stream.Upload(host, empty);
        stream.Download(empty, host);
        stream.Fill(empty, 1f);
        stream.Copy(empty, empty.Reshape(0, 7));
        stream.Synchronize();
        Assert.Empty(empty.ToArray(stream));
        Assert.True(host.Span.IsEmpty);
    }

    /// <summary>Does to device memory and to an array what should come to the same, and compares.</summary>
    private static void CheckTransfers<T>(DeviceStream stream, int length, int offset)
        where T : unmanaged
    {
        T[] expected = RandomBits<T>(1, offset + length + Margin);
        T[] values = RandomBits<T>(2, length);
        using DeviceTensor<T> tensor = stream.Device.Upload<T>(expected, expected.Length);
        DeviceTensor<T> view = tensor.Buffer.View(offset, length);

        stream.Upload(values, view);
        values.CopyTo(expected.AsSpan(offset));
        Compare("upload");
        Assert.True(Bytes(values).SequenceEqual(Bytes(view.ToArray(stream))), $"download of {length} from {offset}");

        using DeviceTensor<T> source = stream.Device.Upload<T>(RandomBits<T>(3, length + Margin), length + Margin);
        stream.Copy(source.Slice(Margin - 1, length), view);
        source.ToArray(stream).AsSpan(Margin - 1, length).CopyTo(expected.AsSpan(offset));
        Compare("copy");

        T pattern = RandomBits<T>(4, 1)[0];
        stream.Fill(view, pattern);
        expected.AsSpan(offset, length).Fill(pattern);
        Compare("fill");

        void Compare(string call) =>
            Assert.True(Bytes(expected).SequenceEqual(Bytes(tensor.ToArray(stream))), $"{call} of {length} {typeof(T).Name} at {offset}");
    }

    private static T[] RandomBits<T>(int seed, int length)
        where T : unmanaged
    {
        // Repeated after a prime number of bytes, so that no power of two looks like another.
        byte[] drawn = new byte[65_521];
        new Random(seed).NextBytes(drawn);
        T[] values = new T[length];
        for (Span<byte> left = MemoryMarshal.AsBytes(values.AsSpan()); left.Length > 0; left = left[Math.Min(left.Length, drawn.Length)..])
            drawn.AsSpan(0, Math.Min(left.Length, drawn.Length)).CopyTo(left);
        return values;
    }

    private static ReadOnlySpan<byte> Bytes<T>(T[] values)
        where T : unmanaged => MemoryMarshal.AsBytes(values.AsSpan());
}
