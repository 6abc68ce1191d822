namespace Kernels;

/// <content>
/// The types that work together, one call each, so that others do not compile: float beside float, Half and BFloat16, double beside double.
/// </content>
public static partial class CrossEntropy
{
    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<float> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float> losses, DeviceTensor<float>? normalizer, CrossEntropyOptions options = default) =>
        Forward<float, float>(stream, logits, targets, classWeights, losses, normalizer, options);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<Half> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float> losses, DeviceTensor<float>? normalizer, CrossEntropyOptions options = default) =>
        Forward<Half, float>(stream, logits, targets, classWeights, losses, normalizer, options);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<BFloat16> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float> losses, DeviceTensor<float>? normalizer, CrossEntropyOptions options = default) =>
        Forward<BFloat16, float>(stream, logits, targets, classWeights, losses, normalizer, options);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<double> logits, CrossEntropyTargets targets, DeviceTensor<double>? classWeights,
        DeviceTensor<double> losses, DeviceTensor<double>? normalizer, CrossEntropyOptions options = default) =>
        Forward<double, double>(stream, logits, targets, classWeights, losses, normalizer, options);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<float> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float>? lossGradient, DeviceTensor<float> losses, DeviceTensor<float> dLogits, DeviceTensor<float>? normalizer,
        double gradientScale, CrossEntropyOptions options = default) =>
        ForwardBackward<float, float>(stream, logits, targets, classWeights, lossGradient, losses, dLogits, normalizer, gradientScale,
            options);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<Half> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float>? lossGradient, DeviceTensor<float> losses, DeviceTensor<Half> dLogits, DeviceTensor<float>? normalizer,
        double gradientScale, CrossEntropyOptions options = default) =>
        ForwardBackward<Half, float>(stream, logits, targets, classWeights, lossGradient, losses, dLogits, normalizer, gradientScale,
            options);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<BFloat16> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float>? lossGradient, DeviceTensor<float> losses, DeviceTensor<BFloat16> dLogits, DeviceTensor<float>? normalizer,
        double gradientScale, CrossEntropyOptions options = default) =>
        ForwardBackward<BFloat16, float>(stream, logits, targets, classWeights, lossGradient, losses, dLogits, normalizer, gradientScale,
            options);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<double> logits, CrossEntropyTargets targets, DeviceTensor<double>? classWeights,
        DeviceTensor<double>? lossGradient, DeviceTensor<double> losses, DeviceTensor<double> dLogits, DeviceTensor<double>? normalizer,
        double gradientScale, CrossEntropyOptions options = default) =>
        ForwardBackward<double, double>(stream, logits, targets, classWeights, lossGradient, losses, dLogits, normalizer, gradientScale,
            options);

    /// <inheritdoc cref="Normalizer{T, TReal}"/>
    public static void Normalizer(
        DeviceStream stream, DeviceTensor<float> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float> normalizer, CrossEntropyOptions options = default) =>
        Normalizer<float, float>(stream, logits, targets, classWeights, normalizer, options);

    /// <inheritdoc cref="Normalizer{T, TReal}"/>
    public static void Normalizer(
        DeviceStream stream, DeviceTensor<Half> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float> normalizer, CrossEntropyOptions options = default) =>
        Normalizer<Half, float>(stream, logits, targets, classWeights, normalizer, options);

    /// <inheritdoc cref="Normalizer{T, TReal}"/>
    public static void Normalizer(
        DeviceStream stream, DeviceTensor<BFloat16> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float> normalizer, CrossEntropyOptions options = default) =>
        Normalizer<BFloat16, float>(stream, logits, targets, classWeights, normalizer, options);

    /// <inheritdoc cref="Normalizer{T, TReal}"/>
    public static void Normalizer(
        DeviceStream stream, DeviceTensor<double> logits, CrossEntropyTargets targets, DeviceTensor<double>? classWeights,
        DeviceTensor<double> normalizer, CrossEntropyOptions options = default) =>
        Normalizer<double, double>(stream, logits, targets, classWeights, normalizer, options);

    /// <inheritdoc cref="ForwardBackwardShard{T, TReal}"/>
    public static void ForwardBackwardShard(
        DeviceStream stream, DeviceTensor<float> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float> divisor, DeviceTensor<float>? lossGradient, DeviceTensor<float> losses, DeviceTensor<float> dLogits,
        double gradientScale = 1, CrossEntropyOptions options = default) =>
        ForwardBackwardShard<float, float>(
            stream, logits, targets, classWeights, divisor, lossGradient, losses, dLogits, gradientScale, options);

    /// <inheritdoc cref="ForwardBackwardShard{T, TReal}"/>
    public static void ForwardBackwardShard(
        DeviceStream stream, DeviceTensor<Half> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float> divisor, DeviceTensor<float>? lossGradient, DeviceTensor<float> losses, DeviceTensor<Half> dLogits,
        double gradientScale = 1, CrossEntropyOptions options = default) =>
        ForwardBackwardShard<Half, float>(
            stream, logits, targets, classWeights, divisor, lossGradient, losses, dLogits, gradientScale, options);

    /// <inheritdoc cref="ForwardBackwardShard{T, TReal}"/>
    public static void ForwardBackwardShard(
        DeviceStream stream, DeviceTensor<BFloat16> logits, CrossEntropyTargets targets, DeviceTensor<float>? classWeights,
        DeviceTensor<float> divisor, DeviceTensor<float>? lossGradient, DeviceTensor<float> losses, DeviceTensor<BFloat16> dLogits,
        double gradientScale = 1, CrossEntropyOptions options = default) =>
        ForwardBackwardShard<BFloat16, float>(
            stream, logits, targets, classWeights, divisor, lossGradient, losses, dLogits, gradientScale, options);

    /// <inheritdoc cref="ForwardBackwardShard{T, TReal}"/>
    public static void ForwardBackwardShard(
        DeviceStream stream, DeviceTensor<double> logits, CrossEntropyTargets targets, DeviceTensor<double>? classWeights,
        DeviceTensor<double> divisor, DeviceTensor<double>? lossGradient, DeviceTensor<double> losses, DeviceTensor<double> dLogits,
        double gradientScale = 1, CrossEntropyOptions options = default) =>
        ForwardBackwardShard<double, double>(
            stream, logits, targets, classWeights, divisor, lossGradient, losses, dLogits, gradientScale, options);
}
