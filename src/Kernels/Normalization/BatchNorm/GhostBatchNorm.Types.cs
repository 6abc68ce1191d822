namespace Kernels;

/// <content>
/// The types that work together, as for <see cref="BatchNorm"/>.
/// </content>
public static partial class GhostBatchNorm
{
    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float>? gamma, DeviceTensor<float>? beta, DeviceTensor<float> y,
        DeviceTensor<float> statistics, DeviceTensor<float>? runningMean, DeviceTensor<float>? runningVariance, long ghostSize,
        BatchNormOptions options = default) =>
        Forward<float, float>(stream, x, gamma, beta, y, statistics, runningMean, runningVariance, ghostSize, options);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<Half> x, DeviceTensor<float>? gamma, DeviceTensor<float>? beta, DeviceTensor<Half> y,
        DeviceTensor<float> statistics, DeviceTensor<float>? runningMean, DeviceTensor<float>? runningVariance, long ghostSize,
        BatchNormOptions options = default) =>
        Forward<Half, float>(stream, x, gamma, beta, y, statistics, runningMean, runningVariance, ghostSize, options);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<BFloat16> x, DeviceTensor<float>? gamma, DeviceTensor<float>? beta, DeviceTensor<BFloat16> y,
        DeviceTensor<float> statistics, DeviceTensor<float>? runningMean, DeviceTensor<float>? runningVariance, long ghostSize,
        BatchNormOptions options = default) =>
        Forward<BFloat16, float>(stream, x, gamma, beta, y, statistics, runningMean, runningVariance, ghostSize, options);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<double> x, DeviceTensor<double>? gamma, DeviceTensor<double>? beta, DeviceTensor<double> y,
        DeviceTensor<double> statistics, DeviceTensor<double>? runningMean, DeviceTensor<double>? runningVariance, long ghostSize,
        BatchNormOptions options = default) =>
        Forward<double, double>(stream, x, gamma, beta, y, statistics, runningMean, runningVariance, ghostSize, options);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float>? gamma, DeviceTensor<float> statistics, DeviceTensor<float> dy,
        DeviceTensor<float> dx, DeviceTensor<float>? dGamma, DeviceTensor<float>? dBeta, long ghostSize,
        BatchNormOptions options = default) =>
        Backward<float, float>(stream, x, gamma, statistics, dy, dx, dGamma, dBeta, ghostSize, options);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<Half> x, DeviceTensor<float>? gamma, DeviceTensor<float> statistics, DeviceTensor<Half> dy,
        DeviceTensor<Half> dx, DeviceTensor<float>? dGamma, DeviceTensor<float>? dBeta, long ghostSize,
        BatchNormOptions options = default) =>
        Backward<Half, float>(stream, x, gamma, statistics, dy, dx, dGamma, dBeta, ghostSize, options);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<BFloat16> x, DeviceTensor<float>? gamma, DeviceTensor<float> statistics,
        DeviceTensor<BFloat16> dy, DeviceTensor<BFloat16> dx, DeviceTensor<float>? dGamma, DeviceTensor<float>? dBeta, long ghostSize,
        BatchNormOptions options = default) =>
        Backward<BFloat16, float>(stream, x, gamma, statistics, dy, dx, dGamma, dBeta, ghostSize, options);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<double> x, DeviceTensor<double>? gamma, DeviceTensor<double> statistics, DeviceTensor<double> dy,
        DeviceTensor<double> dx, DeviceTensor<double>? dGamma, DeviceTensor<double>? dBeta, long ghostSize,
        BatchNormOptions options = default) =>
        Backward<double, double>(stream, x, gamma, statistics, dy, dx, dGamma, dBeta, ghostSize, options);
}
