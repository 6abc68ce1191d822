using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Bias, dropout, channel scale, row drop and residual in one pass, forward and backward.</summary>
public sealed class BiasDropoutResidualCase : OpCase
{
    private static readonly RandomKey Key = new(0x13579bdf2468ace0, 11);

    public override string Op => "bias-dropout-residual";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } = [.. new[] { "forward", "backward" }.SelectMany(OfEntry)];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new BiasDropoutResidualProblem("forward", 4096, 4096, "64 MB of floats"),
        new BiasDropoutResidualProblem("backward", 4096, 4096, "64 MB of floats"),
        new BiasDropoutResidualProblem("forward", 4096, 4096, "with drop path and LayerScale")
        {
            RowDropProbability = 0.2, HasScale = true,
        },
        new BiasDropoutResidualProblem("backward", 4096, 4096, "with drop path and LayerScale")
        {
            RowDropProbability = 0.2, HasScale = true,
        },
        new BiasDropoutResidualProblem("forward", 21913, 765, "odd rows and columns"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, dropProbability: double.NaN)),
        new("p below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, dropProbability: -0.1)),
        new("row p above 1", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, options: new()
        {
            RowDropProbability = 1.5,
        })),
        new("start row too large", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, options: new()
        {
            GlobalStart = 1UL << 63,
        })),
        new("one dimension", typeof(ArgumentException), (device, stream) => Forward(device, stream, x: [15], residual: [15], y: [15])),
        new("residual of another shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, residual: [5, 3])),
        new("output of another shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, y: [3, 4])),
        new("bias of another length", typeof(ArgumentException), (device, stream) => Forward(device, stream, bias: [3])),
        new("scale of two dimensions", typeof(ArgumentException), (device, stream) => Forward(device, stream, scale: [1, 5])),
        new("partial overlap with the residual", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(24);
            using DeviceTensor<float> x = device.Allocate<float>(4, 4);
            BiasDropoutResidual.Forward(stream, x, null, null, buffer.View(0, 4, 4), buffer.View(8, 4, 4), 0.5, Key);
        }),
        new("a gradient of the scale without the scale", typeof(ArgumentNullException), (device, stream) =>
        {
            using DeviceTensor<float> dy = device.Allocate<float>(3, 5);
            using DeviceTensor<float> dScale = device.Allocate<float>(5);
            BiasDropoutResidual.Backward(stream, dy, null, null, dy, dy, null, dScale, 0.5, Key);
        }),
        new("a gradient of the scale without x", typeof(ArgumentNullException), (device, stream) =>
        {
            using DeviceTensor<float> dy = device.Allocate<float>(3, 5);
            using DeviceTensor<float> scale = device.Allocate<float>(5);
            using DeviceTensor<float> dScale = device.Allocate<float>(5);
            BiasDropoutResidual.Backward(stream, null, null, scale, dy, dy, null, dScale, 0.5, Key);
        }),
    ];

    public override Problem? OfLength(long length) => new BiasDropoutResidualProblem("forward", 3, length, "every length")
    {
        DropProbability = 0.5,
        HasScale = true,
    };

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("dy", "dx")] : [("residual", "y"), ("x", "y")];

    public override Problem? ForwardOf(Problem problem) =>
        problem.Entry == "backward" ? (BiasDropoutResidualProblem)problem with { Entry = "forward" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "bias" or "scale" or "dbias" or "dscale" || (tensor == "x" && problem.Entry == "backward")
            ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        BiasDropoutResidualProblem p = (BiasDropoutResidualProblem)problem;
        long[] shape = [p.Rows, p.Columns], columns = [p.Columns];
        double scale = p.KeptScale;
        List<TensorSpec> specs = [Input("x", dtype, shape, seed)];
        if (p.HasBias) specs.Add(Input("bias", dtype, columns, seed));
        if (p.HasScale) specs.Add(Input("scale", dtype, columns, seed));
        if (p.Entry == "forward")
        {
            specs.Add(Input("residual", dtype, shape, seed));
            specs.Add(Output("y", dtype, shape, new Tolerance(1, 5, 2 + (8 * scale), "a sum of a product that may cancel")));
            return specs;
        }

        // A gradient is at most 2 * 2 * scale, a term of the scale's gradient 4 * 2 * scale; sums grow as random walks.
        Tolerance sum = MatMulCase.SumOfProducts(p.Rows);
        specs.Add(Input("dy", dtype, shape, seed));
        if (p.HasBias)
        {
            specs.Add(Output("dbias", dtype, columns, sum with
            {
                Floor = 4 * scale * sum.Floor,
                ArithmeticRoundings = sum.ArithmeticRoundings + 4,
            }));
        }
        if (p.HasScale)
        {
            specs.Add(Output("dscale", dtype, columns, sum with
            {
                Floor = 8 * scale * sum.Floor,
                ArithmeticRoundings = sum.ArithmeticRoundings + 4,
            }));
        }
        specs.Add(Output("dx", dtype, shape, new Tolerance(1, 4, 0, "a product of three")));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        BiasDropoutResidualProblem p = (BiasDropoutResidualProblem)problem;
        BiasDropoutResidualOptions options = new() { RowDropProbability = p.RowDropProbability, GlobalStart = p.GlobalStart };
        DeviceTensor<T>? bias = p.HasBias ? tensors.Get<T>("bias") : null, scale = p.HasScale ? tensors.Get<T>("scale") : null;
        if (p.Entry == "forward")
        {
            BiasDropoutResidual.Forward(
                stream, tensors.Get<T>("x"), bias, scale, tensors.Get<T>("residual"), tensors.Get<T>("y"), p.DropProbability,
                tensors.Key(Key), options);
            return;
        }

        BiasDropoutResidual.Backward(
            stream, tensors.Get<T>("x"), bias, scale, tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.HasBias
                ? tensors.Get<T>("dbias") : null,
            p.HasScale ? tensors.Get<T>("dscale") : null, p.DropProbability, tensors.Key(Key), options);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        BiasDropoutResidualProblem p = (BiasDropoutResidualProblem)problem;
        BiasDropoutResidualReference reference = new(
            (int)p.Rows, (int)p.Columns, p.DropProbability, p.RowDropProbability, p.GlobalStart, Key.Seed, Key.Offset);
        double[] bias = p.HasBias ? values["bias"] : [], scale = p.HasScale ? values["scale"] : [];
        if (p.Entry == "forward")
        {
            reference.Forward(values["x"], bias, values["residual"], scale, values["y"]);
        }
        else
        {
            reference.Backward(values["dy"], values["x"], bias, scale, values["dx"], p.HasBias ? values["dbias"] : [], p.HasScale
                ? values["dscale"] : []);
        }
    }

    private static IEnumerable<Problem> OfEntry(string entry) =>
    [
        new BiasDropoutResidualProblem(entry, 0, 5, "no rows: gradients of the parameters are 0"),
        new BiasDropoutResidualProblem(entry, 5, 0, "no columns"),
        new BiasDropoutResidualProblem(entry, 1, 1, "one element") { DropProbability = 0.5 },
        new BiasDropoutResidualProblem(entry, 5, 64, "rows of whole vectors") { DropProbability = 0.5 },
        new BiasDropoutResidualProblem(entry, 7, 101, "prime: rows start inside Philox blocks") { HasScale = true },
        new BiasDropoutResidualProblem(entry, 130, 264, "one block of columns past a tile, two rows past two strips") { HasScale = true },
        new BiasDropoutResidualProblem(entry, 2, 3000, "more columns than a segment of lanes") { HasScale = true },
        new BiasDropoutResidualProblem(entry, 70000, 2, "more than 65,535 rows") { RowDropProbability = 0.5 },
        new BiasDropoutResidualProblem(entry, 9, 33, "no bias") { HasBias = false },
        new BiasDropoutResidualProblem(entry, 9, 40, "a scale alone") { HasBias = false, HasScale = true },
        new BiasDropoutResidualProblem(entry, 50, 24, "drop path") { RowDropProbability = 0.3, HasScale = true },
        new BiasDropoutResidualProblem(entry, 50, 19, "drop path alone, odd") { DropProbability = 0, RowDropProbability = 0.5 },
        new BiasDropoutResidualProblem(entry, 6, 37, "nothing is dropped") { DropProbability = 0, HasScale = true },
        new BiasDropoutResidualProblem(entry, 6, 37, "p = 1: the residual") { DropProbability = 1, HasScale = true },
        new BiasDropoutResidualProblem(entry, 6, 37, "row p = 1: the residual") { RowDropProbability = 1 },
        new BiasDropoutResidualProblem(entry, 70, 16, "a shard inside a strip")
        {
            GlobalStart = (1UL << 40) + 29, RowDropProbability = 0.3,
        },
        new BiasDropoutResidualProblem(entry, 20, 15, "a shard off all blocks")
        {
            GlobalStart = (1UL << 33) + 3, RowDropProbability = 0.3, HasScale = true,
        },
    ];

    private static void Forward(
        Device device, DeviceStream stream, long[]? x = null, long[]? bias = null, long[]? residual = null, long[]? scale = null,
        long[]? y = null,
        double dropProbability = 0.5, BiasDropoutResidualOptions options = default)
    {
        using DeviceTensor<float> xTensor = device.Allocate<float>(x ?? [3, 5]);
        using DeviceTensor<float> biasTensor = device.Allocate<float>(bias ?? [5]);
        using DeviceTensor<float> residualTensor = device.Allocate<float>(residual ?? [3, 5]);
        using DeviceTensor<float> scaleTensor = device.Allocate<float>(scale ?? [5]);
        using DeviceTensor<float> yTensor = device.Allocate<float>(y ?? [3, 5]);
        BiasDropoutResidual.Forward(stream, xTensor, biasTensor, scaleTensor, residualTensor, yTensor, dropProbability, Key, options);
    }
}

/// <summary>A call of bias, dropout and residual.</summary>
public sealed record BiasDropoutResidualProblem(string Entry, long Rows, long Columns, string Reason) : Problem(Entry, Reason)
{
    public double DropProbability { get; init; } = 0.1;

    public double RowDropProbability { get; init; }

    public bool HasBias { get; init; } = true;

    public bool HasScale { get; init; }

    public ulong GlobalStart { get; init; }

    /// <summary>The factor of a kept element; 1 where none is kept.</summary>
    public double KeptScale => DropProbability == 1 || RowDropProbability == 1
        ? 1
        : 65536.0 / DropoutReference.Threshold(DropProbability) * (65536.0 / DropoutReference.Threshold(RowDropProbability));

    public override string Text =>
        $"{Rows}x{Columns} p={DropProbability:0.###}{(RowDropProbability > 0 ? $" rows={RowDropProbability:0.###}" : "")}"
        + $"{(HasBias ? "" : " no bias")}"
        + $"{(HasScale ? " scale" : "")}{(GlobalStart > 0 ? $" start={GlobalStart}" : "")}";

    /// <summary>
    /// Forward reads the residual and the kept rows of x and writes y; backward reads the kept rows of dy, with a channel scale those of x
    /// too, and writes dx.
    /// </summary>
    public override long Bytes(int elementBytes)
    {
        double kept = 1 - RowDropProbability;
        double passes = Entry == "forward" ? 2 + kept : 1 + (kept * (HasScale ? 2 : 1));
        return elementBytes * ((long)(passes * Rows * Columns) + ((HasBias ? Columns : 0) + (HasScale ? 2 * Columns : 0)));
    }
}
