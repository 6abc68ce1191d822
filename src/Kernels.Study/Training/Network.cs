namespace Kernels.Study;

/// <summary>
/// A list of layers on one device, from images to logits. Holds parameters, gradients and the buffers of one pass, all allocated once for
/// at most <c>maximumRows</c> rows.
/// </summary>
internal sealed class Network : IDisposable
{
    private readonly Sequence _layers;
    private readonly DeviceTensor<float> _logitGradient;

    /// <param name="device">Where it is.</param>
    /// <param name="layers">One after the other.</param>
    /// <param name="inputShape">The shape of one example.</param>
    /// <param name="maximumRows">At most so many examples at once.</param>
    /// <param name="needsGradient">Whether a pass back goes through to the input.</param>
    public Network(
        Device device, IReadOnlyList<Layer> layers, IReadOnlyList<long> inputShape, int maximumRows, bool needsGradient = false)
    {
        _layers = new Sequence(layers);
        LayerInput logits = _layers.Build(new LayerInput(device, maximumRows, inputShape, needsGradient));
        _logitGradient = device.Allocate<float>(maximumRows, logits.Features);
        Parameters = _layers.Parameters;
    }

    public Network(Device device, IReadOnlyList<Layer> layers, int features, int maximumRows)
        : this(device, layers, [features], maximumRows)
    {
    }

    public Layer Layers => _layers;

    /// <summary>In the order of the layers; gradients are valid after <see cref="Backward(TrainingStep, long)"/>.</summary>
    public IReadOnlyList<Parameter> Parameters { get; }

    /// <summary>Numbers in all parameters.</summary>
    public long ParameterCount => Parameters.Sum(parameter => parameter.Value.Length);

    /// <summary>What training changes besides the parameters.</summary>
    public IReadOnlyList<DeviceTensor<float>> Statistics => [.. _layers.Statistics];

    /// <summary>All that training changes.</summary>
    public IReadOnlyList<DeviceTensor<float>> State => [.. Parameters.Select(parameter => parameter.Value), .. Statistics];

    /// <summary>Draws the weights; the layers have made all else, or make it of them.</summary>
    public void Initialize(DeviceStream stream, RandomKey key)
    {
        ulong index = 0;
        foreach (Parameter parameter in Parameters.Where(parameter => parameter.IsWeight))
        {
            float[] weights = new float[parameter.Value.Length];
            for (int i = 0; i < weights.Length; i++) weights[i] = (float)(parameter.Bound * StudyRandom.Symmetric(key, index++));
            stream.Upload<float>(weights, parameter.Value);
        }

        _layers.Initialize(stream, key with { Offset = key.Offset + 1 });
    }

    /// <summary>
    /// The logits of <paramref name="input"/>, valid until the next pass; in training with a step, in evaluation without.
    /// </summary>
    public DeviceTensor<float> Forward(DeviceStream stream, DeviceTensor<float> input, TrainingStep? step = null) =>
        _layers.Forward(stream, step, input);

    /// <summary>The buffer for the gradient of the loss with respect to the logits.</summary>
    public DeviceTensor<float> LogitGradient(long rows) => _logitGradient.Slice(0, rows);

    /// <summary>Fills the gradients from <see cref="LogitGradient"/>, for the batch of the last forward pass.</summary>
    public void Backward(TrainingStep step, long rows) => _layers.Backward(step, LogitGradient(rows));

    /// <summary>
    /// The same from a gradient of the output in its own shape, which may be written over; returns that of the input where it was asked
    /// for.
    /// </summary>
    public DeviceTensor<float>? Backward(TrainingStep step, DeviceTensor<float> dy) => _layers.Backward(step, dy);

    /// <summary>The share of weights, without biases, that are exactly 0. Waits for the stream.</summary>
    public double ZeroWeights(DeviceStream stream)
    {
        long zeros = 0, count = 0;
        foreach (Parameter parameter in Parameters.Where(parameter => parameter.IsWeight))
        {
            float[] weights = new float[parameter.Value.Length];
            stream.Download(parameter.Value, weights);
            zeros += weights.Count(weight => weight == 0);
            count += weights.Length;
        }

        return (double)zeros / count;
    }

    public void Dispose()
    {
        _layers.Dispose();
        _logitGradient.Dispose();
    }
}
