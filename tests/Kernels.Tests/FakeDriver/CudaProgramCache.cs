using Kernels.Devices;
using Kernels.Interop;
using Kernels.Tests.DeviceCode;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>Compiled programs on disk, shared by processes, refused by drivers.</summary>
public sealed unsafe class CudaProgramCache : CudaScenario
{
    /// <summary>Where the parent says when to start; every process that takes part leaves a file there.</summary>
    internal const string GateVariable = "KERNELS_TEST_GATE";

    /// <summary>How many programs the process must find uncompiled; not set: any number.</summary>
    internal const string CompilationsVariable = "KERNELS_TEST_COMPILATIONS";

    private static string Folder => ProgramCache.Folder!;

    /// <summary>Asks for every kernel in every variant, at the same moment as other processes do.</summary>
    [Fact(Explicit = true)]
    public void CompileEverything()
    {
        FakeCuda.OnLaunch(null);
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        {
            WaitAtGate();
            foreach (KernelDefinition kernel in KernelPrograms.Kernels)
            {
                Step(kernel.ToString());
                foreach (KernelVariant variant in kernel.Variants) EmptyLaunch.Of(kernel).Launch(stream, variant);
            }

            Report($"{device.Counters.Launches} launches, {device.Counters.Compilations} compilations");
            if (Environment.GetEnvironmentVariable(CompilationsVariable) is { Length: > 0 } expected)
                Assert.Equal(long.Parse(expected), device.Counters.Compilations);
        }

        AssertClean();
        Assert.Empty(Directory.EnumerateFiles(Folder, "*.tmp"));
    }

    /// <summary>An image that the driver will not have is compiled again; a driver that is out of memory does not cost the entry.</summary>
    [Fact(Explicit = true)]
    public void EntriesThatTheDriverRefusesAreReplaced()
    {
        Assert.Equal(1, Compilations());
        Assert.Equal(0, Compilations());

        FakeCuda.Fail(1, CudaStatus.InvalidImage, sticky: false, "cuModuleLoadDataEx");
        Assert.Equal(1, Compilations());
        Assert.Equal("cuModuleLoadDataEx", FakeCuda.FailedFunction);
        Assert.Equal(0, Compilations());

        FakeCuda.Fail(1, CudaStatus.OutOfMemory, sticky: false, "cuModuleLoadDataEx");
        Assert.Throws<OutOfDeviceMemoryException>(() => Compilations());
        Assert.Equal(0, Compilations());

        string entry = Assert.Single(Directory.EnumerateFiles(Folder));
        byte[] bytes = File.ReadAllBytes(entry);
        bytes[^1] ^= 1;
        File.WriteAllBytes(entry, bytes);
        Assert.Equal(1, Compilations());
        Assert.Equal(0, Compilations());

        // Another GPU, another compiler: other entries.
        FakeCuda.Configure(computeCapability: 80);
        Assert.Equal(1, Compilations());
        FakeCuda.Configure();
        Assert.Equal(2, Directory.EnumerateFiles(Folder).Count());
        AssertClean();
    }

    private static long Compilations()
    {
        using Device device = Device.Open("cuda:0");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> x = device.Upload<float>([-1, 1], 2);
        Relu.Forward(stream, x, x);
        Assert.Equal([0, 1], x.ToArray(stream));
        return device.Counters.Compilations;
    }

    private static void WaitAtGate()
    {
        if (Environment.GetEnvironmentVariable(GateVariable) is not { Length: > 0 } gate) return;
        File.WriteAllText(Path.Combine(gate, $"ready.{Environment.ProcessId}"), "");
        Eventually(() => File.Exists(Path.Combine(gate, "open")), "the gate stayed shut");
    }

    /// <summary>A launch of which only the program matters.</summary>
    private abstract class EmptyLaunch
    {
        public static EmptyLaunch Of(KernelDefinition kernel)
        {
            Type record = kernel.GetType().GetGenericArguments()[0];
            return (EmptyLaunch)Activator.CreateInstance(typeof(EmptyLaunch<>).MakeGenericType(record), kernel)!;
        }

        public abstract void Launch(DeviceStream stream, KernelVariant variant);
    }

    private sealed class EmptyLaunch<TArguments>(KernelDefinition<TArguments> kernel) : EmptyLaunch
        where TArguments : struct, IKernelArguments
    {
        public override void Launch(DeviceStream stream, KernelVariant variant) =>
            stream.Launch(kernel, variant, new LaunchShape(1), default);
    }
}
