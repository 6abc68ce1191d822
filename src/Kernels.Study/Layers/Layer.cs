namespace Kernels.Study;

/// <summary>
/// A training step: where to launch, and its random keys, which lie in device memory: a step that is captured draws fresh numbers in each
/// replay. And the numbers and labels of its batch, for layers that look at them.
/// </summary>
internal readonly record struct TrainingStep(
    DeviceStream Stream, DeviceTensor<ulong> Keys, DeviceTensor<ulong> Samples, DeviceTensor<int> Labels)
{
    /// <summary>
    /// The place of its first row in the whole batch: masks count from there, so that those of shards are those of the batch.
    /// </summary>
    public ulong FirstRow { get; init; }

    /// <summary>A pass back asks for the gradient of the input alone: those of the parameters may be left as they are.</summary>
    public bool IsFrozen { get; init; }

    /// <summary>The key for one draw in this step. Forward and backward ask for the same key and so see the same mask.</summary>
    public RandomKeySource KeyFor(RandomPurpose purpose, int place) => Keys.Slice(StepKeys.IndexOf(purpose, place), 1).Reshape(2);
}

/// <summary>
/// A tensor that training moves, and its gradient. Weights start uniform on (-bound, bound) and are regularized; what has no bound, such as
/// a bias, is not, and starts as its layer makes it.
/// </summary>
internal sealed class Parameter(DeviceTensor<float> value, DeviceTensor<float> gradient, double bound)
{
    public DeviceTensor<float> Value { get; private set; } = value;

    public DeviceTensor<float> Gradient { get; private set; } = gradient;

    public double Bound { get; } = bound;

    public bool IsWeight => Bound > 0;

    /// <summary>Frees the value and takes that of another network's parameter, which stays the owner.</summary>
    public void ShareValue(Parameter other)
    {
        Value.Dispose();
        Value = other.Value;
    }

    /// <summary>Frees the gradient's tensor and takes a part of another of the same shape, which stays the owner.</summary>
    public void MoveGradient(DeviceTensor<float> place)
    {
        Gradient.Dispose();
        Gradient = place.Reshape(Value.Shape);
    }
}

/// <summary>
/// What a layer is built for: the shape of one example, at most so many examples at once, and whether anything before it waits for a
/// gradient.
/// </summary>
internal sealed record LayerInput(Device Device, int MaximumRows, IReadOnlyList<long> Shape, bool NeedsGradient)
{
    /// <summary>Elements of an example.</summary>
    public long Features => Shape.Aggregate((left, right) => left * right);
}

/// <summary>
/// A part of a network: parameters, the buffers of one pass, and what it needs of its last forward pass to go back. It knows nothing of
/// what it is part of. An object serves one network.
/// </summary>
internal abstract class Layer : IDisposable
{
    private readonly List<DeviceTensor<float>> _tensors = [];
    private readonly List<Parameter> _parameters = [];

    public virtual IReadOnlyList<Parameter> Parameters => _parameters;

    /// <summary>What training changes besides the parameters.</summary>
    public virtual IEnumerable<DeviceTensor<float>> Statistics => [];

    /// <summary>Allocates, once and before all else, and returns what the next layer is built for.</summary>
    public abstract LayerInput Build(LayerInput input);

    /// <summary>Fills what starts neither as the layer makes it nor as weights do.</summary>
    public virtual void Initialize(DeviceStream stream, RandomKey key)
    {
    }

    /// <summary>
    /// The output for <paramref name="x"/>, valid until the next pass; in training with a step, in evaluation without. Where a method acts
    /// here, it follows its inference rule in an evaluation; that of most is to do nothing.
    /// </summary>
    public abstract DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x);

    /// <summary>
    /// Fills the gradients of the parameters for the batch of the last forward pass, and returns the gradient of its input, or null where
    /// none was asked for. May write over <paramref name="dy"/>.
    /// </summary>
    public abstract DeviceTensor<float>? Backward(in TrainingStep step, DeviceTensor<float> dy);

    /// <summary>
    /// The same layer of several shards of a batch as one: each on its own, unless it looks at its whole batch. Called on one of them.
    /// </summary>
    /// <param name="shards">The layers, this one among them.</param>
    /// <param name="evaluated">That of the network that is evaluated, which has the statistics.</param>
    /// <param name="setup">The shards.</param>
    public virtual LayerGroup Together(IReadOnlyList<Layer> shards, Layer evaluated, ShardSetup setup) => new LayersApart(shards);

    public virtual void Dispose()
    {
        foreach (DeviceTensor<float> tensor in _tensors) tensor.Dispose();
    }

    protected DeviceTensor<float> Allocate(Device device, params ReadOnlySpan<long> shape)
    {
        DeviceTensor<float> tensor = device.Allocate<float>(shape);
        _tensors.Add(tensor);
        return tensor;
    }

    /// <summary>A buffer for examples of a shape, as many as there can be at once.</summary>
    protected DeviceTensor<float> Buffer(LayerInput input, params IReadOnlyList<long> shape) =>
        Allocate(input.Device, [input.MaximumRows, .. shape]);

    protected Parameter Weights(Device device, double bound, params ReadOnlySpan<long> shape) =>
        Add(new Parameter(Allocate(device, shape), Allocate(device, shape), bound));

    /// <summary>Parameters that are not regularized, such as a bias.</summary>
    protected Parameter Unregularized(Device device, float start, long count) =>
        Add(new Parameter(Filled(device, start, count), Allocate(device, count), bound: 0));

    protected DeviceTensor<float> Filled(Device device, float value, long count)
    {
        float[] values = new float[count];
        Array.Fill(values, value);
        DeviceTensor<float> tensor = device.Upload<float>(values, count);
        _tensors.Add(tensor);
        return tensor;
    }

    /// <summary>As much of a buffer as a batch has rows.</summary>
    protected static DeviceTensor<float> Rows(DeviceTensor<float> buffer, DeviceTensor<float> batch) => buffer.Slice(0, batch.Shape[0]);

    private Parameter Add(Parameter parameter)
    {
        _parameters.Add(parameter);
        return parameter;
    }
}

/// <summary>Layers one after the other.</summary>
internal sealed class Sequence(IReadOnlyList<Layer> layers) : Layer
{
    private readonly IReadOnlyList<Layer> _layers = layers;

    public override IReadOnlyList<Parameter> Parameters => [.. _layers.SelectMany(layer => layer.Parameters)];

    public override IEnumerable<DeviceTensor<float>> Statistics => _layers.SelectMany(layer => layer.Statistics);

    public override LayerInput Build(LayerInput input) => _layers.Aggregate(input, (shape, layer) => layer.Build(shape));

    public override void Initialize(DeviceStream stream, RandomKey key)
    {
        for (int i = 0; i < _layers.Count; i++) _layers[i].Initialize(stream, key with { Offset = key.Offset + (ulong)i });
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        foreach (Layer layer in _layers) x = layer.Forward(stream, step, x);
        return x;
    }

    public override DeviceTensor<float>? Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        DeviceTensor<float>? gradient = dy;
        for (int i = _layers.Count - 1; i >= 0 && gradient is not null; i--) gradient = _layers[i].Backward(step, gradient);
        return gradient;
    }

    public override LayerGroup Together(IReadOnlyList<Layer> shards, Layer evaluated, ShardSetup setup) => new LayersInTurn(
    [
        .. _layers.Select((layer, i) =>
            layer.Together([.. shards.Select(shard => ((Sequence)shard)._layers[i])], ((Sequence)evaluated)._layers[i], setup)),
    ]);

    public override void Dispose()
    {
        foreach (Layer layer in _layers) layer.Dispose();
    }
}
