namespace Kernels.Study;

/// <summary>
/// A residual block: y = ReLU(x + f(x)), f being its layers, the first of which writes to a buffer of its own and the last of which keeps
/// the shape. With a probability to drop f it is stochastic depth, decided for each example of a batch.
/// </summary>
internal sealed partial class ResidualLayer(IReadOnlyList<Layer> layers, double dropProbability, int place) : Layer
{
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

    public override void Initialize(DeviceStream stream, RandomKey key) => _branch.Initialize(stream, key);

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        _y = _branch.Forward(stream, step, x);
        if (step is { } training)
            Join(training, x);
        else
            StochasticDepth.Infer(stream, x, _y, _y, dropProbability, Block(0));
        return _y;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        Split(step, dy);
        DeviceTensor<float> dx = _branch.Backward(step, dy)!;
        AddSkip(step, dx);
        return dx;
    }

    public override void Dispose()
    {
        _branch.Dispose();
        base.Dispose();
    }

    private static StochasticDepthOptions Block(ulong firstRow) => new() { Relu = true, GlobalStart = firstRow };

    /// <summary>y from what the branch gave, in place.</summary>
    private void Join(in TrainingStep step, DeviceTensor<float> x)
    {
        RandomKeySource key = step.KeyFor(RandomPurpose.StochasticDepth, place);
        StochasticDepth.Forward(step.Stream, x, _y, _y, dropProbability, key, Block(step.FirstRow));
    }

    /// <summary>The gradient of the branch's output in place of that of y; the other part is kept.</summary>
    private void Split(in TrainingStep step, DeviceTensor<float> dy)
    {
        RandomKeySource key = step.KeyFor(RandomPurpose.StochasticDepth, place);
        StochasticDepth.Backward(
            step.Stream, _y, dy, dx: Rows(_skipGradient, dy), df: dy, dropProbability, key, Block(step.FirstRow));
    }

    /// <summary>Through the branch and past it: a block of stochastic depth 0 is the plain sum of two tensors.</summary>
    private void AddSkip(in TrainingStep step, DeviceTensor<float> dx) =>
        StochasticDepth.Infer(step.Stream, dx, Rows(_skipGradient, dx), dx, dropProbability: 0);
}
