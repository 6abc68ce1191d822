namespace Kernels.Study;

/// <summary>Cutout: a square of each image becomes the mean of all pixels.</summary>
internal sealed class CutoutLayer(int side, int place) : InputLayer
{
    private DeviceTensor<float> _y = null!;

    public override void Build(in InputShape shape) => _y = Images(shape);

    public override TrainingBatch Apply(in TrainingStep step, TrainingBatch batch)
    {
        DeviceTensor<float> y = Rows(_y, batch);
        Cutout.Forward(step.Stream, batch.Images, batch.Samples, y, side, step.KeyFor(RandomPurpose.Augmentation, place));
        return batch with { Images = y };
    }
}

/// <summary>Random erasing: a rectangle of random area and aspect becomes the mean of all pixels.</summary>
internal sealed class RandomEraseLayer(double probability, int place) : InputLayer
{
    private static readonly AugmentRange Area = (0.02, 0.4);
    private static readonly AugmentRange Aspect = (0.3, 1 / 0.3);

    private DeviceTensor<float> _y = null!;

    public override void Build(in InputShape shape) => _y = Images(shape);

    public override TrainingBatch Apply(in TrainingStep step, TrainingBatch batch)
    {
        DeviceTensor<float> y = Rows(_y, batch);
        RandomErase.Forward(
            step.Stream, batch.Images, batch.Samples, y, Area, Aspect, step.KeyFor(RandomPurpose.Augmentation, place),
            new RandomEraseOptions { SkipProbability = 1 - probability });
        return batch with { Images = y };
    }
}
