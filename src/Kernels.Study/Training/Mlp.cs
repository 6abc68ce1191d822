namespace Kernels.Study;

/// <summary>
/// A multilayer perceptron on one device: linear layers with ReLU between them, and in a residual network a skip connection around each
/// hidden layer that keeps the width. Holds parameters, gradients and the buffers of one pass, all allocated once for at most
/// <c>maximumRows</c> rows.
/// </summary>
internal sealed class Mlp : IDisposable
{
    private static readonly StochasticDepthOptions Block = new() { Relu = true };

    private readonly NetworkShape _shape;
    private readonly IReadOnlyList<Regularizer> _regularizers;
    private readonly LinearLayer[] _layers;
    private readonly DeviceTensor<float>[] _outputs;
    private readonly DeviceTensor<float>[] _outputGradients;
    private readonly DeviceTensor<float>[] _regularized;
    private readonly DeviceTensor<float>[] _skipGradients;

    /// <summary>The input of each layer in the last pass: a layer's output, or what the regularizers made of it.</summary>
    private readonly DeviceTensor<float>[] _inputs;

    public Mlp(Device device, NetworkShape shape, IReadOnlyList<Regularizer> regularizers, int maximumRows)
    {
        IReadOnlyList<int> widths = shape.Widths;
        _shape = shape;
        _regularizers = regularizers;
        _layers = [.. widths.Zip(widths.Skip(1), (inputs, outputs) => new LinearLayer(
            device.Allocate<float>(outputs, inputs), device.Allocate<float>(outputs),
            device.Allocate<float>(outputs, inputs), device.Allocate<float>(outputs)))];
        Parameters = [.. _layers.SelectMany(layer => (DeviceTensor<float>[])[layer.Weight, layer.Bias])];
        Gradients = [.. _layers.SelectMany(layer => (DeviceTensor<float>[])[layer.WeightGradient, layer.BiasGradient])];
        _outputs = Buffers(widths.Skip(1));
        _outputGradients = Buffers(widths.Skip(1));
        _regularized = Buffers(widths.SkipLast(1));
        _skipGradients = shape.Blocks == 0 ? [] : Buffers(widths.Skip(1).SkipLast(1));
        _inputs = new DeviceTensor<float>[LayerCount];

        DeviceTensor<float>[] Buffers(IEnumerable<int> columns) => [.. columns.Select(width => device.Allocate<float>(maximumRows, width))];
    }

    public int LayerCount => _layers.Length;

    /// <summary>Weights [outputs, inputs] and bias [outputs] of each layer in turn.</summary>
    public IReadOnlyList<DeviceTensor<float>> Parameters { get; }

    /// <summary>As <see cref="Parameters"/>; valid after <see cref="Backward"/>.</summary>
    public IReadOnlyList<DeviceTensor<float>> Gradients { get; }

    public static bool IsWeight(int parameter) => parameter % 2 == 0;

    /// <summary>
    /// He et al. (2015), in the uniform form: weights on (-b, b) with b = sqrt(6 / inputs), variance 2 / inputs; zero bias. Uniform,
    /// because it needs no logarithm: the same bits on every platform. Branches of residual blocks start smaller, so that their sum does
    /// not grow with the depth.
    /// </summary>
    public void Initialize(DeviceStream stream, RandomKey key)
    {
        ulong index = 0;
        for (int layer = 0; layer < LayerCount; layer++)
        {
            float[] weights = new float[_layers[layer].Weight.Length];
            double bound = Math.Sqrt(6.0 / _shape.Widths[layer]);
            if (_shape.IsBlock(layer)) bound /= _shape.Blocks;
            for (int i = 0; i < weights.Length; i++) weights[i] = (float)(bound * StudyRandom.Symmetric(key, index++));
            stream.Upload<float>(weights, _layers[layer].Weight);
            stream.Fill(_layers[layer].Bias, 0f);
        }
    }

    /// <summary>
    /// The logits of <paramref name="input"/>, valid until the next pass; in training with a step, in evaluation without.
    /// </summary>
    public DeviceTensor<float> Forward(DeviceStream stream, DeviceTensor<float> input, TrainingStep? step = null)
    {
        long rows = input.Shape[0];
        DeviceTensor<float> x = input;
        for (int layer = 0; layer < LayerCount; layer++)
        {
            DeviceTensor<float> regularized = Rows(_regularized[layer], rows), y = Rows(_outputs[layer], rows);
            foreach (Regularizer regularizer in _regularizers)
                if (regularizer.OnActivations(stream, step, layer, x, regularized)) x = regularized;

            _inputs[layer] = x;
            if (!_regularizers.Any(regularizer => regularizer.OnLinear(stream, step, layer, _layers[layer], x, y)))
                Linear.Forward(stream, x, _layers[layer].Weight, _layers[layer].Bias, y);
            if (layer < LayerCount - 1) Activate(stream, step, layer, x, y);
            x = y;
        }

        return x;
    }

    /// <summary>The buffer for the gradient of the loss with respect to the logits.</summary>
    public DeviceTensor<float> LogitGradient(long rows) => Rows(_outputGradients[^1], rows);

    /// <summary>Fills <see cref="Gradients"/> from <see cref="LogitGradient"/>, for the batch of the last forward pass.</summary>
    public void Backward(TrainingStep step)
    {
        long rows = _inputs[0].Shape[0];
        for (int layer = LayerCount - 1; layer >= 0; layer--)
        {
            LinearLayer parameters = _layers[layer];
            DeviceTensor<float> x = _inputs[layer], dy = Rows(_outputGradients[layer], rows);
            DeviceTensor<float>? dx = layer == 0 ? null : Rows(_outputGradients[layer - 1], rows);
            if (!_regularizers.Any(regularizer => regularizer.OnLinearGradient(step, layer, parameters, x, dy, dx)))
                Linear.Backward(step.Stream, x, parameters.Weight, dy, dx, parameters.WeightGradient, parameters.BiasGradient);
            if (dx is null) return;

            // Through the branch and past it: a block of stochastic depth 0 is the plain sum of two tensors.
            if (_shape.IsBlock(layer)) StochasticDepth.Infer(step.Stream, dx, Rows(_skipGradients[layer], rows), dx, dropProbability: 0);
            DeviceTensor<float> output = Rows(_outputs[layer - 1], rows);
            foreach (Regularizer regularizer in _regularizers.Reverse()) regularizer.OnGradient(step, layer, output, dx);
            ActivateGradient(step, layer - 1, output, dx);
        }
    }

    /// <summary>The share of weights, without biases, that are exactly 0. Waits for the stream.</summary>
    public double ZeroWeights(DeviceStream stream)
    {
        long zeros = 0;
        foreach (LinearLayer layer in _layers)
        {
            float[] weights = new float[layer.Weight.Length];
            stream.Download(layer.Weight, weights);
            zeros += weights.Count(weight => weight == 0);
        }

        return (double)zeros / _layers.Sum(layer => layer.Weight.Length);
    }

    public void Dispose()
    {
        DeviceTensor<float>[] tensors = [.. Parameters, .. Gradients, .. _outputs, .. _outputGradients, .. _regularized, .. _skipGradients];
        foreach (DeviceTensor<float> tensor in tensors)
            tensor.Dispose();
    }

    /// <summary>ReLU in place, in a residual block of the sum of its input and what its layer made of it.</summary>
    private void Activate(DeviceStream stream, TrainingStep? step, int layer, DeviceTensor<float> x, DeviceTensor<float> y)
    {
        if (!_shape.IsBlock(layer))
            Relu.Forward(stream, y, y);
        else if (step is { } training)
            StochasticDepth.Forward(stream, x, y, y, DropProbability(layer), training.KeyFor(RandomPurpose.StochasticDepth, layer), Block);
        else
            StochasticDepth.Infer(stream, x, y, y, DropProbability(layer), Block);
    }

    private void ActivateGradient(in TrainingStep step, int layer, DeviceTensor<float> output, DeviceTensor<float> gradient)
    {
        if (!_shape.IsBlock(layer))
        {
            Relu.Backward(step.Stream, output, gradient, gradient);
            return;
        }

        StochasticDepth.Backward(
            step.Stream, output, gradient, dx: Rows(_skipGradients[layer], output.Shape[0]), df: gradient, DropProbability(layer),
            step.KeyFor(RandomPurpose.StochasticDepth, layer), Block);
    }

    private double DropProbability(int layer) =>
        _regularizers.Max(regularizer => (double?)regularizer.BranchDropProbability(_shape.BlockOf(layer), _shape.Blocks)) ?? 0;

    private static DeviceTensor<float> Rows(DeviceTensor<float> tensor, long rows) => tensor.Slice(0, rows);
}
