using System.Collections.Concurrent;
using Kernels.Tests.Support;
using Xunit;

[assembly: AssemblyFixture(typeof(TestDevices))]

namespace Kernels.Tests.Support;

/// <summary>
/// Every device of this machine, opened once per run. A kind of device that is missing has rows of its own in each theory, which are
/// skipped with the reason: what was not tested is counted, not absent.
/// </summary>
public sealed class TestDevices : IDisposable
{
    /// <summary>Devices to test, separated by commas; unset for all.</summary>
    public const string SelectionVariable = "KERNELS_TEST_DEVICES";

    private readonly ConcurrentDictionary<string, Lazy<Device>> _opened = new();

    /// <summary>All devices, the missing ones included.</summary>
    public static IReadOnlyList<DeviceDescription> All { get; } = [.. Device.List().Where(IsSelected)];

    /// <summary>One row per device.</summary>
    public static TheoryData<string> Rows => [.. All.Select(device => device.Id)];

    /// <summary>The device; skips the test where it is missing.</summary>
    public Device Open(string id)
    {
        DeviceDescription? description = All.SingleOrDefault(device => device.Id == id);
        Assert.SkipWhen(description is null, $"{id}: not among {SelectionVariable}");
        Assert.SkipUnless(description.Available, $"{id}: {description.Reason}");
        return _opened.GetOrAdd(id, _ => new Lazy<Device>(() => Device.Open(id))).Value;
    }

    /// <summary>A stream of its own on the device; skips the test where it is missing.</summary>
    public DeviceStream CreateStream(string id) => Open(id).CreateStream();

    /// <summary>The devices that can be opened.</summary>
    public IEnumerable<Device> OpenAll() => All.Where(device => device.Available).Select(device => Open(device.Id));

    public void Dispose()
    {
        foreach (Lazy<Device> device in _opened.Values) device.Value.Dispose();
    }

    private static bool IsSelected(DeviceDescription device) =>
        Environment.GetEnvironmentVariable(SelectionVariable) is not { Length: > 0 } selection || selection.Split(',').Contains(device.Id);
}
