namespace Kernels.Study;

/// <summary>
/// y = x w^T + b. Weights start as in He et al. (2015), in the uniform form: on (-b, b) with b = sqrt(6 / inputs), variance 2 / inputs,
/// times a scale; zero bias. Uniform, because it needs no logarithm: the same bits on every platform.
/// </summary>
internal class LinearLayer(int outputs, double initialScale = 1) : Layer
{
    private DeviceTensor<float> _y = null!;
    private DeviceTensor<float>? _dx;

    /// <summary>[outputs, inputs].</summary>
    protected Parameter Weight { get; private set; } = null!;

    protected Parameter Bias { get; private set; } = null!;

    /// <summary>The input of the last pass.</summary>
    protected DeviceTensor<float> X { get; private set; } = null!;

    public override LayerInput Build(LayerInput input)
    {
        Weight = Weights(input.Device, initialScale * Math.Sqrt(6.0 / input.Features), outputs, input.Features);
        Bias = Unregularized(input.Device, start: 0, outputs);
        _y = Buffer(input, outputs);
        _dx = input.NeedsGradient ? Buffer(input, input.Shape) : null;
        return input with { Shape = [outputs], NeedsGradient = true };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        X = x;
        DeviceTensor<float> y = Rows(_y, x);
        Apply(stream, step, y);
        return y;
    }

    public override DeviceTensor<float>? Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        DeviceTensor<float>? dx = _dx is null ? null : Rows(_dx, dy);
        ApplyGradient(step, dy, dx);
        return dx;
    }

    protected virtual void Apply(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> y) =>
        Linear.Forward(stream, X, Weight.Value, Bias.Value, y);

    protected virtual void ApplyGradient(in TrainingStep step, DeviceTensor<float> dy, DeviceTensor<float>? dx) =>
        Linear.Backward(step.Stream, X, Weight.Value, dy, dx, Weight.Gradient, Bias.Gradient);
}

/// <summary>
/// A linear layer in front of a ReLU, each weight and bias of which is dropped anew for every example of a batch. An evaluation takes the
/// sums as normally distributed and gives the means of their ReLU over samples.
/// </summary>
internal sealed class DropConnectLayer(int outputs, double probability, int samples, int place) : LinearLayer(outputs)
{
    /// <summary>The same for every evaluation, so that epochs are measured alike.</summary>
    private static RandomKey EvaluationKey => StudyRandom.KeyFor(0, RandomPurpose.Evaluation);

    protected override void Apply(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> y)
    {
        (DeviceTensor<float> w, DeviceTensor<float> b) = (Weight.Value, Bias.Value);
        if (step is { } training)
            DropConnect.Forward(stream, X, w, b, y, probability, training.KeyFor(RandomPurpose.DropConnect, place), Shard(training));
        else
            DropConnect.Infer(stream, X, w, b, y, null, null, probability, DropConnectActivation.Relu, samples, EvaluationKey);
    }

    protected override void ApplyGradient(in TrainingStep step, DeviceTensor<float> dy, DeviceTensor<float>? dx) => DropConnect.Backward(
        step.Stream, X, Weight.Value, dy, dx, Weight.Gradient, Bias.Gradient, probability, step.KeyFor(RandomPurpose.DropConnect, place),
        Shard(step));

    private static DropConnectOptions Shard(in TrainingStep step) => new() { GlobalStart = step.FirstRow };
}
