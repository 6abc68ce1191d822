using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Soft sharing: the value alone, and with the gradient of one tensor or both.</summary>
public sealed class SoftSharingCase : OpCase
{
    public override string Op => "soft-sharing";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new SharingProblem("value", 0, "an empty tensor"),
        new SharingProblem("value", 1, "one element"),
        new SharingProblem("value", 1021, "prime"),
        new SharingProblem("value", 37, "a strength of 0") { Strength = 0 },
        new SharingProblem("value", 20011, "several tiles and a tail"),
        new SharingProblem("value and gradient", 0, "an empty tensor"),
        new SharingProblem("value and gradient", 1, "one element"),
        new SharingProblem("value and gradient", 4096 + 17, "two tiles and a tail") { GradientScale = -8 },
        new SharingProblem("value and gradient of one", 1021, "prime"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new SharingProblem("value and gradient", 1 << 24, "64 MB of floats"),
        new SharingProblem("value", 1 << 24, "64 MB of floats"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("a strength below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, stream, 4, 1, -1)),
        new("a strength that is no number", typeof(ArgumentOutOfRangeException), (device, stream) => Try(device, stream, 4, 1, double.NaN)),
        new("shapes differ", typeof(ArgumentException), (device, stream) => Try(device, stream, 5, 1, 1)),
        new("a value of two", typeof(ArgumentException), (device, stream) => Try(device, stream, 4, 2, 1)),
        new("an infinite scale", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> a = device.Allocate<float>(4), b = device.Allocate<float>(4), value = device.Allocate<float>(1);
            SoftSharing.ForwardBackward(stream, a, b, null, null, value, 1, double.PositiveInfinity);
        }),
        new("one gradient for both", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> a = device.Allocate<float>(4), b = device.Allocate<float>(4), value = device.Allocate<float>(1);
            using DeviceTensor<float> gradient = device.Allocate<float>(4);
            SoftSharing.ForwardBackward(stream, a, b, gradient, gradient, value, 1);
        }),
    ];

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "da" or "db" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        SharingProblem p = (SharingProblem)problem;
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        Tolerance sum = new(0, 16 + (2 * Math.Log2(1 + p.Length)), 1, "a sum by pairs of groups");
        List<TensorSpec> specs =
            [Input("a", dtype, [p.Length], seed), Input("b", dtype, [p.Length], seed), Output("value", real, [1], sum)];
        Tolerance added = new(1, 8, 8, "terms that may cancel");
        specs.AddRange(p.Gradients.Select(
            name => Input(name, dtype, [p.Length], seed) with { Role = TensorRole.InOut, Tolerance = added }));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors) =>
        Call<T>(stream, (SharingProblem)problem, tensors);

    public override PreparedCall Prepare<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        // Gradients that grow without end must not run into infinity.
        SharingProblem p = (SharingProblem)problem with { GradientScale = 1e-6 };
        return new PreparedCall(() => Call<T>(stream, p, tensors), []);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        SharingProblem p = (SharingProblem)problem;
        values["value"][0] = SoftSharingReference.Apply(
            values["a"], values["b"], Gradient("da"), Gradient("db"), p.Strength, p.GradientScale);

        Span<double> Gradient(string name) => p.Gradients.Contains(name) ? values[name].AsSpan() : [];
    }

    private static void Call<T>(DeviceStream stream, SharingProblem problem, DeviceTensors tensors)
        where T : unmanaged
    {
        if (typeof(T) == typeof(double))
            Call<T, double>(stream, problem, tensors);
        else
            Call<T, float>(stream, problem, tensors);
    }

    private static void Call<T, TReal>(DeviceStream stream, SharingProblem problem, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        DeviceTensor<T> a = tensors.Get<T>("a"), b = tensors.Get<T>("b");
        DeviceTensor<TReal> value = tensors.Get<TReal>("value");
        if (problem.Entry == "value")
            SoftSharing.Forward(stream, a, b, value, problem.Strength);
        else
            SoftSharing.ForwardBackward(stream, a, b, Gradient("da"), Gradient("db"), value, problem.Strength, problem.GradientScale);

        DeviceTensor<T>? Gradient(string name) => problem.Gradients.Contains(name) ? tensors.Get<T>(name) : null;
    }

    private static void Try(Device device, DeviceStream stream, long otherLength, long values, double strength)
    {
        using DeviceTensor<float> a = device.Allocate<float>(4), b = device.Allocate<float>(otherLength);
        using DeviceTensor<float> value = device.Allocate<float>(values);
        SoftSharing.Forward(stream, a, b, value, strength);
    }
}

/// <summary>A call of soft sharing over this many elements.</summary>
public sealed record SharingProblem(string Entry, long Length, string Reason) : Problem(Entry, Reason)
{
    public double Strength { get; init; } = 0.375;

    public double GradientScale { get; init; } = 1;

    public override string Text => $"{Length} strength={Strength}";

    internal IReadOnlyList<string> Gradients => Entry switch
    {
        "value" => [],
        "value and gradient" => ["da", "db"],
        _ => ["db"],
    };

    /// <summary>Both are read; gradients are read and written.</summary>
    public override long Bytes(int elementBytes) => Length * elementBytes * (2 + (2 * Gradients.Count));
}
