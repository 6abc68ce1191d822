using Kernels.Devices.OpenCl;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>The OpenCL device on <c>native/faultopencl</c>, which hands on to a real OpenCL what it does not fail.</summary>
public sealed class OpenClFakeDriverTests : FakeDriverTests
{
    /// <summary>Class, method and what is set for the process beyond the defaults.</summary>
    public static TheoryData<string, string, string> Scenarios => new()
    {
        { nameof(OpenClCallSites), nameof(OpenClCallSites.OfDropoutCompiled), "" },
        { nameof(OpenClCallSites), nameof(OpenClCallSites.OfDropoutAndLinearCached), Cached },
        { nameof(OpenClCallSites), nameof(OpenClCallSites.OfStreamsAndMemory), "" },
        { nameof(OpenClWaits), nameof(OpenClWaits.AThousandStepsWaitForNothing), "" },
        { nameof(OpenClListing), nameof(OpenClListing.WhatIsMissingIsNamed), "" },
        { nameof(OpenClMissing), nameof(OpenClMissing.EveryWayInSaysSo), $"KERNELS_LIBOPENCL={OpenClMissing.Library}" },
    };

    [Theory]
    [MemberData(nameof(Scenarios))]
    public async Task Passes(string type, string method, string setting)
    {
        StandIns.SkipUnlessBuilt(StandIns.OpenCl);
        DeviceDescription first = OpenClDevice.Describe()[0];
        Assert.SkipUnless(first.Available, $"{first.Id}: {first.Reason}");
        await Run(Scenarios, type, method, setting, ("KERNELS_LIBOPENCL", StandIns.OpenCl));
    }
}
