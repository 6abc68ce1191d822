using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Monte-Carlo dropout passes and their statistics.</summary>
public sealed class MonteCarloDropoutCase : OpCase
{
    private static readonly RandomKey Key = new(0x3c3c, uint.MaxValue - 1UL);

    public override string Op => "monte-carlo-dropout";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new MonteCarloProblem("forward", 0, [5], "no passes", 0.5),
        new MonteCarloProblem("forward", 3, [0], "zero elements", 0.5),
        new MonteCarloProblem("forward", 1, [1], "one element, one pass", 0.5),
        new MonteCarloProblem("forward", 5, [1021], "prime; the offset's low word overflows into the high one", 0.1),
        new MonteCarloProblem("forward", 4, [16, 24], "whole vectors", 0.3),
        new MonteCarloProblem("forward", 3, [33], "p = 0 copies", 0),
        new MonteCarloProblem("forward", 3, [33], "p = 1 writes zeros", 1),
        new MonteCarloProblem("statistics", 2, [1], "the fewest passes, one element", 0),
        new MonteCarloProblem("statistics", 50, [1021], "prime", 0),
        new MonteCarloProblem("statistics", 7, [0], "zero elements", 0),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new MonteCarloProblem("forward", 16, [1 << 20], "16 passes over 4 MB", 0.1),
        new MonteCarloProblem("statistics", 16, [1 << 20], "16 passes over 4 MB", 0),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("passes of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            using DeviceTensor<float> y = device.Allocate<float>(3, 5);
            MonteCarloDropout.Forward(stream, x, y, 0.5, Key);
        }),
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            using DeviceTensor<float> y = device.Allocate<float>(3, 4);
            MonteCarloDropout.Forward(stream, x, y, double.NaN, Key);
        }),
        new("one pass has no variance", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> y = device.Allocate<float>(1, 4);
            using DeviceTensor<float> mean = device.Allocate<float>(4);
            using DeviceTensor<float> variance = device.Allocate<float>(4);
            MonteCarloDropout.Statistics(stream, y, mean, variance);
        }),
        new("a scalar has no passes", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> y = device.Allocate<float>(), mean = device.Allocate<float>(), variance = device.Allocate<float>();
            MonteCarloDropout.Statistics(stream, y, mean, variance);
        }),
    ];

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        MonteCarloProblem p = (MonteCarloProblem)problem;
        long[] stacked = [p.Passes, .. p.Shape];
        if (p.Entry == "forward")
        {
            Tolerance once = new(1, 1.01, 0, "the scale is rounded to the arithmetic type, the product to the stored one");
            return [Input("x", dtype, p.Shape, seed), Output("y", dtype, stacked, once)];
        }

        Tolerance sums = new(1, 4 + (2 * Math.Sqrt(p.Passes)), 2, "one update for each pass");
        return [Input("y", dtype, stacked, seed), Output("mean", dtype, p.Shape, sums), Output("variance", dtype, p.Shape, sums)];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        MonteCarloProblem p = (MonteCarloProblem)problem;
        if (p.Entry == "forward")
            MonteCarloDropout.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.DropProbability, tensors.Key(Key));
        else
            MonteCarloDropout.Statistics(stream, tensors.Get<T>("y"), tensors.Get<T>("mean"), tensors.Get<T>("variance"));
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        MonteCarloProblem p = (MonteCarloProblem)problem;
        if (p.Entry == "forward")
            MonteCarloDropoutReference.Forward(values["x"], values["y"], p.DropProbability, Key.Seed, Key.Offset);
        else
            MonteCarloDropoutReference.Statistics(values["y"], values["mean"], values["variance"], (int)p.Passes);
    }
}

/// <summary>Monte-Carlo passes over a shape.</summary>
public sealed record MonteCarloProblem(string Entry, long Passes, long[] Shape, string Reason, double DropProbability)
    : Problem(Entry, Reason)
{
    public override string Text => $"{Passes} x {string.Join('x', Shape)}{(Entry == "forward" ? $" p={DropProbability:0.###}" : "")}";

    public override long Bytes(int elementBytes) =>
        (Passes + (Entry == "forward" ? 1 : 2)) * elementBytes * Shape.Aggregate(1L, (product, dimension) => product * dimension);
}
