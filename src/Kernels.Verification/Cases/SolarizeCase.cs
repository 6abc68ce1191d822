namespace Kernels.Verification.Cases;

/// <summary>Images whose bright values are inverted.</summary>
public sealed class SolarizeCase : AugmentOpCase
{
    public override string Op => "solarize";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad(
            "a threshold beyond white", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Solarize.Forward(stream, x, null, y, 257, 1, Key)),
        Bad(
            "a probability beyond 1", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Solarize.Forward(stream, x, null, y, 128, 2, Key)),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [4, 3, 6, 7], (6, 7), "half of the samples")
        {
            Policy = new() { Solarize = 0.5, SolarizeThreshold = 100.5 },
            HasSampleIds = true,
            HasLevels = true,
            Tolerance = Colored,
            Setting = "p=0.5",
        },
        new("forward", [2, 1, 19, 20], (19, 20), "all samples, bytes")
        {
            Policy = new() { Solarize = 1 }, Bytes8 = true, Tolerance = Colored, Setting = "p=1",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        Solarize.Forward(stream, x, ids, y, p.Policy.SolarizeThreshold, p.Policy.Solarize, Key, p.Options);
}
