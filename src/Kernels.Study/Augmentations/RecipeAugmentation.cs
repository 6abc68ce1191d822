namespace Kernels.Study;

/// <summary>How a recipe changes the images of a batch in training, each time anew.</summary>
/// <param name="Description">Its effect, one or two sentences for the report.</param>
/// <param name="Layers">New layers for one run, in the order in which an image sees them.</param>
internal sealed record RecipeAugmentation(string Description, Func<IReadOnlyList<InputLayer>> Layers)
{
    // Each layer has random numbers of its own, whatever else is at work.
    private const int PolicyPlace = 0;
    private const int CutoutPlace = 1;
    private const int MixupPlace = 2;
    private const int CutMixPlace = 3;
    private const int ErasePlace = 4;

    public static RecipeAugmentation FlipShift(int pixels) => new(
        $"Flip and shift: in each epoch each image is mirrored with probability 1/2 and shifted by up to {pixels} pixels in both " +
        "directions; black comes in.",
        () => [new PolicyLayer(
            new AugmentPolicy { HorizontalFlip = 0.5, ShiftX = (-pixels, pixels), ShiftY = (-pixels, pixels), WholeShifts = true },
            PolicyPlace)]);

    public static RecipeAugmentation Automatic(int magnitude) => new(
        "RandAugment (Cubuk et al., 2020) with a mirror and a narrow set of ops for small images: in each epoch each image gets two " +
        $"random ops (shear, shift, rotation, brightness, contrast, sharpness, posterize, autocontrast) of magnitude {magnitude} of 30.",
        () => [new PolicyLayer(
            new AugmentPolicy
            {
                HorizontalFlip = 0.5,
                Automatic = AutoAugmentPolicy.RandAugment with { Magnitude = magnitude, Space = AugmentSpace.Narrow },
            },
            PolicyPlace)]);

    public static RecipeAugmentation Cutout(int side) => new(
        $"Cutout: in each epoch a square of {side} × {side} pixels of each image, clipped at the borders, becomes the mean of all pixels.",
        () => [new CutoutLayer(side, CutoutPlace)]);

    public static RecipeAugmentation RandomErase(double probability) => new(
        $"Random erasing (Zhong et al., 2020): in each epoch, with probability {probability:0.##}, a rectangle of an image becomes the " +
        "mean of all pixels; its area is 2 to 40 % of the image, its aspect 0.3 to 1 / 0.3.",
        () => [new RandomEraseLayer(probability, ErasePlace)]);

    public static RecipeAugmentation Mixup(double alpha) => new(
        "Mixup: each image x becomes λ·x + (1 − λ)·x′ with another image x′ of its batch, and its loss λ times that of its label and " +
        $"1 − λ times that of the other's; λ is Beta({alpha:0.##}, {alpha:0.##}) distributed, one for each image.",
        () => [new MixupLayer(alpha, MixupPlace)]);

    public static RecipeAugmentation CutMix(double probability) => new(
        $"CutMix: with probability {probability:0.##} a box of an image comes from another image of its batch; its loss is that of both " +
        "labels, weighted by their areas. The area of a box is uniform.",
        () => [new CutMixLayer(alpha: 1, 1 - probability, CutMixPlace)]);

    /// <summary>One after the other.</summary>
    public RecipeAugmentation Then(RecipeAugmentation next) =>
        new($"{Description} {next.Description}", () => [.. Layers(), .. next.Layers()]);
}

/// <summary>
/// What a step trains on: images [rows, 1, height, width], their numbers in the training set, and their labels.
/// </summary>
internal readonly record struct TrainingBatch(
    DeviceTensor<float> Images, DeviceTensor<ulong> Samples, DeviceTensor<int> Labels, MixedLabels? Mixed = null)
{
    public CrossEntropyTargets Targets => Mixed is { } mixed ? CrossEntropyTargets.Mixed(Labels, mixed.Others, mixed.Shares) : Labels;

    /// <summary>Some of its rows.</summary>
    public TrainingBatch Slice(long first, long count) => new(
        Images.Slice(first, count), Samples.Slice(first, count), Labels.Slice(first, count),
        Mixed is { } mixed ? new MixedLabels(mixed.Others.Slice(first, count), mixed.Shares.Slice(first, count)) : null);
}

/// <summary>The labels of the images that were mixed into those of a batch, and what is left of its own.</summary>
internal readonly record struct MixedLabels(DeviceTensor<int> Others, DeviceTensor<float> Shares);

/// <summary>What input layers are built for: at most so many images of a size, and how their pixels were standardised.</summary>
internal readonly record struct InputShape(Device Device, int MaximumRows, int Height, int Width, Standardization Pixels);

/// <summary>A part of an augmentation, with the buffers of one pass. No gradient goes through it. An object serves one run.</summary>
internal abstract class InputLayer : IDisposable
{
    private readonly List<IDisposable> _tensors = [];

    /// <summary>Whether an image is changed by others of its batch. Else it is changed alike in whatever batch it comes.</summary>
    public virtual bool MixesImages => false;

    /// <summary>Allocates, once and before all else.</summary>
    public abstract void Build(in InputShape shape);

    /// <summary>The changed batch, valid until the next pass.</summary>
    public abstract TrainingBatch Apply(in TrainingStep step, TrainingBatch batch);

    public void Dispose()
    {
        foreach (IDisposable tensor in _tensors) tensor.Dispose();
    }

    protected DeviceTensor<T> Allocate<T>(Device device, params ReadOnlySpan<long> shape)
        where T : unmanaged
    {
        DeviceTensor<T> tensor = device.Allocate<T>(shape);
        _tensors.Add(tensor);
        return tensor;
    }

    protected DeviceTensor<float> Images(in InputShape shape) =>
        Allocate<float>(shape.Device, shape.MaximumRows, 1, shape.Height, shape.Width);

    /// <summary>As much of a buffer as a batch has rows.</summary>
    protected static DeviceTensor<T> Rows<T>(DeviceTensor<T> buffer, in TrainingBatch batch)
        where T : unmanaged => buffer.Slice(0, batch.Images.Shape[0]);
}

/// <summary>The layers of one run.</summary>
internal sealed class InputLayers : IDisposable
{
    private readonly IReadOnlyList<InputLayer> _layers;
    private readonly InputShape _shape;

    public InputLayers(RecipeAugmentation? augmentation, InputShape shape)
    {
        (_layers, _shape) = (augmentation?.Layers() ?? [], shape);
        foreach (InputLayer layer in _layers) layer.Build(shape);
    }

    public bool MixImages => _layers.Any(layer => layer.MixesImages);

    public bool ChangeImages => _layers.Count > 0;

    /// <summary>The batch with rows of pixels as images, changed by one layer after the other.</summary>
    public TrainingBatch Apply(in TrainingStep step, TrainingBatch batch)
    {
        if (_layers.Count == 0) return batch;
        long rows = batch.Images.Shape[0];
        batch = batch with { Images = batch.Images.Reshape(rows, 1, _shape.Height, _shape.Width) };
        foreach (InputLayer layer in _layers) batch = layer.Apply(step, batch);
        return batch with { Images = batch.Images.Reshape(rows, (long)_shape.Height * _shape.Width) };
    }

    public void Dispose()
    {
        foreach (InputLayer layer in _layers) layer.Dispose();
    }
}
