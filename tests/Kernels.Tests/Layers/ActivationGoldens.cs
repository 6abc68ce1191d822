using System.Text.Json;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Layers;

/// <summary>
/// Activations, upsampling, the mean squared error and the losses of generative adversarial networks against values from PyTorch, made by
/// <c>tests/goldens/activations.py</c>.
/// </summary>
public sealed class ActivationGoldens(TestDevices devices)
{
    private static readonly GoldenFile Golden = Read();

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Activations_AreThoseOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach ((string name, Elementwise golden) in Golden.Activations)
        {
            using DeviceTensor<float> x = Upload(stream, golden.X), dy = Upload(stream, golden.Dy);
            using DeviceTensor<float> y = stream.Device.Allocate<float>(x.Shape);
            switch (name)
            {
                case "leaky-relu":
                    LeakyRelu.Forward(stream, x, y, Golden.Slope);
                    AssertClose(golden.Y, y.ToArray(stream));
                    LeakyRelu.Backward(stream, y, dy, dy, Golden.Slope);
                    break;
                case "tanh":
                    Tanh.Forward(stream, x, y);
                    AssertClose(golden.Y, y.ToArray(stream));
                    Tanh.Backward(stream, y, dy, dy);
                    break;
                default:
                    Sigmoid.Forward(stream, x, y);
                    AssertClose(golden.Y, y.ToArray(stream));
                    Sigmoid.Backward(stream, y, dy, dy);
                    break;
            }

            AssertClose(golden.Dx, dy.ToArray(stream));
        }
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Upsampling_IsThatOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (Upsample golden in Golden.Upsamples)
        {
            Size2d factor = new(golden.FactorHeight, golden.FactorWidth);
            long[] shape = [2, 3, golden.Height, golden.Width], outputShape = NearestUpsample.OutputShape(shape, factor);
            using DeviceTensor<float> x = Upload(stream, golden.X, shape), dy = Upload(stream, golden.Dy, outputShape);
            using DeviceTensor<float> y = stream.Device.Allocate<float>(outputShape), dx = stream.Device.Allocate<float>(shape);
            NearestUpsample.Forward(stream, x, y, factor);
            NearestUpsample.Backward(stream, dy, dx, factor);
            AssertClose(golden.Y, y.ToArray(stream));
            AssertClose(golden.Dx, dx.ToArray(stream));
        }
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void SquaredError_IsThatOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        Loss golden = Golden.Losses["squared"];
        using DeviceTensor<float> predictions = Upload(stream, golden.Inputs[0]), targets = Upload(stream, golden.Inputs[1]);
        using DeviceTensor<float> loss = stream.Device.Allocate<float>(1), gradient = Upload(stream, golden.Inputs[0]);
        MeanSquaredError.ForwardBackward(stream, predictions, targets, null, loss, gradient, gradientScale: 1, accumulates: true);
        AssertClose([golden.Value], loss.ToArray(stream));
        AssertClose([.. golden.Gradients[0].Zip(golden.Inputs[0], (g, before) => g + (before / 8.0))], gradient.ToArray(stream));
    }

    /// <summary>Both forms and sides; hinges have logits at the corner.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void GanLosses_AreThoseOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (GanLossForm form in Enum.GetValues<GanLossForm>())
        {
            bool isHinge = form == GanLossForm.Hinge;
            Loss discriminator = Golden.Losses[isHinge ? "hingeDiscriminator" : "discriminator"];
            using DeviceTensor<float> real = Upload(stream, discriminator.Inputs[0]),
                generated = Upload(stream, discriminator.Inputs[1]);
            using DeviceTensor<float> summary = stream.Device.Allocate<float>(4);
            GanLoss.Discriminator(stream, real, generated, null, summary, real, generated, gradientScale: 1, form);
            float[] terms = summary.ToArray(stream);
            AssertClose([discriminator.Value], [terms[0] + terms[1]]);
            AssertClose([.. discriminator.Inputs.Select(logits => (double)logits.Count(logit => logit > 0) / logits.Length)], terms[2..]);
            AssertClose(discriminator.Gradients[0], real.ToArray(stream));
            AssertClose(discriminator.Gradients[1], generated.ToArray(stream));

            Loss generator = Golden.Losses[isHinge ? "hingeGenerator" : "generator"];
            using DeviceTensor<float> logits = Upload(stream, generator.Inputs[0]), lossAndShare = summary.Slice(0, 2);
            GanLoss.Generator(stream, logits, null, lossAndShare, logits, gradientScale: 1, form);
            AssertClose([generator.Value], lossAndShare.ToArray(stream)[..1]);
            AssertClose(generator.Gradients[0], logits.ToArray(stream));
        }
    }

    private static DeviceTensor<float> Upload(DeviceStream stream, int[] eighths, params long[] shape) =>
        stream.Device.Upload<float>([.. eighths.Select(value => value / 8f)], shape.Length == 0 ? [eighths.Length] : shape);

    private static void AssertClose(double[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 2e-6 * Math.Max(1, Math.Abs(pair.First))));
    }

    private static GoldenFile Read()
    {
        string path = Path.Combine(AppContext.BaseDirectory, "data", "goldens", "activations.json");
        return JsonSerializer.Deserialize<GoldenFile>(File.ReadAllText(path), new JsonSerializerOptions(JsonSerializerDefaults.Web))!;
    }

    private sealed record Elementwise(int[] X, double[] Y, int[] Dy, double[] Dx);

    private sealed record Upsample(
        int Height, int Width, int FactorHeight, int FactorWidth, int[] X, double[] Y, int[] Dy, double[] Dx);

    private sealed record Loss(int[][] Inputs, double Value, double[][] Gradients);

    private sealed record GoldenFile(
        double Slope, Dictionary<string, Elementwise> Activations, Upsample[] Upsamples, Dictionary<string, Loss> Losses);
}
