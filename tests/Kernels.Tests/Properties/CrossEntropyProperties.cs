using FsCheck;
using FsCheck.Fluent;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Properties;

/// <summary>What holds for softmax cross-entropy whatever the shape, the logits and the labels.</summary>
public sealed class CrossEntropyProperties(TestDevices devices)
{
    private static readonly Gen<Batch> Batches =
        from rows in Gen.Choose(0, 40)
        from classes in Gen.OneOf(Gen.Choose(1, 20), Gen.Choose(200, 700))
        from seed in RandomCases.UInt64
        select new Batch(rows, classes, seed);

    /// <summary>Logits on a grid that a shift by an integer keeps exact, so that losses and gradients agree bit for bit.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ShiftOfAllLogits_ChangesNothing(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        float[] logits = batch.Logits, shifted = [.. logits.Select(value => value + 37)];
        (float[] losses, float[] gradient) = Run(stream, batch, logits);
        (float[] shiftedLosses, float[] shiftedGradient) = Run(stream, batch, shifted);
        Bits.AssertEqual<float>(losses, shiftedLosses, "losses");
        Bits.AssertEqual<float>(gradient, shiftedGradient, "gradient");
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void GradientRows_SumToZeroAndPointAtTheLabel(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        (float[] losses, float[] gradient) = Run(stream, batch, batch.Logits);
        Assert.All(losses, loss => Assert.True(loss >= 0, $"loss {loss}"));
        for (int row = 0; row < batch.Rows; row++)
        {
            float[] slopes = gradient[(row * batch.Classes)..((row + 1) * batch.Classes)];

            // Terms of at most 1 that add up to 2 in size, each rounded a few times.
            Assert.Equal(0, slopes.Sum(slope => (double)slope), tolerance: 4e-6);
            int label = batch.Labels[row];
            Assert.True(slopes[label] <= 0);
            Assert.All(slopes.Where((_, k) => k != label), slope => Assert.True(slope >= 0));

            // The loss is -log of the label's probability, the gradient there that probability less 1.
            Assert.Equal(Math.Exp(-losses[row]) - 1, slopes[label], tolerance: 4e-6);
        }
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ForwardAlone_GivesTheSameLosses(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        (float[] together, _) = Run(stream, batch, batch.Logits);
        using DeviceTensor<float> logits = stream.Device.Upload<float>(batch.Logits, batch.Rows, batch.Classes);
        using DeviceTensor<int> labels = stream.Device.Upload<int>(batch.Labels, batch.Rows);
        using DeviceTensor<float> losses = stream.Device.Allocate<float>(batch.Rows);
        CrossEntropy.Forward(stream, logits, labels, null, losses, null);
        Bits.AssertEqual<float>(together, losses.ToArray(stream));
    });

    /// <summary>
    /// The two conventions are one with another epsilon: epsilon of all classes is epsilon * (K - 1) / K of the other classes.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void SmoothingConventions_AreOneWithAnotherEpsilon(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        if (batch.Classes == 1) return;
        const double Epsilon = 0.3;
        CrossEntropyOptions all = new() { Smoothing = Epsilon };
        CrossEntropyOptions others = new()
        {
            Smoothing = Epsilon * (batch.Classes - 1) / batch.Classes,
            SmoothingConvention = LabelSmoothing.OtherClasses,
        };
        AssertClose(Run(stream, batch, batch.Logits, all), Run(stream, batch, batch.Logits, others));
    });

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void OneHotProbabilities_AreLabels(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        CrossEntropyOptions options = new() { Smoothing = 0.1, ZLoss = 0.01, ConfidencePenalty = 0.2 };
        float[] oneHot = new float[batch.Rows * batch.Classes];
        for (int row = 0; row < batch.Rows; row++) oneHot[(row * batch.Classes) + batch.Labels[row]] = 1;
        using DeviceTensor<float> probabilities = stream.Device.Upload<float>(oneHot, batch.Rows, batch.Classes);
        AssertClose(Run(stream, batch, batch.Logits, options),
            Run(stream, batch, batch.Logits, options, CrossEntropyTargets.Soft(probabilities)));
    });

    /// <summary>A share of 1 is the first label, one of 0 the second, and what is between is the mixture of the two losses.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void MixedLabels_MixTheLosses(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        CrossEntropyOptions options = new() { Smoothing = 0.1, ZLoss = 0.01 };
        Batch reversed = batch with { Reverses = true };
        (float[] Losses, float[] Gradient) first = Run(stream, batch, batch.Logits, options);
        (float[] Losses, float[] Gradient) second = Run(stream, reversed, batch.Logits, options);
        using DeviceTensor<int> labels = stream.Device.Upload<int>(batch.Labels, batch.Rows),
            others = stream.Device.Upload<int>(reversed.Labels, batch.Rows);
        foreach (float share in (float[])[1, 0, 0.25f])
        {
            using DeviceTensor<float> shares = stream.Device.Allocate<float>(batch.Rows);
            stream.Fill(shares, share);
            float[] Mix(float[] a, float[] b) => [.. a.Zip(b, (x, y) => share == 1 ? x : share == 0 ? y : (share * x) + ((1 - share) * y))];
            AssertClose(
                (Mix(first.Losses, second.Losses), Mix(first.Gradient, second.Gradient)),
                Run(stream, batch, batch.Logits, options, CrossEntropyTargets.Mixed(labels, others, shares)));
        }
    });

    /// <summary>The mean is the sum over the normalizer, gradient included, and the sum that of the losses.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Reductions_Agree(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        CrossEntropyOptions none = new() { IgnoreIndex = 0, Smoothing = 0.1 };
        using DeviceTensor<float> normalizer = stream.Device.Allocate<float>(1);
        (float[] Losses, float[] Gradient) rows = Run(stream, batch, batch.Logits, none, normalizer: normalizer);
        float counted = normalizer.ToArray(stream)[0], divisor = counted == 0 ? 1 : counted;
        Assert.Equal(batch.Labels.Count(label => label != 0), counted);
        (float[] Losses, float[] Gradient) sum = Run(stream, batch, batch.Logits, none with { Reduction = LossReduction.Sum });
        (float[] Losses, float[] Gradient) mean = Run(stream, batch, batch.Logits, none with { Reduction = LossReduction.Mean });
        AssertClose(([rows.Losses.Sum()], rows.Gradient), sum);
        AssertClose(([rows.Losses.Sum() / divisor], [.. rows.Gradient.Select(slope => slope / divisor)]), mean);
    });

    /// <summary>The gradient in device memory and the scale from the host multiply alike.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void LossGradient_ScalesAsTheHostDoes(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        using DeviceTensor<float> logits = stream.Device.Upload<float>(batch.Logits, batch.Rows, batch.Classes),
            losses = stream.Device.Allocate<float>(batch.Rows);
        using DeviceTensor<float> scaled = stream.Device.Allocate<float>(batch.Rows, batch.Classes),
            lossGradient = stream.Device.Allocate<float>(1);
        using DeviceTensor<int> labels = stream.Device.Upload<int>(batch.Labels, batch.Rows);
        stream.Fill(lossGradient, 0.5f);
        CrossEntropy.ForwardBackward(stream, logits, labels, null, lossGradient, losses, scaled, null, 0.5);
        CrossEntropy.ForwardBackward(stream, logits, labels, null, null, losses, logits, null, 0.25);
        Bits.AssertEqual<float>(logits.ToArray(stream), scaled.ToArray(stream));
    });

    private static (float[] Losses, float[] Gradient) Run(
        DeviceStream stream, Batch batch, float[] values, CrossEntropyOptions options, CrossEntropyTargets? targets = null,
        DeviceTensor<float>? normalizer = null)
    {
        using DeviceTensor<float> logits = stream.Device.Upload<float>(values, batch.Rows, batch.Classes);
        using DeviceTensor<int> labels = stream.Device.Upload<int>(batch.Labels, batch.Rows);
        using DeviceTensor<float> losses = stream.Device.Allocate<float>(options.Reduction == LossReduction.None ? batch.Rows : 1);
        CrossEntropy.ForwardBackward(stream, logits, targets ?? labels, null, null, losses, logits, normalizer, 1, options);
        return (losses.ToArray(stream), logits.ToArray(stream));
    }

    /// <summary>Logits below 4, up to 700 classes: losses of up to some 15 after a few roundings, sums of forty of them.</summary>
    private static void AssertClose((float[] Losses, float[] Gradient) expected, (float[] Losses, float[] Gradient) actual)
    {
        foreach ((float[] right, float[] got) in ((float[], float[])[])[(expected.Losses, actual.Losses),
            (expected.Gradient, actual.Gradient)])
        {
            Assert.Equal(right.Length, got.Length);
            for (int i = 0; i < right.Length; i++) Assert.Equal(right[i], got[i], 2e-5 * (1 + Math.Abs(right[i])));
        }
    }

    private static (float[] Losses, float[] Gradient) Run(DeviceStream stream, Batch batch, float[] values)
    {
        using DeviceTensor<float> logits = stream.Device.Upload<float>(values, batch.Rows, batch.Classes);
        using DeviceTensor<int> labels = stream.Device.Upload<int>(batch.Labels, batch.Rows);
        using DeviceTensor<float> losses = stream.Device.Allocate<float>(batch.Rows);
        using DeviceTensor<float> gradient = stream.Device.Allocate<float>(batch.Rows, batch.Classes);
        CrossEntropy.ForwardBackward(stream, logits, labels, null, null, losses, gradient, null, gradientScale: 1);
        return (losses.ToArray(stream), gradient.ToArray(stream));
    }

    private void Holds(string deviceId, Action<DeviceStream, Batch> property)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        RandomCases.Check(stream.Device, Batches, Smaller, batch => property(stream, batch));
    }

    private static IEnumerable<Batch> Smaller(Batch batch) =>
    [
        .. RandomCases.Shorter(batch.Rows).Select(rows => batch with { Rows = rows }),
        .. RandomCases.Shorter(batch.Classes).Where(classes => classes > 0).Select(classes => batch with { Classes = classes }),
    ];

    private sealed record Batch(int Rows, int Classes, ulong Seed)
    {
        /// <summary>Multiples of 1/64 in [-4, 4).</summary>
        public float[] Logits => [.. Elements.Integers(Rows * Classes, 512, Seed, "logits").Select(value => ((float)value / 64) - 4)];

        public int[] Labels
        {
            get
            {
                int[] labels = [.. Elements.Integers(Rows, Classes, Seed, "labels").Select(value => (int)value)];
                if (Reverses) Array.Reverse(labels);
                return labels;
            }
        }

        public bool Reverses { get; init; }
    }
}
