using System.Runtime.CompilerServices;
using Kernels.Devices;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Disposing in any order, twice, or never.</summary>
public sealed class LifetimeTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(1, 2);

    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void DisposedTensorsAndBuffersThrow(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> good = stream.Device.Allocate<float>(4);
        using HostBuffer<float> host = stream.Device.AllocateHost<float>(4);
        DeviceTensor<float> tensor = stream.Device.Allocate<float>(4);
        DeviceTensor<float> view = tensor.Slice(1, 2);
        tensor.Dispose();
        tensor.Dispose();

        Throws("upload", () => stream.Upload(new float[4], tensor));
        Throws("upload of a host buffer", () => stream.Upload(host, tensor));
        Throws("download", () => stream.Download(tensor, new float[4]));
        Throws("download to a host buffer", () => stream.Download(tensor, host));
        Throws("copy from", () => stream.Copy(tensor, good));
        Throws("copy to", () => stream.Copy(good, tensor));
        Throws("fill", () => stream.Fill(tensor, 1f));
        Throws("to array", () => tensor.ToArray(stream));
        Throws("op's input", () => Dropout.Forward(stream, tensor, good, 0.5, Key));
        Throws("op's output", () => Dropout.Forward(stream, good, tensor, 0.5, Key));
        Throws("a view of it", () => stream.Fill(view, 1f));
        Throws("new view", () => tensor.Buffer.View(0, 4));
        Throws("handle", () => _ = tensor.Buffer.NativeHandle);

        host.Dispose();
        host.Dispose();
        Throws("span", () => _ = host.Span);
        Throws("upload of a disposed host buffer", () => stream.Upload(host, good));
        Throws("download to a disposed host buffer", () => stream.Download(good, host));
        stream.Synchronize();
    }

    /// <summary>
    /// What another thread disposes after the op has checked it: nothing is launched, and the launch lets go of what it already held.
    /// </summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void LaunchOnDisposedMemoryThrows(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        long blocks = device.Counters.LiveBlocks;
        DeviceTensor<float> x = device.Allocate<float>(4), y = device.Allocate<float>(4);
        ReluForwardArguments arguments = new() { X = x.Argument, Y = y.Argument, Count = 4 };
        KernelDefinition<ReluForwardArguments> kernel = KernelCatalog.All.OfType<KernelDefinition<ReluForwardArguments>>().Single();
        y.Dispose();
        Throws("launch", () => stream.Launch(kernel, new KernelVariant(DType.Float32), new LaunchShape(1), arguments));
        Assert.Equal(0, device.Counters.Launches);
        x.Dispose();
        Assert.Equal(blocks, device.Counters.LiveBlocks);
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void DisposedKeyThrows(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> x = stream.Device.Allocate<float>(4);
        DeviceTensor<ulong> key = stream.Device.Upload<ulong>([1, 2], 2);
        key.Dispose();
        Throws("key", () => Dropout.Forward(stream, x, x, 0.5, key));
    }

    /// <summary>It is no key of the host: that would be (0, 0), the same bits in every step.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void NullKeyThrows(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> x = stream.Device.Allocate<float>(2, 4);
        using DeviceTensor<uint> words = stream.Device.Allocate<uint>(4);
        DeviceTensor<ulong> key = null!;
        (string Op, Action Call)[] calls =
        [
            ("Dropout.Forward", () => Dropout.Forward(stream, x, x, 0.5, key)),
            ("Dropout.Forward", () => Dropout.Forward(stream, x, x, 0, key)),
            ("GaussianNoise.Forward", () => GaussianNoise.Forward(stream, x, x, 1, key)),
            ("RandomBits.Fill", () => RandomBits.Fill(stream, words, key)),
        ];
        foreach ((string op, Action call) in calls)
        {
            ArgumentNullException error = Assert.Throws<ArgumentNullException>(nameof(key), call);
            Assert.StartsWith($"{op}: key is null", error.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void DisposedStreamThrows(string deviceId)
    {
        Device device = devices.Open(deviceId);
        using DeviceTensor<float> tensor = device.Allocate<float>(4);
        using DeviceStream other = device.CreateStream();
        using DeviceEvent recorded = other.Record();
        DeviceStream stream = device.CreateStream();
        stream.Dispose();
        stream.Dispose();
        EveryUseThrows(stream, tensor, recorded);
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void DisposedEventThrows(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceEvent good = stream.Record();
        DeviceEvent disposed = stream.Record();
        disposed.Dispose();
        disposed.Dispose();
        Throws("wait", disposed.Wait);
        Throws("is completed", () => _ = disposed.IsCompleted);
        Throws("elapsed", () => disposed.ElapsedSince(good));
        Throws("elapsed since", () => good.ElapsedSince(disposed));
        Throws("wait for", () => stream.WaitFor(disposed));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void DisposedDeviceThrows(string deviceId)
    {
        Device device = devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> tensor = device.Upload<float>([1, 2, 3, 4], 4);
        using DeviceTensor<float> empty = device.Allocate<float>(0);
        using DeviceEvent recorded = stream.Record();
        Dropout.Forward(stream, tensor, tensor, 0.5, Key);
        device.Dispose();
        device.Dispose();

        Throws("create stream", () => device.CreateStream());
        Throws("allocate", () => device.Allocate<float>(1));
        Throws("allocate buffer", () => device.AllocateBuffer<float>(1));
        Throws("allocate host", () => device.AllocateHost<float>(1));
        Throws("upload", () => device.Upload<float>([1], 1));
        Throws("wrap buffer", () => device.WrapBuffer<float>(1, 1));
        Throws("wrap stream", () => device.WrapStream(1));
        EveryUseThrows(stream, tensor, recorded);
        recorded.Wait();
        Assert.NotEmpty(device.ToString());
    }

    /// <summary>
    /// Every order of six objects would be 720; each object first and each last covers what can go wrong with a shared context.
    /// </summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void AnyOrderOfDisposalWorks(string deviceId)
    {
        devices.Open(deviceId);
        for (int rotation = 0; rotation < 6; rotation++)
        {
            Device device = Device.Open(deviceId);
            DeviceStream stream = device.CreateStream();
            DeviceTensor<float> tensor = device.Upload<float>([1, 2, 3, 4], 4);
            HostBuffer<float> host = device.AllocateHost<float>(4);
            Dropout.Forward(stream, tensor, tensor, 0.5, Key);
            DeviceEvent recorded = stream.Record();
            DeviceTensor<float> second = device.Allocate<float>(1000);
            recorded.Wait();
            IDisposable[] all = [device, stream, tensor, host, recorded, second];
            for (int i = 0; i < all.Length; i++) all[(i + rotation) % all.Length].Dispose();
            Assert.Equal((0, 0), (device.Counters.LiveBytes, device.Counters.LiveBlocks));
        }
    }

    /// <summary>What nobody disposed is found by the collector and released by the next call on the device.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void AbandonedObjectsAreReleased(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> kept = device.Upload<float>([1, 2, 3], 3);
        (long bytes, long blocks) = (device.Counters.LiveBytes, device.Counters.LiveBlocks);
        AbandonMany(device);
        Assert.True(device.Counters.LiveBlocks > blocks);
        for (int attempt = 0; attempt < 20 && device.Counters.LiveBlocks > blocks; attempt++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            stream.Synchronize();
        }

        Assert.Equal((bytes, blocks), (device.Counters.LiveBytes, device.Counters.LiveBlocks));
        Assert.Equal([1, 2, 3], kept.ToArray(stream));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AbandonMany(Device device)
    {
        for (int i = 0; i < 10; i++)
        {
            DeviceStream stream = device.CreateStream();
            DeviceTensor<float> tensor = device.Allocate<float>(1 << 16);
            HostBuffer<float> host = device.AllocateHost<float>(1 << 10);
            stream.Fill(tensor, 1f);
            stream.Upload(host, tensor.Slice(0, host.Length));
            using (stream.RentScratch<float>(100)) Dropout.Forward(stream, tensor, tensor, 0.5, Key);
            stream.Record().Wait();
        }
    }

    private static void EveryUseThrows(DeviceStream stream, DeviceTensor<float> tensor, DeviceEvent recorded)
    {
        Throws("upload", () => stream.Upload(new float[4], tensor));
        Throws("download", () => stream.Download(tensor, new float[4]));
        Throws("copy", () => stream.Copy(tensor, tensor));
        Throws("fill", () => stream.Fill(tensor, 1f));
        Throws("record", () => stream.Record());
        Throws("wait for", () => stream.WaitFor(recorded));
        Throws("synchronize", stream.Synchronize);
        Throws("op", () => Dropout.Forward(stream, tensor, tensor, 0.5, Key));
        if (stream.Device.Kind != DeviceKind.Cpu) Throws("handle", () => _ = stream.NativeHandle);
    }

    private static void Throws(string use, Action call)
    {
        Exception? thrown = Record.Exception(call);
        Assert.True(thrown is ObjectDisposedException, $"{use}: {thrown?.ToString() ?? "nothing was thrown"}");
    }
}
