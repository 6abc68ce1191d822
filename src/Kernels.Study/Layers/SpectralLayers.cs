namespace Kernels.Study;

/// <summary>
/// A layer that uses its weight divided by an estimate of the weight's largest singular value (Miyato et al., 2018). One power iteration in
/// each pass of training follows the weight; a pass for the gradient of the input alone, and an evaluation, take the estimate as it is.
/// </summary>
internal abstract class SpectralLayer : Layer
{
    // Enough for vectors that start at random: PyTorch's number, less the one of each pass.
    private const int FirstIterations = 14;

    private Parameter _weight = null!;
    private DeviceTensor<float> _left = null!;
    private DeviceTensor<float> _right = null!;
    private DeviceTensor<float> _norm = null!;

    public override IEnumerable<DeviceTensor<float>> Statistics => [_left, _right];

    /// <summary>What the pass multiplies with.</summary>
    protected DeviceTensor<float> Divided { get; private set; } = null!;

    /// <summary>For the gradient of <see cref="Divided"/>, which <see cref="FinishGradient"/> makes that of the weight.</summary>
    protected DeviceTensor<float> Gradient => _weight.Gradient;

    protected Parameter Bias { get; private set; } = null!;

    public override void Initialize(DeviceStream stream, RandomKey key)
    {
        float[] start = new float[_right.Length];
        for (int i = 0; i < start.Length; i++) start[i] = (float)StudyRandom.Symmetric(key, (ulong)i);
        stream.Upload<float>(start, _right);
        SpectralNorm.Forward(
            stream, _weight.Value, _left, _right, _norm, Divided, new SpectralNormOptions { MoreIterations = FirstIterations });
    }

    /// <param name="device">The network's.</param>
    /// <param name="inputs">Products in a sum.</param>
    /// <param name="shape">Of the weight, outputs first.</param>
    protected void BuildWeight(Device device, long inputs, params ReadOnlySpan<long> shape)
    {
        _weight = Weights(device, Math.Sqrt(6.0 / inputs), shape);
        Bias = Unregularized(device, start: 0, shape[0]);
        _left = Allocate(device, shape[0]);
        _right = Allocate(device, _weight.Value.Length / shape[0]);
        _norm = Allocate(device, 1);
        Divided = Allocate(device, shape);
    }

    protected void Divide(DeviceStream stream, in TrainingStep? step)
    {
        if (step is { IsFrozen: false })
            SpectralNorm.Forward(stream, _weight.Value, _left, _right, _norm, Divided);
        else
            SpectralNorm.Inference(stream, _weight.Value, _left, _right, _norm, Divided);
    }

    protected void FinishGradient(DeviceStream stream) =>
        SpectralNorm.Backward(stream, _weight.Value, _left, _right, _norm, Gradient, Gradient);
}

/// <summary>
/// Convolution with filters of 4 x 4 at every second cell in both directions, so that maps halve. Each cell of its input is in as many
/// windows as any other: with an odd size, the gradient of an image would have the pattern of the stride.
/// </summary>
internal sealed class SpectralConvLayer(int outputs) : SpectralLayer
{
    private const int Size = 4;

    private Conv2dOptions _options;
    private DeviceTensor<float> _y = null!;
    private DeviceTensor<float>? _dx;
    private DeviceTensor<float> _x = null!;

    /// <summary>The padding that makes half as many rows and columns of these, rounded up.</summary>
    public static Conv2dOptions OptionsFor(long height, long width) =>
        new() { Stride = 2, Padding = (1, 1 + (height % 2), 1, 1 + (width % 2)) };

    public override LayerInput Build(LayerInput input)
    {
        (long channels, long height, long width) = (input.Shape[0], (input.Shape[1] + 1) / 2, (input.Shape[2] + 1) / 2);
        _options = OptionsFor(input.Shape[1], input.Shape[2]);
        BuildWeight(input.Device, channels * Size * Size, outputs, channels, Size, Size);
        _y = Buffer(input, outputs, height, width);
        _dx = input.NeedsGradient ? Buffer(input, input.Shape) : null;
        return input with { Shape = [outputs, height, width], NeedsGradient = true };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        _x = x;
        DeviceTensor<float> y = Rows(_y, x);
        Divide(stream, step);
        Conv2d.Forward(stream, x, Divided, Bias.Value, y, _options);
        return y;
    }

    public override DeviceTensor<float>? Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        if (!step.IsFrozen)
        {
            Conv2d.BackwardFilter(step.Stream, _x, dy, Gradient, Bias.Gradient, _options);
            FinishGradient(step.Stream);
        }

        if (_dx is null) return null;
        DeviceTensor<float> dx = Rows(_dx, dy);
        Conv2d.BackwardData(step.Stream, Divided, dy, dx, _options);
        return dx;
    }
}

/// <summary>y = x w^T + b, of features or of whatever is flattened to them.</summary>
internal sealed class SpectralLinearLayer(int outputs) : SpectralLayer
{
    private long[] _inputShape = [];
    private DeviceTensor<float> _y = null!;
    private DeviceTensor<float> _dx = null!;
    private DeviceTensor<float> _x = null!;

    public override LayerInput Build(LayerInput input)
    {
        _inputShape = [.. input.Shape];
        BuildWeight(input.Device, input.Features, outputs, input.Features);
        _y = Buffer(input, outputs);
        _dx = Buffer(input, input.Features);
        return input with { Shape = [outputs], NeedsGradient = true };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        _x = x.Reshape(x.Shape[0], _dx.Shape[1]);
        DeviceTensor<float> y = Rows(_y, x);
        Divide(stream, step);
        Linear.Forward(stream, _x, Divided, Bias.Value, y);
        return y;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        DeviceTensor<float> dx = Rows(_dx, dy);
        if (step.IsFrozen)
        {
            MatMul.Multiply(step.Stream, dy, Divided, dx);
        }
        else
        {
            Linear.Backward(step.Stream, _x, Divided, dy, dx, Gradient, Bias.Gradient);
            FinishGradient(step.Stream);
        }

        return dx.Reshape([dy.Shape[0], .. _inputShape]);
    }
}

/// <summary>
/// The last layer of a discriminator that knows classes (Odena, Olah and Shlens, 2017): from the same features a score, its output, and
/// logits of the classes.
/// </summary>
internal sealed class ScoreAndClassLayer(int classes) : Layer
{
    private readonly SpectralLinearLayer _score = new(1);
    private readonly LinearLayer _classes = new(classes);
    private DeviceTensor<float> _classGradient = null!;

    /// <summary>[rows, classes], of the last pass.</summary>
    public DeviceTensor<float> ClassLogits { get; private set; } = null!;

    public override IReadOnlyList<Parameter> Parameters => [.. _score.Parameters, .. _classes.Parameters];

    public override IEnumerable<DeviceTensor<float>> Statistics => _score.Statistics;

    /// <summary>To be filled in before a pass back.</summary>
    public DeviceTensor<float> ClassGradient(long rows) => _classGradient.Slice(0, rows);

    public override void Initialize(DeviceStream stream, RandomKey key) => _score.Initialize(stream, key);

    public override LayerInput Build(LayerInput input)
    {
        _classGradient = Buffer(input, classes);
        _classes.Build(input with { NeedsGradient = true });
        return _score.Build(input);
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        ClassLogits = _classes.Forward(stream, step, x);
        return _score.Forward(stream, step, x);
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        DeviceTensor<float> dx = _score.Backward(step, dy);
        DeviceTensor<float> more = _classes.Backward(step, ClassGradient(dy.Shape[0]))!;

        // A block of stochastic depth 0 is the plain sum of two tensors.
        StochasticDepth.Infer(step.Stream, dx, more, dx, dropProbability: 0);
        return dx;
    }

    public override void Dispose()
    {
        _score.Dispose();
        _classes.Dispose();
        base.Dispose();
    }
}
