namespace Kernels.Cli.Study;

/// <summary>
/// A multilayer perceptron on one device: linear layers with ReLU between them. Holds parameters, gradients and the buffers of one pass, all
/// allocated once for at most <c>maximumRows</c> rows.
/// </summary>
internal sealed class Mlp : IDisposable
{
    private readonly IReadOnlyList<int> _widths;
    private readonly DeviceTensor<float>[] _outputs;
    private readonly DeviceTensor<float>[] _outputGradients;

    public Mlp(Device device, IReadOnlyList<int> widths, int maximumRows)
    {
        _widths = widths;
        List<DeviceTensor<float>> parameters = [], gradients = [];
        for (int layer = 0; layer < LayerCount; layer++)
        {
            int inputs = widths[layer], outputs = widths[layer + 1];
            parameters.AddRange(device.Allocate<float>(outputs, inputs), device.Allocate<float>(outputs));
            gradients.AddRange(device.Allocate<float>(outputs, inputs), device.Allocate<float>(outputs));
        }

        Parameters = parameters;
        Gradients = gradients;
        _outputs = [.. widths.Skip(1).Select(width => device.Allocate<float>(maximumRows, width))];
        _outputGradients = [.. widths.Skip(1).Select(width => device.Allocate<float>(maximumRows, width))];
    }

    public int LayerCount => _widths.Count - 1;

    /// <summary>Weights [outputs, inputs] and bias [outputs] of each layer in turn.</summary>
    public IReadOnlyList<DeviceTensor<float>> Parameters { get; }

    /// <summary>As <see cref="Parameters"/>; valid after <see cref="Backward"/>.</summary>
    public IReadOnlyList<DeviceTensor<float>> Gradients { get; }

    public static bool IsWeight(int parameter) => parameter % 2 == 0;

    /// <summary>
    /// He et al. (2015), in the uniform form: weights on (-b, b) with b = sqrt(6 / inputs), variance 2 / inputs; zero bias. Uniform, because it
    /// needs no logarithm: the same bits on every platform.
    /// </summary>
    public void Initialize(DeviceStream stream, RandomKey key)
    {
        ulong index = 0;
        for (int layer = 0; layer < LayerCount; layer++)
        {
            float[] weights = new float[Parameters[2 * layer].Length];
            double bound = Math.Sqrt(6.0 / _widths[layer]);
            for (int i = 0; i < weights.Length; i++) weights[i] = (float)(bound * StudyRandom.Symmetric(key, index++));
            stream.Upload<float>(weights, Parameters[2 * layer]);
            stream.Fill(Parameters[(2 * layer) + 1], 0f);
        }
    }

    /// <summary>The logits of <paramref name="input"/>, valid until the next pass. With a step, its regularizers act on the way.</summary>
    public DeviceTensor<float> Forward(
        DeviceStream stream, DeviceTensor<float> input, TrainingStep? step = null, IReadOnlyList<Regularizer>? regularizers = null)
    {
        DeviceTensor<float> activations = input;
        for (int layer = 0; layer < LayerCount; layer++)
        {
            if (step is { } s)
                foreach (Regularizer regularizer in regularizers!) regularizer.OnActivations(s, layer, activations);

            DeviceTensor<float> output = Rows(_outputs[layer], input.Shape[0]);
            Linear.Forward(stream, activations, Parameters[2 * layer], Parameters[(2 * layer) + 1], output);
            if (layer < LayerCount - 1) Relu.Forward(stream, output, output);
            activations = output;
        }

        return activations;
    }

    /// <summary>The buffer for the gradient of the loss with respect to the logits.</summary>
    public DeviceTensor<float> LogitGradient(long rows) => Rows(_outputGradients[^1], rows);

    /// <summary>Fills <see cref="Gradients"/> from <see cref="LogitGradient"/>, for the batch of the last forward pass.</summary>
    public void Backward(in TrainingStep step, DeviceTensor<float> input, IReadOnlyList<Regularizer> regularizers)
    {
        long rows = input.Shape[0];
        for (int layer = LayerCount - 1; layer >= 0; layer--)
        {
            DeviceTensor<float> x = layer == 0 ? input : Rows(_outputs[layer - 1], rows);
            DeviceTensor<float>? dx = layer == 0 ? null : Rows(_outputGradients[layer - 1], rows);
            Linear.Backward(
                step.Stream, x, Parameters[2 * layer], Rows(_outputGradients[layer], rows), dx, Gradients[2 * layer], Gradients[(2 * layer) + 1]);
            if (dx is null) return;

            foreach (Regularizer regularizer in regularizers.Reverse()) regularizer.OnGradient(step, layer, dx);

            // x is what came out after dropout: where a unit was dropped, its gradient is zero already, so the sign test still holds.
            Relu.Backward(step.Stream, x, dx, dx);
        }
    }

    public void Dispose()
    {
        foreach (DeviceTensor<float> tensor in (DeviceTensor<float>[])[.. Parameters, .. Gradients, .. _outputs, .. _outputGradients])
            tensor.Dispose();
    }

    private static DeviceTensor<float> Rows(DeviceTensor<float> tensor, long rows) => tensor.Slice(0, rows);
}
