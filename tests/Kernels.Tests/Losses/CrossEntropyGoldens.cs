using System.Text.Json;
using System.Text.Json.Serialization;
using Kernels.Cpu;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Losses;

/// <summary>
/// Cross-entropy and entropy against values from PyTorch, made by <c>tests/goldens/cross_entropy.py</c>. Where we differ on purpose, the
/// test says what PyTorch gives, and why we do not.
/// </summary>
public sealed class CrossEntropyGoldens(TestDevices devices)
{
    private static readonly GoldenFile Golden = Read();

    public static TheoryData<string, int> Rows =>
        [.. from device in TestDevices.All from index in Enumerable.Range(0, Golden.Cases.Length) select (device.Id, index)];

    /// <summary>
    /// The grid of weights, ignored label, smoothing, reduction and kind of target, loss and gradient; in float, and in double where the
    /// device can.
    /// </summary>
    [Theory]
    [MemberData(nameof(Rows))]
    public void Grid_IsThatOfPyTorch(string deviceId, int index)
    {
        GoldenCase golden = Golden.Cases[index];
        using DeviceStream stream = devices.CreateStream(deviceId);
        CrossEntropyOptions options = new()
        {
            Smoothing = golden.Smoothing,
            IgnoreIndex = golden.Ignore ? Golden.Ignored : null,
            Reduction = Enum.Parse<LossReduction>(golden.Reduction),
        };
        AssertEqual(stream, golden, stream.Device.SupportsFloat64, new Call(options)
        {
            IsSoft = golden.Targets == "soft",
            IsWeighted = golden.Weights,
        });
    }

    /// <summary>PyTorch's Categorical.entropy, and its gradient with a slope for each row.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Entropy_IsThatOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        (double[] entropies, double[] gradient) = stream.Device.SupportsFloat64 ? RunEntropy<double>(stream) : RunEntropy<float>(stream);
        AssertClose(Golden.Entropy.Loss, entropies, Tolerance(stream.Device.SupportsFloat64));
        AssertClose(Golden.Entropy.Gradient, gradient, Tolerance(stream.Device.SupportsFloat64));
    }

    /// <summary>
    /// On purpose: PyTorch's mean over no rows is NaN, which ends a training for one batch of padding (pytorch#75181). Ours is 0 unless NaN
    /// is asked for.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void AllIgnored_IsZeroUnlessNaNIsAskedFor(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        CrossEntropyOptions options = new() { IgnoreIndex = -100, Reduction = LossReduction.Mean };
        int[] labels = [.. Golden.Labels.Select(_ => -100)];
        Assert.Equal([double.NaN], Golden.AllIgnored.Loss);
        Assert.Equal([0], Run<float>(stream, new Call(options) { Labels = labels }).Losses);
        AssertEqual(stream, Golden.AllIgnored, false, new Call(options with { EmptyMean = EmptyMean.NaN }) { Labels = labels });
    }

    /// <summary>
    /// On purpose: a masked class has no part of the smoothing here. PyTorch spreads epsilon over it too, so that its loss is infinite and
    /// the masked logit has a gradient (optax#896). Without smoothing the two agree, and with smoothing ours is what PyTorch gives when the
    /// class is left out.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void MaskedClass_IsNotSmoothedOver(string deviceId)
    {
        const int Masked = 4;
        using DeviceStream stream = devices.CreateStream(deviceId);
        double[] logits = [.. Golden.Logits.Select((z, i) => i % Golden.Classes == Masked ? double.NegativeInfinity : z)];
        CrossEntropyOptions plain = new() { Reduction = LossReduction.Mean }, smoothed = plain with { Smoothing = 0.125 };
        AssertEqual(stream, Golden.MaskedPlain, stream.Device.SupportsFloat64, new Call(plain) { Logits = logits });

        Assert.Equal([double.PositiveInfinity], Golden.MaskedSmoothed.Loss);
        Assert.NotEqual(0, Golden.MaskedSmoothed.Gradient[Masked]);
        (double[] losses, double[] gradient) = Run<float>(stream, new Call(smoothed) { Logits = logits });
        Call without = new(smoothed)
        {
            Classes = Golden.Classes - 1,
            Logits = [.. Golden.Logits.Where((_, i) => i % Golden.Classes != Masked)],
            Labels = [.. Golden.Labels.Select(label => label > Masked ? label - 1 : label)],
        };
        (double[] expected, double[] slopes) = Run<float>(stream, without);
        AssertClose(expected, losses, Tolerance(isDouble: false));
        AssertClose(slopes, [.. gradient.Where((_, i) => i % Golden.Classes != Masked)], Tolerance(isDouble: false));
        Assert.All(gradient.Where((_, i) => i % Golden.Classes == Masked), slope => Assert.Equal(0, slope));
    }

    /// <summary>
    /// Not on purpose of ours, but kept: PyTorch divides weighted labels by their weights and one-hot probabilities by the rows, so the two
    /// means differ.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void OneHotWithWeights_DividesByRowsAsPyTorchDoes(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        double[] oneHot = [.. Golden.Logits.Select((_, i) => i % Golden.Classes == Golden.Labels[i / Golden.Classes] ? 1.0 : 0)];
        Call call = new(new CrossEntropyOptions { Reduction = LossReduction.Mean }) { IsSoft = true, IsWeighted = true, Soft = oneHot };
        AssertEqual(stream, Golden.OneHotWeighted, stream.Device.SupportsFloat64, call);
    }

    /// <summary>
    /// On purpose: PyTorch refuses to ignore rows of soft targets. Here they are those with the ignore index beside them; the rest is the
    /// same as without them.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void SoftTargets_CanBeIgnored(string deviceId)
    {
        Assert.Contains("not supported", Golden.SoftIgnore, StringComparison.Ordinal);
        using DeviceStream stream = devices.CreateStream(deviceId);
        CrossEntropyOptions options = new() { IgnoreIndex = Golden.Ignored };
        GoldenCase all = Golden.Cases.Single(c => c is { Targets: "soft", Reduction: "None", Smoothing: 0, Weights: false });
        bool[] counts = [.. Golden.Labels.Select(label => label != Golden.Ignored)];
        GoldenCase expected = all with
        {
            Loss = [.. all.Loss.Select((loss, row) => counts[row] ? loss : 0)],
            Gradient = [.. all.Gradient.Select((slope, i) => counts[i / Golden.Classes] ? slope : 0)],
        };
        AssertEqual(stream, expected, stream.Device.SupportsFloat64, new Call(options) { IsSoft = true, Labels = Golden.Labels });
    }

    private static void AssertEqual(DeviceStream stream, GoldenCase golden, bool alsoDouble, Call call)
    {
        foreach (bool isDouble in alsoDouble ? (bool[])[false, true] : [false])
        {
            (double[] losses, double[] gradient) = isDouble ? Run<double>(stream, call) : Run<float>(stream, call);
            AssertClose(golden.Loss, losses, Tolerance(isDouble));
            AssertClose(golden.Gradient, gradient, Tolerance(isDouble));
        }
    }

    /// <summary>Golden values have twelve digits; in float a few roundings of sums of a handful of terms below 8.</summary>
    private static double Tolerance(bool isDouble) => isDouble ? 2e-11 : 4e-6;

    private static void AssertClose(double[] expected, double[] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            bool isClose = double.IsNaN(expected[i])
                ? double.IsNaN(actual[i]) : Math.Abs(actual[i] - expected[i]) <= tolerance * (1 + Math.Abs(expected[i]));
            Assert.True(isClose || expected[i] == actual[i], $"element {i} is {actual[i]:R}, PyTorch has {expected[i]:R}");
        }
    }

    /// <summary>Runs a call; logits and results of one type.</summary>
    private static (double[] Losses, double[] Gradient) Run<T>(DeviceStream stream, Call call)
        where T : unmanaged
    {
        int rows = Golden.Rows;
        using DeviceTensor<T> logits = Upload<T>(stream, call.Logits ?? Golden.Logits, rows, call.Classes),
            soft = Upload<T>(stream, call.Soft ?? Golden.Soft, rows, Golden.Classes);
        using DeviceTensor<T> weights = Upload<T>(stream, Golden.ClassWeights, Golden.Classes),
            gradient = stream.Device.Allocate<T>(rows, call.Classes);
        using DeviceTensor<T> losses = stream.Device.Allocate<T>(call.Options.Reduction == LossReduction.None ? rows : 1);
        using DeviceTensor<int> labels = stream.Device.Upload<int>(call.Labels ?? Golden.Labels, rows);
        CrossEntropyTargets targets = call.IsSoft
            ? CrossEntropyTargets.Soft(soft, call.Options.IgnoreIndex is null ? null : labels) : labels;
        CrossEntropy.ForwardBackward(
            stream, logits, targets, call.IsWeighted ? weights : null, null, losses, gradient, null, 1, call.Options);
        return (ToDoubles(losses.ToArray(stream)), ToDoubles(gradient.ToArray(stream)));
    }

    private static (double[] Entropies, double[] Gradient) RunEntropy<T>(DeviceStream stream)
        where T : unmanaged
    {
        using DeviceTensor<T> logits = Upload<T>(stream, Golden.Logits, Golden.Rows, Golden.Classes),
            slopes = Upload<T>(stream, Golden.Slopes, Golden.Rows);
        using DeviceTensor<T> entropies = stream.Device.Allocate<T>(Golden.Rows);
        Entropy.Forward(stream, logits, null, entropies);
        Entropy.Backward(stream, logits, null, slopes, logits);
        return (ToDoubles(entropies.ToArray(stream)), ToDoubles(logits.ToArray(stream)));
    }

    private static DeviceTensor<T> Upload<T>(DeviceStream stream, double[] values, params ReadOnlySpan<long> shape)
        where T : unmanaged => stream.Device.Upload<T>([.. values.Select(CpuElement.FromDouble<T>)], shape);

    private static double[] ToDoubles<T>(T[] values)
        where T : unmanaged => [.. values.Select(CpuElement.ToDouble)];

    private static GoldenFile Read()
    {
        JsonSerializerOptions options = new(JsonSerializerDefaults.Web)
        {
            NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        };
        string path = Path.Combine(AppContext.BaseDirectory, "data", "goldens", "cross_entropy.json");
        return JsonSerializer.Deserialize<GoldenFile>(File.ReadAllText(path), options)!;
    }

    private sealed record Call(CrossEntropyOptions Options)
    {
        public int Classes { get; init; } = Golden.Classes;

        public double[]? Logits { get; init; }

        public int[]? Labels { get; init; }

        public double[]? Soft { get; init; }

        public bool IsSoft { get; init; }

        public bool IsWeighted { get; init; }
    }

    private sealed record GoldenCase(
        bool Weights, bool Ignore, double Smoothing, string Reduction, string Targets, double[] Loss, double[] Gradient);

    private sealed record GoldenFile(
        int Rows, int Classes, int Ignored, double[] Logits, double[] ClassWeights, int[] Labels, double[] Soft, double[] Slopes,
        GoldenCase[] Cases, GoldenCase Entropy, GoldenCase AllIgnored, GoldenCase MaskedPlain, GoldenCase MaskedSmoothed,
        GoldenCase OneHotWeighted, string SoftIgnore);
}
