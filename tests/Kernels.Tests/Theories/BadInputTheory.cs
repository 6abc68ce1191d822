using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>
/// Calls that make no sense are refused: with the exact exception, which names the op, before any launch, and nothing is left behind.
/// </summary>
public sealed class BadInputTheory(TestDevices devices)
{
    [Theory]
    [MemberData(nameof(CaseRows.BadInputs), MemberType = typeof(CaseRows))]
    public void BadInput_IsRefusedBeforeAnyLaunch(string deviceId, string op, string name)
    {
        devices.Open(deviceId);
        BadInput bad = CaseRows.Op(op).BadInputs.Single(bad => bad.Name == name);

        // A device of its own: the counters of the shared one move with the tests beside this one.
        using Device device = Device.Open(deviceId);
        using DeviceStream stream = device.CreateStream();
        Exception thrown = Assert.Throws(bad.Exception, () => bad.Call(device, stream));

        Assert.Equal(0, device.Counters.Launches);
        Assert.Equal(0, device.Counters.LiveBlocks);
        Assert.Contains(CaseRows.Op(op).ApiName, thrown.Message, StringComparison.OrdinalIgnoreCase);
        string? named = thrown is ObjectDisposedException disposed ? disposed.ObjectName : (thrown as ArgumentException)?.ParamName;
        if (thrown is ArgumentException) Assert.False(string.IsNullOrEmpty(named), $"names no argument: {thrown.Message}");
        if (bad.Argument is not null) Assert.Equal(bad.Argument, named);
        if (bad.Says is not null) Assert.Contains(bad.Says, thrown.Message, StringComparison.Ordinal);
    }
}
