using Kernels.Reference;

namespace Kernels.Verification.Cases;

/// <summary>Images through matrices of normalized coordinates, in both conventions.</summary>
public sealed class AffineCase : OpCase
{
    private static readonly Tolerance Places = new(1, 8, 1, "pixels weighed by their distances");

    private static readonly double[] Slanted = [0.75, -0.25, 0.125, 0.5, 1.25, -0.375];

    public override string Op => "affine";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        Forward([1, 2, 5, 7], (5, 7), "the identity moves bits", [1, 0, 0, 0, 1, 0]) with { Tolerance = Tolerance.Exact },
        Forward([1, 2, 5, 7], (5, 7), "the identity moves bits in the other convention", [1, 0, 0, 0, 1, 0]) with
        {
            Tolerance = Tolerance.Exact, Options = new() { AlignCorners = true },
        },
        Forward([1, 3, 8, 32], (8, 16), "edges, another size", Slanted),
        Forward([1, 3, 9, 33], (5, 17), "middles, another size", Slanted) with { Options = new() { AlignCorners = true } },
        Forward([1, 1, 9, 9], (17, 1), "an output of one column", Slanted) with { Options = new() { AlignCorners = true } },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
        [Forward([64, 3, 224, 224], (224, 224), "a batch", [0.9, -0.3, 0.1, 0.3, 0.9, 0])];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("matrices of three rows", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 4, 5), y = device.Allocate<float>(2, 3, 4, 5);
            using DeviceTensor<float> matrices = device.Allocate<float>(2, 3, 3);
            Affine.Forward(stream, x, matrices, y);
        }),
    ];

    public override double LargestInput(DType dtype) => Math.Min(1e30, Elements.Largest(dtype) / 4);

    public override bool IsStateOrSetting(string input) => input == "matrices";

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        AugmentProblem p = (AugmentProblem)problem;
        double[] matrices = [.. Enumerable.Repeat(p.Rows[0], (int)p.Shape[0]).SelectMany(row => row)];
        return
        [
            p.Images(dtype, seed), new TensorSpec("matrices", DType.Float32, [p.Shape[0], 2, 3], TensorRole.Input, matrices),
            Output("y", dtype, p.OutputShape, p.Tolerance),
        ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors) =>
        Affine.Forward(
            stream, tensors.Get<T>("x"), tensors.Get<float>("matrices"), tensors.Get<T>("y"), ((AugmentProblem)problem).Options);

    public override void Reference(Problem problem, ReferenceValues values)
    {
        AugmentProblem p = (AugmentProblem)problem;
        AugmentSettings settings = p.Settings with { IsNormalized = true };
        AugmentReference.Apply(p.Geometry, settings, values["x"], values["matrices"], 6, values["y"]);
    }

    private static AugmentProblem Forward(long[] shape, Size2d output, string reason, double[] matrix) =>
        new("forward", shape, output, reason) { Rows = [matrix], Tolerance = Places };
}
