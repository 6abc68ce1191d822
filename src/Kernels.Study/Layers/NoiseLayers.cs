namespace Kernels.Study;

/// <summary>A method that changes activations in training, and leaves them as they are in an evaluation unless it says otherwise.</summary>
internal abstract class NoiseLayer(RandomPurpose purpose, int place) : Layer
{
    private DeviceTensor<float> _y = null!;

    /// <summary>The input of the last pass.</summary>
    protected DeviceTensor<float> X { get; private set; } = null!;

    public override LayerInput Build(LayerInput input)
    {
        _y = Buffer(input, input.Shape);
        return input;
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        X = x;
        DeviceTensor<float> y = Rows(_y, x);
        if (step is not { } training) return Infer(stream, x, y) ? y : x;
        Apply(stream, x, y, training.KeyFor(purpose, place), training.FirstRow);
        return y;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        ApplyGradient(step.Stream, dy, step.KeyFor(purpose, place), step.FirstRow);
        return dy;
    }

    /// <summary>Fills <paramref name="y"/>; the first row is this one of the whole batch.</summary>
    protected abstract void Apply(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> y, RandomKeySource key, ulong firstRow);

    /// <summary>Carries the gradient back, in place.</summary>
    protected abstract void ApplyGradient(DeviceStream stream, DeviceTensor<float> gradient, RandomKeySource key, ulong firstRow);

    /// <summary>The place of the first element in that of the whole batch.</summary>
    protected static ulong FirstElement(DeviceTensor<float> rows, ulong firstRow) =>
        firstRow == 0 ? 0 : firstRow * (ulong)(rows.Length / rows.Shape[0]);

    /// <summary>The inference rule: fills <paramref name="y"/> and returns true, or does nothing.</summary>
    protected virtual bool Infer(DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> y) => false;
}

/// <summary>Dropout with inverted scaling: y = x m / (1 - p), m = 0 with probability p.</summary>
internal sealed class DropoutLayer(double probability, int place) : NoiseLayer(RandomPurpose.Dropout, place)
{
    protected override void Apply(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> y, RandomKeySource key, ulong firstRow) =>
        Dropout.Forward(stream, x, y, probability, key, Shard(x, firstRow));

    protected override void ApplyGradient(DeviceStream stream, DeviceTensor<float> gradient, RandomKeySource key, ulong firstRow) =>
        Dropout.Backward(stream, gradient, gradient, probability, key, Shard(gradient, firstRow));

    private static DropoutOptions Shard(DeviceTensor<float> rows, ulong firstRow) => new() { GlobalStart = FirstElement(rows, firstRow) };
}

/// <summary>Gaussian dropout: y = x (1 + sigma z), z standard normal, sigma^2 = p / (1 - p).</summary>
internal sealed class GaussianDropoutLayer(double probability, int place) : NoiseLayer(RandomPurpose.GaussianDropout, place)
{
    protected override void Apply(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> y, RandomKeySource key, ulong firstRow) =>
        GaussianDropout.Forward(stream, x, y, probability, key, FirstElement(x, firstRow));

    protected override void ApplyGradient(DeviceStream stream, DeviceTensor<float> gradient, RandomKeySource key, ulong firstRow) =>
        GaussianDropout.Backward(stream, gradient, gradient, probability, key, FirstElement(gradient, firstRow));
}

/// <summary>
/// Adaptive dropout (standout) behind a ReLU: a unit is kept with the probability sigmoid(alpha u + beta) that its own pre-activation u
/// gives.
/// </summary>
/// <remarks>
/// The unit's ReLU output stands in for its pre-activation: where the two differ the unit is 0, kept or not.
/// </remarks>
internal sealed class AdaptiveDropoutLayer(double alpha, double beta, int place) : NoiseLayer(RandomPurpose.AdaptiveDropout, place)
{
    protected override void Apply(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> y, RandomKeySource key, ulong firstRow) =>
        AdaptiveDropout.Forward(stream, x, x, y, alpha, beta, key, FirstElement(x, firstRow));

    protected override bool Infer(DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> y)
    {
        AdaptiveDropout.Infer(stream, x, x, y, alpha, beta);
        return true;
    }

    protected override void ApplyGradient(DeviceStream stream, DeviceTensor<float> gradient, RandomKeySource key, ulong firstRow) =>
        AdaptiveDropout.Backward(
            stream, X, X, gradient, gradient, dPre: null, alpha, beta, AdaptiveEstimator.MaskConstant, key,
            FirstElement(gradient, firstRow));
}

/// <summary>
/// DropBlock: squares of so many cells are dropped from each map, at such a rate that the share of dropped cells is p. A square is no
/// larger than the map.
/// </summary>
internal sealed class DropBlockLayer(double probability, int size, int place) : NoiseLayer(RandomPurpose.DropBlock, place)
{
    private readonly DropBlockRate _rate = DropBlockRate.Exact(probability);
    private long[] _block = [];

    public override LayerInput Build(LayerInput input)
    {
        _block = [Math.Min(size, input.Shape[1]), Math.Min(size, input.Shape[2])];
        return base.Build(input);
    }

    protected override void Apply(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> y, RandomKeySource key, ulong firstRow) =>
        DropBlock.Forward(stream, x, y, _block, _rate, key, new DropBlockOptions { GlobalStart = firstRow });

    protected override void ApplyGradient(DeviceStream stream, DeviceTensor<float> gradient, RandomKeySource key, ulong firstRow) =>
        DropBlock.Backward(stream, gradient, gradient, _block, _rate, key, new DropBlockOptions { GlobalStart = firstRow });
}

/// <summary>
/// Noise in feature space: y = x + factor * sigma * z, z standard normal, sigma the deviation of each feature among the examples of its
/// class in the batch, which the gradient takes as a constant.
/// </summary>
internal sealed partial class FeatureNoiseLayer(double factor, int place) : Layer
{
    private DeviceTensor<float> _deviations = null!;
    private DeviceTensor<float> _y = null!;

    public override LayerInput Build(LayerInput input)
    {
        _deviations = Allocate(input.Device, FashionMnist.Classes, input.Features);
        _y = Buffer(input, input.Shape);
        return input;
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        if (step is not { } training) return x;
        DeviceTensor<float> y = Rows(_y, x);
        FeatureNoise.Deviations(stream, x, training.Labels, _deviations);
        AddNoise(training, x, _deviations, y);
        return y;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy) => dy;

    private void AddNoise(in TrainingStep step, DeviceTensor<float> x, DeviceTensor<float> deviations, DeviceTensor<float> y) =>
        FeatureNoise.Forward(
            step.Stream, x, step.Samples, step.Labels, deviations, y, factor, step.KeyFor(RandomPurpose.Augmentation, place));
}
