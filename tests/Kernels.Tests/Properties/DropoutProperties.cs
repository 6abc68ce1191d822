using FsCheck;
using FsCheck.Fluent;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Properties;

/// <summary>What holds for dropout whatever the shape, the probability, the key and the shard.</summary>
public sealed class DropoutProperties(TestDevices devices)
{
    private static readonly Gen<Call> Calls =
        from length in RandomCases.Length(5000)
        from p in Gen.OneOf(Gen.Choose(0, 1000).Select(i => i / 1000.0), Gen.Elements(0.0, 1e-9, 1e-4, 0.1, 0.5, 1 - 1e-9, 1.0))
        from seed in RandomCases.UInt64
        from offset in RandomCases.UInt64
        from start in Gen.OneOf(Gen.Choose(0, 100).Select(i => (ulong)i), RandomCases.UInt64.Select(value => value >> 1))
        from elementOffset in Gen.Choose(0, 15)
        select new Call(length, p, new RandomKey(seed, offset), start, elementOffset);

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ForwardAndBackward_AreTheSameMap(string deviceId) => Holds(deviceId, (stream, call) =>
    {
        float[] values = Bits.Uniform<float>(call.Length, 1);
        using DeviceTensor<float> x = stream.Device.Upload<float>(values, call.Length);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(call.Length), dx = stream.Device.Allocate<float>(call.Length);
        Dropout.Forward(stream, x, y, call.P, call.Key, call.Options);
        Dropout.Backward(stream, x, dx, call.P, call.Key, call.Options);
        Bits.AssertEqual<float>(y.ToArray(stream), dx.ToArray(stream));
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Mask_IsTheReferences(string deviceId) => Holds(deviceId, (stream, call) =>
    {
        bool[] mask = Bits.ForwardMask<Half>(stream, call.Length, call.P, call.Key, call.Start, call.ElementOffset);
        // The scale of a p close to 1 overflows half to infinity, which is not 0 either.
        Bits.AssertEqual<bool>(Bits.ReferenceMask(call.Length, call.P, call.Key, call.Start), mask);
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void PowersOfTwo_PassThrough(string deviceId) => Holds(deviceId, (stream, call) =>
    {
        float[] x = Bits.Uniform<float>(call.Length, 2);
        float[] y = Forward(stream, call, x), doubled = Forward(stream, call, [.. x.Select(value => -4 * value)]);
        Bits.AssertEqual<float>([.. y.Select(value => value == 0 ? 0 : -4 * value)], [.. doubled.Select(value => value == 0 ? 0 : value)]);
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ZeroProbability_IsTheIdentity(string deviceId) => Holds(deviceId, (stream, call) =>
    {
        float[] x = Bits.Uniform<float>(call.Length, 3);
        Bits.AssertEqual<float>(x, Forward(stream, call with { P = 0 }, x));
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void AnyCut_LeavesTheMaskAsItIs(string deviceId) => Holds(deviceId, (stream, call) =>
    {
        int cut = call.Length * call.ElementOffset / 16;
        bool[] whole = Bits.ForwardMask<float>(stream, call.Length, call.P, call.Key, call.Start);
        bool[] left = Bits.ForwardMask<float>(stream, cut, call.P, call.Key, call.Start);
        bool[] right = Bits.ForwardMask<float>(stream, call.Length - cut, call.P, call.Key, call.Start + (ulong)cut);
        Bits.AssertEqual<bool>(whole, [.. left, .. right], $"cut at {cut}");
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void HigherProbability_DropsMore(string deviceId) => Holds(deviceId, (stream, call) =>
    {
        bool[] mask = Bits.ForwardMask<float>(stream, call.Length, call.P, call.Key, call.Start);
        bool[] thinner = Bits.ForwardMask<float>(stream, call.Length, (1 + call.P) / 2, call.Key, call.Start);
        Assert.DoesNotContain(true, mask.Zip(thinner, (keep, keepsStill) => keepsStill && !keep));
    });

    private static float[] Forward(DeviceStream stream, Call call, float[] values)
    {
        using DeviceTensor<float> x = stream.Device.Upload<float>(values, values.Length), y = stream.Device.Allocate<float>(values.Length);
        Dropout.Forward(stream, x, y, call.P, call.Key, call.Options);
        return y.ToArray(stream);
    }

    private void Holds(string deviceId, Action<DeviceStream, Call> property)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        RandomCases.Check(
            stream.Device, Calls, call => RandomCases.Shorter(call.Length).Select(length => call with { Length = length }),
            call => property(stream, call));
    }

    private sealed record Call(int Length, double P, RandomKey Key, ulong Start, int ElementOffset)
    {
        public DropoutOptions Options => new() { GlobalStart = Start };
    }
}
