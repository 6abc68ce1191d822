using FsCheck;
using FsCheck.Fluent;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Properties;

/// <summary>What holds for the entropy of softmax rows whatever the shape and the logits.</summary>
public sealed class EntropyProperties(TestDevices devices)
{
    private static readonly Gen<Batch> Batches =
        from rows in Gen.Choose(0, 40)
        from classes in Gen.OneOf(Gen.Choose(1, 20), Gen.Choose(200, 700))
        from seed in RandomCases.UInt64
        select new Batch(rows, classes, seed);

    /// <summary>
    /// Between 0, of one class, and log K, of the uniform distribution; its gradient moves no logit on average, and is downhill at the
    /// largest.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void EntropyIsBounded_AndItsGradientSumsToZero(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        using DeviceTensor<float> logits = stream.Device.Upload<float>(batch.Logits, batch.Rows, batch.Classes);
        using DeviceTensor<float> entropies = stream.Device.Allocate<float>(batch.Rows), ones = stream.Device.Allocate<float>(1);
        stream.Fill(ones, 1f);
        Entropy.Forward(stream, logits, null, entropies);
        Entropy.Backward(stream, logits, null, ones, logits);
        Assert.All(entropies.ToArray(stream), entropy => Assert.InRange(entropy, -2e-6, Math.Log(batch.Classes) + 4e-6));
        float[] gradient = logits.ToArray(stream);
        for (int row = 0; row < batch.Rows; row++)
        {
            Span<float> slopes = gradient.AsSpan(row * batch.Classes, batch.Classes),
                z = batch.Logits.AsSpan(row * batch.Classes, batch.Classes);
            Assert.Equal(0, slopes.ToArray().Sum(slope => (double)slope), tolerance: 1e-5);
            int largest = z.IndexOf(z.ToArray().Max());
            Assert.True(slopes[largest] <= 2e-6, $"{slopes[largest]}");
        }
    });

    /// <summary>Equal logits, whatever they are, and a mask that leaves some of them.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void EqualLogits_HaveTheLogarithmOfTheirNumber(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        int kept = 1 + (int)(batch.Seed % (ulong)batch.Classes);
        byte[] mask = [.. Enumerable.Range(0, batch.Rows * batch.Classes).Select(i => (byte)(i % batch.Classes < kept ? 1 : 0))];
        using DeviceTensor<float> logits = stream.Device.Allocate<float>(batch.Rows, batch.Classes),
            entropies = stream.Device.Allocate<float>(batch.Rows);
        using DeviceTensor<byte> masks = stream.Device.Upload<byte>(mask, batch.Rows, batch.Classes);
        stream.Fill(logits, -12.5f);
        Entropy.Forward(stream, logits, masks, entropies);
        Assert.All(entropies.ToArray(stream), entropy => Assert.Equal(Math.Log(kept), entropy, tolerance: 4e-6));
    });

    /// <summary>
    /// The confidence penalty of cross-entropy and the entropy op are the same thing: loss + beta * H is the loss without the penalty, and
    /// so the gradients.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ConfidencePenalty_IsTheEntropyWithAMinus(string deviceId) => Holds(deviceId, (stream, batch) =>
    {
        const float Beta = 0.5f;
        using DeviceTensor<float> logits = stream.Device.Upload<float>(batch.Logits, batch.Rows, batch.Classes),
            gradient = stream.Device.Allocate<float>(batch.Rows, batch.Classes);
        using DeviceTensor<float> losses = stream.Device.Allocate<float>(batch.Rows), entropies = stream.Device.Allocate<float>(batch.Rows),
            beta = stream.Device.Allocate<float>(1);
        using DeviceTensor<int> labels = stream.Device.Allocate<int>(batch.Rows);
        stream.Fill(labels, 0);
        stream.Fill(beta, Beta);
        CrossEntropy.ForwardBackward(stream, logits, labels, null, null, losses, gradient, null, 1);
        float[] plain = losses.ToArray(stream), plainGradient = gradient.ToArray(stream);
        CrossEntropy.ForwardBackward(stream, logits, labels, null, null, losses, gradient, null, 1, new CrossEntropyOptions
        {
            ConfidencePenalty = Beta,
        });
        float[] penalized = losses.ToArray(stream), penalizedGradient = gradient.ToArray(stream);
        Entropy.Forward(stream, logits, null, entropies);
        Entropy.Backward(stream, logits, null, beta, logits);
        float[] entropy = entropies.ToArray(stream), entropyGradient = logits.ToArray(stream);
        for (int i = 0; i < plain.Length; i++) Assert.Equal(plain[i], penalized[i] + (Beta * entropy[i]), tolerance: 2e-5);
        for (int i = 0; i < plainGradient.Length; i++)
            Assert.Equal(plainGradient[i], penalizedGradient[i] + entropyGradient[i], tolerance: 1e-5);
    });

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
    }
}
