using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Entropy of softmax rows, and its gradient.</summary>
public sealed class EntropyCase : OpCase
{
    public override string Op => "entropy";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        .. OfEntry("forward"),
        .. OfEntry("backward"),
        new EntropyProblem("backward", 9, 21, "one gradient for all rows, and a scale") { Gradients = 1, Scale = -0.5 },
        new EntropyProblem("backward", 9, 1021, "rows of several stretches without a gradient") { HasZeroGradients = true },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new EntropyProblem("backward", 4096, 1000, "as many as cross-entropy"),
        new EntropyProblem("forward", 4096, 1000, "as many as cross-entropy"),
        new EntropyProblem("backward", 65536, 18, "actions of a policy, some of them illegal") { HasMask = true },
        new EntropyProblem("backward", 128, 131072, "tokens of a language model"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("one dimension", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4], 4)),
        new("no classes", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 0], 4)),
        new("rows longer than float can count", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [0, (1 << 24) + 1], 0)),
        new("entropies of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 3], 3)),
        new("mask of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), entropies = device.Allocate<float>(4);
            using DeviceTensor<byte> mask = device.Allocate<byte>(3);
            Entropy.Forward(stream, logits, mask, entropies);
        }),
        new("entropies of the half type", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<Half> logits = device.Allocate<Half>(4, 3), entropies = device.Allocate<Half>(4);
            Entropy.Forward(stream, logits, null, entropies);
        }),
        new("gradients of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), slopes = device.Allocate<float>(3);
            Entropy.Backward(stream, logits, null, slopes, logits);
        }),
        new("scale is infinite", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), slopes = device.Allocate<float>(4);
            Entropy.Backward(stream, logits, null, slopes, logits, double.PositiveInfinity);
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("logits", "dlogits")] : [];

    public override Problem? ForwardOf(Problem problem) =>
        problem is EntropyProblem { Entry: "backward", Gradients: null, HasMaskedLogits: false, HasExtremes: false, Magnitude: < 100 } p
            ? p with { Entry = "forward" }
            : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "mask" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        EntropyProblem p = (EntropyProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        double[] logits = p.HasExtremes
            ? Elements.Extremes(dtype, p.Rows * p.Classes, seed)
            : Elements.Uniform(dtype, p.Rows * p.Classes, seed, "logits", -p.Magnitude, p.Magnitude);
        double[] mask = Elements.Integers(logits.Length, 4, seed, "mask");

        // A row with one class, and one with none.
        foreach (int row in p.Rows > 2 ? (int[])[0, 1] : [])
        {
            int count = (int)p.Classes - (1 - row);
            mask.AsSpan(row * (int)p.Classes, count).Clear();
            if (row == 0) mask[p.Classes - 1] = 255;
        }

        for (int i = 0; p.HasMaskedLogits && i < logits.Length; i++) logits[i] = mask[i] == 0 ? double.NegativeInfinity : logits[i];
        List<TensorSpec> specs = [new TensorSpec("logits", dtype, [p.Rows, p.Classes], TensorRole.Input, logits)];
        if (p.HasMask) specs.Add(new TensorSpec("mask", DType.UInt8, [p.Rows, p.Classes], TensorRole.Input, mask));

        // In double the reference's own sums are no more exact than the op's.
        double roundings = 8 + (dtype == DType.Float64 ? p.Classes : Math.Sqrt(p.Classes)) + p.Magnitude;
        double size = 1 + Math.Log(Math.Max(1, p.Classes));
        if (p.Entry == "forward")
        {
            specs.Add(Output("entropies", real, [p.Rows], new Tolerance(1, roundings, size, "a difference of the logarithm and a mean")));
            return specs;
        }

        TensorSpec slopes = Input("dentropies", real, [p.Gradients ?? p.Rows], seed);
        if (p.HasZeroGradients) slopes.Values.AsSpan(0, slopes.Values.Length / 2).Clear();
        specs.Add(slopes);
        specs.Add(Output("dlogits", dtype, [p.Rows, p.Classes],
            new Tolerance(1, roundings, 2 * size, "a difference of logarithms, times a probability")));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        if (typeof(T) == typeof(double))
            Run<T, double>(stream, (EntropyProblem)problem, tensors);
        else
            Run<T, float>(stream, (EntropyProblem)problem, tensors);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        EntropyProblem p = (EntropyProblem)problem;
        int[] mask = p.HasMask ? values.Integers("mask") : [];
        if (p.Entry == "forward")
            EntropyReference.Forward(values["logits"], mask, values["entropies"], (int)p.Classes);
        else
            EntropyReference.Backward(values["logits"], mask, values["dentropies"], values["dlogits"], (int)p.Classes, p.Scale);
    }

    private static void Run<T, TReal>(DeviceStream stream, EntropyProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        DeviceTensor<byte>? mask = p.HasMask ? tensors.Get<byte>("mask") : null;
        if (p.Entry == "forward")
            Entropy.Forward(stream, tensors.Get<T>("logits"), mask, tensors.Get<TReal>("entropies"));
        else
            Entropy.Backward(stream, tensors.Get<T>("logits"), mask, tensors.Get<TReal>("dentropies"), tensors.Get<T>("dlogits"), p.Scale);
    }

    private static IEnumerable<Problem> OfEntry(string entry) =>
    [
        new EntropyProblem(entry, 0, 10, "no rows"),
        new EntropyProblem(entry, 1, 1, "one class: no entropy"),
        new EntropyProblem(entry, 50, 18, "a batch of a policy"),
        new EntropyProblem(entry, 7, 8, "one work item a row"),
        new EntropyProblem(entry, 5, 64, "whole vectors, rows that share a warp"),
        new EntropyProblem(entry, 3, 1021, "prime, the longest kind of short row"),
        new EntropyProblem(entry, 2, 2048, "a work group a row, all of it in registers"),
        new EntropyProblem(entry, 2, 4099, "a work group a row, prime, several stretches") { HasMask = true },
        new EntropyProblem(entry, 1, 262144, "the longest row promised"),
        new EntropyProblem(entry, 2, 16411, "few long rows, in pieces, with a mask") { HasMask = true },
        new EntropyProblem(entry, 70000, 3, "more than 65,535 rows"),
        new EntropyProblem(entry, 20, 10, "large logits do not overflow") { Magnitude = 4000 },
        new EntropyProblem(entry, 20, 2, "a range of logits beyond the largest number") { HasExtremes = true },
        new EntropyProblem(entry, 3, 1100, "a range beyond the largest number, in a long row") { HasExtremes = true, HasMask = true },
        new EntropyProblem(entry, 9, 21, "a mask, with rows of one class and of none") { HasMask = true },
        new EntropyProblem(entry, 9, 24, "a mask of whole vectors") { HasMask = true },
        new EntropyProblem(entry, 9, 21, "masked by -infinity") { HasMaskedLogits = true },
    ];

    private static void Forward(Device device, DeviceStream stream, long[] logitShape, long entropyCount)
    {
        using DeviceTensor<float> logits = device.Allocate<float>(logitShape), entropies = device.Allocate<float>(entropyCount);
        Entropy.Forward(stream, logits, null, entropies);
    }
}

/// <summary>A call of entropy.</summary>
public sealed record EntropyProblem(string Entry, long Rows, long Classes, string Reason) : Problem(Entry, Reason)
{
    /// <summary>Logits are uniform in +-this.</summary>
    public double Magnitude { get; init; } = 3;

    public bool HasMask { get; init; }

    /// <summary>True when the mask is in the logits, as -infinity.</summary>
    public bool HasMaskedLogits { get; init; }

    /// <summary>Elements of the entropy's gradient, one a row if null.</summary>
    public long? Gradients { get; init; }

    public double Scale { get; init; } = 1;

    public bool HasZeroGradients { get; init; }

    public override string Text => $"{Rows}x{Classes}{(HasMask ? " mask" : "")}{(HasMaskedLogits ? " -inf" : "")}";

    public override long Bytes(int elementBytes) =>
        (Rows * Classes * ((elementBytes * (Entry == "forward" ? 1 : 2)) + (HasMask ? 1 : 0))) + (Rows * 4);
}
