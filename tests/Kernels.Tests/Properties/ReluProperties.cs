using FsCheck;
using FsCheck.Fluent;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Properties;

/// <summary>What holds for the rectifier whatever the length and the values.</summary>
public sealed class ReluProperties(TestDevices devices)
{
    private static readonly Gen<Call> Calls =
        from length in RandomCases.Length(5000)
        from seed in RandomCases.UInt64
        select new Call(length, seed);

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void PositiveAndNegativeParts_AddUpToTheInput(string deviceId) => Holds(deviceId, (stream, x) =>
    {
        float[] positive = Forward(stream, x), negative = Forward(stream, [.. x.Select(value => -value)]);
        Assert.Equal(x, positive.Zip(negative, (p, n) => p - n));
        Assert.All(positive, value => Assert.True(value >= 0));
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Twice_IsOnce(string deviceId) => Holds(deviceId, (stream, x) =>
    {
        float[] once = Forward(stream, x);
        Bits.AssertEqual<float>(once, Forward(stream, once));
    });

    /// <summary>
    /// The gradient passes where the output is positive, and the input may stand in for the output, as its sign is the same.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Gradient_PassesWhereTheOutputIsPositive(string deviceId) => Holds(deviceId, (stream, values) =>
    {
        float[] gradient = Bits.Uniform<float>(values.Length, 9);
        using DeviceTensor<float> x = stream.Device.Upload<float>(values, values.Length), y = stream.Device.Allocate<float>(values.Length);
        using DeviceTensor<float> dy = stream.Device.Upload<float>(gradient, values.Length);
        using DeviceTensor<float> fromY = stream.Device.Allocate<float>(values.Length),
            fromX = stream.Device.Allocate<float>(values.Length);
        Relu.Forward(stream, x, y);
        Relu.Backward(stream, y, dy, fromY);
        Relu.Backward(stream, x, dy, fromX);
        Bits.AssertEqual<float>([.. values.Zip(gradient, (value, slope) => value > 0 ? slope : 0)], fromY.ToArray(stream));
        Bits.AssertEqual<float>(fromY.ToArray(stream), fromX.ToArray(stream));
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void NegativeZero_BecomesPositiveZero(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (int length in (int[])[1, 7, 16, 33])
            Bits.AssertEqual<float>(new float[length], Forward(stream, [.. Enumerable.Repeat(-0f, length)]));
    }

    private static float[] Forward(DeviceStream stream, float[] values)
    {
        using DeviceTensor<float> x = stream.Device.Upload<float>(values, values.Length), y = stream.Device.Allocate<float>(values.Length);
        Relu.Forward(stream, x, y);
        return y.ToArray(stream);
    }

    private void Holds(string deviceId, Action<DeviceStream, float[]> property)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        RandomCases.Check(
            stream.Device, Calls, call => RandomCases.Shorter(call.Length).Select(length => call with { Length = length }),
            call => property(stream, Bits.Uniform<float>(call.Length, call.Seed)));
    }

    private sealed record Call(int Length, ulong Seed);
}
