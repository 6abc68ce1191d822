using Kernels.Devices;

namespace Kernels;

/// <content>
/// A batch in shards, on one device or many: the divisors of the shards are added up first, then each shard's gradient is that of the mean
/// over the whole batch, and the shards' gradients are summed. So uneven and empty shards, ignored labels and class weights give what one
/// big batch gives.
/// </content>
public static partial class CrossEntropy
{
    /// <summary>What a shard adds to the divisor of the mean: its part of the normalizer.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="logits">Shape [rows, classes]; only the shape is used.</param>
    /// <param name="targets">The target of each row.</param>
    /// <param name="classWeights">w, shape [classes], or null for ones.</param>
    /// <param name="normalizer">Result, shape [1]: 0 for a shard without rows.</param>
    /// <param name="options">Ignored labels; nothing else matters here.</param>
    internal static void Normalizer<T, TReal>(
        DeviceStream stream, DeviceTensor<T> logits, CrossEntropyTargets targets, DeviceTensor<TReal>? classWeights,
        DeviceTensor<TReal> normalizer, CrossEntropyOptions options = default)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "CrossEntropy.Normalizer";
        Check.FloatTensor(Op, stream, logits, nameof(logits));
        Check.Rank(Op, logits, nameof(logits), 2);
        Check.FloatTensor(Op, stream, normalizer, nameof(normalizer));
        Check.Real(Op, logits, normalizer, nameof(normalizer));
        Check.Shape(Op, normalizer, nameof(normalizer), 1);
        targets.CheckFits(Op, stream, logits, options.IgnoreIndex is not null);
        CheckWeights(Op, stream, classWeights, logits.Shape[1]);
        CheckOutput(Op, targets, normalizer, nameof(normalizer), classWeights);
        bool countsRows = targets.Probabilities is not null || AllCount(targets, classWeights, options);
        SumWeights<TReal>(
            stream, logits.DType, Target(targets, classWeights, options), logits.Shape[0], logits.Shape[1], countsRows,
            normalizer.Argument);
    }

    /// <summary>The losses of a shard, and its gradient of the mean over the whole batch, in one pass over the logits.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="logits">Shape [rows, classes].</param>
    /// <param name="targets">The target of each row.</param>
    /// <param name="classWeights">w, shape [classes], or null for ones.</param>
    /// <param name="divisor">The sum over all shards of what <c>Normalizer</c> gave, shape [1].</param>
    /// <param name="lossGradient">A factor of the gradient in device memory, shape [1]; null for 1.</param>
    /// <param name="losses">
    /// Result: the loss of each row, shape [rows]; reduced, shape [1], their sum, or this shard's part of the mean.
    /// </param>
    /// <param name="dLogits">Result, shape of <paramref name="logits"/>; may be <paramref name="logits"/>.</param>
    /// <param name="gradientScale">Factor of the gradient, finite.</param>
    /// <param name="options">As for a whole batch.</param>
    internal static void ForwardBackwardShard<T, TReal>(
        DeviceStream stream, DeviceTensor<T> logits, CrossEntropyTargets targets, DeviceTensor<TReal>? classWeights,
        DeviceTensor<TReal> divisor, DeviceTensor<TReal>? lossGradient, DeviceTensor<TReal> losses, DeviceTensor<T> dLogits,
        double gradientScale = 1, CrossEntropyOptions options = default)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "CrossEntropy.ForwardBackwardShard";
        CheckArguments(Op, stream, logits, targets, losses, options, classWeights, normalizer: null);
        CheckGradient(Op, stream, logits, targets, classWeights, losses, dLogits, gradientScale);
        CheckFactor(Op, stream, divisor, nameof(divisor), losses, dLogits);
        if (lossGradient is not null) CheckFactor(Op, stream, lossGradient, nameof(lossGradient), losses, dLogits);
        Launch(
            Op, stream, logits, targets, losses, options, classWeights, normalizer: null, dLogits, gradientScale, lossGradient, divisor);
    }

    /// <summary>One number that the gradient is multiplied with or divided by.</summary>
    private static void CheckFactor<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<TReal> factor, string name, DeviceTensor<TReal> losses, DeviceTensor<T> dLogits)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.Tensor(op, stream, factor, name);
        Check.Shape(op, factor, name, 1);
        Check.Disjoint(op, factor, name, losses, nameof(losses));
        Check.Disjoint(op, factor, name, dLogits, nameof(dLogits));
    }
}
