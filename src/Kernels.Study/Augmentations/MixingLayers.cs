namespace Kernels.Study;

/// <summary>Draws a partner and a share for each image of a batch.</summary>
internal abstract class MixingLayer : InputLayer
{
    private DeviceTensor<float> _y = null!;
    private DeviceTensor<int> _pairs = null!;
    private DeviceTensor<int> _others = null!;
    private DeviceTensor<float> _shares = null!;

    public override bool MixesImages => true;

    public override void Build(in InputShape shape)
    {
        _y = Images(shape);
        _pairs = Allocate<int>(shape.Device, shape.MaximumRows, 2);
        _others = Allocate<int>(shape.Device, shape.MaximumRows);
        _shares = Allocate<float>(shape.Device, shape.MaximumRows);
    }

    public override TrainingBatch Apply(in TrainingStep step, TrainingBatch batch)
    {
        DeviceTensor<float> y = Rows(_y, batch), shares = Rows(_shares, batch);
        DeviceTensor<int> pairs = Rows(_pairs, batch), others = Rows(_others, batch);
        Mix(step, batch, pairs, others, shares, y);
        return batch with { Images = y, Mixed = new MixedLabels(others, shares) };
    }

    protected abstract void Mix(
        in TrainingStep step, in TrainingBatch batch, DeviceTensor<int> pairs, DeviceTensor<int> others, DeviceTensor<float> shares,
        DeviceTensor<float> y);
}

/// <summary>Mixup: each image becomes a weighted mean of itself and another.</summary>
internal sealed class MixupLayer(double alpha, int place) : MixingLayer
{
    protected override void Mix(
        in TrainingStep step, in TrainingBatch batch, DeviceTensor<int> pairs, DeviceTensor<int> others, DeviceTensor<float> shares,
        DeviceTensor<float> y)
    {
        RandomKeySource key = step.KeyFor(RandomPurpose.Augmentation, place);
        Mixup.Draw(step.Stream, batch.Samples, batch.Labels, pairs, others, shares, alpha, key);
        Mixup.Forward(step.Stream, batch.Images, pairs, shares, y);
    }
}

/// <summary>CutMix: a box of each image comes from another.</summary>
internal sealed class CutMixLayer(double alpha, double skipProbability, int place) : MixingLayer
{
    private DeviceTensor<int> _boxes = null!;

    public override void Build(in InputShape shape)
    {
        base.Build(shape);
        _boxes = Allocate<int>(shape.Device, shape.MaximumRows, 4);
    }

    protected override void Mix(
        in TrainingStep step, in TrainingBatch batch, DeviceTensor<int> pairs, DeviceTensor<int> others, DeviceTensor<float> shares,
        DeviceTensor<float> y)
    {
        RandomKeySource key = step.KeyFor(RandomPurpose.Augmentation, place);
        DeviceTensor<int> boxes = Rows(_boxes, batch);
        CutMix.Draw(
            step.Stream, batch.Samples, batch.Labels, pairs, others, shares, boxes, batch.Images.Shape[2], batch.Images.Shape[3], alpha,
            key, new MixingOptions { SkipProbability = skipProbability });
        CutMix.Forward(step.Stream, batch.Images, pairs, boxes, y);
    }
}
