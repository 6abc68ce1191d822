namespace Kernels.Study;

/// <summary>
/// A residual block: y = ReLU(x + f(x)), f being its layers, the first of which writes to a buffer of its own and the last of which keeps
/// the shape. With a probability to drop f it is stochastic depth, decided for each example of a batch.
/// </summary>
internal sealed class ResidualLayer(IReadOnlyList<Layer> layers, double dropProbability, int place) : Layer
{
    private static readonly StochasticDepthOptions Block = new() { Relu = true };

    private readonly Sequence _branch = new(layers);
    private DeviceTensor<float> _skipGradient = null!;
    private DeviceTensor<float> _y = null!;

    public override IReadOnlyList<Parameter> Parameters => _branch.Parameters;

    public override IEnumerable<DeviceTensor<float>> Statistics => _branch.Statistics;

    public override LayerInput Build(LayerInput input)
    {
        _skipGradient = Buffer(input, input.Shape);
        return _branch.Build(input with { NeedsGradient = true });
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        _y = _branch.Forward(stream, step, x);
        if (step is { } training)
            StochasticDepth.Forward(stream, x, _y, _y, dropProbability, training.KeyFor(RandomPurpose.StochasticDepth, place), Block);
        else
            StochasticDepth.Infer(stream, x, _y, _y, dropProbability, Block);
        return _y;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        DeviceTensor<float> skip = Rows(_skipGradient, dy);
        RandomKeySource key = step.KeyFor(RandomPurpose.StochasticDepth, place);
        StochasticDepth.Backward(step.Stream, _y, dy, dx: skip, df: dy, dropProbability, key, Block);
        DeviceTensor<float> dx = _branch.Backward(step, dy)!;

        // Through the branch and past it: a block of stochastic depth 0 is the plain sum of two tensors.
        StochasticDepth.Infer(step.Stream, dx, skip, dx, dropProbability: 0);
        return dx;
    }

    public override void Dispose()
    {
        _branch.Dispose();
        base.Dispose();
    }
}
