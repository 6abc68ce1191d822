namespace Kernels.Verification;

/// <content>Calls that must be refused.</content>
public sealed partial class CrossEntropyCase
{
    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("labels of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 3], 5, 4)),
        new("losses of a wrong shape", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 3], 4, 3)),
        new("a loss for each row of a mean", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [4, 3], 4, 4, new CrossEntropyOptions { Reduction = LossReduction.Mean })),
        new("one dimension", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4], 4, 4)),
        new("no classes", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 0], 4, 4)),
        new("rows longer than float can count", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [0, (1 << 24) + 1], 0, 0)),
        new("smoothing above 1", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4, 3], 4, 4, new CrossEntropyOptions { Smoothing = 1.5 })),
        new("z-loss is NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4, 3], 4, 4, new CrossEntropyOptions { ZLoss = double.NaN })),
        new("a negative penalty", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4, 3], 4, 4, new CrossEntropyOptions { ConfidencePenalty = -1 })),
        new("an infinite threshold", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4, 3], 4, 4,
                new CrossEntropyOptions { ConfidencePenalty = 1, EntropyThreshold = double.PositiveInfinity })),
        new("unknown reduction", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4, 3], 4, 4, new CrossEntropyOptions { Reduction = (LossReduction)9 })),
        new("no targets", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4);
            CrossEntropy.Forward(stream, logits, default, null, losses, null);
        }),
        new("weights of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4),
                weights = device.Allocate<float>(4);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.Forward(stream, logits, labels, weights, losses, null);
        }),
        new("losses of the half type", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<Half> logits = device.Allocate<Half>(4, 3), losses = device.Allocate<Half>(4);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.Forward(stream, logits, labels, null, losses, null);
        }),
        new("probabilities of another type", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4);
            using DeviceTensor<Half> probabilities = device.Allocate<Half>(4, 3);
            CrossEntropy.Forward(stream, logits, CrossEntropyTargets.Soft(probabilities), null, losses, null);
        }),
        new("an ignore index for probabilities without labels", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4),
                probabilities = device.Allocate<float>(4, 3);
            CrossEntropy.Forward(stream, logits, CrossEntropyTargets.Soft(probabilities), null, losses, null, new CrossEntropyOptions
            {
                IgnoreIndex = -100,
            });
        }),
        new("shares of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4),
                shares = device.Allocate<float>(3);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.Forward(stream, logits, CrossEntropyTargets.Mixed(labels, labels, shares), null, losses, null);
        }),
        new("the gradient over the probabilities", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4),
                probabilities = device.Allocate<float>(4, 3);
            CrossEntropy.ForwardBackward(
                stream, logits, CrossEntropyTargets.Soft(probabilities), null, null, losses, probabilities, null, 1);
        }),
        new("scale is NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.ForwardBackward(stream, logits, labels, null, null, losses, logits, null, double.NaN);
        }),
        new("a loss gradient for each row of a sum", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(1),
                dLosses = device.Allocate<float>(4);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.ForwardBackward(
                stream, logits, labels, null, dLosses, losses, logits, null, 1, new CrossEntropyOptions { Reduction = LossReduction.Sum });
        }),
        new("a smoothing of no convention", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.Forward(
                stream, logits, labels, null, losses, null, new() { SmoothingConvention = (LabelSmoothing)7 });
        }),
        new("a mean of nothing that is neither", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.Forward(stream, logits, labels, null, losses, null, new() { EmptyMean = (EmptyMean)7 });
        }),
        new("a shard's normalizer of one dimension", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4), normalizer = device.Allocate<float>(1);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.Normalizer(stream, logits, labels, null, normalizer);
        }),
        new("a normalizer for each row", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), normalizer = device.Allocate<float>(4);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.Normalizer(stream, logits, labels, null, normalizer);
        }),
        new("a divisor for each row", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4),
                divisor = device.Allocate<float>(4);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.ForwardBackwardShard(stream, logits, labels, null, divisor, null, losses, logits);
        }),
        new("a divisor among the losses", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.ForwardBackwardShard(stream, logits, labels, null, losses.Slice(1, 1), null, losses, logits);
        }),
        new("a divisor in the gradient", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            CrossEntropy.ForwardBackwardShard(
                stream, logits, labels, null, logits.Slice(0, 1).Reshape(3).Slice(0, 1), null, losses, logits);
        }),
        OfFourRows("a loss gradient that is the normalizer", typeof(ArgumentException), "normalizer",
            (stream, logits, labels, losses, one) =>
                CrossEntropy.ForwardBackward(stream, logits, labels, null, one, losses, logits, one, 1)) with { Says = "lossGradient" },
        OfFourRows("shares in double beside logits in float", typeof(ArgumentException), "shares", (stream, logits, labels, losses, _) =>
        {
            using DeviceTensor<double> shares = logits.Device.Allocate<double>(4);
            CrossEntropy.Forward(stream, logits, CrossEntropyTargets.Mixed(labels, labels, shares), null, losses, null);
        }),
        OfFourRows("shares of the half type", typeof(ArgumentException), "targets", (stream, logits, labels, losses, _) =>
        {
            using DeviceTensor<Half> shares = logits.Device.Allocate<Half>(4);
            CrossEntropy.Forward(stream, logits, CrossEntropyTargets.Mixed(labels, labels, shares), null, losses, null);
        }),
        .. BadShards,
    ];

    private static IEnumerable<BadInput> BadShards =>
    [
        OfFourRows("a shard without logits", typeof(ArgumentNullException), "logits", (stream, _, labels, _, one) =>
            CrossEntropy.Normalizer(stream, (DeviceTensor<float>)null!, labels, null, one)),
        OfFourRows("a shard without targets", typeof(ArgumentException), "targets", (stream, logits, _, _, one) =>
            CrossEntropy.Normalizer(stream, logits, default, null, one)),
        OfFourRows("a shard's labels of another number", typeof(ArgumentException), "labels", (stream, logits, labels, _, one) =>
            CrossEntropy.Normalizer(stream, logits, labels.Slice(0, 3), null, one)),
        OfFourRows("a shard's weights of another number", typeof(ArgumentException), "classWeights",
            (stream, logits, labels, losses, one) => CrossEntropy.Normalizer(stream, logits, labels, losses, one)),
        OfFourRows("a shard's normalizer among the weights", typeof(ArgumentException), "normalizer", (stream, logits, labels, losses, _) =>
            CrossEntropy.Normalizer(stream, logits, labels, losses.Slice(0, 3), losses.Slice(1, 1))) with { Says = "overlap" },
        OfFourRows("a shard without a normalizer", typeof(ArgumentNullException), "normalizer", (stream, logits, labels, _, _) =>
            CrossEntropy.Normalizer(stream, logits, labels, null, null!)),
        OfFourRows("a shard's normalizer on another device", typeof(ArgumentException), "normalizer", (stream, logits, labels, _, _) =>
            OnAnotherDevice(other => CrossEntropy.Normalizer(stream, logits, labels, null, other))),
        OfFourRows("a shard's normalizer of the half type", typeof(ArgumentException), "normalizer", (stream, _, labels, _, _) =>
        {
            using DeviceTensor<Half> logits = labels.Device.Allocate<Half>(4, 3), one = labels.Device.Allocate<Half>(1);
            CrossEntropy.Normalizer(stream, logits, labels, null, one);
        }),
        OfFourRows("no divisor", typeof(ArgumentNullException), "divisor", (stream, logits, labels, losses, _) =>
            CrossEntropy.ForwardBackwardShard(stream, logits, labels, null, null!, null, losses, logits)),
        OfFourRows("a divisor on another device", typeof(ArgumentException), "divisor", (stream, logits, labels, losses, _) =>
            OnAnotherDevice(other => CrossEntropy.ForwardBackwardShard(stream, logits, labels, null, other, null, losses, logits))),
        OfFourRows("a shard's loss gradient on another device", typeof(ArgumentException), "lossGradient",
            (stream, logits, labels, losses, one) => OnAnotherDevice(other =>
                CrossEntropy.ForwardBackwardShard(stream, logits, labels, null, one, other, losses, logits))),
        OfFourRows("a loss gradient for each row of a shard", typeof(ArgumentException), "lossGradient",
            (stream, logits, labels, losses, one) =>
            {
                using DeviceTensor<float> each = logits.Device.Allocate<float>(4);
                CrossEntropy.ForwardBackwardShard(stream, logits, labels, null, one, each, losses, logits);
            }),
        OfFourRows("a shard's loss gradient among the losses", typeof(ArgumentException), "losses", (stream, logits, labels, losses, one) =>
            CrossEntropy.ForwardBackwardShard(stream, logits, labels, null, one, losses.Slice(3, 1), losses, logits)) with
        {
            Says = "lossGradient",
        },
    ];

    /// <summary>A call on logits of four rows and three classes, with their labels and losses, and one number.</summary>
    private static BadInput OfFourRows(
        string name, Type exception, string argument,
        Action<DeviceStream, DeviceTensor<float>, DeviceTensor<int>, DeviceTensor<float>, DeviceTensor<float>> call) =>
        new(name, exception, (device, stream) =>
        {
            using DeviceTensor<float> logits = device.Allocate<float>(4, 3), losses = device.Allocate<float>(4),
                one = device.Allocate<float>(1);
            using DeviceTensor<int> labels = device.Allocate<int>(4);
            call(stream, logits, labels, losses, one);
        })
        {
            Argument = argument,
        };

    private static void OnAnotherDevice(Action<DeviceTensor<float>> call)
    {
        using Device other = Device.Open("cpu");
        using DeviceTensor<float> one = other.Allocate<float>(1);
        call(one);
    }

    private static void Forward(
        Device device, DeviceStream stream, long[] logitShape, long labelCount, long lossCount, CrossEntropyOptions options = default)
    {
        using DeviceTensor<float> logits = device.Allocate<float>(logitShape), losses = device.Allocate<float>(lossCount);
        using DeviceTensor<int> labels = device.Allocate<int>(labelCount);
        CrossEntropy.Forward(stream, logits, labels, null, losses, null, options);
    }
}
