using Kernels.Tests.Support;

namespace Kernels.Tests.Devices;

internal static class OwnDevice
{
    /// <summary>
    /// A device that no other test uses: its counters stand still and it may be disposed. Skips the test where it is missing.
    /// </summary>
    public static Device OpenOwn(this TestDevices devices, string id)
    {
        devices.Open(id);
        return Device.Open(id);
    }
}
