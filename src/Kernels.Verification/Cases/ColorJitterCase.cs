namespace Kernels.Verification.Cases;

/// <summary>Brightness, contrast, saturation and hue of images.</summary>
public sealed class ColorJitterCase : AugmentOpCase
{
    public override string Op => "color-jitter";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad(
            "bounds reversed", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => ColorJitter.Forward(stream, x, null, y, (2, 1), 1, 1, 0, false, Key)),
        Bad(
            "a negative factor", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => ColorJitter.Forward(stream, x, null, y, (-1, 1), 1, 1, 0, false, Key)),
        Bad(
            "more than half a circle of hue", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => ColorJitter.Forward(stream, x, null, y, 1, 1, 1, (-0.6, 0), false, Key)),
        Bad(
            "hue on one channel", typeof(ArgumentException),
            (stream, x, y) => ColorJitter.Forward(stream, x, null, y, 1, 1, 1, (-0.1, 0.1), false, Key),
            shape: [2, 1, 4, 5], outputShape: [2, 1, 4, 5]),
        Bad(
            "two channels", typeof(ArgumentException),
            (stream, x, y) => ColorJitter.Forward(stream, x, null, y, (0.5, 1), 1, 1, 0, false, Key),
            shape: [2, 2, 4, 5], outputShape: [2, 2, 4, 5]),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [5, 3, 5, 6], (5, 6), "all four, in any order")
        {
            Policy = new()
            {
                Brightness = (0.6, 1.4), Contrast = (0.6, 1.4), Saturation = (0.5, 1.5), Hue = (-0.1, 0.1), ShufflesColors = true,
            },
            HasSampleIds = true,
            Tolerance = Colored,
            Setting = "all",
        },
        new("forward", [2, 1, 9, 17], (9, 17), "one channel, bytes")
        {
            Policy = new() { Brightness = (0.5, 2), Contrast = (0, 2) }, Bytes8 = true, Tolerance = Colored, Setting = "grey",
        },
        new("forward", [2, 4, 20, 3], (4, 20), "hue alone, channels last, bytes")
        {
            Policy = new() { Hue = (-0.5, 0.5) },
            Bytes8 = true,
            Options = new() { Layout = TensorLayout.ChannelsLast },
            Tolerance = Colored,
            Setting = "hue",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        ColorJitter.Forward(
            stream, x, ids, y, p.Policy.Brightness, p.Policy.Contrast, p.Policy.Saturation, p.Policy.Hue, p.Policy.ShufflesColors, Key,
            p.Options);
}
