using Kernels.Study;
using Xunit;

namespace Kernels.Tests.Study;

/// <summary>
/// Gradients through whole steps of networks that learn from networks. In float64 they are held against differences of the loss, number by
/// number; the layers of the study, in float32, against these.
/// </summary>
public sealed class LearnedGradientTests : IDisposable
{
    private const int Rows = 3;
    private const int Classes = 3;
    private const int Height = 6;
    private const int Width = 5;
    private const double Slope = 0.2;
    private const double Condition = 0.7;

    private static readonly Conv2dOptions Same = new() { Padding = 1 };
    private static readonly RandomKey Key = new(5, 7);
    private static readonly DifferentiablePolicy Policy = new() { Translation = 0.2, Brightness = (-0.3, 0.3), Contrast = (0.5, 1.5) };

    private readonly Device _device = Device.Open("cpu");
    private readonly DeviceStream _stream;
    private readonly List<IDisposable> _tensors = [];

    public LearnedGradientTests() => _stream = _device.CreateStream();

    public void Dispose()
    {
        foreach (IDisposable tensor in _tensors) tensor.Dispose();
        _stream.Dispose();
        _device.Dispose();
    }

    [Fact]
    public void OfTheDiscriminatorsStep()
    {
        GanPlan plan = new() { DiscriminatorMaps = 2, Hidden = 4, BatchSize = Rows, NegativeSlope = Slope };
        ScoreAndClassLayer answer = new(Classes);
        using Network network = new(_device, plan.Discriminator(answer), [1, Height, Width], 2 * Rows, needsGradient: true);
        network.Initialize(_stream, StudyRandom.KeyFor(3, RandomPurpose.GanWeights));
        double[] images = Numbers(1, 2 * Rows * Height * Width);
        float[] dImages = LayersGradient(network, answer, images);

        double[][] values = [.. network.Parameters.Select(parameter => Doubles(parameter.Value)), images];
        double[][] vectors = [.. network.Statistics.Select(Doubles)];
        long[][] shapes = [.. network.Parameters.Select(parameter => parameter.Value.Shape.ToArray()), [2 * Rows, 1, Height, Width]];
        (_, double[][] gradients) = DiscriminatorStep(values, vectors, shapes, withGradient: true);

        AssertDifferences(values, gradients, () => DiscriminatorStep(values, vectors, shapes, withGradient: false).Loss);
        float[][] layers = [.. network.Parameters.Select(parameter => parameter.Gradient.ToArray(_stream)), dImages];
        Assert.All(
            gradients.SelectMany(gradient => gradient).Zip(layers.SelectMany(gradient => gradient)),
            pair => Assert.Equal(pair.First, pair.Second, tolerance: 1e-4));
    }

    [Fact]
    public void OfAClassifierThroughTheImageIntoTheNetworkThatMadeIt()
    {
        long[][] shapes = [[2, 2, 3, 3], [2], [1, 2, 3, 3], [1], [2, 1, 3, 3], [2], [Classes, 2], [Classes]];
        double[][] values = [.. shapes.Select((shape, i) => Numbers(10 + i, shape.Aggregate(1L, (left, right) => left * right)))];
        (_, double[][] gradients) = MergingStep(values, shapes, withGradient: true);

        // Those of the classifier are of its own loss, of which the other's has its share; those of the merger are of the whole.
        double[] scales = [1, 1, 1, 1, 0.7, 0.7, 0.7, 0.7];
        double[][] expected = [.. gradients.Zip(scales, (gradient, scale) => gradient.Select(value => value * scale).ToArray())];
        AssertDifferences(values, expected, () => MergingStep(values, shapes, withGradient: false).Loss);
    }

    /// <summary>Differences of the loss by each number against its gradient.</summary>
    private static void AssertDifferences(double[][] values, double[][] gradients, Func<double> loss)
    {
        const double Step = 1e-6;
        for (int tensor = 0; tensor < values.Length; tensor++)
        {
            for (int i = 0; i < values[tensor].Length; i++)
            {
                double value = values[tensor][i];
                values[tensor][i] = value + Step;
                double above = loss();
                values[tensor][i] = value - Step;
                double below = loss();
                values[tensor][i] = value;
                double difference = (above - below) / (2 * Step);
                Assert.True(
                    Math.Abs(difference - gradients[tensor][i]) <= 1e-7,
                    $"tensor {tensor}, number {i}: {gradients[tensor][i]}, by differences {difference}");
            }
        }
    }

    private static double[] Numbers(int seed, long count) =>
        [.. Enumerable.Range(0, (int)count).Select(i => StudyRandom.Symmetric(new RandomKey((ulong)seed, 0), (ulong)i))];

    /// <summary>The step in the study's layers: fills the gradients of the parameters, and returns that of the images.</summary>
    private float[] LayersGradient(Network network, ScoreAndClassLayer answer, double[] values)
    {
        DeviceTensor<float> images = Keep(_device.Upload<float>([.. values.Select(value => (float)value)], 2 * Rows, 1, Height, Width));
        DeviceTensor<float> changed = Keep(_device.Allocate<float>(images.Shape)), dImages = Keep(_device.Allocate<float>(images.Shape));
        DeviceTensor<float> summary = Keep(_device.Allocate<float>(4)), losses = Keep(_device.Allocate<float>(Rows));
        DeviceTensor<ulong> none = Keep(_device.Allocate<ulong>(0));
        DeviceTensor<int> labels = Labels();
        TrainingStep step = new(_stream, none, none, labels);
        DifferentiableAugment.Forward(_stream, images, null, null, changed, Policy, Key);
        DeviceTensor<float> scores = network.Forward(_stream, changed, step), dScores = network.LogitGradient(2 * Rows);
        GanLoss.Discriminator(
            _stream, scores.Slice(0, Rows), scores.Slice(Rows, Rows), null, summary, dScores.Slice(0, Rows), dScores.Slice(Rows, Rows), 1,
            GanLossForm.NonSaturating);
        DeviceTensor<float> dClasses = answer.ClassGradient(2 * Rows);
        _stream.Fill(dClasses, 0f);
        CrossEntropy.ForwardBackward(
            _stream, answer.ClassLogits.Slice(0, Rows), labels, null, null, losses, dClasses.Slice(0, Rows), null, Condition / Rows);
        DeviceTensor<float> dChanged = network.Backward(step, dScores)!;
        DifferentiableAugment.Backward(_stream, dChanged, null, null, dImages, Policy, Key);
        return dImages.ToArray(_stream);
    }

    /// <summary>The same step of the same ops in float64; vectors are those of the power iterations.</summary>
    private (double Loss, double[][] Gradients) DiscriminatorStep(
        double[][] values, double[][] vectors, long[][] shapes, bool withGradient)
    {
        DeviceTensor<double>[] tensors = [.. values.Zip(shapes, (value, shape) => Tensor(value, shape))];
        DeviceTensor<double> images = tensors[^1], x = Empty(images.Shape);
        DifferentiableAugment.Forward(_stream, images, null, null, x, Policy, Key);
        List<Func<DeviceTensor<double>, DeviceTensor<double>>> back = [];
        double[][] gradients = [.. values.Select(value => new double[value.Length])];
        for (int layer = 0; layer < 3; layer++) x = Leaky(Convolve(x, layer));
        x = Leaky(Multiply(Deviate(x), layer: 3));
        DeviceTensor<double> features = x, scores = Multiply(features, layer: 4);
        DeviceTensor<double> weight = tensors[10], bias = tensors[11], logits = Empty(2 * Rows, Classes);
        Linear.Forward(_stream, features, weight, bias, logits);

        DeviceTensor<double> summary = Empty(4), losses = Empty(Rows), dScores = Empty(2 * Rows, 1), dLogits = Zeros(2 * Rows, Classes);
        GanLoss.Discriminator(
            _stream, scores.Slice(0, Rows), scores.Slice(Rows, Rows), null, summary, dScores.Slice(0, Rows), dScores.Slice(Rows, Rows), 1,
            GanLossForm.NonSaturating);
        CrossEntropy.ForwardBackward(
            _stream, logits.Slice(0, Rows), Labels(), null, null, losses, dLogits.Slice(0, Rows), null, Condition / Rows);
        double loss = summary.ToArray(_stream)[..2].Sum() + (Condition * losses.ToArray(_stream).Average());
        if (withGradient)
        {
            DeviceTensor<double> dFeatures = Empty(features.Shape), dWeight = Empty(weight.Shape), dBias = Empty(bias.Shape);
            Linear.Backward(_stream, features, weight, dLogits, dFeatures, dWeight, dBias);
            (gradients[10], gradients[11]) = (dWeight.ToArray(_stream), dBias.ToArray(_stream));
            DeviceTensor<double> gradient = back[^1](dScores);
            StochasticDepth.Infer(_stream, gradient, dFeatures, gradient, dropProbability: 0);
            for (int i = back.Count - 2; i >= 0; i--) gradient = back[i](gradient);
            DeviceTensor<double> dImages = Empty(images.Shape);
            DifferentiableAugment.Backward(_stream, gradient, null, null, dImages, Policy, Key);
            gradients[^1] = dImages.ToArray(_stream);
        }

        Free();
        return (loss, gradients);

        (DeviceTensor<double> Divided, Action<DeviceTensor<double>, DeviceTensor<double>> Finish) Divide(int layer)
        {
            DeviceTensor<double> raw = tensors[2 * layer], divided = Empty(raw.Shape), norm = Empty(1);
            DeviceTensor<double> left = Tensor(vectors[2 * layer], [vectors[2 * layer].Length]);
            DeviceTensor<double> right = Tensor(vectors[(2 * layer) + 1], [vectors[(2 * layer) + 1].Length]);
            SpectralNorm.Inference(_stream, raw, left, right, norm, divided);
            return (divided, Finish);

            void Finish(DeviceTensor<double> dWeight, DeviceTensor<double> dBias)
            {
                SpectralNorm.Backward(_stream, raw, left, right, norm, dWeight, dWeight);
                (gradients[2 * layer], gradients[(2 * layer) + 1]) = (dWeight.ToArray(_stream), dBias.ToArray(_stream));
            }
        }

        DeviceTensor<double> Convolve(DeviceTensor<double> input, int layer)
        {
            (DeviceTensor<double> divided, Action<DeviceTensor<double>, DeviceTensor<double>> finish) = Divide(layer);
            DeviceTensor<double> y = Empty(input.Shape[0], divided.Shape[0], (input.Shape[2] + 1) / 2, (input.Shape[3] + 1) / 2);
            Conv2dOptions halving = SpectralConvLayer.OptionsFor(input.Shape[2], input.Shape[3]);
            Conv2d.Forward(_stream, input, divided, tensors[(2 * layer) + 1], y, halving);
            back.Add(dy =>
            {
                DeviceTensor<double> dx = Empty(input.Shape), dWeight = Empty(divided.Shape), dBias = Empty(divided.Shape[0]);
                Conv2d.BackwardFilter(_stream, input, dy, dWeight, dBias, halving);
                Conv2d.BackwardData(_stream, divided, dy, dx, halving);
                finish(dWeight, dBias);
                return dx;
            });
            return y;
        }

        DeviceTensor<double> Multiply(DeviceTensor<double> input, int layer)
        {
            (DeviceTensor<double> divided, Action<DeviceTensor<double>, DeviceTensor<double>> finish) = Divide(layer);
            DeviceTensor<double> rows = input.Reshape(input.Shape[0], divided.Shape[1]), y = Empty(input.Shape[0], divided.Shape[0]);
            Linear.Forward(_stream, rows, divided, tensors[(2 * layer) + 1], y);
            back.Add(dy =>
            {
                DeviceTensor<double> dx = Empty(rows.Shape), dWeight = Empty(divided.Shape), dBias = Empty(divided.Shape[0]);
                Linear.Backward(_stream, rows, divided, dy, dx, dWeight, dBias);
                finish(dWeight, dBias);
                return dx.Reshape(input.Shape);
            });
            return y;
        }

        DeviceTensor<double> Leaky(DeviceTensor<double> input)
        {
            LeakyRelu.Forward(_stream, input, input, Slope);
            back.Add(dy =>
            {
                LeakyRelu.Backward(_stream, input, dy, dy, Slope);
                return dy;
            });
            return input;
        }

        // Real images by themselves, and generated ones by themselves.
        DeviceTensor<double> Deviate(DeviceTensor<double> input)
        {
            DeviceTensor<double> y = Empty(MinibatchDeviation.OutputShape(input.Shape));
            for (int start = 0; start < 2 * Rows; start += Rows)
                MinibatchDeviation.Forward(_stream, input.Slice(start, Rows), y.Slice(start, Rows), Rows);
            back.Add(dy =>
            {
                DeviceTensor<double> dx = Empty(input.Shape);
                for (int start = 0; start < 2 * Rows; start += Rows)
                {
                    MinibatchDeviation.Backward(
                        _stream, input.Slice(start, Rows), dy.Slice(start, Rows), dx.Slice(start, Rows), Rows);
                }

                return dx;
            });
            return y;
        }
    }

    /// <summary>
    /// Network A makes images of pairs, by two convolutions; classifier B, a convolution, the mean of each map and a linear layer, sees
    /// them and real ones. 0.3 times the mean squared error plus 0.7 times the mean loss of B.
    /// </summary>
    private (double Loss, double[][] Gradients) MergingStep(double[][] values, long[][] shapes, bool withGradient)
    {
        DeviceTensor<double>[] w = [.. values.Zip(shapes, (value, shape) => Tensor(value, shape))];
        DeviceTensor<double> pairs = Tensor(Numbers(2, Rows * 2 * Height * Width), [Rows, 2, Height, Width]);
        DeviceTensor<double> real = Tensor(Numbers(3, Rows * Height * Width), [Rows, 1, Height, Width]);
        DeviceTensor<double> hidden = Empty(Rows, 2, Height, Width), made = Empty(Rows, 1, Height, Width);
        Conv2d.ForwardRelu(_stream, pairs, w[0], w[1], hidden, Same);
        Conv2d.Forward(_stream, hidden, w[2], w[3], made, Same);

        DeviceTensor<double> input = Empty(2 * Rows, 1, Height, Width), maps = Empty(2 * Rows, 2, Height, Width);
        DeviceTensor<double> means = Empty(2 * Rows, 2), logits = Empty(2 * Rows, Classes), dLogits = Empty(2 * Rows, Classes);
        _stream.Copy(made, input.Slice(0, Rows));
        _stream.Copy(real, input.Slice(Rows, Rows));
        Conv2d.ForwardRelu(_stream, input, w[4], w[5], maps, Same);
        AveragePool2d.ForwardGlobal(_stream, maps, means);
        Linear.Forward(_stream, means, w[6], w[7], logits);
        DeviceTensor<double> losses = Empty(2 * Rows), error = Empty(1);
        DeviceTensor<int> labels = Keep(_device.Upload<int>([0, 1, 2, 0, 1, 2], 2 * Rows));
        CrossEntropy.ForwardBackward(_stream, logits, labels, null, null, losses, dLogits, null, 1.0 / (2 * Rows));
        DeviceTensor<double>[] d = [.. w.Select(tensor => Empty(tensor.Shape))];

        DeviceTensor<double> dMeans = Empty(means.Shape), dMaps = Empty(maps.Shape), dInput = Empty(input.Shape);
        Linear.Backward(_stream, means, w[6], dLogits, dMeans, d[6], d[7]);
        AveragePool2d.BackwardGlobal(_stream, dMeans, dMaps);
        Relu.Backward(_stream, maps, dMaps, dMaps);
        Conv2d.BackwardFilter(_stream, input, dMaps, d[4], d[5], Same);
        Conv2d.BackwardData(_stream, w[4], dMaps, dInput, Same);

        // As the study does it, over the share of the classifier.
        DeviceTensor<double> dMade = dInput.Slice(0, Rows), dHidden = Empty(hidden.Shape);
        MeanSquaredError.ForwardBackward(_stream, made, real, null, error, dMade, 0.3 / 0.7, accumulates: true);
        Conv2d.BackwardFilter(_stream, hidden, dMade, d[2], d[3], Same);
        Conv2d.BackwardData(_stream, w[2], dMade, dHidden, Same);
        Relu.Backward(_stream, hidden, dHidden, dHidden);
        Conv2d.BackwardFilter(_stream, pairs, dHidden, d[0], d[1], Same);

        double loss = (0.3 * error.ToArray(_stream)[0]) + (0.7 * losses.ToArray(_stream).Average());
        double[][] gradients = [.. d.Select((tensor, i) => tensor.ToArray(_stream).Select(value => i < 4 ? 0.7 * value : value).ToArray())];
        Free();
        return (loss, withGradient ? gradients : []);
    }

    private DeviceTensor<int> Labels() => Keep(_device.Upload<int>([0, 1, 2], Rows));

    private DeviceTensor<double> Tensor(double[] values, params ReadOnlySpan<long> shape) => Keep(_device.Upload<double>(values, shape));

    private DeviceTensor<double> Empty(params ReadOnlySpan<long> shape) => Keep(_device.Allocate<double>(shape));

    private DeviceTensor<double> Zeros(params ReadOnlySpan<long> shape)
    {
        DeviceTensor<double> tensor = Empty(shape);
        _stream.Fill(tensor, 0.0);
        return tensor;
    }

    private double[] Doubles(DeviceTensor<float> tensor) => [.. tensor.ToArray(_stream).Select(value => (double)value)];

    private T Keep<T>(T tensor)
        where T : IDisposable
    {
        _tensors.Add(tensor);
        return tensor;
    }

    private void Free()
    {
        foreach (IDisposable tensor in _tensors) tensor.Dispose();
        _tensors.Clear();
    }
}
