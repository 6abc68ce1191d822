namespace Kernels;

/// <content>
/// The types that work together, as for <see cref="CrossEntropy"/>.
/// </content>
public static partial class MeanSquaredError
{
    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<float> predictions, DeviceTensor<float> targets, DeviceTensor<float> loss) =>
        Forward<float, float>(stream, predictions, targets, loss);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<Half> predictions, DeviceTensor<Half> targets, DeviceTensor<float> loss) =>
        Forward<Half, float>(stream, predictions, targets, loss);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<BFloat16> predictions, DeviceTensor<BFloat16> targets, DeviceTensor<float> loss) =>
        Forward<BFloat16, float>(stream, predictions, targets, loss);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<double> predictions, DeviceTensor<double> targets, DeviceTensor<double> loss) =>
        Forward<double, double>(stream, predictions, targets, loss);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<float> predictions, DeviceTensor<float> targets, DeviceTensor<float>? lossGradient,
        DeviceTensor<float> loss, DeviceTensor<float> dPredictions, double gradientScale, bool accumulates = false) =>
        ForwardBackward<float, float>(stream, predictions, targets, lossGradient, loss, dPredictions, gradientScale, accumulates);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<Half> predictions, DeviceTensor<Half> targets, DeviceTensor<float>? lossGradient,
        DeviceTensor<float> loss, DeviceTensor<Half> dPredictions, double gradientScale, bool accumulates = false) =>
        ForwardBackward<Half, float>(stream, predictions, targets, lossGradient, loss, dPredictions, gradientScale, accumulates);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<BFloat16> predictions, DeviceTensor<BFloat16> targets, DeviceTensor<float>? lossGradient,
        DeviceTensor<float> loss, DeviceTensor<BFloat16> dPredictions, double gradientScale, bool accumulates = false) =>
        ForwardBackward<BFloat16, float>(stream, predictions, targets, lossGradient, loss, dPredictions, gradientScale, accumulates);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<double> predictions, DeviceTensor<double> targets, DeviceTensor<double>? lossGradient,
        DeviceTensor<double> loss, DeviceTensor<double> dPredictions, double gradientScale, bool accumulates = false) =>
        ForwardBackward<double, double>(stream, predictions, targets, lossGradient, loss, dPredictions, gradientScale, accumulates);
}
