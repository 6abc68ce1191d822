using System.Text.Json;
using Kernels.Cpu;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Normalization;

/// <summary>
/// Batch normalization against values from PyTorch, made by <c>tests/goldens/batch_norm.py</c>: training, running values, inference and
/// gradients of two to five dimensions, in both layouts.
/// </summary>
public sealed class BatchNormGoldens(TestDevices devices)
{
    private static readonly GoldenFile Golden = Read();

    public static TheoryData<string, int> Rows =>
        [.. from device in TestDevices.All from index in Enumerable.Range(0, Golden.Cases.Length) select (device.Id, index)];

    /// <summary>In float, and in double where the device can; channels first, as PyTorch has them, and last.</summary>
    [Theory]
    [MemberData(nameof(Rows))]
    public void ValuesAreThoseOfPyTorch(string deviceId, int index)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (TensorLayout layout in Enum.GetValues<TensorLayout>())
        {
            AssertEqual<float>(stream, Golden.Cases[index], layout, 4e-6);
            if (stream.Device.SupportsFloat64) AssertEqual<double>(stream, Golden.Cases[index], layout, 2e-11);
        }
    }

    /// <summary>PyTorch refuses one value a channel, too.</summary>
    [Fact]
    public void OneValueIsRefusedByPyTorch() => Assert.Contains("more than 1 value per channel", Golden.OneValue, StringComparison.Ordinal);

    private static void AssertEqual<T>(DeviceStream stream, GoldenCase golden, TensorLayout layout, double tolerance)
        where T : unmanaged
    {
        Device device = stream.Device;
        long channels = golden.Shape[1];
        BatchNormOptions options = new() { Layout = layout, Momentum = golden.Momentum };
        using DeviceTensor<T> x = Upload(golden.X), dy = Upload(golden.Dy), y = Upload(golden.Dy), dx = Upload(golden.Dy);
        using DeviceTensor<T>? gamma = Channel(golden.Gamma), beta = Channel(golden.Beta);
        using DeviceTensor<T> mean = Channel(golden.RunningMean)!, variance = Channel(golden.RunningVariance)!;
        using DeviceTensor<T> statistics = device.Allocate<T>(3, channels);
        if (!golden.Training)
        {
            BatchNorm.Infer(stream, x, gamma, beta, mean, variance, y, options);
            Assert.All(Download(y).Zip(golden.Y), pair => AssertClose(pair.Second, pair.First));
            return;
        }

        BatchNorm.Forward(stream, x, gamma, beta, y, statistics, mean, variance, options);
        using DeviceTensor<T> dGamma = device.Allocate<T>(channels), dBeta = device.Allocate<T>(channels);
        BatchNorm.Backward(stream, x, gamma, statistics, dy, dx, dGamma, dBeta, options);
        Assert.All(Download(y).Zip(golden.Y), pair => AssertClose(pair.Second, pair.First));
        Assert.All(Download(dx).Zip(golden.Dx!), pair => AssertClose(pair.Second, pair.First));
        Assert.All(Numbers(mean).Zip(golden.NewRunningMean), pair => AssertClose(pair.Second, pair.First));
        Assert.All(Numbers(variance).Zip(golden.NewRunningVariance), pair => AssertClose(pair.Second, pair.First));
        if (golden.Dgamma is null) return;
        Assert.All(Numbers(dGamma).Zip(golden.Dgamma), pair => AssertClose(pair.Second, pair.First));
        Assert.All(Numbers(dBeta).Zip(golden.Dbeta!), pair => AssertClose(pair.Second, pair.First));

        DeviceTensor<T> Upload(double[] values)
        {
            long[] shape = layout == TensorLayout.ChannelsFirst
                ? golden.Shape : [golden.Shape[0], .. golden.Shape.AsSpan(2), channels];
            return device.Upload<T>([.. Order(values).Select(CpuElement.FromDouble<T>)], shape);
        }

        DeviceTensor<T>? Channel(double[]? values) =>
            values is null ? null : device.Upload<T>([.. values.Select(CpuElement.FromDouble<T>)], channels);

        double[] Numbers(DeviceTensor<T> tensor) => [.. tensor.ToArray(stream).Select(CpuElement.ToDouble)];

        // In the order of the golden values.
        double[] Download(DeviceTensor<T> tensor)
        {
            double[] values = Numbers(tensor), ordered = new double[values.Length];
            foreach ((int from, int to) in Places()) ordered[from] = values[to];
            return ordered;
        }

        double[] Order(double[] values)
        {
            double[] ordered = new double[values.Length];
            foreach ((int from, int to) in Places()) ordered[to] = values[from];
            return ordered;
        }

        IEnumerable<(int First, int Own)> Places()
        {
            int places = golden.X.Length / (int)(golden.Shape[0] * channels);
            for (int i = 0; i < golden.X.Length; i++)
            {
                (int sample, int channel, int place) = (i / places / (int)channels, i / places % (int)channels, i % places);
                yield return (i, layout == TensorLayout.ChannelsFirst ? i : (((sample * places) + place) * (int)channels) + channel);
            }
        }

        void AssertClose(double expected, double actual) =>
            Assert.True(Math.Abs(actual - expected) <= tolerance * (1 + Math.Abs(expected)), $"{actual:R}, PyTorch has {expected:R}");
    }

    private static GoldenFile Read()
    {
        string path = Path.Combine(AppContext.BaseDirectory, "data", "goldens", "batch_norm.json");
        return JsonSerializer.Deserialize<GoldenFile>(File.ReadAllText(path), new JsonSerializerOptions(JsonSerializerDefaults.Web))!;
    }

    private sealed record GoldenCase(
        long[] Shape, bool Training, double Momentum, double[] X, double[] Dy, double[]? Gamma, double[]? Beta, double[] RunningMean,
        double[] RunningVariance, double[] Y, double[] NewRunningMean, double[] NewRunningVariance, double[]? Dx, double[]? Dgamma,
        double[]? Dbeta);

    private sealed record GoldenFile(GoldenCase[] Cases, string OneValue);
}
