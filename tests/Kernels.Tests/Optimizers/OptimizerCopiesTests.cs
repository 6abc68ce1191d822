using Kernels.Cpu;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Optimizers;

/// <summary>
/// What an optimizer keeps beside the parameters (master copies, averages, options on the device) never hides what someone else wrote.
/// </summary>
public sealed class OptimizerCopiesTests(TestDevices devices)
{
    /// <summary>Ways to give a parameter the value 5, and whether the library sees them.</summary>
    private static readonly Dictionary<string, (bool IsSeen, Action<DeviceStream, DeviceTensor<float>> Write)> Writes = new()
    {
        ["upload"] = (true, (stream, parameter) => stream.Upload<float>([5, 5], parameter)),
        ["pinned upload"] = (true, (stream, parameter) =>
        {
            using HostBuffer<float> host = stream.Device.AllocateHost<float>(2);
            host.Span.Fill(5);
            stream.Upload(host, parameter);
            stream.Synchronize();
        }
        ),
        ["fill"] = (true, (stream, parameter) => stream.Fill(parameter, 5f)),
        ["copy"] = (true, (stream, parameter) =>
        {
            using DeviceTensor<float> five = stream.Device.Upload<float>([5, 5], 2);
            stream.Copy(five, parameter);
        }
        ),
        ["part of it"] = (true, (stream, parameter) =>
        {
            using DeviceTensor<float> five = stream.Device.Upload<float>([5, 5], 2);
            Relu.Forward(stream, five, parameter);
            stream.Upload<float>([5], parameter.Slice(1, 1));
        }
        ),
        ["a kernel"] = (false, (stream, parameter) =>
        {
            using DeviceTensor<float> five = stream.Device.Upload<float>([5, 5], 2);
            Relu.Forward(stream, five, parameter);
        }
        ),
    };

    public static TheoryData<string, string> Ways => [.. from device in TestDevices.All from way in Writes.Keys select (device.Id, way)];

    /// <summary>Its average begins anew, and that of its neighbour in the same memory goes on.</summary>
    [Theory]
    [MemberData(nameof(Ways))]
    public void AParameterThatWasWritten_RestartsItsAverage(string deviceId, string way)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceBuffer<float> memory = stream.Device.AllocateBuffer<float>(8);
        DeviceTensor<float> written = memory.View(0, 2), neighbour = memory.View(2, 2);
        stream.Fill(memory.View(0, 8), 1f);
        using Sgd<float> sgd = new(
            stream.Device, [new([written, neighbour], [memory.View(4, 2), memory.View(6, 2)], new SgdOptions { LearningRate = 0.25 })],
            new() { AverageDecay = 0.5 });
        for (int step = 0; step < 2; step++) sgd.Step(stream);
        Assert.Equal([0.625f, 0.625f], sgd.GetState(OptimizerState.AverageWeight, 0).ToArray(stream));

        (bool isSeen, Action<DeviceStream, DeviceTensor<float>> write) = Writes[way];
        write(stream, written);
        sgd.Step(stream);
        Assert.Equal([4.75f, 4.75f], written.ToArray(stream));
        float average = isSeen ? 4.75f : (0.625f + 4.75f) / 2;
        Assert.Equal([average, average], sgd.GetState(OptimizerState.AverageWeight, 0).ToArray(stream));
        Assert.Equal([0.4375f, 0.4375f], sgd.GetState(OptimizerState.AverageWeight, 1).ToArray(stream));

        sgd.RestartAverages(stream);
        sgd.Step(stream);
        Assert.Equal([4.5f, 4.5f], sgd.GetState(OptimizerState.AverageWeight, 0).ToArray(stream));
        Assert.Equal([0f, 0f], sgd.GetState(OptimizerState.AverageWeight, 1).ToArray(stream));
    }

    /// <summary>
    /// Restored, eagerly or in a graph, parameters are where they were saved: neither copy nor average brings back what came after.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void RestoredParameters_Hold(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        Restored<float>(stream);
        Restored<Half>(stream);
        Restored<BFloat16>(stream);
    }

    /// <summary>
    /// Whoever writes a parameter of a half type, the next step begins there and not at the master copy; elements that nobody wrote keep
    /// theirs.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void AMasterCopy_GivesWayToWhatWasWritten(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        BFloat16 one = (BFloat16)1f;
        using DeviceTensor<BFloat16> weight = stream.Device.Upload<BFloat16>([one, one], 2);
        using DeviceTensor<BFloat16> gradient = stream.Device.Upload<BFloat16>([one, one], 2);
        using DeviceTensor<BFloat16> five = stream.Device.Upload<BFloat16>([(BFloat16)5f], 1);
        using Sgd<BFloat16> sgd = new(
            stream.Device, [new([weight], [gradient], new SgdOptions { LearningRate = 1.0 / 1024 })], new() { KeepsMasterCopy = true });
        sgd.Step(stream);
        Relu.Forward(stream, five, weight.Slice(0, 1));
        sgd.Step(stream);
        Assert.Equal([5 - (1f / 1024), 1 - (2f / 1024)], sgd.GetState(OptimizerState.MasterCopy, 0).ToArray(stream));
    }

    /// <summary>State that a checkpoint lacks has its default: 0, for an average "not begun", for a master copy the parameter.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void StateThatWasNotLoaded_HasItsDefault(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<Half> weight = stream.Device.Upload<Half>([(Half)2f], 1), gradient = stream.Device.Upload<Half>([(Half)1f], 1);
        RmsPropOptions options = new() { LearningRate = 0.5, SecondMomentDecay = 0.75, Momentum = 0.5, Centered = true };
        using RmsProp<Half> optimizer = new(
            stream.Device, [new([weight], [gradient], options)], new() { KeepsMasterCopy = true, AverageDecay = 0.5 });
        Assert.Equal(5, optimizer.StateNames.Count);
        foreach (string name in optimizer.StateNames)
            Assert.Equal([name == OptimizerState.AverageWeight ? float.NaN : 0], optimizer.GetState(name, 0).ToArray(stream));
        Assert.Equal(0, optimizer.ReadGradientNorm(stream));

        optimizer.Resume(stream, 7);
        optimizer.Step(stream);
        float expected = 2 - (0.5f / MathF.Sqrt(0.25f - (0.25f * 0.25f)));
        Assert.Equal(expected, optimizer.GetState(OptimizerState.MasterCopy, 0).ToArray(stream)[0], 1e-6f);
        Assert.Equal(expected, optimizer.GetState(OptimizerState.AverageWeight, 0).ToArray(stream)[0], 1e-6f);
        Assert.Equal([8UL, 0UL], optimizer.StepCounts.ToArray(stream));
    }

    /// <summary>Parameters first, then state: so a checkpoint keeps its averages.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ALoadedAverage_GoesOn(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> weight = stream.Device.Allocate<float>(1), gradient = stream.Device.Upload<float>([1], 1);
        using Sgd<float> sgd = new(
            stream.Device, [new([weight], [gradient], new SgdOptions { LearningRate = 1 })], new() { AverageDecay = 0.5 });
        stream.Upload<float>([3], weight);
        stream.Upload<float>([8], sgd.GetState(OptimizerState.AverageWeight, 0));
        sgd.Resume(stream, 100);
        sgd.Step(stream);
        Assert.Equal([5f], sgd.GetState(OptimizerState.AverageWeight, 0).ToArray(stream));
    }

    /// <summary>A rate that another thread sets while a step reads the options is that of the next step, if not of this one.</summary>
    [Fact]
    public void OptionsSetWhileAStepReadsThem_AreNotLost()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> weight = device.Upload<float>([0], 1), gradient = device.Upload<float>([1], 1);
        Thread? setter = null;
        HookedSgd? sgd = null;
        HookedOptions slow = new()
        {
            LearningRate = 1,
            OnWrite = () =>
            {
                setter = new Thread(() => sgd!.SetOptions(0, new HookedOptions { LearningRate = 10 }));
                setter.Start();

                // It gets in now, or when the step lets it.
                setter.Join(50);
            },
        };
        using (sgd = new HookedSgd(device, [new([weight], [gradient], slow)]))
        {
            sgd.Step(stream);
            setter!.Join();
            stream.Fill(weight, 0f);
            sgd.Step(stream);
            Assert.Equal(10, sgd.GetOptions(0).LearningRate);
            Assert.Equal([-10f], weight.ToArray(stream));
        }
    }

    /// <summary>
    /// A graph steps with the options of its capture, and a step beside it with those of its own, in whatever order; preparing a step
    /// changes nothing.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void OptionsOfAGraph_AreThoseOfItsCapture(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> weight = stream.Device.Upload<float>([0], 1), gradient = stream.Device.Upload<float>([1], 1);
        using Sgd<float> sgd = new(stream.Device, [new([weight], [gradient], new SgdOptions { LearningRate = 1 })]);
        stream.Device.Prepare(sgd.Step);
        Stepped(-1, sgd.Step);
        using DeviceGraph graph = stream.Capture(() => sgd.Step(stream));
        sgd.SetOptions(0, new SgdOptions { LearningRate = 10 });
        Stepped(-11, sgd.Step);
        Stepped(-12, graph.Launch);
        Stepped(-22, sgd.Step);

        void Stepped(float expected, Action<DeviceStream> step)
        {
            step(stream);
            Assert.Equal([expected], weight.ToArray(stream));
        }
    }

    /// <summary>More options than one staged upload takes.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void EveryGroupOfThousands_HasItsOptions(string deviceId)
    {
        const int Groups = 2500;
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> weights = stream.Device.Allocate<float>(Groups), gradients = stream.Device.Allocate<float>(Groups);
        stream.Fill(weights, 0f);
        stream.Fill(gradients, 1f);
        using Sgd<float> sgd = new(stream.Device, [.. Enumerable.Range(0, Groups).Select(Group)]);
        sgd.Step(stream);
        Assert.Equal([.. Enumerable.Range(0, Groups).Select(i => (float)-i)], weights.ToArray(stream));

        ParameterGroup<float, SgdOptions> Group(int i) => new([weights.Slice(i, 1)], [gradients.Slice(i, 1)], new() { LearningRate = i });
    }

    /// <summary>Zeros are counted in 32 bits; a longer tensor is refused before anything is allocated for it.</summary>
    [Fact]
    public unsafe void AParameterBeyondTheCounter_IsRefused()
    {
        using Device device = Device.Open("cpu");
        Half only = default;

        // Never touched: 2^32 elements from there do not exist.
        using DeviceTensor<Half> weight = device.WrapTensor<Half>((nint)(&only), 0, 1L << 32);
        using DeviceTensor<Half> gradient = device.WrapTensor<Half>((nint)(&only), 0, 1L << 32);
        ArgumentException refusal = Assert.Throws<ArgumentException>(
            () => new Sgd<Half>(device, [new([weight], [gradient], new SgdOptions())], new() { CountsZeros = true }));
        Assert.Contains("32 bits", refusal.Message, StringComparison.Ordinal);
    }

    private static void Restored<T>(DeviceStream stream)
        where T : unmanaged
    {
        T one = CpuElement.FromDouble<T>(1);
        using DeviceTensor<T> weight = stream.Device.Upload<T>([one], 1), gradient = stream.Device.Upload<T>([one], 1);
        using ParameterSnapshot<T> best = new(stream.Device, [weight]);
        best.Save(stream);
        using Sgd<T> sgd = new(
            stream.Device, [new([weight], [gradient], new SgdOptions { LearningRate = 0.125 })],
            new() { KeepsMasterCopy = true, AverageDecay = 0.5 });
        for (int step = 0; step < 4; step++) sgd.Step(stream);
        best.Restore(stream);
        sgd.Step(stream);
        Check("restored");
        using DeviceGraph graph = stream.Capture(() =>
        {
            best.Restore(stream);
            sgd.Step(stream);
        });
        for (int replay = 0; replay < 2; replay++)
        {
            sgd.Step(stream);
            graph.Launch(stream);
            Check($"replay {replay}");
        }

        void Check(string when)
        {
            foreach (string name in sgd.StateNames)
            {
                double kept = typeof(T) == typeof(double)
                    ? sgd.GetStateAs<double>(name, 0).ToArray(stream)[0]
                    : sgd.GetStateAs<float>(name, 0).ToArray(stream)[0];
                Assert.True(kept == 0.875, $"{typeof(T).Name}, {when}: {name} is {kept}");
            }

            Assert.Equal(0.875, CpuElement.ToDouble(weight.ToArray(stream)[0]));
        }
    }

    /// <summary>SGD with options that say when they are read.</summary>
    private sealed class HookedSgd(Device device, IReadOnlyList<ParameterGroup<float, HookedOptions>> groups)
        : Optimizer<float, HookedOptions>("Sgd", device, groups, null, OptimizerKernels.Sgd, _ => [null, null, null])
    {
        private protected override bool HasStateFor(IReadOnlyList<HookedOptions> options) => true;
    }

    private sealed record HookedOptions : OptimizerOptions
    {
        public Action? OnWrite { get; init; }

        internal override void Write(ref GroupOptions<double> options) => OnWrite?.Invoke();
    }
}
