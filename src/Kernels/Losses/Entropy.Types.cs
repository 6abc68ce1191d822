namespace Kernels;

/// <content>
/// The types that work together, as for <see cref="CrossEntropy"/>.
/// </content>
public static partial class Entropy
{
    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<float> logits, DeviceTensor<byte>? mask, DeviceTensor<float> entropies) =>
        Forward<float, float>(stream, logits, mask, entropies);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<Half> logits, DeviceTensor<byte>? mask, DeviceTensor<float> entropies) =>
        Forward<Half, float>(stream, logits, mask, entropies);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<BFloat16> logits, DeviceTensor<byte>? mask, DeviceTensor<float> entropies) =>
        Forward<BFloat16, float>(stream, logits, mask, entropies);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<double> logits, DeviceTensor<byte>? mask, DeviceTensor<double> entropies) =>
        Forward<double, double>(stream, logits, mask, entropies);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<float> logits, DeviceTensor<byte>? mask, DeviceTensor<float> entropyGradient,
        DeviceTensor<float> dLogits, double gradientScale = 1) =>
        Backward<float, float>(stream, logits, mask, entropyGradient, dLogits, gradientScale);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<Half> logits, DeviceTensor<byte>? mask, DeviceTensor<float> entropyGradient,
        DeviceTensor<Half> dLogits, double gradientScale = 1) =>
        Backward<Half, float>(stream, logits, mask, entropyGradient, dLogits, gradientScale);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<BFloat16> logits, DeviceTensor<byte>? mask, DeviceTensor<float> entropyGradient,
        DeviceTensor<BFloat16> dLogits, double gradientScale = 1) =>
        Backward<BFloat16, float>(stream, logits, mask, entropyGradient, dLogits, gradientScale);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<double> logits, DeviceTensor<byte>? mask, DeviceTensor<double> entropyGradient,
        DeviceTensor<double> dLogits, double gradientScale = 1) =>
        Backward<double, double>(stream, logits, mask, entropyGradient, dLogits, gradientScale);
}
