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
