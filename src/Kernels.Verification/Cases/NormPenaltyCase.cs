using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>L1, L2 and elastic net over lists of tensors that lie end to end, value alone and with gradient.</summary>
public sealed class NormPenaltyCase : OpCase
{
    private static readonly PenaltyStrength Lasso = new(0.25, 0), Ridge = new(0, 0.5), Elastic = new(0.25, 0.5), None = default;

    public override string Op => "norm-penalty";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        .. new[] { "value", "value and gradient" }.SelectMany(entry => new[]
        {
            new PenaltyProblem(entry, [], [], "an empty list"),
            new PenaltyProblem(entry, [0, 0], [Lasso, Elastic], "tensors without elements"),
            new PenaltyProblem(entry, [1], [Elastic], "one element"),
            new PenaltyProblem(entry, [1021], [Lasso], "L1, prime"),
            new PenaltyProblem(entry, [1021], [Ridge], "L2, prime"),
            new PenaltyProblem(entry, [1021], [Ridge], "L2 by the whole square") { Convention = L2Convention.Full },
            new PenaltyProblem(entry, [4096, 16, 8200], [Elastic, Lasso, Ridge], "whole vectors and several tiles, each its own strengths"),
            new PenaltyProblem(entry, [1, 7, 4096, 0, 165, 4097], [Elastic, None, Ridge, Lasso, Elastic, Lasso],
                "all alignments, a bias left out")
            {
                Convention = L2Convention.Full,
            },
            new PenaltyProblem(entry, [.. Enumerable.Repeat(1L, 700)], [.. Enumerable.Repeat(Elastic, 700)],
                "more tiles than a work group"),
        }),
        new PenaltyProblem("value and gradient", [1021], [Elastic], "gradient scaled, value not") { GradientScale = -8 },
        new PenaltyProblem("value and gradient", [1021], [Lasso], "infinite weights under L1 alone") { HasInfiniteWeights = true },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new PenaltyProblem("value and gradient", [1 << 22, 1 << 22, 1 << 22, 1 << 22], [Elastic, Elastic, Elastic, Elastic],
            "4 tensors of 4.2 M"),
        new PenaltyProblem("value", [.. Enumerable.Repeat(4096L, 2000)], [.. Enumerable.Repeat(Elastic, 2000)], "2,000 tensors of 4,096"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("L1 below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, [new PenaltyStrength(-1, 0)])),
        new("L2 is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, [new PenaltyStrength(0, double.NaN)])),
        new("unknown convention", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, [Lasso], (L2Convention)5)),
        new("more strengths than tensors", typeof(ArgumentException), (device, stream) => Try(device, [Lasso, Lasso])),
        new("gradient of a wrong shape", typeof(ArgumentException), (device, stream) => Try(device, [Lasso], gradientLength: 5)),
        new("no list of parameters", typeof(ArgumentNullException), (device, stream) =>
            new NormPenalty<float>(device, null!, null, [], L2Convention.Half).Dispose()) { Argument = "parameters" },
        new("no strengths", typeof(ArgumentNullException), (device, stream) =>
            new NormPenalty<float>(device, [], null, null!, L2Convention.Half).Dispose()) { Argument = "strengths" },
        new("no device", typeof(ArgumentNullException), (device, stream) =>
            new NormPenalty<float>(null!, [], null, [], L2Convention.Half).Dispose()) { Argument = "device" },
        new("no stream", typeof(ArgumentNullException), (device, stream) =>
        {
            using NormPenalty<float> penalty = new(device, [], null, [], L2Convention.Half);
            penalty.Forward(null!);
        })
        {
            Argument = "stream",
        },
        new("a gradient without gradients", typeof(InvalidOperationException), (device, stream) =>
        {
            using NormPenalty<float> penalty = new(device, [], null, [], L2Convention.Half);
            penalty.ForwardBackward(stream);
        }),
        new("scale is infinite", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using NormPenalty<float> penalty = new(device, [], [], [], L2Convention.Half);
            penalty.ForwardBackward(stream, double.PositiveInfinity);
        }),
        new("a stream of another device", typeof(ArgumentException), (device, stream) =>
        {
            using Device other = Device.Open("cpu");
            using DeviceStream otherStream = other.CreateStream();
            using NormPenalty<float> penalty = new(device, [], [], [], L2Convention.Half);
            penalty.Forward(otherStream);
        }),
        new("a tensor that was disposed", typeof(ObjectDisposedException), (device, stream) =>
        {
            using DeviceTensor<float> parameter = device.Allocate<float>(4);
            using NormPenalty<float> penalty = new(device, [parameter], null, [Lasso], L2Convention.Half);
            parameter.Dispose();
            penalty.Forward(stream);
        }),
    ];

    public override ArgumentUse UseOf(Problem problem, string tensor) => tensor == "value" ? ArgumentUse.None : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        PenaltyProblem p = (PenaltyProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        TensorSpec parameters = Input("parameters", dtype, [p.Length], seed);
        if (p.HasInfiniteWeights) (parameters.Values[1], parameters.Values[^2]) = (double.PositiveInfinity, double.NegativeInfinity);
        Tolerance sum = new(0, 16 + (2 * Math.Log2(1 + p.Length)), 1, "a sum by pairs of groups");
        List<TensorSpec> specs = [parameters, Output("value", real, [1], sum)];
        if (p.HasGradient)
        {
            specs.Add(Input("gradients", dtype, [p.Length], seed) with
            {
                Role = TensorRole.InOut,
                Tolerance = new Tolerance(1, 8, 4, "terms that may cancel"),
            });
        }

        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        PenaltyProblem p = (PenaltyProblem)problem;
        using NormPenalty<T> penalty = Open<T>(stream, p, tensors);
        Call(penalty, stream, p);
        if (typeof(T) == typeof(double))
            stream.Copy(penalty.GetValueAs<double>(), tensors.Get<double>("value"));
        else
            stream.Copy(penalty.GetValueAs<float>(), tensors.Get<float>("value"));
    }

    public override PreparedCall Prepare<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        // Gradients that grow without end must not run into infinity.
        PenaltyProblem p = (PenaltyProblem)problem with { GradientScale = 1e-6 };
        NormPenalty<T> penalty = Open<T>(stream, p, tensors);
        return new PreparedCall(() => Call(penalty, stream, p), [penalty]);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        PenaltyProblem p = (PenaltyProblem)problem;
        int start = 0;
        for (int i = 0; i < p.Lengths.Count; i++)
        {
            int length = (int)p.Lengths[i];
            Span<double> gradients = p.HasGradient ? values["gradients"].AsSpan(start, length) : [];
            values["value"][0] += NormPenaltyReference.Apply(
                values["parameters"].AsSpan(start, length), gradients, p.Strengths[i].L1, p.Strengths[i].L2,
                p.Convention == L2Convention.Half, p.GradientScale);
            start += length;
        }
    }

    private static void Call<T>(NormPenalty<T> penalty, DeviceStream stream, PenaltyProblem problem)
        where T : unmanaged
    {
        if (problem.HasGradient)
            penalty.ForwardBackward(stream, problem.GradientScale);
        else
            penalty.Forward(stream);
    }

    private static NormPenalty<T> Open<T>(DeviceStream stream, PenaltyProblem problem, DeviceTensors tensors)
        where T : unmanaged =>
        new(
            stream.Device, TensorLists.EndToEnd(tensors.Get<T>("parameters"), problem.Lengths),
            problem.HasGradient
                ? TensorLists.EndToEnd(tensors.Get<T>("gradients"), problem.Lengths) : null, problem.Strengths, problem.Convention);

    private static void Try(
        Device device, PenaltyStrength[] strengths, L2Convention convention = L2Convention.Half, long gradientLength = 4)
    {
        using DeviceTensor<float> parameter = device.Allocate<float>(4), gradient = device.Allocate<float>(gradientLength);
        new NormPenalty<float>(device, [parameter], [gradient], strengths, convention).Dispose();
    }
}

/// <summary>A penalty over tensors of these lengths.</summary>
public sealed record PenaltyProblem(string Entry, IReadOnlyList<long> Lengths, IReadOnlyList<PenaltyStrength> Strengths, string Reason)
    : Problem(Entry, Reason)
{
    public L2Convention Convention { get; init; }

    public double GradientScale { get; init; } = 1;

    /// <summary>The second weight is infinite, and so is the last but one, with the other sign.</summary>
    public bool HasInfiniteWeights { get; init; }

    public long Length => Lengths.Sum();

    public bool HasGradient => Entry != "value";

    public override string Text => Lengths.Distinct().Count() == 1 ? $"{Lengths.Count}x{Lengths[0]}" : $"{Lengths.Count} tensors, {Length}";

    /// <summary>Weights are read; gradients are read and written.</summary>
    public override long Bytes(int elementBytes) => Length * elementBytes * (HasGradient ? 3 : 1);
}

/// <summary>Lists of tensors for ops that take whole lists.</summary>
internal static class TensorLists
{
    /// <summary>
    /// Views of these lengths, one after the other, so that they have all alignments and a write past one is seen in the next.
    /// </summary>
    public static IReadOnlyList<DeviceTensor<T>> EndToEnd<T>(DeviceTensor<T> whole, IReadOnlyList<long> lengths)
        where T : unmanaged
    {
        List<DeviceTensor<T>> views = [];
        long start = 0;
        foreach (long length in lengths)
        {
            views.Add(Slice(whole, start, length));
            start += length;
        }

        return views;
    }

    /// <summary>The elements from one on in a shape of their own; null of null, which is for the op to refuse.</summary>
    public static DeviceTensor<T> Slice<T>(DeviceTensor<T> whole, long start, params long[] shape)
        where T : unmanaged =>
        whole is null ? null! : whole.Slice(start, shape.Aggregate(1L, (product, dimension) => product * dimension)).Reshape(shape);
}
