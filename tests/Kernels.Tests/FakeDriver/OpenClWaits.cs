using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>What waits for an OpenCL device, counted between the library and the driver.</summary>
public sealed class OpenClWaits() : Scenario("KERNELS_LIBOPENCL", StandIns.OpenCl)
{
    /// <summary>As on CUDA.</summary>
    [Fact(Explicit = true)]
    public void AThousandStepsWaitForNothing()
    {
        using Device device = Device.Open("opencl:0");
        using DeviceStream stream = device.CreateStream();
        using ThousandSteps steps = new(device);
        steps.Run(stream, ThousandSteps.WarmUp);
        long waits = FaultOpenCl.Waits;
        Step("a thousand steps");
        steps.Run(stream, 1000);
        Assert.Equal(waits, FaultOpenCl.Waits);
        Step("the end");
        stream.Synchronize();
        Assert.True(FaultOpenCl.Waits > waits);
        steps.AssertTrained(stream);
    }
}
