namespace Kernels;

/// <content>
/// The types that work together, as for <see cref="BatchNorm"/>.
/// </content>
public static partial class SyncBatchNorm
{
    /// <inheritdoc cref="Statistics{T, TReal}"/>
    public static void Statistics(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> moments, BatchNormOptions options = default) =>
        Statistics<float, float>(stream, x, moments, options);

    /// <inheritdoc cref="Statistics{T, TReal}"/>
    public static void Statistics(
        DeviceStream stream, DeviceTensor<Half> x, DeviceTensor<float> moments, BatchNormOptions options = default) =>
        Statistics<Half, float>(stream, x, moments, options);

    /// <inheritdoc cref="Statistics{T, TReal}"/>
    public static void Statistics(
        DeviceStream stream, DeviceTensor<BFloat16> x, DeviceTensor<float> moments, BatchNormOptions options = default) =>
        Statistics<BFloat16, float>(stream, x, moments, options);

    /// <inheritdoc cref="Statistics{T, TReal}"/>
    public static void Statistics(
        DeviceStream stream, DeviceTensor<double> x, DeviceTensor<double> moments, BatchNormOptions options = default) =>
        Statistics<double, double>(stream, x, moments, options);

    /// <inheritdoc cref="Merge{TReal}"/>
    public static void Merge(
        DeviceStream stream, DeviceTensor<float> moments, DeviceTensor<float> merged) =>
        Merge<float>(stream, moments, merged);

    /// <inheritdoc cref="Merge{TReal}"/>
    public static void Merge(
        DeviceStream stream, DeviceTensor<double> moments, DeviceTensor<double> merged) =>
        Merge<double>(stream, moments, merged);

    /// <inheritdoc cref="Finish{TReal}"/>
    public static void Finish(
        DeviceStream stream, DeviceTensor<float> moments, DeviceTensor<float> statistics, DeviceTensor<float>? runningMean,
        DeviceTensor<float>? runningVariance, BatchNormOptions options = default) =>
        Finish<float>(stream, moments, statistics, runningMean, runningVariance, options);

    /// <inheritdoc cref="Finish{TReal}"/>
    public static void Finish(
        DeviceStream stream, DeviceTensor<double> moments, DeviceTensor<double> statistics, DeviceTensor<double>? runningMean,
        DeviceTensor<double>? runningVariance, BatchNormOptions options = default) =>
        Finish<double>(stream, moments, statistics, runningMean, runningVariance, options);

    /// <inheritdoc cref="Apply{T, TReal}"/>
    public static void Apply(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float>? gamma, DeviceTensor<float>? beta, DeviceTensor<float> statistics,
        DeviceTensor<float> y, BatchNormOptions options = default) =>
        Apply<float, float>(stream, x, gamma, beta, statistics, y, options);

    /// <inheritdoc cref="Apply{T, TReal}"/>
    public static void Apply(
        DeviceStream stream, DeviceTensor<Half> x, DeviceTensor<float>? gamma, DeviceTensor<float>? beta, DeviceTensor<float> statistics,
        DeviceTensor<Half> y, BatchNormOptions options = default) =>
        Apply<Half, float>(stream, x, gamma, beta, statistics, y, options);

    /// <inheritdoc cref="Apply{T, TReal}"/>
    public static void Apply(
        DeviceStream stream, DeviceTensor<BFloat16> x, DeviceTensor<float>? gamma, DeviceTensor<float>? beta,
        DeviceTensor<float> statistics, DeviceTensor<BFloat16> y, BatchNormOptions options = default) =>
        Apply<BFloat16, float>(stream, x, gamma, beta, statistics, y, options);

    /// <inheritdoc cref="Apply{T, TReal}"/>
    public static void Apply(
        DeviceStream stream, DeviceTensor<double> x, DeviceTensor<double>? gamma, DeviceTensor<double>? beta,
        DeviceTensor<double> statistics, DeviceTensor<double> y, BatchNormOptions options = default) =>
        Apply<double, double>(stream, x, gamma, beta, statistics, y, options);

    /// <inheritdoc cref="ReduceGradient{T, TReal}"/>
    public static void ReduceGradient(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> statistics, DeviceTensor<float> dy, DeviceTensor<float> sums,
        DeviceTensor<float>? dGamma, DeviceTensor<float>? dBeta, BatchNormOptions options = default) =>
        ReduceGradient<float, float>(stream, x, statistics, dy, sums, dGamma, dBeta, options);

    /// <inheritdoc cref="ReduceGradient{T, TReal}"/>
    public static void ReduceGradient(
        DeviceStream stream, DeviceTensor<Half> x, DeviceTensor<float> statistics, DeviceTensor<Half> dy, DeviceTensor<float> sums,
        DeviceTensor<float>? dGamma, DeviceTensor<float>? dBeta, BatchNormOptions options = default) =>
        ReduceGradient<Half, float>(stream, x, statistics, dy, sums, dGamma, dBeta, options);

    /// <inheritdoc cref="ReduceGradient{T, TReal}"/>
    public static void ReduceGradient(
        DeviceStream stream, DeviceTensor<BFloat16> x, DeviceTensor<float> statistics, DeviceTensor<BFloat16> dy,
        DeviceTensor<float> sums, DeviceTensor<float>? dGamma, DeviceTensor<float>? dBeta, BatchNormOptions options = default) =>
        ReduceGradient<BFloat16, float>(stream, x, statistics, dy, sums, dGamma, dBeta, options);

    /// <inheritdoc cref="ReduceGradient{T, TReal}"/>
    public static void ReduceGradient(
        DeviceStream stream, DeviceTensor<double> x, DeviceTensor<double> statistics, DeviceTensor<double> dy, DeviceTensor<double> sums,
        DeviceTensor<double>? dGamma, DeviceTensor<double>? dBeta, BatchNormOptions options = default) =>
        ReduceGradient<double, double>(stream, x, statistics, dy, sums, dGamma, dBeta, options);

    /// <inheritdoc cref="ApplyGradient{T, TReal}"/>
    public static void ApplyGradient(
        DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float>? gamma, DeviceTensor<float> statistics, DeviceTensor<float> dy,
        DeviceTensor<float> sums, DeviceTensor<float> dx, BatchNormOptions options = default) =>
        ApplyGradient<float, float>(stream, x, gamma, statistics, dy, sums, dx, options);

    /// <inheritdoc cref="ApplyGradient{T, TReal}"/>
    public static void ApplyGradient(
        DeviceStream stream, DeviceTensor<Half> x, DeviceTensor<float>? gamma, DeviceTensor<float> statistics, DeviceTensor<Half> dy,
        DeviceTensor<float> sums, DeviceTensor<Half> dx, BatchNormOptions options = default) =>
        ApplyGradient<Half, float>(stream, x, gamma, statistics, dy, sums, dx, options);

    /// <inheritdoc cref="ApplyGradient{T, TReal}"/>
    public static void ApplyGradient(
        DeviceStream stream, DeviceTensor<BFloat16> x, DeviceTensor<float>? gamma, DeviceTensor<float> statistics,
        DeviceTensor<BFloat16> dy, DeviceTensor<float> sums, DeviceTensor<BFloat16> dx, BatchNormOptions options = default) =>
        ApplyGradient<BFloat16, float>(stream, x, gamma, statistics, dy, sums, dx, options);

    /// <inheritdoc cref="ApplyGradient{T, TReal}"/>
    public static void ApplyGradient(
        DeviceStream stream, DeviceTensor<double> x, DeviceTensor<double>? gamma, DeviceTensor<double> statistics,
        DeviceTensor<double> dy, DeviceTensor<double> sums, DeviceTensor<double> dx, BatchNormOptions options = default) =>
        ApplyGradient<double, double>(stream, x, gamma, statistics, dy, sums, dx, options);
}
