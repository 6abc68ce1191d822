using System.Runtime.InteropServices;
using Kernels.Devices;
using Kernels.Devices.Cuda;
using Kernels.Interop;
using Kernels.Tests.DeviceCode;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>What reaches the driver: arguments, grids, images, and in which order.</summary>
public sealed unsafe class CudaLaunches : CudaScenario
{
    private static FakeLaunch _launch;

    /// <summary>
    /// Every kernel in every variant is launched with a record of values that are all different. The stand-in reads them as wide as the
    /// kernel's text declares, so one that is out of order, too narrow or of the wrong type is another value under that name.
    /// </summary>
    [Fact(Explicit = true)]
    public void EveryArgumentArrivesUnderItsName()
    {
        FakeCuda.OnLaunch(&Remember);
        int launches = 0;
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        {
            foreach (KernelDefinition kernel in KernelPrograms.Kernels)
            {
                Step(kernel.ToString());
                foreach (KernelVariant variant in kernel.Variants)
                {
                    SentinelLaunch.Of(kernel).Check(stream, variant, () => _launch);
                    launches++;
                }
            }
        }

        AssertClean();
        Report($"{launches} launches of {KernelPrograms.Kernels.Count} kernels");
    }

    /// <summary>The check itself, with a record whose fields are bound in the wrong order.</summary>
    [Fact(Explicit = true)]
    public void SwappedArgumentsAreSeen()
    {
        FakeCuda.OnLaunch(&Remember);
        KernelDefinition wrong = new EntryPoint<SwappedArguments>(typeof(Device).Assembly, "portable/random.cl", "random_advance")
            .Fixed((in KernelVariant _, in SwappedArguments _) => { });
        using Device device = Device.Open("cuda:0");
        using DeviceStream stream = device.CreateStream();
        Assert.ThrowsAny<Exception>(() => SentinelLaunch.Of(wrong).Check(stream, new KernelVariant(DType.Float32), () => _launch));
        Assert.Contains("argument key, 0x1122334455660002, is not in device memory", Assert.Single(FakeCuda.Violations),
            StringComparison.Ordinal);
    }

    /// <summary>With the CPU's bodies in place of the kernels, every problem of every op has the right results.</summary>
    [Fact(Explicit = true)]
    public void EveryProblemHasTheRightResult()
    {
        int problems = 0;
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        {
            foreach (OpCase op in OpCase.All)
            {
                foreach (DType dtype in op.DTypes)
                {
                    foreach (Problem problem in op.Problems.Where(problem => IsSmall(problem, dtype)))
                    {
                        Step($"{op} {dtype} {problem}");
                        ProblemResult result = Verifier.Verify(stream, new Trial(op, problem, dtype), elementOffset: problems % 2);
                        Assert.True(result.Passed, $"{op} {dtype} {problem}: {result.Failure}");
                        problems++;
                    }
                }
            }
        }

        AssertClean();
        Report($"{problems} problems");

        // In types other than float, only what the type decides: kernels and arguments, not how many groups there are.
        static bool IsSmall(Problem problem, DType dtype) =>
            problem.Bytes(elementBytes: 1) + problem.Flops <= (dtype == DType.Float32 ? 1 << 20 : 1 << 16);
    }

    /// <summary>
    /// A GPU gets machine code of its own architecture where the compiler knows it, else PTX of the newest one before it.
    /// </summary>
    [Fact(Explicit = true)]
    public void ImagesAreOfAnArchitectureThatTheGpuRuns()
    {
        (int, string)[] gpus = [(70, "CUBIN"), (75, "CUBIN"), (87, "PTX"), (90, "CUBIN"), (103, "PTX"), (121, "PTX")];
        foreach ((int capability, string format) in gpus)
        {
            FakeCuda.Reset();
            FakeCuda.Configure(computeCapability: capability);
            using (Device device = Device.Open("cuda:0"))
            using (DeviceStream stream = device.CreateStream())
            using (DeviceTensor<float> x = device.Allocate<float>(8))
            {
                long before = FakeCuda.Calls();
                Relu.Forward(stream, x, x);
                Assert.Equal(
                    [
                        "cuCtxPushCurrent_v2", "nvrtcVersion", "cuDriverGetVersion", "nvrtcGetNumSupportedArchs", "nvrtcGetSupportedArchs",
                        "nvrtcCreateProgram", "nvrtcCompileProgram", $"nvrtcGet{format}Size", $"nvrtcGet{format}", "nvrtcDestroyProgram",
                        "cuModuleLoadDataEx", "cuModuleGetFunction", "cuOccupancyMaxActiveBlocksPerMultiprocessor", "cuLaunchKernel",
                        "cuCtxPopCurrent_v2",
                    ],
                    FakeCuda.Log(before).Where(name => !name.Contains("ProgramLog", StringComparison.Ordinal)));

                before = FakeCuda.Calls();
                Relu.Forward(stream, x, x);
                Assert.Equal(["cuCtxPushCurrent_v2", "cuLaunchKernel", "cuCtxPopCurrent_v2"], FakeCuda.Log(before));
            }

            AssertClean($"compute capability {capability}");
        }
    }

    /// <summary>
    /// No op waits, allocates or frees after the first steps: also under a schedule of learning rates, with snapshots, penalties and
    /// reports of bad data.
    /// </summary>
    [Fact(Explicit = true)]
    public void AThousandStepsWaitForNothing()
    {
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        using (ThousandSteps steps = new(device))
        {
            steps.Run(stream, ThousandSteps.WarmUp);
            FakeCuda.PutOff();
            long waits = FakeCuda.Waits;
            Step("a thousand steps");
            steps.Run(stream, 1000);
            Assert.Equal(waits, FakeCuda.Waits);
            Step("the end");
            steps.AssertTrained(stream);
        }

        AssertClean();
    }

    /// <summary>Small uploads and fills of every size are queued and never waited for, however many there are.</summary>
    [Fact(Explicit = true)]
    public void SmallUploadsAndFillsDoNotWait()
    {
        const int Rounds = 400;
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        using (DeviceTensor<byte> bytes = device.Allocate<byte>(Rounds * 1000))
        using (DeviceTensor<double> reals = device.Allocate<double>(7))
        {
            for (int round = 0; round < Rounds; round++)
                stream.Upload<byte>([.. Enumerable.Range(0, 1000).Select(i => (byte)((i * 7) ^ round))], bytes.Slice(round * 1000, 1000));
            stream.Fill(reals, 0.1);
            Assert.Equal(0, FakeCuda.Calls("cuStreamSynchronize") + FakeCuda.Calls("cuEventSynchronize"));
            Assert.All(bytes.ToArray(stream).Select((value, i) => (value, i)), at =>
                Assert.Equal((byte)(((at.i % 1000) * 7) ^ (at.i / 1000)), at.value));
            Assert.All(reals.ToArray(stream), value => Assert.Equal(0.1, value));
        }

        AssertClean();
    }

    /// <summary>What stands in the list of devices, and why some cannot be opened.</summary>
    [Fact(Explicit = true)]
    public void DevicesAreListedAsTheyAre()
    {
        FakeCuda.Configure(devices: 2);
        Assert.All(CudaDevice.Describe(), description => Assert.True(description.Available, description.Reason));
        Assert.Equal(["cuda:0", "cuda:1"], CudaDevice.Describe().Select(description => description.Id));

        // One GPU of two that does not answer leaves the other in peace.
        FakeCuda.Fail(1, CudaStatus.DeviceUnavailable, sticky: false, "cuDeviceGetName");
        IReadOnlyList<DeviceDescription> one = CudaDevice.Describe();
        Assert.Equal([false, true], one.Select(description => description.Available));
        Assert.Contains("DeviceUnavailable (46) from cuDeviceGetName", one[0].Reason, StringComparison.Ordinal);

        FakeCuda.Configure(computeCapability: 61);
        Assert.Contains("6.1", Assert.Single(CudaDevice.Describe()).Reason, StringComparison.Ordinal);
        Assert.Throws<DeviceNotAvailableException>(() => Device.Open("cuda:0"));

        FakeCuda.Configure(devices: 0);
        Assert.False(Assert.Single(CudaDevice.Describe()).Available);
        FakeCuda.Fail(1, CudaStatus.NoDevice, sticky: false, "cuInit");
        Assert.Contains("NoDevice (100) from cuInit", Assert.Single(CudaDevice.Describe()).Reason, StringComparison.Ordinal);
        FakeCuda.Configure();
        AssertClean();
    }

    /// <summary>Two GPUs in one process: each object in the context of its own.</summary>
    [Fact(Explicit = true)]
    public void TwoDevicesKeepApart()
    {
        FakeCuda.Configure(devices: 2);
        using (Device first = Device.Open("cuda:0"))
        using (Device second = Device.Open("cuda:1"))
        using (DeviceStream stream = first.CreateStream())
        using (DeviceStream other = second.CreateStream())
        using (DeviceTensor<float> x = first.Upload<float>([-1, 2, 3], 3))
        using (DeviceTensor<float> y = second.Upload<float>([4, -5, 6], 3))
        {
            Assert.NotEqual(first.NativeContext, second.NativeContext);
            Relu.Forward(stream, x, x);
            Relu.Forward(other, y, y);
            Assert.Equal([0, 2, 3], x.ToArray(stream));
            Assert.Equal([4, 0, 6], y.ToArray(other));
            Assert.Throws<ArgumentException>(() => Relu.Forward(stream, y, y));
        }

        FakeCuda.Configure();
        AssertClean();
    }

    [UnmanagedCallersOnly]
    private static void Remember(FakeLaunch* launch) => _launch = *launch;

    private readonly record struct SwappedArguments(TensorArgument Key, ulong Steps) : IKernelArguments
    {
        public static int ParameterCount => 3;

        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.UInt64(Steps, "steps");
            binder.Tensor(Key, "key");
        }
    }
}
