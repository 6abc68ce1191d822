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
        CrossEntropy.Forward(stream, logits, labels, losses);
        Bits.AssertEqual<float>(together, losses.ToArray(stream));
    });

    private static (float[] Losses, float[] Gradient) Run(DeviceStream stream, Batch batch, float[] values)
    {
        using DeviceTensor<float> logits = stream.Device.Upload<float>(values, batch.Rows, batch.Classes);
        using DeviceTensor<int> labels = stream.Device.Upload<int>(batch.Labels, batch.Rows);
        using DeviceTensor<float> losses = stream.Device.Allocate<float>(batch.Rows);
        using DeviceTensor<float> gradient = stream.Device.Allocate<float>(batch.Rows, batch.Classes);
        CrossEntropy.ForwardBackward(stream, logits, labels, losses, gradient, gradientScale: 1);
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

        public int[] Labels => [.. Elements.Integers(Rows, Classes, Seed, "labels").Select(value => (int)value)];
    }
}
