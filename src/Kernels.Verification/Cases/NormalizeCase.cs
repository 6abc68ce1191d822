namespace Kernels.Verification.Cases;

/// <summary>Images of any type and layout as a network takes them.</summary>
public sealed class NormalizeCase : AugmentOpCase
{
    public override string Op => "normalize";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        Bad(
            "a mean for another number of channels", typeof(ArgumentException),
            (stream, x, y) => Normalize.Forward(stream, x, y, new() { Mean = [0.5, 0.5] })),
        Bad(
            "a deviation of 0", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Normalize.Forward(stream, x, y, new() { Deviation = [0] })),
        Bad(
            "a mean that is no number", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Normalize.Forward(stream, x, y, new() { Mean = [double.NaN] })),
        Bad("the output is part of the input", typeof(ArgumentException), (stream, x, y) => Normalize.Forward(stream, x, x)),
        Bad(
            "no such layout", typeof(ArgumentOutOfRangeException),
            (stream, x, y) => Normalize.Forward(stream, x, y, new() { OutputLayout = (TensorLayout)7 })),
    ];

    private protected override IReadOnlyList<AugmentProblem> ForwardProblems { get; } =
    [
        new("forward", [2, 3, 5, 7], (5, 7), "bytes, a mean for each channel")
        {
            Bytes8 = true,
            Options = new() { Mean = [0.485, 0.456, 0.406], Deviation = [0.229, 0.224, 0.225] },
            Tolerance = new(1, 4, 3, "a difference from a rounded mean"),
            Setting = "mean 3",
        },
        new("forward", [1, 4, 33, 5], (4, 33), "to channels first, one mean for five")
        {
            Options = new()
            {
                Layout = TensorLayout.ChannelsLast, OutputLayout = TensorLayout.ChannelsFirst, Mean = [0.5], Deviation = [0.5],
            },
            Tolerance = new(1, 4, 3, "a difference from a rounded mean"),
            Setting = "mean 1",
        },
    ];

    private protected override void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y) =>
        Normalize.Forward(stream, x, y, p.Options);
}
