using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Variational dropout of sequences in both layouts.</summary>
public sealed class VariationalDropoutCase : OpCase
{
    private static readonly VariationalKeys Keys = VariationalKeys.From(new RandomKey(0x5e9, 2));

    public override string Op => "variational-dropout";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new SharedDropoutProblem("forward", [0, 4, 6], [0], "no time steps", 0.5),
        new SharedDropoutProblem("forward", [1, 1, 1], [0], "one element", 0.5),
        new SharedDropoutProblem("forward", [35, 20, 65], [0], "AWD-LSTM's shapes in small, time first, odd features", 0.3),
        new SharedDropoutProblem("forward", [20, 35, 65], [1], "the same masks, batch first", 0.3),
        new SharedDropoutProblem("forward", [7, 3, 64], [1], "whole vectors", 0.5),
        new SharedDropoutProblem("forward", [5, 4, 7], [0], "p = 0 copies", 0),
        new SharedDropoutProblem("forward", [5, 4, 7], [0], "p = 1 writes zeros", 1),
        new SharedDropoutProblem("backward", [35, 20, 65], [0], "time first", 0.3),
        new SharedDropoutProblem("backward", [20, 35, 65], [1], "batch first", 0.3),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
        [new SharedDropoutProblem("forward", [70, 80, 1152], [0], "AWD-LSTM", 0.3)];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("two dimensions", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4, 5);
            VariationalDropout.Forward(stream, x, x, 0.5, Keys.Input);
        }),
        new("no such layout", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 4);
            VariationalDropout.Forward(stream, x, x, 0.5, Keys.Input, new() { Layout = (SequenceLayout)7 });
        }),
        new("p below 0", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 4);
            VariationalDropout.Backward(stream, x, x, -0.5, Keys.Input);
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("dy", "dx")] : [("x", "y")];

    public override Problem? ForwardOf(Problem problem) =>
        problem is SharedDropoutProblem { Entry: "backward" } backward ? backward with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        long[] shape = ((SharedDropoutProblem)problem).Shape;
        (string source, string destination) = InPlacePairs(problem)[0];
        return
        [
            Input(source, dtype, shape, seed),
            Output(destination, dtype, shape,
                new Tolerance(1, 1.01, 0, "the scale is rounded to the arithmetic type, the product to the stored one")),
        ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        SharedDropoutProblem p = (SharedDropoutProblem)problem;
        VariationalDropoutOptions options = new() { Layout = p.SharedAxes[0] == 0 ? SequenceLayout.TimeFirst : SequenceLayout.BatchFirst };
        if (p.Entry == "forward")
        {
            VariationalDropout.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.DropProbability, tensors.Key(Keys.Hidden),
                options);
        }
        else
        {
            VariationalDropout.Backward(stream, tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.DropProbability, tensors.Key(Keys.Hidden),
                options);
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        SharedDropoutProblem p = (SharedDropoutProblem)problem;
        (string source, string destination) = InPlacePairs(problem)[0];
        ChannelDropoutReference.Apply(
            values[source], values[destination], p.Shape, p.SharedAxes, p.DropProbability, Keys.Hidden.Seed, Keys.Hidden.Offset);
    }
}
