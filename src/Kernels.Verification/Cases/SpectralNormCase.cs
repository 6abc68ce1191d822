using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Spectral normalization: training, inference and the gradient.</summary>
public sealed class SpectralNormCase : OpCase
{
    public override string Op => "spectral-norm";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new SpectralNormProblem("forward", [1, 1], "one weight"),
        new SpectralNormProblem("forward", [5, 7], "odd sides, three steps") { Iterations = 3 },
        new SpectralNormProblem("forward", [16, 8, 3, 3], "whole octets, three blocks of columns"),
        new SpectralNormProblem("forward", [20, 416], "two tiles, rows of a team"),
        new SpectralNormProblem("inference", [5, 7], "odd sides"),
        new SpectralNormProblem("backward", [5, 7], "odd sides"),
        new SpectralNormProblem("backward", [20, 416], "two tiles, whole octets"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new SpectralNormProblem("forward", [256, 128, 3, 3], "a convolution of a discriminator"),
        new SpectralNormProblem("backward", [256, 128, 3, 3], "a convolution of a discriminator"),
        new SpectralNormProblem("forward", [4096, 4096], "a large layer"),
        new SpectralNormProblem("backward", [4096, 4096], "a large layer"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("one dimension", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4], 4, 1)),
        new("no elements", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 0], 4, 0)),
        new("u of a wrong length", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 3], 3, 3)),
        new("v of a wrong length", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 3], 4, 4)),
        new("iterations below 0", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4, 3], 4, 3, new() { MoreIterations = -1 })),
        new("an epsilon of 0", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4, 3], 4, 3, new() { Epsilon = 0 })),
        new("state of another type", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<Half> weight = device.Allocate<Half>(4, 3), y = device.Allocate<Half>(4, 3);
            using DeviceTensor<Half> u = device.Allocate<Half>(4), v = device.Allocate<Half>(3), sigma = device.Allocate<Half>(1);
            SpectralNorm.Forward(stream, weight, u, v, sigma, y);
        }),
        new("in place", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> weight = device.Allocate<float>(4, 3), u = device.Allocate<float>(4);
            using DeviceTensor<float> v = device.Allocate<float>(3), sigma = device.Allocate<float>(1);
            SpectralNorm.Inference(stream, weight, u, v, sigma, weight);
        }),
        new("an infinite epsilon", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4, 3], 4, 3, new() { Epsilon = double.PositiveInfinity })),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("dy", "dweight")] : [];

    /// <summary>A second step multiplies the weight by sums of the first.</summary>
    public override double LargestInput(DType dtype) => dtype switch
    {
        DType.Float16 => Elements.Largest(dtype),
        DType.Float64 => 1e150,
        _ => 1e18,
    };

    public override bool IsStateOrSetting(string input) => input is "u" or "v" or "sigma";

    /// <summary>With u and v as they are, which is what the gradient is of.</summary>
    public override Problem? ForwardOf(Problem problem) => problem.Entry == "backward" ? problem with { Entry = "inference" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        SpectralNormProblem p = (SpectralNormProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        TensorSpec weight = Input("weight", dtype, p.Shape, seed);
        double[] v = Elements.Uniform(real, p.Columns, seed, "v", -1, 1), u = new double[p.Rows];

        // As an iteration leaves them, in the stored type.
        double sigma = 1;
        if (p.Entry != "forward")
        {
            SpectralNormReference reference = new((int)p.Rows, (int)p.Columns);
            reference.Iterate(weight.Values, u, v, 1e-12);
            u = [.. u.Select(value => Elements.Round(real, value))];
            v = [.. v.Select(value => Elements.Round(real, value))];
            sigma = Elements.Round(real, reference.Sigma(weight.Values, u, v));
        }

        Tolerance steps = new(1, 64, 1, "normalized sums of products");
        Tolerance quotient = new(1, 64, 0, "a quotient of the weight and a sum of products");
        TensorSpec State(string name, double[] values) => new(name, real, [values.Length], TensorRole.Input, values);
        return p.Entry switch
        {
            "forward" =>
            [
                weight, Output("u", real, [p.Rows], steps),
                new TensorSpec("v", real, [p.Columns], TensorRole.InOut, v) { Tolerance = steps }, Output("sigma", real, [1], quotient),
                Output("y", dtype, p.Shape, quotient),
            ],
            "inference" =>
            [
                weight, State("u", u), State("v", v), Output("sigma", real, [1], quotient), Output("y", dtype, p.Shape, quotient),
            ],
            _ =>
            [
                weight, State("u", u), State("v", v), State("sigma", [sigma]), Input("dy", dtype, p.Shape, seed),
                Output("dweight", dtype, p.Shape, new Tolerance(1, 64, 1, "a sum of products, and a difference")),
            ],
        };
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        if (typeof(T) == typeof(double))
            Run<T, double>(stream, (SpectralNormProblem)problem, tensors);
        else
            Run<T, float>(stream, (SpectralNormProblem)problem, tensors);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        SpectralNormProblem p = (SpectralNormProblem)problem;
        SpectralNormReference reference = new((int)p.Rows, (int)p.Columns);
        (double[] weight, double[] u, double[] v) = (values["weight"], values["u"], values["v"]);
        if (p.Entry == "backward")
        {
            reference.Backward(weight, u, v, values["sigma"][0], values["dy"], values["dweight"]);
            return;
        }

        for (int i = 0; p.Entry == "forward" && i < p.Iterations; i++) reference.Iterate(weight, u, v, 1e-12);
        double sigma = reference.Sigma(weight, u, v);
        values["sigma"][0] = sigma;
        for (int i = 0; i < weight.Length; i++) values["y"][i] = weight[i] / sigma;
    }

    private static void Run<T, TReal>(DeviceStream stream, SpectralNormProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        DeviceTensor<T> weight = tensors.Get<T>("weight");
        DeviceTensor<TReal> u = tensors.Get<TReal>("u"), v = tensors.Get<TReal>("v"), sigma = tensors.Get<TReal>("sigma");
        switch (p.Entry)
        {
            case "forward":
                SpectralNorm.Forward(stream, weight, u, v, sigma, tensors.Get<T>("y"), new() { MoreIterations = p.Iterations - 1 });
                break;
            case "inference": SpectralNorm.Inference(stream, weight, u, v, sigma, tensors.Get<T>("y")); break;
            default: SpectralNorm.Backward(stream, weight, u, v, sigma, tensors.Get<T>("dy"), tensors.Get<T>("dweight")); break;
        }
    }

    private static void Forward(
        Device device, DeviceStream stream, long[] shape, long rows, long columns, SpectralNormOptions options = default)
    {
        using DeviceTensor<float> weight = device.Allocate<float>(shape), y = device.Allocate<float>(shape);
        using DeviceTensor<float> u = device.Allocate<float>(rows), v = device.Allocate<float>(columns), sigma = device.Allocate<float>(1);
        SpectralNorm.Forward(stream, weight, u, v, sigma, y, options);
    }
}

/// <summary>A call of spectral normalization.</summary>
public sealed record SpectralNormProblem(string Entry, long[] Shape, string Reason) : Problem(Entry, Reason)
{
    public int Iterations { get; init; } = 1;

    public override string Text => string.Join('x', Shape);

    internal long Rows => Shape[0];

    internal long Columns => Shape[1..].Aggregate(1L, (product, length) => product * length);

    /// <summary>
    /// A step reads the weight twice, the quotient reads it and writes; the gradient reads dy twice and the weight, and writes.
    /// </summary>
    public override long Bytes(int elementBytes) => (Entry == "inference" ? 3 : 2 + (2 * Iterations)) * elementBytes * Rows * Columns;
}
