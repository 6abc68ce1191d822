namespace Kernels.Verification.Cases;

/// <summary>Shifts of images.</summary>
public sealed class TranslateCase : AugmentOpCase
{
    public override string Op => "translate";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad(
            "bounds reversed", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Translate.Forward(stream, x, null, y, (2, -2), 0, true, Key)),
        Bad(
            "whole shifts with bounds between pixels", typeof(ArgumentException),
            (stream, x, y) => Translate.Forward(stream, x, null, y, (-1.5, 1.5), 0, true, Key)),
        Bad(
            "an infinite shift", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Translate.Forward(stream, x, null, y, (0, double.PositiveInfinity), 0, false, Key)),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [4, 1, 28, 28], (28, 28), "whole pixels")
        {
            Policy = new() { ShiftX = (-2, 2), ShiftY = (-2, 2), WholeShifts = true }, HasSampleIds = true, Setting = "by -2..2",
        },
        new("forward", [2, 2, 5, 18], (5, 18), "parts of a pixel")
        {
            Policy = new() { ShiftX = (-3, 3), ShiftY = (-1, 2) }, Tolerance = Interpolated, Setting = "by -3..3",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        Translate.Forward(stream, x, ids, y, p.Policy.ShiftX, p.Policy.ShiftY, p.Policy.WholeShifts, Key, p.Options);
}
