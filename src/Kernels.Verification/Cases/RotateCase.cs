namespace Kernels.Verification.Cases;

/// <summary>Rotations of images.</summary>
public sealed class RotateCase : AugmentOpCase
{
    public override string Op => "rotate";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad("bounds reversed", typeof(ArgumentOutOfRangeException), (stream, x, y) => Rotate.Forward(stream, x, null, y, (30, -30), Key)),
        Bad("no number", typeof(ArgumentOutOfRangeException), (stream, x, y) => Rotate.Forward(stream, x, null, y, double.NaN, Key)),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [3, 2, 7, 10], (7, 10), "any angle, not square")
        {
            Policy = new() { Rotation = (-30, 30) },
            HasSampleIds = true,
            Options = new() { Fill = 0.25 },
            Tolerance = Interpolated,
            Setting = "by -30..30",
        },
        new("forward", [2, 3, 6, 20], (20, 6), "a quarter turn, bytes")
        {
            Policy = new() { Rotation = 90 }, Bytes8 = true, Tolerance = Scaled, Setting = "by 90",
        },
        new("forward", [2, 64, 50, 3], (100, 100), "bytes of images that a group keeps whole, mirrored about their edges")
        {
            Policy = new() { Rotation = (-180, 180) },
            Bytes8 = true,
            Options = new() { Layout = TensorLayout.ChannelsLast, Border = ImageBorder.Reflect },
            Tolerance = Interpolated with { ArithmeticRoundings = 160 }, // the larger the image, the larger are coordinates
            Setting = "by -180..180",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        Rotate.Forward(stream, x, ids, y, p.Policy.Rotation, Key, p.Options);
}
