namespace Kernels.Study;

/// <summary>
/// What an <see cref="AugmentPolicy"/> draws for each image, in one pass; its colours are those of the images before they were
/// standardised.
/// </summary>
internal sealed class PolicyLayer(AugmentPolicy policy, int place) : InputLayer
{
    private static readonly AugmentPolicy Nothing = new();

    private DeviceTensor<float> _levels = null!;
    private DeviceTensor<float> _y = null!;
    private AugmentOptions _back;
    private AugmentOptions _forth;

    public override void Build(in InputShape shape)
    {
        (_levels, _y) = (Images(shape), Images(shape));
        (double mean, double deviation) = (shape.Pixels.Mean, shape.Pixels.Deviation);
        _back = new AugmentOptions { Mean = [shape.Pixels.Black], Deviation = [1 / deviation] };
        _forth = new AugmentOptions { Mean = [mean], Deviation = [deviation] };
    }

    public override TrainingBatch Apply(in TrainingStep step, TrainingBatch batch)
    {
        DeviceTensor<float> levels = Rows(_levels, batch), y = Rows(_y, batch);
        RandomKeySource key = step.KeyFor(RandomPurpose.Augmentation, place);
        Augment.Forward(step.Stream, batch.Images, batch.Samples, levels, Nothing, key, _back);
        Augment.Forward(step.Stream, levels, batch.Samples, y, policy, key, _forth);
        return batch with { Images = y };
    }
}
