using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Softmax cross-entropy with hard labels: losses alone, and with the gradient.</summary>
public sealed class CrossEntropyCase : OpCase
{
    private const double Scale = 0.25;

    public override string Op => "cross-entropy";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new CrossEntropyProblem("forward", 0, 10, "no rows"),
        new CrossEntropyProblem("forward", 1, 1, "one class: the loss is 0"),
        new CrossEntropyProblem("forward", 50, 10, "a batch of the study"),
        new CrossEntropyProblem("forward", 3, 1021, "more classes than a group, prime"),
        new CrossEntropyProblem("forward", 20, 10, "large logits do not overflow") { Magnitude = 4000 },
        new CrossEntropyProblem("forward", 20, 10, "labels outside the classes") { HasBadLabels = true },
        new CrossEntropyProblem("backward", 0, 10, "no rows"),
        new CrossEntropyProblem("backward", 1, 1, "one class: the gradient is 0"),
        new CrossEntropyProblem("backward", 50, 10, "a batch of the study"),
        new CrossEntropyProblem("backward", 3, 1021, "more classes than a group, prime"),
        new CrossEntropyProblem("backward", 20, 10, "labels outside the classes") { HasBadLabels = true },
        new CrossEntropyProblem("backward", 70000, 3, "more than 65,535 rows"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new CrossEntropyProblem("backward", 50, 10, "a batch of the study"),
        new CrossEntropyProblem("backward", 4096, 1000, "ImageNet's classes"),
        new CrossEntropyProblem("backward", 4096, 32000, "a vocabulary: far beyond any cache"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("labels of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 3], 5, 4)),
        new("losses of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 3], 4, 3)),
        new("one dimension", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4], 4, 4)),
        new("no classes", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 0], 4, 4)),
        new("scale is NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            using DeviceTensor<float> losses = device.Allocate<float>(4);
            CrossEntropy.ForwardBackward(stream, logits, labels, losses, logits, double.NaN);
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "backward" ? [("logits", "dlogits")] : [];

    public override Problem? ForwardOf(Problem problem) =>
        problem is CrossEntropyProblem { Entry: "backward", HasBadLabels: false } p ? p with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        CrossEntropyProblem p = (CrossEntropyProblem)problem;
        double[] labels = Elements.Integers(p.Rows, (int)p.Classes, seed, "labels");
        if (p.HasBadLabels) (labels[0], labels[1], labels[^1]) = (-1, p.Classes, int.MaxValue);

        // exp turns an error of its argument, up to the logits' size, into a relative one; so does the logarithm back.
        double roundings = 8 + Math.Sqrt(p.Classes) + p.Magnitude;
        Tolerance loss = new(1, roundings, p.Magnitude, "exp and log of differences of logits");
        Tolerance gradient = new(1, roundings, Scale, "a difference of probabilities of the size of the scale");
        List<TensorSpec> specs =
        [
            Input("logits", dtype, [p.Rows, p.Classes], seed, -p.Magnitude, p.Magnitude),
            new TensorSpec("labels", DType.Int32, [p.Rows], TensorRole.Input, labels),
            Output("losses", dtype, [p.Rows], loss),
        ];
        if (p.Entry == "backward") specs.Add(Output("dlogits", dtype, [p.Rows, p.Classes], gradient));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        DeviceTensor<T> logits = tensors.Get<T>("logits"), losses = tensors.Get<T>("losses");
        if (problem.Entry == "forward")
            CrossEntropy.Forward(stream, logits, tensors.Get<int>("labels"), losses);
        else
            CrossEntropy.ForwardBackward(stream, logits, tensors.Get<int>("labels"), losses, tensors.Get<T>("dlogits"), Scale);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        int classes = (int)((CrossEntropyProblem)problem).Classes;
        int[] labels = values.Integers("labels");
        CrossEntropyReference.Forward(values["logits"], labels, values["losses"], classes);
        if (problem.Entry == "backward") CrossEntropyReference.Backward(values["logits"], labels, values["dlogits"], classes, Scale);
    }

    /// <summary>What the gradient is multiplied by, so the gradient of the losses' sum is that of the op divided by it.</summary>
    public override double GradientScale => Scale;

    private static void Forward(Device device, DeviceStream stream, long[] logitShape, long labelCount, long lossCount)
    {
        using DeviceTensor<float> logits = device.Allocate<float>(logitShape);
        using DeviceTensor<int> labels = device.Allocate<int>(labelCount);
        using DeviceTensor<float> losses = device.Allocate<float>(lossCount);
        CrossEntropy.Forward(stream, logits, labels, losses);
    }
}

/// <summary>A call of cross-entropy.</summary>
public sealed record CrossEntropyProblem(string Entry, long Rows, long Classes, string Reason) : Problem(Entry, Reason)
{
    /// <summary>Logits are uniform in +-this.</summary>
    public double Magnitude { get; init; } = 3;

    public bool HasBadLabels { get; init; }

    public override string Text => $"{Rows}x{Classes}";

    public override long Bytes(int elementBytes) =>
        (elementBytes * Rows * ((Entry == "forward" ? 1 : 2) * Classes)) + (Rows * (4 + elementBytes));
}
