using FsCheck;
using FsCheck.Fluent;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Properties;

/// <summary>What holds for an SGD step whatever the length and the settings.</summary>
public sealed class SgdProperties(TestDevices devices)
{
    private static readonly Gen<Step> Steps =
        from length in RandomCases.Length(5000)
        from cut in Gen.Choose(0, 100)
        from seed in RandomCases.UInt64
        from rate in Gen.Choose(0, 100)
        from momentum in Gen.Choose(0, 99)
        from decay in Gen.Choose(0, 10)
        from flags in Gen.Choose(0, 3)
        select new Step(length, length * cut / 100, seed, new SgdOptions
        {
            LearningRate = rate / 100.0,
            Momentum = momentum / 100.0,
            WeightDecay = decay / 100.0,
            Nesterov = momentum > 0 && (flags & 1) != 0,
            FirstStep = (flags & 2) != 0,
        });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Parts_StepAsTheWhole(string deviceId) => Holds(deviceId, (stream, step) =>
    {
        (float[] whole, float[] wholeVelocity) = Run(stream, step, cut: step.Length);
        (float[] parts, float[] partsVelocity) = Run(stream, step, step.Cut);
        Bits.AssertEqual<float>(whole, parts, "parameter");
        Bits.AssertEqual<float>(wholeVelocity, partsVelocity, "velocity");
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ZeroRate_LeavesTheParameter(string deviceId) => Holds(deviceId, (stream, step) =>
    {
        (float[] parameter, _) = Run(stream, step with { Options = step.Options with { LearningRate = 0 } }, step.Length);
        Bits.AssertEqual<float>(Bits.Uniform<float>(step.Length, step.Seed), parameter);
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void FirstStep_DoesNotReadTheVelocity(string deviceId) => Holds(deviceId, (stream, step) =>
    {
        Step first = step with { Options = step.Options with { FirstStep = true } };
        (float[] parameter, float[] velocity) = Run(stream, first, step.Length);
        (float[] again, float[] velocityAgain) = Run(stream, first, step.Length, velocityIsNaN: true);
        Bits.AssertEqual<float>(parameter, again, "parameter");
        if (first.Options.Momentum > 0) Bits.AssertEqual<float>(velocity, velocityAgain, "velocity");
    });

    /// <summary>Two steps, of the elements before the cut and of those after it; the parts start off any alignment.</summary>
    private static (float[] Parameter, float[] Velocity) Run(DeviceStream stream, Step step, int cut, bool velocityIsNaN = false)
    {
        float[] start = velocityIsNaN ? [.. Enumerable.Repeat(float.NaN, step.Length)] : Bits.Uniform<float>(step.Length, step.Seed + 1);
        using DeviceTensor<float> parameter = stream.Device.Upload<float>(Bits.Uniform<float>(step.Length, step.Seed), step.Length);
        using DeviceTensor<float> velocity = stream.Device.Upload<float>(start, step.Length);
        using DeviceTensor<float> gradient = stream.Device.Upload<float>(Bits.Uniform<float>(step.Length, step.Seed + 2), step.Length);
        foreach ((int first, int count) in ((int, int)[])[(0, cut), (cut, step.Length - cut)])
            Sgd.Step(stream, parameter.Slice(first, count), gradient.Slice(first, count), velocity.Slice(first, count), step.Options);
        return (parameter.ToArray(stream), velocity.ToArray(stream));
    }

    private void Holds(string deviceId, Action<DeviceStream, Step> property)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        RandomCases.Check(
            stream.Device, Steps,
            step => RandomCases.Shorter(step.Length).Select(length => step with { Length = length, Cut = Math.Min(step.Cut, length) }),
            step => property(stream, step));
    }

    private sealed record Step(int Length, int Cut, ulong Seed, SgdOptions Options);
}
