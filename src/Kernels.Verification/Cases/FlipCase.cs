namespace Kernels.Verification.Cases;

/// <summary>Flips of images.</summary>
public sealed class FlipCase : AugmentOpCase
{
    public override string Op => "flip";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad("a probability beyond 1", typeof(ArgumentOutOfRangeException), (stream, x, y) => Flip.Forward(stream, x, null, y, 1.5, 0, Key)),
        Bad(
            "a probability that is no number", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Flip.Forward(stream, x, null, y, 0, double.NaN, Key)),
        Bad(
            "another batch", typeof(ArgumentException),
            (stream, x, y) => Flip.Forward(stream, x, null, y, 0.5, 0, Key), outputShape: [3, 3, 4, 5]),
        Bad(
            "three dimensions", typeof(ArgumentException),
            (stream, x, y) => Flip.Forward(stream, x, null, y, 0.5, 0, Key), shape: [2, 3, 4]),
        Bad(
            "a side beyond 2^20", typeof(ArgumentException),
            (stream, x, y) => Flip.Forward(stream, x, null, y, 0.5, 0, Key), shape: [1, 1, (1 << 20) + 1, 1], outputShape: [1, 1, 1, 1]),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [5, 3, 4, 7], (4, 7), "an odd width")
        {
            Policy = new() { HorizontalFlip = 0.5, VerticalFlip = 0.5 }, HasSampleIds = true, Setting = "p=0.5,0.5",
        },
        new("forward", [2, 6, 33, 1], (6, 33), "channels last, beyond one vector, bytes")
        {
            Policy = new() { HorizontalFlip = 1 },
            Bytes8 = true,
            Options = new() { Layout = TensorLayout.ChannelsLast },
            Tolerance = Scaled,
            Setting = "p=1,0",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        Flip.Forward(stream, x, ids, y, p.Policy.HorizontalFlip, p.Policy.VerticalFlip, Key, p.Options);
}
