using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Losses of generative adversarial networks: both sides, both forms, with and without gradients.</summary>
public sealed class GanLossCase : OpCase
{
    public override string Op => "gan-loss";

    public override double GradientScale => 0.5;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new GanLossProblem("discriminator", 0, 0, GanLossForm.NonSaturating, "no logits: 0"),
        new GanLossProblem("discriminator", 1, 1, GanLossForm.Hinge, "one logit each"),
        new GanLossProblem("discriminator", 64, 64, GanLossForm.NonSaturating, "a batch"),
        new GanLossProblem("discriminator", 33, 127, GanLossForm.Hinge, "more generated than real") { HasLossGradient = true },
        new GanLossProblem("discriminator", 127, 33, GanLossForm.NonSaturating, "logits far from 0") { Magnitude = 120 },
        new GanLossProblem("discriminator", 17, 15, GanLossForm.NonSaturating, "a discriminator that is sure") { IsSure = true },
        new GanLossProblem("discriminator", 3001, 5003, GanLossForm.NonSaturating, "logits of patches, in parts of which one has both"),
        new GanLossProblem("discriminator values", 64, 64, GanLossForm.NonSaturating, "a batch"),
        new GanLossProblem("discriminator values", 1, 1, GanLossForm.Hinge, "one logit each"),
        new GanLossProblem("generator", 0, 0, GanLossForm.Hinge, "no logits: 0"),
        new GanLossProblem("generator", 0, 64, GanLossForm.NonSaturating, "a batch") { HasLossGradient = true },
        new GanLossProblem("generator", 0, 65, GanLossForm.NonSaturating, "one logit more"),
        new GanLossProblem("generator", 0, 127, GanLossForm.Hinge, "prime"),
        new GanLossProblem("generator values", 0, 65, GanLossForm.NonSaturating, "one logit more"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new GanLossProblem("discriminator", 64, 64, GanLossForm.NonSaturating, "a batch"),
        new GanLossProblem("generator", 0, 64, GanLossForm.NonSaturating, "a batch"),
        new GanLossProblem("discriminator", 64 * 900, 64 * 900, GanLossForm.Hinge, "logits of patches"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("a summary of another shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4), summary = device.Allocate<float>(4);
            GanLoss.Generator(stream, logits, null, summary, null, 1, GanLossForm.Hinge);
        }),
        new("a form that does not exist", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4), summary = device.Allocate<float>(2);
            GanLoss.Generator(stream, logits, null, summary, null, 1, (GanLossForm)2);
        }),
        new("a scale that is no number", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4), summary = device.Allocate<float>(2);
            GanLoss.Generator(stream, logits, null, summary, logits, double.NaN, GanLossForm.Hinge);
        }),
        new("both gradients in one place", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> real = device.Allocate<float>(4), generated = device.Allocate<float>(4);
            using DeviceTensor<float> summary = device.Allocate<float>(4), gradient = device.Allocate<float>(4);
            GanLoss.Discriminator(stream, real, generated, null, summary, gradient, gradient, 1, GanLossForm.Hinge);
        }),
        new("a gradient of one side in place of the other's logits", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> real = device.Allocate<float>(4), generated = device.Allocate<float>(4);
            using DeviceTensor<float> summary = device.Allocate<float>(4);
            GanLoss.Discriminator(stream, real, generated, null, summary, generated, null, 1, GanLossForm.Hinge);
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) => problem.Entry switch
    {
        "discriminator" => [("real", "dreal"), ("generated", "dgenerated")],
        "generator" => [("generated", "dgenerated")],
        _ => [],
    };

    public override Problem? ForwardOf(Problem problem) =>
        problem is GanLossProblem { Entry: "discriminator" or "generator", HasLossGradient: false, Magnitude: < 100, Generated: > 0 } p
            ? p with { Entry = $"{p.Entry} values" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "dloss" or "dreal" or "dgenerated" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        GanLossProblem p = (GanLossProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        List<TensorSpec> specs = [];
        if (p.HasReal) specs.Add(Input("real", dtype, [p.Real], seed, p.IsSure ? 8 : -p.Magnitude, p.IsSure ? 20 : p.Magnitude));
        specs.Add(Input("generated", dtype, [p.Generated], seed, p.IsSure ? -20 : -p.Magnitude, p.IsSure ? -8 : p.Magnitude));
        if (p.HasLossGradient) specs.Add(Input("dloss", real, [1], seed));
        long count = p.Real + p.Generated;
        double roundings = 16 + (dtype == DType.Float64 ? count : Math.Sqrt(count));

        // Softplus is positive, so that its mean is as exact as each.
        double floor = p.Form == GanLossForm.Hinge ? p.Magnitude : 0;
        specs.Add(Output("summary", real, [p.HasReal ? 4 : 2], new Tolerance(0, roundings, floor, "a mean of logarithms")));
        if (p.Entry.EndsWith("values", StringComparison.Ordinal)) return specs;
        Tolerance gradient = new(1, 20, 0, "an exponential and a quotient");
        if (p.HasReal) specs.Add(Output("dreal", dtype, [p.Real], gradient));
        specs.Add(Output("dgenerated", dtype, [p.Generated], gradient));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        if (typeof(T) == typeof(double))
            Run<T, double>(stream, (GanLossProblem)problem, tensors);
        else
            Run<T, float>(stream, (GanLossProblem)problem, tensors);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        GanLossProblem p = (GanLossProblem)problem;
        double factor = p.HasLossGradient ? values["dloss"][0] : 1, scale = double.IsFinite(factor) ? GradientScale * factor : double.NaN;
        double[] dReal = values.Has("dreal") ? values["dreal"] : [], dGenerated = values.Has("dgenerated") ? values["dgenerated"] : [];
        bool hinge = p.Form == GanLossForm.Hinge;
        if (p.HasReal)
            GanLossReference.Discriminator(values["real"], values["generated"], values["summary"], dReal, dGenerated, scale, hinge);
        else
            GanLossReference.Generator(values["generated"], values["summary"], dGenerated, scale, hinge);
    }

    private void Run<T, TReal>(DeviceStream stream, GanLossProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        bool hasGradients = !p.Entry.EndsWith("values", StringComparison.Ordinal);
        DeviceTensor<TReal>? lossGradient = p.HasLossGradient ? tensors.Get<TReal>("dloss") : null;
        DeviceTensor<TReal> summary = tensors.Get<TReal>("summary");
        DeviceTensor<T> generated = tensors.Get<T>("generated");
        DeviceTensor<T>? dGenerated = hasGradients ? tensors.Get<T>("dgenerated") : null;
        if (p.HasReal)
        {
            DeviceTensor<T>? dReal = hasGradients ? tensors.Get<T>("dreal") : null;
            GanLoss.Discriminator(
                stream, tensors.Get<T>("real"), generated, lossGradient, summary, dReal, dGenerated, GradientScale, p.Form);
        }
        else
        {
            GanLoss.Generator(stream, generated, lossGradient, summary, dGenerated, GradientScale, p.Form);
        }
    }
}

/// <summary>A call of the losses of a generative adversarial network.</summary>
public sealed record GanLossProblem(string Entry, long Real, long Generated, GanLossForm Form, string Reason) : Problem(Entry, Reason)
{
    /// <summary>Logits are uniform in +-this.</summary>
    public double Magnitude { get; init; } = 3;

    public bool HasLossGradient { get; init; }

    /// <summary>All logits of a discriminator are far on the right side, so that losses are small.</summary>
    public bool IsSure { get; init; }

    public override string Text => $"{(HasReal ? $"{Real}+" : "")}{Generated} {(Form == GanLossForm.Hinge ? "hinge" : "logistic")}";

    internal bool HasReal => Entry.StartsWith("discriminator", StringComparison.Ordinal);

    public override long Bytes(int elementBytes) =>
        (Real + Generated) * elementBytes * (Entry.EndsWith("values", StringComparison.Ordinal) ? 1 : 2);
}
