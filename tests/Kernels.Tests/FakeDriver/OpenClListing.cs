using Silk.NET.OpenCL;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>No platform, a platform without devices and a device that fails are three things, and the reason says which.</summary>
public sealed class OpenClListing : Scenario
{
    public OpenClListing()
        : base("KERNELS_LIBOPENCL", StandIns.OpenCl)
    {
    }

    [Fact(Explicit = true)]
    public void WhatIsMissingIsNamed()
    {
        DeviceDescription[] listed = List();
        string name = listed[0].Name;
        string platform = name[(name.LastIndexOf('(') + 1)..^1];
        Reason("clGetPlatformIDs", ErrorCodes.PlatformNotFoundKhr, "no OpenCL platform is installed");
        Reason("clGetPlatformIDs", ErrorCodes.OutOfHostMemory, "OutOfHostMemory (-6)", "clGetPlatformIDs");
        Reason("clGetDeviceIDs", ErrorCodes.DeviceNotFound, platform, "has no device", "DeviceNotFound (-1)");
        Reason("clGetDeviceIDs", ErrorCodes.OutOfResources, platform, "has no device", "OutOfResources (-5)");

        FaultOpenCl.Fail(1, ErrorCodes.InvalidDevice, "clGetDeviceInfo");
        DeviceDescription[] withOneBroken = List();
        Assert.False(withOneBroken[0].Available);
        Assert.Contains("InvalidDevice (-33)", withOneBroken[0].Reason, StringComparison.Ordinal);
        Assert.Equal(listed[1..], withOneBroken[1..]);
        Assert.Equal(listed, List());
    }

    private static DeviceDescription[] List() => [.. Device.List().Where(device => device.Kind == DeviceKind.OpenCl)];

    /// <summary>What is said when the next call of this function fails; the devices of other platforms are still there.</summary>
    private static void Reason(string function, ErrorCodes status, params string[] said)
    {
        FaultOpenCl.Fail(1, status, function);
        DeviceNotAvailableException missing = Assert.Throws<DeviceNotAvailableException>(() => Device.Open("opencl:99"));
        Assert.Equal(function, FaultOpenCl.FailedFunction);
        Assert.All(said, text => Assert.Contains(text, missing.Message, StringComparison.Ordinal));
        FaultOpenCl.Fail(1, status, function);
        Assert.All(List().Where(device => !device.Available), device => Assert.Contains(said[0], device.Reason, StringComparison.Ordinal));
    }
}

/// <summary>Where there is no OpenCL at all.</summary>
public sealed class OpenClMissing : Scenario
{
    internal const string Library = "/nowhere/libOpenCL.so";

    public OpenClMissing()
        : base("KERNELS_LIBOPENCL", Library)
    {
    }

    [Fact(Explicit = true)]
    public void EveryWayInSaysSo()
    {
        Action[] waysIn = [() => Device.Open("opencl:0"), () => Device.FromOpenClContext(1, 1)];
        foreach (Action wayIn in waysIn)
            Assert.Contains(Library, Assert.Throws<DeviceNotAvailableException>(wayIn).Message, StringComparison.Ordinal);
    }
}
