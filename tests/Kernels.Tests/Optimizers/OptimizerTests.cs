using Kernels.Cpu;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Optimizers;

/// <summary>What regularizers in an optimizer promise, seen over whole trainings.</summary>
public sealed class OptimizerTests(TestDevices devices)
{
    private const int Steps = 300;

    /// <summary>The pull on each weight: some that L1 of 0.2 cannot hold at zero, some that it can.</summary>
    private static readonly float[] Targets = [1, -1, 0.5f, 0.1f, -0.1f, 0.05f, 0, 0.3f, -0.15f, 2];

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ProximalL1_GivesTheExactZerosOfTheLasso(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        SgdOptions options = new() { LearningRate = 0.1, L1 = 0.2 };
        float[] weights = Fit(stream, [options], (device, groups, settings) => new Sgd<float>(device, groups, settings), out uint[] zeros);
        // The minimum of (w - target)^2 / 2 + l1 * |w| is the soft threshold of the target.
        for (int i = 0; i < Targets.Length; i++)
            Assert.Equal(Math.Sign(Targets[i]) * Math.Max(Math.Abs(Targets[i]) - 0.2, 0), weights[i], 1e-5);
        Assert.Equal(5, weights.Count(weight => weight == 0));
        Assert.Equal([5u], zeros);

        float[] subgradient = Fit(
            stream, [options with { L1Mode = L1Mode.Subgradient }], (device, groups, settings) =>
                new Sgd<float>(device, groups, settings), out zeros);
        Assert.DoesNotContain(0f, subgradient);
        Assert.Equal([0u], zeros);
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ElasticNet_HasItsClosedForm(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        SgdOptions options = new() { LearningRate = 0.1, L1 = 0.2, WeightDecay = 0.5, WeightDecayMode = WeightDecayMode.Proximal };
        float[] weights = Fit(stream, [options], (device, groups, settings) => new Sgd<float>(device, groups, settings), out _);
        for (int i = 0; i < Targets.Length; i++)
            Assert.Equal(Math.Sign(Targets[i]) * Math.Max(Math.Abs(Targets[i]) - 0.2, 0) / 1.5, weights[i], 1e-5);
    }

    /// <summary>
    /// Under plain SGD w - r (g + d w) is (1 - r d) w - r g. Under Adam a coupled decay is divided by the gradient's size, a decoupled one
    /// is not.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void CoupledAndDecoupledDecay_AgreeUnderSgdAndDifferUnderAdam(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        float[][] sgd = [.. Modes().Select(mode => Fit(
            stream, [new SgdOptions { LearningRate = 0.1, WeightDecay = 0.5, WeightDecayMode = mode }],
            (device, groups, settings) => new Sgd<float>(device, groups, settings), out _))];
        float[][] adam = [.. Modes().Select(mode => Fit(
            stream, [new AdamOptions { LearningRate = 0.01, WeightDecay = 0.5, WeightDecayMode = mode }],
            (device, groups, settings) => new Adam<float>(device, groups, settings), out _))];
        for (int i = 0; i < Targets.Length; i++) Assert.Equal(sgd[0][i], sgd[1][i], 1e-5);
        Assert.Contains(Enumerable.Range(0, Targets.Length), i => Math.Abs(adam[0][i] - adam[1][i]) > 0.05);

        static WeightDecayMode[] Modes() => [WeightDecayMode.Coupled, WeightDecayMode.Decoupled];
    }

    /// <summary>A bias in a group of its own is not decayed.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Groups_KeepTheirOwnSettings(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        float[] weights = Fit(
            stream, [new SgdOptions { LearningRate = 0.1, WeightDecay = 1 }, new SgdOptions { LearningRate = 0.1 }],
            (device, groups, settings) => new Sgd<float>(device, groups, settings), out _);
        for (int i = 0; i < Targets.Length; i++)
        {
            Assert.Equal(Targets[i] / 2, weights[i], 1e-5);
            Assert.Equal(Targets[i], weights[Targets.Length + i], 1e-5);
        }
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ANonFiniteGradient_IsSkippedWithoutTheHost(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> weight = stream.Device.Upload<float>([1, 2, 3], 3), gradient = stream.Device.Upload<float>([1, 1, 1], 3);
        using Adam<float> adam = new(stream.Device, [new([weight], [gradient], new AdamOptions { LearningRate = 0.1 })], new()
        {
            SkipsNonFiniteGradients = true,
            MaximumGradientNorm = 100,
        });
        adam.Step(stream);
        float[] after = weight.ToArray(stream), moment = adam.GetState(OptimizerState.FirstMoment, 0).ToArray(stream);
        Assert.Equal(Math.Sqrt(3), adam.ReadGradientNorm(stream), 1e-6);
        foreach (float fault in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
        {
            stream.Upload<float>([1, fault, 1], gradient);
            adam.Step(stream);
        }

        Bits.AssertEqual<float>(after, weight.ToArray(stream), "weights");
        Bits.AssertEqual<float>(moment, adam.GetState(OptimizerState.FirstMoment, 0).ToArray(stream), "first moment");
        Assert.Equal([1UL, 3UL], adam.StepCounts.ToArray(stream));

        stream.Upload<float>([1, 1, 1], gradient);
        adam.Step(stream);
        Assert.Equal([2UL, 3UL], adam.StepCounts.ToArray(stream));
        Assert.All(weight.ToArray(stream).Zip(after), pair => Assert.True(pair.First < pair.Second));
    }

    /// <summary>Learning rate and loss scale are read where they lie: no host is asked, so a captured graph sees their change.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void DeviceNumbers_AreReadAtEachStep(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> weight = stream.Device.Upload<float>([0], 1), gradient = stream.Device.Upload<float>([8], 1);
        using DeviceTensor<float> rate = stream.Device.Upload<float>([1], 1), scale = stream.Device.Upload<float>([8], 1);
        using Sgd<float> sgd = new(stream.Device, [new([weight], [gradient], new SgdOptions())], new()
        {
            DeviceLearningRates = rate,
            DeviceLossScale = scale,
        });
        sgd.Step(stream);
        Assert.Equal([-1f], weight.ToArray(stream));
        stream.Fill(rate, 0.5f);
        stream.Fill(scale, 2f);
        sgd.Step(stream);
        Assert.Equal([-3f], weight.ToArray(stream));
    }

    /// <summary>A wrong number in device memory is refused when the optimizer is made, not at its first step.</summary>
    [Fact]
    public void WrongDeviceNumbers_AreRefusedAtOnce()
    {
        using Device device = Device.Open("cpu"), other = Device.Open("cpu");
        using DeviceTensor<float> weights = device.Allocate<float>(2), gradients = device.Allocate<float>(2);
        using DeviceTensor<float> one = device.Allocate<float>(1), two = device.Allocate<float>(2), foreign = other.Allocate<float>(1);
        DeviceTensor<float> disposed = device.Allocate<float>(1);
        disposed.Dispose();
        ParameterGroup<float, SgdOptions> group = new([weights], [gradients], new SgdOptions());
        foreach ((string name, Func<DeviceTensor<float>, OptimizerSettings> settings) in
            (((string, Func<DeviceTensor<float>, OptimizerSettings>)[])
            [
                (nameof(OptimizerSettings.DeviceLossScale), tensor => new() { DeviceLossScale = tensor }),
                (nameof(OptimizerSettings.DeviceLearningRates), tensor => new() { DeviceLearningRates = tensor }),
            ]))
        {
            Assert.Contains("2 elements, expected 1", Refuses<ArgumentException>(two).Message, StringComparison.Ordinal);
            Assert.Contains("expected cpu", Refuses<ArgumentException>(foreign).Message, StringComparison.Ordinal);
            Assert.Contains("overlap", Refuses<ArgumentException>(weights.Slice(1, 1)).Message, StringComparison.Ordinal);
            ObjectDisposedException gone = Assert.Throws<ObjectDisposedException>(() =>
                new Sgd<float>(device, [group], settings(disposed)));
            Assert.Equal(name, gone.ObjectName);

            TException Refuses<TException>(DeviceTensor<float> tensor)
                where TException : ArgumentException =>
                Assert.Throws<TException>(name, () => new Sgd<float>(device, [group], settings(tensor)));
        }

        // A rate for each group, even one without parameters.
        new Sgd<float>(device, [group, new([], [], new SgdOptions())], new() { DeviceLearningRates = two }).Dispose();
        ArgumentException tooFew = Assert.Throws<ArgumentException>(() =>
            new Sgd<float>(device, [group, new([], [], new SgdOptions())], new() { DeviceLearningRates = one }));
        Assert.Contains("1 elements, expected 2", tooFew.Message, StringComparison.Ordinal);
    }

    /// <summary>Null is refused by name, not met later.</summary>
    [Fact]
    public void NullIsRefused()
    {
        using Device device = Device.Open("cpu");
        Assert.Throws<ArgumentNullException>("device", () => new Sgd<float>(null!, []));
        Assert.Throws<ArgumentNullException>("groups", () => new Sgd<float>(device, null!));
        Assert.Throws<ArgumentNullException>("groups", () => new Sgd<float>(device, [null!]));
        Assert.Throws<ArgumentNullException>("groups", () => new Sgd<float>(device, [new(null!, [], new SgdOptions())]));
        Assert.Throws<ArgumentNullException>("groups", () => new Sgd<float>(device, [new([], null!, new SgdOptions())]));
        Assert.Throws<ArgumentNullException>("groups", () => new Sgd<float>(device, [new([], [], null!)]));
        using Sgd<float> sgd = new(device, [new([], [], new SgdOptions())], new() { AverageDecay = 0.5 });
        Assert.Throws<ArgumentNullException>("options", () => sgd.SetOptions(0, null!));
        Assert.Throws<ArgumentNullException>("stream", () => sgd.Step(null!));
        Assert.Throws<ArgumentNullException>("stream", () => sgd.Resume(null!, 1));
        Assert.Throws<ArgumentNullException>("stream", () => sgd.RestartAverages(null!));
        Assert.Throws<ArgumentNullException>("stream", () => sgd.ReadGradientNorm(null!));
        Assert.Throws<ArgumentNullException>("optimizer", () => ((Sgd<float>)null!).GetState(OptimizerState.Velocity, 0));
        Assert.Throws<ArgumentNullException>("penalty", () => ((NormPenalty<float>)null!).GetValue());
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Settings_ChangeFromStepToStep(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> weight = stream.Device.Upload<float>([0], 1), gradient = stream.Device.Upload<float>([1], 1);
        using Sgd<float> sgd = new(stream.Device, [new([weight], [gradient], new SgdOptions { LearningRate = 1 })]);
        sgd.Step(stream);
        sgd.SetOptions(0, sgd.GetOptions(0) with { LearningRate = 0.25 });
        sgd.Step(stream);
        Assert.Equal([-1.25f], weight.ToArray(stream));
        Assert.Throws<ArgumentException>(() => sgd.SetOptions(0, sgd.GetOptions(0) with { Momentum = 0.9 }));
        Assert.Equal(0, sgd.GetOptions(0).Momentum);
    }

    /// <summary>Updates too small for a half are not lost.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void MasterCopy_KeepsSmallUpdates(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (bool keeps in (bool[])[false, true])
        {
            using DeviceTensor<BFloat16> weight = stream.Device.Upload<BFloat16>([(BFloat16)1f], 1),
                gradient = stream.Device.Upload<BFloat16>([(BFloat16)1f], 1);
            using Sgd<BFloat16> sgd = new(stream.Device, [new([weight], [gradient], new SgdOptions { LearningRate = 1.0 / 1024 })], new()
            {
                KeepsMasterCopy = keeps,
            });
            for (int step = 0; step < 512; step++) sgd.Step(stream);
            Assert.Equal(keeps ? 0.5f : 1f, (float)weight.ToArray(stream)[0]);
        }
    }

    /// <summary>
    /// One finite gradient whose square is infinite in arithmetic makes an infinite second moment, also where the square of the mean is
    /// taken off it: the weight stays, as in PyTorch.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void AnInfiniteSecondMoment_MovesNothing(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        RmsPropOptions centered = new() { Centered = true };
        Assert.Equal(1, StepOf<float, RmsPropOptions>(stream, 1e30, groups => new RmsProp<float>(stream.Device, groups), centered));
        Assert.Equal(1, StepOf<BFloat16, RmsPropOptions>(stream, 1e30, groups => new RmsProp<BFloat16>(stream.Device, groups), centered));
        Assert.Equal(1, StepOf<float, RmsPropOptions>(stream, 1e30, groups => new RmsProp<float>(stream.Device, groups), new()
        {
            Momentum = 0.9,
        }));
        Assert.Equal(1, StepOf<float, AdamOptions>(stream, 1e30, groups => new Adam<float>(stream.Device, groups), new()));
        Assert.Equal(1, StepOf<float, AdamOptions>(stream, 1e30, groups => new Adam<float>(stream.Device, groups), new()
        {
            UsesLargestSecondMoment = true,
        }));
        if (!stream.Device.SupportsFloat64) return;
        Assert.Equal(1, StepOf<double, RmsPropOptions>(stream, 1e300, groups => new RmsProp<double>(stream.Device, groups), centered));
        Assert.Equal(1, StepOf<double, AdamOptions>(stream, 1e300, groups => new Adam<double>(stream.Device, groups), new()));
    }

    /// <summary>The average of weights that stay is those weights, to the bit, whatever its decay.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void TheAverageOfConstantWeights_DoesNotDrift(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        float[] values = Bits.Uniform<float>(37, seed: 5);
        using DeviceTensor<float> weight = stream.Device.Upload<float>(values, 37),
            gradient = stream.Device.Upload<float>(new float[37], 37);
        foreach (double decay in (double[])[0, 0.3, 0.9, 0.9999, 0.99999])
        {
            using Sgd<float> sgd = new(stream.Device, [new([weight], [gradient], new SgdOptions())], new() { AverageDecay = decay });
            for (int step = 0; step < 300; step++) sgd.Step(stream);
            Bits.AssertEqual<float>(values, sgd.GetState(OptimizerState.AverageWeight, 0).ToArray(stream), $"decay {decay}");
        }
    }

    /// <summary>It compiles: each stored type has state and values of one type, which nobody chooses.</summary>
    [Fact]
    public void StateAndValues_AreOfTheArithmeticType()
    {
        using Device device = Device.Open("cpu");
        Assert.Equal(DType.Float32,
            Of<float>((adam, penalty) => (adam.GetState(OptimizerState.FirstMoment, 0).DType, penalty.GetValue().DType)));
        Assert.Equal(DType.Float32,
            Of<Half>((adam, penalty) => (adam.GetState(OptimizerState.FirstMoment, 0).DType, penalty.GetValue().DType)));
        Assert.Equal(DType.Float32,
            Of<BFloat16>((adam, penalty) => (adam.GetState(OptimizerState.FirstMoment, 0).DType, penalty.GetValue().DType)));
        Assert.Equal(DType.Float64,
            Of<double>((adam, penalty) => (adam.GetState(OptimizerState.FirstMoment, 0).DType, penalty.GetValue().DType)));

        DType Of<T>(Func<Adam<T>, NormPenalty<T>, (DType State, DType Value)> types)
            where T : unmanaged
        {
            using DeviceTensor<T> weight = device.Allocate<T>(2), gradient = device.Allocate<T>(2);
            using Adam<T> adam = new(device, [new([weight], [gradient], new AdamOptions())]);
            using NormPenalty<T> penalty = new(device, [weight], null, [default], L2Convention.Half);
            (DType state, DType value) = types(adam, penalty);
            Assert.Equal(state, value);
            return state;
        }
    }

    /// <summary>Where a weight of 1 is after one step.</summary>
    private static double StepOf<T, TOptions>(
        DeviceStream stream, double gradient, Func<IReadOnlyList<ParameterGroup<T, TOptions>>, Optimizer<T, TOptions>> create,
        TOptions options)
        where T : unmanaged
        where TOptions : OptimizerOptions
    {
        using DeviceTensor<T> weight = stream.Device.Upload<T>([CpuElement.FromDouble<T>(1)], 1);
        using DeviceTensor<T> slope = stream.Device.Upload<T>([CpuElement.FromDouble<T>(gradient)], 1);
        using Optimizer<T, TOptions> optimizer = create([new([weight], [slope], options)]);
        optimizer.Step(stream);
        return CpuElement.ToDouble(weight.ToArray(stream)[0]);
    }

    /// <summary>Minimises (w - target)^2 / 2 from w = 1 with a tensor for each group.</summary>
    private static float[] Fit<TOptions>(
        DeviceStream stream, TOptions[] options,
        Func<Device, IReadOnlyList<ParameterGroup<float, TOptions>>, OptimizerSettings, Optimizer<float, TOptions>> create,
        out uint[] zeros)
        where TOptions : OptimizerOptions
    {
        int length = Targets.Length;
        using DeviceTensor<float> weights = stream.Device.Allocate<float>(options.Length * length),
            gradients = stream.Device.Allocate<float>(options.Length * length);
        stream.Fill(weights, 1f);
        using Optimizer<float, TOptions> optimizer = create(
            stream.Device,
            [.. options.Select((own, i) =>
                new ParameterGroup<float, TOptions>([weights.Slice(i * length, length)], [gradients.Slice(i * length, length)], own))],
            new OptimizerSettings { CountsZeros = true });
        for (int step = 0; step < Steps; step++)
        {
            stream.Upload<float>([.. weights.ToArray(stream).Select((weight, i) => weight - Targets[i % length])], gradients);
            optimizer.Step(stream);
        }

        zeros = optimizer.ZeroCounts!.ToArray(stream);
        return weights.ToArray(stream);
    }
}
