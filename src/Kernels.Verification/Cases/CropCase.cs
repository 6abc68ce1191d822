namespace Kernels.Verification.Cases;

/// <summary>Windows of images, at random places and of random sizes.</summary>
public sealed class CropCase : AugmentOpCase
{
    public override string Op => "crop";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad(
            "a window larger than the padded image", typeof(ArgumentException),
            (stream, x, y) => Crop.Forward(stream, x, null, y, 0, Key), outputShape: [2, 3, 5, 5]),
        Bad("a negative padding", typeof(ArgumentOutOfRangeException), (stream, x, y) => Crop.Forward(stream, x, null, y, -1, Key)),
        Bad("areas reversed", typeof(ArgumentOutOfRangeException), (stream, x, y) => Crop.Resized(stream, x, null, y, (1, 0.5), 1, Key)),
        Bad(
            "an area beyond the image", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Crop.Resized(stream, x, null, y, (0.5, 1.5), 1, Key)),
        Bad("an aspect of 0", typeof(ArgumentOutOfRangeException), (stream, x, y) => Crop.Resized(stream, x, null, y, (0.5, 1), 0, Key)),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [4, 2, 5, 6], (4, 3), "windows of a padded image")
        {
            Policy = new() { Crop = AugmentCrop.Window, Padding = new Padding2d(1, 0, 2, 1) },
            HasSampleIds = true,
            Options = new() { Fill = 0.5 },
            Setting = "padding=1,0,2,1",
        },
        new("forward", [3, 1, 8, 8], (8, 8), "the padding reflected, bytes")
        {
            Policy = new() { Crop = AugmentCrop.Window, Padding = 2 },
            Bytes8 = true,
            Options = new() { Border = ImageBorder.Reflect, FirstSample = 1UL << 40 },
            Tolerance = Scaled,
            Setting = "padding=2",
        },
        new("resized", [6, 3, 9, 12], (6, 5), "resized")
        {
            Policy = new() { Crop = AugmentCrop.Resized, Area = (0.1, 1) },
            Options = new() { Border = ImageBorder.Edge },
            Tolerance = Interpolated,
            Setting = "area=0.1..1",
        },
        new("resized", [2, 1, 3, 20], (4, 4), "no window fits: the middle")
        {
            Policy = new() { Crop = AugmentCrop.Resized, Area = 1 },
            Options = new() { Border = ImageBorder.Edge },
            Tolerance = Interpolated,
            Setting = "area=1",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        CallCrop(stream, p, x, ids, y);

    private static void CallCrop<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y)
        where TIn : unmanaged
        where T : unmanaged
    {
        if (p.Entry == "resized")
            Crop.Resized(stream, x, ids, y, p.Policy.Area, p.Policy.Aspect, Key, p.Options);
        else
            Crop.Forward(stream, x, ids, y, p.Policy.Padding, Key, p.Options);
    }
}
