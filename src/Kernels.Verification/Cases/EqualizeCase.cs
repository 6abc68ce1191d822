namespace Kernels.Verification.Cases;

/// <summary>Images whose levels become equally likely.</summary>
public sealed class EqualizeCase : AugmentOpCase
{
    public override string Op => "equalize";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad(
            "a probability beyond 1", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Equalize.Forward(stream, x, null, y, 1.01, Key)),
        Bad(
            "two channels", typeof(ArgumentException),
            (stream, x, y) => Equalize.Forward(stream, x, null, y, 1, Key), shape: [2, 2, 4, 5], outputShape: [2, 2, 4, 5]),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [4, 3, 6, 7], (6, 7), "half of the samples")
        {
            Policy = new() { Equalize = 0.5 }, HasSampleIds = true, HasLevels = true, Tolerance = Colored, Setting = "p=0.5",
        },
        new("forward", [2, 1, 19, 20], (19, 20), "all samples, bytes")
        {
            Policy = new() { Equalize = 1 }, Bytes8 = true, Tolerance = Colored, Setting = "p=1",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        Equalize.Forward(stream, x, ids, y, p.Policy.Equalize, Key, p.Options);
}
