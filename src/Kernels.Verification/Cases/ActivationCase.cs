namespace Kernels.Verification;

/// <summary>An activation whose gradient follows from its output.</summary>
public abstract class ActivationCase : OpCase
{
    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new ActivationProblem("forward", [0], "zero elements"),
        new ActivationProblem("forward", [1], "one element"),
        new ActivationProblem("forward", [1021], "prime"),
        new ActivationProblem("forward", [257], "arguments near 0, and far from it") { IsWide = true },
        new ActivationProblem("forward", [70001], "several chunks of a core and a tail"),
        new ActivationProblem("backward", [0], "zero elements"),
        new ActivationProblem("backward", [1], "one element"),
        new ActivationProblem("backward", [31, 33], "rows with a tail"),
        new ActivationProblem("backward", [70001], "several chunks of a core and a tail"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new ActivationProblem("forward", [1 << 24], "64 MB of floats"),
        new ActivationProblem("forward", [64, 64, 14, 14], "a layer of a small network of images"),
        new ActivationProblem("backward", [1 << 24], "64 MB of floats"),
    ];

    public override Problem? OfLength(long length) => new ActivationProblem("backward", [length], "every length");

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("dy", "dx")] : [("x", "y")];

    public override Problem? ForwardOf(Problem problem) =>
        problem.Entry == "backward" ? (ActivationProblem)problem with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        ActivationProblem p = (ActivationProblem)problem;
        if (p.Entry == "backward")
        {
            return
            [
                Input("y", dtype, p.Shape, seed, LeastOutput, 1), Input("dy", dtype, p.Shape, seed),
                Output("dx", dtype, p.Shape, GradientTolerance),
            ];
        }

        TensorSpec x = Input("x", dtype, p.Shape, seed);
        if (p.IsWide)
        {
            // Powers of 2 from the least where something happens to where nothing more does, of both signs.
            double[] values = [.. x.Values.Select((value, i) => Elements.Round(dtype, value * Math.ScaleB(1, (i % 24) - 16)))];
            x = x with { Values = values };
        }

        return [x, Output("y", dtype, p.Shape, ValueTolerance)];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        if (problem.Entry == "forward")
            Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"));
        else
            Backward(stream, tensors.Get<T>("y"), tensors.Get<T>("dy"), tensors.Get<T>("dx"));
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        if (problem.Entry == "forward")
            Forward(values["x"], values["y"]);
        else
            Backward(values["y"], values["dy"], values["dx"]);
    }

    /// <summary>Outputs go from here to 1.</summary>
    protected abstract double LeastOutput { get; }

    protected abstract Tolerance ValueTolerance { get; }

    protected abstract Tolerance GradientTolerance { get; }

    protected abstract void Forward<T>(DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y)
        where T : unmanaged;

    protected abstract void Backward<T>(DeviceStream stream, DeviceTensor<T> y, DeviceTensor<T> dy, DeviceTensor<T> dx)
        where T : unmanaged;

    protected abstract void Forward(double[] x, double[] y);

    protected abstract void Backward(double[] y, double[] dy, double[] dx);
}

/// <summary>A call of an activation.</summary>
public sealed record ActivationProblem(string Entry, long[] Shape, string Reason) : Problem(Entry, Reason)
{
    /// <summary>Arguments of many sizes.</summary>
    public bool IsWide { get; init; }

    public override string Text => string.Join('x', Shape);

    public override long Bytes(int elementBytes) =>
        (Entry == "forward" ? 2 : 3) * elementBytes * Shape.Aggregate(1L, (product, dimension) => product * dimension);
}
