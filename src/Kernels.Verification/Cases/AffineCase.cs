using Kernels.Reference;

namespace Kernels.Verification.Cases;

/// <summary>Images through matrices of normalized coordinates, in both conventions.</summary>
public sealed class AffineCase : OpCase
{
    private static readonly Tolerance Places = new(1, 8, 1, "pixels weighed by their distances");

    private static readonly Tolerance Sums = new(1, 16, 4, "a sum of up to 20 gradients");

    private static readonly Tolerance Slopes = new(1, 64, 256, "a sum over the image of products of slopes");

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
        Backward("backward", [2, 3, 8, 16], (16, 8), "zeros outside"),
        Backward("backward", [1, 2, 4, 8], (8, 16), "edges take what lies outside") with { Options = new() { Border = ImageBorder.Edge } },
        Backward("backward", [1, 5, 9, 4], (4, 8), "mirrored, channels last, a deviation") with
        {
            Options = new()
            {
                Border = ImageBorder.Reflect, AlignCorners = true, Layout = TensorLayout.ChannelsLast, Deviation = [0.5, 1, 2, 4],
            },
        },
        Backward("backward", [1, 1, 8, 8], (8, 8), "nearest") with { Options = new() { Interpolation = ImageInterpolation.Nearest } },
        Backward("backward_matrices", [2, 3, 8, 16], (16, 8), "zeros outside"),
        Backward("backward_matrices", [1, 2, 4, 8], (8, 16), "edges have no slope") with { Options = new() { Border = ImageBorder.Edge } },
        Backward("backward_matrices", [1, 5, 9, 4], (4, 8), "mirrored, channels last, a deviation") with
        {
            Options = new()
            {
                Border = ImageBorder.Reflect, AlignCorners = true, Layout = TensorLayout.ChannelsLast, Deviation = [0.5, 1, 2, 4],
            },
        },
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
        TensorSpec map = new("matrices", DType.Float32, [p.Shape[0], 2, 3], TensorRole.Input, matrices);
        return p.Entry switch
        {
            "backward" => [map, Input("dy", dtype, p.OutputShape, seed), Output("dx", dtype, p.Shape, Sums)],
            "backward_matrices" =>
            [
                p.Images(dtype, seed), map, Input("dy", dtype, p.OutputShape, seed),
                Output("dmatrices", DType.Float32, [p.Shape[0], 2, 3], Slopes),
            ],
            _ => [p.Images(dtype, seed), map, Output("y", dtype, p.OutputShape, p.Tolerance)],
        };
    }

    public override Problem? ForwardOf(Problem problem) =>
        problem.Entry == "backward" ? (AugmentProblem)problem with { Entry = "forward" } : null;

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        AugmentOptions options = ((AugmentProblem)problem).Options;
        DeviceTensor<float> matrices = tensors.Get<float>("matrices");
        switch (problem.Entry)
        {
            case "backward": Affine.Backward(stream, matrices, tensors.Get<T>("dy"), tensors.Get<T>("dx"), options); break;
            case "backward_matrices":
                Affine.BackwardMatrices(
                    stream, tensors.Get<T>("x"), matrices, tensors.Get<T>("dy"), tensors.Get<float>("dmatrices"), options);
                break;
            default: Affine.Forward(stream, tensors.Get<T>("x"), matrices, tensors.Get<T>("y"), options); break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        AugmentProblem p = (AugmentProblem)problem;
        AugmentSettings settings = p.Settings with { IsNormalized = true };
        switch (p.Entry)
        {
            case "backward": AugmentReference.Backward(p.Geometry, settings, values["matrices"], values["dy"], values["dx"]); break;
            case "backward_matrices":
                AugmentReference.BackwardMatrices(
                    p.Geometry, settings, values["x"], values["matrices"], values["dy"], values["dmatrices"]);
                break;
            default: AugmentReference.Apply(p.Geometry, settings, values["x"], values["matrices"], 6, values["y"]); break;
        }
    }

    private static AugmentProblem Backward(string entry, long[] shape, Size2d output, string reason) =>
        new(entry, shape, output, reason) { Rows = [Slanted] };

    private static AugmentProblem Forward(long[] shape, Size2d output, string reason, double[] matrix) =>
        new("forward", shape, output, reason) { Rows = [matrix], Tolerance = Places };
}
