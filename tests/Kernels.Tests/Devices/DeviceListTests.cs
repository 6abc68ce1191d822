using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Finding devices by id.</summary>
public sealed class DeviceListTests(TestDevices devices)
{
    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    [Fact]
    public void EveryKindIsListed()
    {
        IReadOnlyList<DeviceDescription> all = Device.List();
        Assert.Equal(["cpu", "opencl", "cuda"], all.Select(device => device.Id.Split(':')[0]).Distinct());
        Assert.Equal(all.Count, all.Select(device => device.Id).Distinct().Count());
        Assert.All(all, device => Assert.Equal(device.Available, device.Reason is null));
        Assert.All(all, device => Assert.Equal(device.Id.Split(':')[0], device.Kind.ToString(), StringComparer.OrdinalIgnoreCase));
        Assert.All(all.Where(device => device.Available), device => Assert.True(device.MemoryBytes > 0 && device.Name.Length > 0));
        Assert.True(all[0].Available);
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void ListedDevicesOpen(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId.ToUpperInvariant().ToLowerInvariant());
        Assert.Equal(deviceId, device.Id);
        Assert.Equal(TestDevices.All.Single(listed => listed.Id == deviceId), device.Description);
        using Device same = Device.Open($" {deviceId.ToUpperInvariant()} ");
        Assert.Equal(deviceId, same.Id);
        using Device first = Device.Open(deviceId.Split(':')[0]);
        Assert.Equal(device.Kind, first.Kind);
    }

    [Fact]
    public void UnavailableDevicesSayWhy()
    {
        foreach (DeviceDescription missing in Device.List().Where(device => !device.Available))
        {
            DeviceNotAvailableException failure = Assert.Throws<DeviceNotAvailableException>(() => Device.Open(missing.Id));
            Assert.Contains(missing.Id, failure.Message, StringComparison.Ordinal);
            Assert.Contains(missing.Reason!, failure.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("opencl:99")]
    [InlineData("opencl:-1")]
    [InlineData("cuda:99")]
    [InlineData("cuda:-1")]
    public void NumbersBeyondTheLastAreNotAvailable(string id) =>
        Assert.Contains(id, Assert.Throws<DeviceNotAvailableException>(() => Device.Open(id)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("")]
    [InlineData("gpu")]
    [InlineData("cpu:0")]
    [InlineData("opencl:")]
    [InlineData("opencl:first")]
    [InlineData("opencl:0:1")]
    [InlineData("cuda:99999999999")]
    public void OtherTextsAreNoIds(string id) =>
        Assert.Contains($"'{id}' is not a device id", Assert.Throws<ArgumentException>(() => Device.Open(id)).Message,
            StringComparison.Ordinal);

    [Fact]
    public void DefaultIsTheFastestKind()
    {
        using Device device = Device.Open();
        bool hasGpu = Device.List().Any(listed => listed.Kind == DeviceKind.Cuda && listed.Available);
        if (hasGpu) Assert.Equal(DeviceKind.Cuda, device.Kind);
        Assert.True(device.Description.Available);
    }

    /// <summary>All threads of a program may ask at once.</summary>
    [Fact]
    public void ListIsTheSameForAllThreads()
    {
        string[] expected = [.. Device.List().Select(device => device.Id)];
        string[][] seen = new string[8][];
        Thread[] threads = [.. Enumerable.Range(0, 8)
            .Select(i => new Thread(() => seen[i] = [.. Device.List().Select(device => device.Id)]))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.All(seen, ids => Assert.Equal(expected, ids));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void TensorsOfAnotherDeviceAreRefused(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using Device other = Device.Open("cpu");
        using DeviceTensor<float> mine = stream.Device.Allocate<float>(4), foreign = other.Allocate<float>(4);
        using DeviceTensor<ulong> foreignKey = other.Upload<ulong>([1, 2], 2);
        RandomKey key = new(1, 2);
        Action[] calls =
        [
            () => stream.Upload(new float[4], foreign), () => stream.Download(foreign, new float[4]), () => stream.Fill(foreign, 1f),
            () => stream.Copy(mine, foreign), () => stream.Copy(foreign, mine), () => foreign.ToArray(stream),
            () => Dropout.Forward(stream, mine, foreign, 0.5, key), () => Dropout.Forward(stream, foreign, mine, 0.5, key),
            () => Dropout.Forward(stream, mine, mine, 0.5, foreignKey),
        ];
        Assert.All(calls, call => Assert.Contains("cpu", Assert.Throws<ArgumentException>(call).Message, StringComparison.Ordinal));
    }
}
