using FsCheck;
using FsCheck.Fluent;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Properties;

/// <summary>
/// What holds for matrix products and linear layers whatever the shape. The values are small integers, whose products and sums are exact in
/// float, so that every identity holds bit for bit.
/// </summary>
public sealed class MatrixProperties(TestDevices devices)
{
    private const int LargestSize = 90;

    private static readonly Gen<Sizes> AllSizes =
        from m in RandomCases.Length(LargestSize)
        from n in RandomCases.Length(LargestSize)
        from k in RandomCases.Length(LargestSize)
        from seed in RandomCases.UInt64
        select new Sizes(m, n, k, seed);

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Transposed_OperandsGiveTheSameProduct(string deviceId) => Holds(deviceId, (stream, s) =>
    {
        float[] a = Integers(s.M * s.K, s.Seed, "a"), b = Integers(s.K * s.N, s.Seed, "b");
        float[] aT = Transpose(a, s.M, s.K), bT = Transpose(b, s.K, s.N);
        float[] product = Multiply(stream, s, a, b);
        Bits.AssertEqual<float>(product, Multiply(stream, s, aT, b, transposeA: true), "a transposed");
        Bits.AssertEqual<float>(product, Multiply(stream, s, a, bT, transposeB: true), "b transposed");
        Bits.AssertEqual<float>(product, Multiply(stream, s, aT, bT, transposeA: true, transposeB: true), "both transposed");

        float[] other = Multiply(stream, s with { M = s.N, N = s.M }, bT, aT);
        Bits.AssertEqual<float>(Transpose(product, s.M, s.N), other, "the product of the transposes");
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Product_IsLinear(string deviceId) => Holds(deviceId, (stream, s) =>
    {
        float[] a = Integers(s.M * s.K, s.Seed, "a"), b = Integers(s.K * s.N, s.Seed, "b"), c = Integers(s.K * s.N, s.Seed, "c");
        float[] sum = [.. b.Zip(c, (left, right) => left - (3 * right))];
        float[] apart = [.. Multiply(stream, s, a, b).Zip(Multiply(stream, s, a, c), (left, right) => left - (3 * right))];
        Bits.AssertEqual<float>(WithoutNegativeZeros(apart), WithoutNegativeZeros(Multiply(stream, s, a, sum)));
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Linear_IsTheProductPlusBias(string deviceId) => Holds(deviceId, (stream, s) =>
    {
        float[] x = Integers(s.M * s.K, s.Seed, "x"), weight = Integers(s.N * s.K, s.Seed, "weight"), bias = Integers(s.N, s.Seed, "bias");
        float[] product = Multiply(stream, s, x, weight, transposeB: true);
        float[] biased = [.. product.Select((value, i) => value + bias[i % s.N])];
        Bits.AssertEqual<float>(biased, Forward(stream, s, x, weight, bias), "with bias");
        Bits.AssertEqual<float>(product, Forward(stream, s, x, weight, bias: null), "without");
    });

    /// <summary>
    /// The sum of dy * y is the sum of dx * x, and of dweight * weight: what it means to be the gradient of a linear map.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void LinearGradients_AreAdjoint(string deviceId) => Holds(deviceId, (stream, s) =>
    {
        float[] x = Integers(s.M * s.K, s.Seed, "x"), weight = Integers(s.N * s.K, s.Seed, "weight"),
            dy = Integers(s.M * s.N, s.Seed, "dy");
        (float[] dx, float[] dWeight, float[] dBias) = Backward(stream, s, x, weight, dy);
        double inner = Inner(dy, Forward(stream, s, x, weight, bias: null));
        Assert.Equal(inner, Inner(dx, x));
        Assert.Equal(inner, Inner(dWeight, weight));
        for (int column = 0; column < s.N; column++)
            Assert.Equal(Enumerable.Range(0, s.M).Sum(row => dy[(row * s.N) + column]), dBias[column]);
    });

    private static float[] Integers(int count, ulong seed, string name) =>
        [.. Elements.Integers(count, 9, seed, name).Select(value => (float)value - 4)];

    private static float[] Transpose(float[] matrix, int rows, int columns) =>
        [.. Enumerable.Range(0, matrix.Length).Select(i => matrix[(i % rows * columns) + (i / rows)])];

    private static float[] WithoutNegativeZeros(float[] values) => [.. values.Select(value => value == 0 ? 0 : value)];

    private static double Inner(float[] a, float[] b) => a.Zip(b, (left, right) => (double)left * right).Sum();

    private static float[] Multiply(
        DeviceStream stream, Sizes s, float[] left, float[] right, bool transposeA = false, bool transposeB = false)
    {
        using DeviceTensor<float> a = stream.Device.Upload<float>(left, transposeA ? [s.K, s.M] : [s.M, s.K]);
        using DeviceTensor<float> b = stream.Device.Upload<float>(right, transposeB ? [s.N, s.K] : [s.K, s.N]);
        using DeviceTensor<float> c = stream.Device.Allocate<float>(s.M, s.N);
        MatMul.Multiply(stream, a, b, c, new() { TransposeA = transposeA, TransposeB = transposeB });
        return c.ToArray(stream);
    }

    private static float[] Forward(DeviceStream stream, Sizes s, float[] input, float[] parameters, float[]? bias)
    {
        using DeviceTensor<float> x = stream.Device.Upload<float>(input, s.M, s.K),
            weight = stream.Device.Upload<float>(parameters, s.N, s.K);
        using DeviceTensor<float>? b = bias is null ? null : stream.Device.Upload<float>(bias, s.N);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(s.M, s.N);
        Linear.Forward(stream, x, weight, b, y);
        return y.ToArray(stream);
    }

    private static (float[] Dx, float[] DWeight, float[] DBias) Backward(
        DeviceStream stream, Sizes s, float[] input, float[] parameters, float[] gradient)
    {
        using DeviceTensor<float> x = stream.Device.Upload<float>(input, s.M, s.K),
            weight = stream.Device.Upload<float>(parameters, s.N, s.K);
        using DeviceTensor<float> dy = stream.Device.Upload<float>(gradient, s.M, s.N);
        using DeviceTensor<float> dx = stream.Device.Allocate<float>(s.M, s.K), dWeight = stream.Device.Allocate<float>(s.N, s.K);
        using DeviceTensor<float> dBias = stream.Device.Allocate<float>(s.N);
        Linear.Backward(stream, x, weight, dy, dx, dWeight, dBias);
        return (dx.ToArray(stream), dWeight.ToArray(stream), dBias.ToArray(stream));
    }

    private void Holds(string deviceId, Action<DeviceStream, Sizes> property)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        RandomCases.Check(stream.Device, AllSizes, Smaller, sizes => property(stream, sizes));
    }

    private static IEnumerable<Sizes> Smaller(Sizes s) =>
    [
        .. RandomCases.Shorter(s.M).Select(m => s with { M = m }),
        .. RandomCases.Shorter(s.N).Select(n => s with { N = n }),
        .. RandomCases.Shorter(s.K).Select(k => s with { K = k }),
    ];

    private sealed record Sizes(int M, int N, int K, ulong Seed);
}
