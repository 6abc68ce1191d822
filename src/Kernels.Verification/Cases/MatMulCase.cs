using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The matrix product in its four transpositions.</summary>
public sealed class MatMulCase : OpCase
{
    public override string Op => "matmul";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new MatMulProblem(0, 5, 3, false, false, "no rows"),
        new MatMulProblem(3, 5, 0, false, false, "an empty sum is 0"),
        new MatMulProblem(1, 1, 1, false, false, "one element"),
        new MatMulProblem(64, 64, 16, false, false, "one tile exactly"),
        new MatMulProblem(65, 63, 17, false, false, "one past a tile, one short of it"),
        new MatMulProblem(65, 63, 17, true, false, "the same, a transposed"),
        new MatMulProblem(65, 63, 17, false, true, "the same, b transposed"),
        new MatMulProblem(65, 63, 17, true, true, "the same, both transposed"),
        new MatMulProblem(1, 129, 70, false, true, "a row"),
        new MatMulProblem(129, 1, 70, true, false, "a column"),
        new MatMulProblem(50, 10, 101, false, true, "the last layer of the study, k prime"),
        new MatMulProblem(7, 13, 1021, false, false, "a long sum"),
        new MatMulProblem(300, 300, 40, false, false, "several tiles and cores"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new MatMulProblem(1024, 1024, 1024, false, false, "square"),
        new MatMulProblem(4096, 4096, 4096, false, false, "square, enough for every multiprocessor of a large GPU"),
        new MatMulProblem(50, 512, 784, false, true, "first layer of the study, forward"),
        new MatMulProblem(512, 784, 50, true, false, "first layer of the study, gradient of the weight"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("inner dimensions differ", typeof(ArgumentException), (device, stream) => Multiply(device, stream, [2, 3], [4, 5], [2, 5])),
        new("result of a wrong shape", typeof(ArgumentException), (device, stream) => Multiply(device, stream, [2, 3], [3, 5], [5, 2])),
        new("three dimensions", typeof(ArgumentException), (device, stream) => Multiply(device, stream, [2, 3, 1], [3, 5], [2, 5])),
        new("result overlaps an operand", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> a = device.Allocate<float>(4, 4);
            using DeviceTensor<float> b = device.Allocate<float>(4, 4);
            MatMul.Multiply(stream, a, b, a);
        }),
    ];

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        MatMulProblem p = (MatMulProblem)problem;
        return
        [
            Input("a", dtype, p.TransposeA ? [p.K, p.M] : [p.M, p.K], seed),
            Input("b", dtype, p.TransposeB ? [p.N, p.K] : [p.K, p.N], seed),
            Output("c", dtype, [p.M, p.N], SumOfProducts(p.K)),
        ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        MatMulProblem p = (MatMulProblem)problem;
        MatMul.Multiply(stream, tensors.Get<T>("a"), tensors.Get<T>("b"), tensors.Get<T>("c"), new()
        {
            TransposeA = p.TransposeA,
            TransposeB = p.TransposeB,
        });
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        MatMulProblem p = (MatMulProblem)problem;
        MatMulReference.Multiply(values["a"], values["b"], values["c"], (int)p.M, (int)p.N, (int)p.K, p.TransposeA, p.TransposeB);
    }

    /// <summary>
    /// Inputs lie in [-2, 2), so a product is 4/3 in root mean square and a sum of k of them grows as sqrt(k); its rounding errors, one a
    /// term, add up as randomly: sqrt(k) roundings of values of the size sqrt(k), with a factor 4 for the worst of many results.
    /// </summary>
    internal static Tolerance SumOfProducts(long terms)
    {
        double root = Math.Sqrt(Math.Max(1, terms));
        return new Tolerance(1, 4 * root, root, $"a sum of {terms} products");
    }

    private static void Multiply(Device device, DeviceStream stream, long[] aShape, long[] bShape, long[] cShape)
    {
        using DeviceTensor<float> a = device.Allocate<float>(aShape);
        using DeviceTensor<float> b = device.Allocate<float>(bShape);
        using DeviceTensor<float> c = device.Allocate<float>(cShape);
        MatMul.Multiply(stream, a, b, c);
    }
}

/// <summary>A matrix product.</summary>
public sealed record MatMulProblem(long M, long N, long K, bool TransposeA, bool TransposeB, string Reason) : Problem("multiply", Reason)
{
    public override string Text => $"{M}x{N}x{K}{(TransposeA ? " aT" : "")}{(TransposeB ? " bT" : "")}";

    public override long Flops => 2 * M * N * K;

    public override long Bytes(int elementBytes) => elementBytes * ((M * K) + (K * N) + (M * N));
}
