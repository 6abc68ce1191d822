using System.Text.Json;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Normalization;

/// <summary>What trains a discriminator, against PyTorch: values made by <c>tests/goldens/discriminator.py</c>.</summary>
public sealed class DiscriminatorGoldens(TestDevices devices)
{
    private static readonly GoldenFile Golden = Read();

    /// <summary>Training, with its state; then inference, which must give the same, and the gradient.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void SpectralNorm_IsThatOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (SpectralNormGolden golden in Golden.SpectralNorm)
        {
            using DeviceTensor<float> weight = Eighths(stream, golden.Weight, golden.Shape), v = Eighths(stream, golden.V, golden.V.Length);
            using DeviceTensor<float> u = stream.Device.Allocate<float>(golden.Shape[0]), sigma = stream.Device.Allocate<float>(1);
            using DeviceTensor<float> y = stream.Device.Allocate<float>(golden.Shape), again = stream.Device.Allocate<float>(golden.Shape);
            SpectralNorm.Forward(stream, weight, u, v, sigma, y, new SpectralNormOptions { MoreIterations = golden.Iterations - 1 });
            AssertClose(golden.U, u.ToArray(stream), "u");
            AssertClose(golden.NewV, v.ToArray(stream), "v");
            AssertClose(golden.Y, y.ToArray(stream), "y");
            SpectralNorm.Inference(stream, weight, u, v, sigma, again);
            AssertClose(golden.Y, again.ToArray(stream), "y of inference");
            using DeviceTensor<float> dy = Eighths(stream, golden.Dy, golden.Shape);
            SpectralNorm.Backward(stream, weight, u, v, sigma, dy, dy);
            AssertClose(golden.Dweight, dy.ToArray(stream), "dweight");
        }
    }

    /// <summary>A batch of rows and one of maps.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void MinibatchDeviation_IsThatOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (DeviationGolden golden in Golden.Deviation)
        {
            using DeviceTensor<float> x = Eighths(stream, golden.X, golden.Shape), dx = stream.Device.Allocate<float>(golden.Shape);
            using DeviceTensor<float> y = stream.Device.Allocate<float>(MinibatchDeviation.OutputShape(golden.Shape));
            using DeviceTensor<float> dy = Eighths(stream, golden.Dy, [.. y.Shape]);
            MinibatchDeviation.Forward(stream, x, y, golden.GroupSize);
            AssertClose(golden.Y, y.ToArray(stream), "y");
            MinibatchDeviation.Backward(stream, x, dy, dx, golden.GroupSize);
            AssertClose(golden.Dx, dx.ToArray(stream), "dx");
        }
    }

    /// <summary>Fixed brightness, saturation and contrast.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Colors_AreThoseOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (ColorGolden golden in Golden.Colors)
        {
            DifferentiablePolicy policy = new()
            {
                Brightness = golden.Brightness,
                Saturation = golden.Saturation,
                Contrast = golden.Contrast,
            };
            RandomKey key = new(Seed: 1, Offset: 0);
            using DeviceTensor<float> x = Eighths(stream, golden.X, golden.Shape), dy = Eighths(stream, golden.Dy, golden.Shape);
            using DeviceTensor<float> y = stream.Device.Allocate<float>(golden.Shape), dx = stream.Device.Allocate<float>(golden.Shape);
            DifferentiableAugment.Forward(stream, x, null, null, y, policy, key);
            AssertClose(golden.Y, y.ToArray(stream), "y");
            DifferentiableAugment.Backward(stream, dy, null, null, dx, policy, key);
            AssertClose(golden.Dx, dx.ToArray(stream), "dx");
        }
    }

    private static DeviceTensor<float> Eighths(DeviceStream stream, int[] values, params long[] shape) =>
        stream.Device.Upload<float>([.. values.Select(value => value / 8f)], shape);

    private static void AssertClose(double[] expected, float[] actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < actual.Length; i++)
        {
            double limit = 1e-5 * Math.Max(1, Math.Abs(expected[i]));
            Assert.True(Math.Abs(expected[i] - actual[i]) <= limit, $"{what}[{i}] is {actual[i]}, not {expected[i]}");
        }
    }

    private static GoldenFile Read()
    {
        string path = Path.Combine(AppContext.BaseDirectory, "data", "goldens", "discriminator.json");
        return JsonSerializer.Deserialize<GoldenFile>(File.ReadAllText(path), JsonSerializerOptions.Web)!;
    }

    private sealed record SpectralNormGolden(
        long[] Shape, int Iterations, int[] Weight, int[] V, double[] U, double[] NewV, double[] Y, int[] Dy, double[] Dweight);

    private sealed record DeviationGolden(long GroupSize, long[] Shape, int[] X, double[] Y, int[] Dy, double[] Dx);

    private sealed record ColorGolden(
        double Brightness, double Saturation, double Contrast, long[] Shape, int[] X, double[] Y, int[] Dy, double[] Dx);

    private sealed record GoldenFile(SpectralNormGolden[] SpectralNorm, DeviationGolden[] Deviation, ColorGolden[] Colors);
}
