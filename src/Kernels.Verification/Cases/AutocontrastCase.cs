namespace Kernels.Verification.Cases;

/// <summary>Images stretched from black to white.</summary>
public sealed class AutocontrastCase : AugmentOpCase
{
    public override string Op => "autocontrast";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad(
            "a probability beyond 1", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Autocontrast.Forward(stream, x, null, y, 1.01, Key)),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [4, 3, 6, 7], (6, 7), "half of the samples")
        {
            Policy = new() { Autocontrast = 0.5 }, HasSampleIds = true, HasLevels = true, Tolerance = Colored, Setting = "p=0.5",
        },
        new("forward", [2, 1, 19, 20], (19, 20), "all samples, bytes")
        {
            Policy = new() { Autocontrast = 1 }, Bytes8 = true, Tolerance = Colored, Setting = "p=1",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        Autocontrast.Forward(stream, x, ids, y, p.Policy.Autocontrast, Key, p.Options);
}
