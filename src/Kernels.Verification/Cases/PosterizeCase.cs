namespace Kernels.Verification.Cases;

/// <summary>Images with fewer bits.</summary>
public sealed class PosterizeCase : AugmentOpCase
{
    public override string Op => "posterize";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad("no bits", typeof(ArgumentOutOfRangeException), (stream, x, y) => Posterize.Forward(stream, x, null, y, 0, 1, Key)),
        Bad("nine bits", typeof(ArgumentOutOfRangeException), (stream, x, y) => Posterize.Forward(stream, x, null, y, 9, 1, Key)),
        Bad(
            "a negative probability", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Posterize.Forward(stream, x, null, y, 4, -0.1, Key)),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [4, 3, 6, 7], (6, 7), "half of the samples")
        {
            Policy = new() { Posterize = 0.5, PosterizeBits = 3 },
            HasSampleIds = true,
            HasLevels = true,
            Tolerance = Colored,
            Setting = "p=0.5",
        },
        new("forward", [2, 1, 19, 20], (19, 20), "all samples, bytes")
        {
            Policy = new() { Posterize = 1, PosterizeBits = 1 }, Bytes8 = true, Tolerance = Colored, Setting = "p=1",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        Posterize.Forward(stream, x, ids, y, p.Policy.PosterizeBits, p.Policy.Posterize, Key, p.Options);
}
