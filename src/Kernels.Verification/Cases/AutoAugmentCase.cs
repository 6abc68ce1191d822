namespace Kernels.Verification.Cases;

/// <summary>Random lists of ops.</summary>
public sealed class AutoAugmentCase : AugmentOpCase
{
    public override string Op => "auto-augment";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad(
            "a magnitude beyond the bins", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => AutoAugment.Forward(stream, x, null, y, new(2, 31, 31, AugmentSpace.RandAugment), Key)),
        Bad(
            "no ops", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => AutoAugment.Forward(stream, x, null, y, new(0, 9, 31, AugmentSpace.RandAugment), Key)),
        Bad(
            "one bin", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => AutoAugment.Forward(stream, x, null, y, new(1, 0, 1, AugmentSpace.RandAugment), Key)),
        Bad("no policy", typeof(ArgumentNullException), (stream, x, y) => AutoAugment.Forward(stream, x, null, y, null!, Key)),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [12, 3, 9, 10], (9, 10), "RandAugment, nearest: no op is near a step")
        {
            Policy = new() { Automatic = AutoAugmentPolicy.RandAugment },
            HasSampleIds = true,
            Options = new() { Border = ImageBorder.Constant },
            Tolerance = Interpolated,
            Setting = "RandAugment",
        },
        new("forward", [8, 1, 28, 28], (28, 28), "one channel, the narrow set")
        {
            Policy = new() { Automatic = new AutoAugmentPolicy(1, null, 31, AugmentSpace.Narrow) },
            Tolerance = Interpolated,
            Setting = "narrow",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        AutoAugment.Forward(stream, x, ids, y, p.Policy.Automatic!, Key, p.Options);
}
