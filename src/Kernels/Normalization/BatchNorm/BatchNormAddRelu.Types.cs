namespace Kernels;

/// <content>
/// The types that work together, as for <see cref="BatchNorm"/>.
/// </content>
public static partial class BatchNormAddRelu
{
    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> residual, DeviceTensor<float>? gamma,
        DeviceTensor<float>? beta, DeviceTensor<float> y, DeviceTensor<float> statistics, DeviceTensor<float>? runningMean,
        DeviceTensor<float>? runningVariance, double dropProbability, RandomKeySource key,
        BatchNormOptions options = default) =>
        Forward<float, float>(stream, x, residual, gamma, beta, y, statistics, runningMean, runningVariance, dropProbability, key, options);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<Half> x, DeviceTensor<Half> residual, DeviceTensor<float>? gamma,
        DeviceTensor<float>? beta, DeviceTensor<Half> y, DeviceTensor<float> statistics, DeviceTensor<float>? runningMean,
        DeviceTensor<float>? runningVariance, double dropProbability, RandomKeySource key,
        BatchNormOptions options = default) =>
        Forward<Half, float>(stream, x, residual, gamma, beta, y, statistics, runningMean, runningVariance, dropProbability, key, options);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<BFloat16> x, DeviceTensor<BFloat16> residual, DeviceTensor<float>? gamma,
        DeviceTensor<float>? beta, DeviceTensor<BFloat16> y, DeviceTensor<float> statistics, DeviceTensor<float>? runningMean,
        DeviceTensor<float>? runningVariance, double dropProbability, RandomKeySource key,
        BatchNormOptions options = default) =>

               Forward<BFloat16, float>(stream, x, residual, gamma, beta, y, statistics, runningMean, runningVariance, dropProbability,
        key, options);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<double> x, DeviceTensor<double> residual, DeviceTensor<double>? gamma,
        DeviceTensor<double>? beta, DeviceTensor<double> y, DeviceTensor<double> statistics, DeviceTensor<double>? runningMean,
        DeviceTensor<double>? runningVariance, double dropProbability, RandomKeySource key,
        BatchNormOptions options = default) =>

               Forward<double, double>(stream, x, residual, gamma, beta, y, statistics, runningMean, runningVariance, dropProbability, key,
        options);

    /// <inheritdoc cref="Infer{T, TReal}"/>
    public static void Infer(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> residual, DeviceTensor<float>? gamma,
        DeviceTensor<float>? beta, DeviceTensor<float> runningMean, DeviceTensor<float> runningVariance, DeviceTensor<float> y,
        BatchNormOptions options = default) =>
        Infer<float, float>(stream, x, residual, gamma, beta, runningMean, runningVariance, y, options);

    /// <inheritdoc cref="Infer{T, TReal}"/>
    public static void Infer(
        DeviceStream stream, DeviceTensor<Half> x, DeviceTensor<Half> residual, DeviceTensor<float>? gamma,
        DeviceTensor<float>? beta, DeviceTensor<float> runningMean, DeviceTensor<float> runningVariance, DeviceTensor<Half> y,
        BatchNormOptions options = default) =>
        Infer<Half, float>(stream, x, residual, gamma, beta, runningMean, runningVariance, y, options);

    /// <inheritdoc cref="Infer{T, TReal}"/>
    public static void Infer(
        DeviceStream stream, DeviceTensor<BFloat16> x, DeviceTensor<BFloat16> residual, DeviceTensor<float>? gamma,
        DeviceTensor<float>? beta, DeviceTensor<float> runningMean, DeviceTensor<float> runningVariance, DeviceTensor<BFloat16> y,
        BatchNormOptions options = default) =>
        Infer<BFloat16, float>(stream, x, residual, gamma, beta, runningMean, runningVariance, y, options);

    /// <inheritdoc cref="Infer{T, TReal}"/>
    public static void Infer(
        DeviceStream stream, DeviceTensor<double> x, DeviceTensor<double> residual, DeviceTensor<double>? gamma,
        DeviceTensor<double>? beta, DeviceTensor<double> runningMean, DeviceTensor<double> runningVariance, DeviceTensor<double> y,
        BatchNormOptions options = default) =>
        Infer<double, double>(stream, x, residual, gamma, beta, runningMean, runningVariance, y, options);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> y, DeviceTensor<float>? gamma, DeviceTensor<float> statistics,
        DeviceTensor<float> dy, DeviceTensor<float> dx, DeviceTensor<float>? dResidual, DeviceTensor<float>? dGamma,
        DeviceTensor<float>? dBeta, double dropProbability, BatchNormOptions options = default) =>
        Backward<float, float>(stream, x, y, gamma, statistics, dy, dx, dResidual, dGamma, dBeta, dropProbability, options);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<Half> x, DeviceTensor<Half> y, DeviceTensor<float>? gamma, DeviceTensor<float> statistics,
        DeviceTensor<Half> dy, DeviceTensor<Half> dx, DeviceTensor<Half>? dResidual, DeviceTensor<float>? dGamma,
        DeviceTensor<float>? dBeta, double dropProbability, BatchNormOptions options = default) =>
        Backward<Half, float>(stream, x, y, gamma, statistics, dy, dx, dResidual, dGamma, dBeta, dropProbability, options);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<BFloat16> x, DeviceTensor<BFloat16> y, DeviceTensor<float>? gamma, DeviceTensor<float> statistics,
        DeviceTensor<BFloat16> dy, DeviceTensor<BFloat16> dx, DeviceTensor<BFloat16>? dResidual, DeviceTensor<float>? dGamma,
        DeviceTensor<float>? dBeta, double dropProbability, BatchNormOptions options = default) =>
        Backward<BFloat16, float>(stream, x, y, gamma, statistics, dy, dx, dResidual, dGamma, dBeta, dropProbability, options);

    /// <inheritdoc cref="Backward{T, TReal}"/>
    public static void Backward(
        DeviceStream stream, DeviceTensor<double> x, DeviceTensor<double> y, DeviceTensor<double>? gamma, DeviceTensor<double> statistics,
        DeviceTensor<double> dy, DeviceTensor<double> dx, DeviceTensor<double>? dResidual, DeviceTensor<double>? dGamma,
        DeviceTensor<double>? dBeta, double dropProbability, BatchNormOptions options = default) =>
        Backward<double, double>(stream, x, y, gamma, statistics, dy, dx, dResidual, dGamma, dBeta, dropProbability, options);
}
