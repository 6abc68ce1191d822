namespace Kernels.Verification.Cases;

/// <summary>Images sharpened or blurred.</summary>
public sealed class SharpnessCase : AugmentOpCase
{
    public override string Op => "sharpness";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad(
            "bounds reversed", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Sharpness.Forward(stream, x, null, y, (2, 0), 1, Key)),
        Bad(
            "a probability beyond 1", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Sharpness.Forward(stream, x, null, y, 1, 1.01, Key)),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [4, 3, 6, 7], (6, 7), "half of the samples")
        {
            Policy = new() { Sharpness = 0.5, SharpnessFactor = (0, 2) },
            HasSampleIds = true,
            HasLevels = true,
            Tolerance = Colored,
            Setting = "p=0.5",
        },
        new("forward", [2, 1, 19, 20], (19, 20), "all samples, bytes")
        {
            Policy = new() { Sharpness = 1, SharpnessFactor = 1.5 }, Bytes8 = true, Tolerance = Colored, Setting = "p=1",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        Sharpness.Forward(stream, x, ids, y, p.Policy.SharpnessFactor, p.Policy.Sharpness, Key, p.Options);
}
