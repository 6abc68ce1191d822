namespace Kernels;

/// <summary>
/// Batch normalization: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of each channel over the batch and
/// all places in training, and with running ones at inference.
/// </summary>
/// <remarks>
/// <para>
/// x is [batch, channels, ...] or [batch, ..., channels] with two to five dimensions; gamma, beta and everything else of channels have the
/// shape [channels] and are in the arithmetic type: float beside float, Half and BFloat16, double beside double. Gamma and beta may be
/// null: 1 and 0. Values are normalized with the biased variance (sum of squared deviations over the n elements of a channel). Training of
/// one value a channel is refused: it would be 0 whatever the value; a batch of no elements leaves the running values as they are.
/// </para>
/// <para>
/// What backward needs is one tensor, <c>statistics</c>, of the shape [3, channels]: the mean, what its rounding left, and the inverse
/// deviation 1 / sqrt(variance + epsilon). So results keep their digits where the mean is 10^6 times the deviation. Sums are of distances
/// from an element nearby, merged by pairs in a fixed order: E[x^2] - E[x]^2 is never taken. Inputs up to 1e30 in float and BFloat16 (1e150
/// in double) do not overflow on the way. A channel of equal values is exactly beta.
/// </para>
/// <para>
/// A value that is not finite makes mean, deviation and y of its channel NaN, and so does a gamma or a statistic that is not finite. S.
/// Ioffe and C. Szegedy, "Batch normalization: Accelerating deep network training by reducing internal covariate shift", ICML 2015; T. F.
/// Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, one value a channel, or tensors that overlap otherwise
/// than stated or live on another device, and <see cref="ArgumentOutOfRangeException"/> for settings out of range, before anything is
/// launched.
/// </para>
/// </remarks>
public static partial class BatchNorm
{
    /// <summary>Rows of the statistics: mean, what its rounding left, inverse deviation.</summary>
    internal const int StatisticRows = 3;

    /// <summary>
    /// Training: normalizes by the batch, keeps its statistics, and moves the running ones on: running = (1 - momentum) * running +
    /// momentum * value unless the options say otherwise.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, two to five dimensions.</param>
    /// <param name="gamma">Factor of each channel, shape [channels], or null for 1.</param>
    /// <param name="beta">What is added to each channel, shape [channels], or null for 0.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    /// <param name="statistics">Output for <c>Backward</c>, shape [3, channels].</param>
    /// <param name="runningMean">Running mean, shape [channels], or null.</param>
    /// <param name="runningVariance">Running variance, shape [channels]; null when <paramref name="runningMean"/> is.</param>
    /// <param name="options">Layout, epsilon, and how running values move on.</param>
    internal static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta, DeviceTensor<T> y,
        DeviceTensor<TReal> statistics, DeviceTensor<TReal>? runningMean, DeviceTensor<TReal>? runningVariance, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "BatchNorm.Forward";
        NormGeometry geometry = NormChecks.Forward(
            Op, stream, x, residual: null, gamma, beta, y, statistics, runningMean, runningVariance, options);
        NormEpilogue epilogue = NormChecks.NoEpilogue(Op, options);
        if (NormChecks.IsEmpty(stream, geometry, statistics)) return;
        NormPasses.Forward(
            stream, geometry, x, residual: null, gamma, beta, y, statistics, NormChecks.Running(runningMean, runningVariance, options),
            options.Epsilon, epilogue);
    }

    /// <summary>Inference: normalizes by the running statistics, y = gamma * (x - mean) / sqrt(variance + epsilon) + beta.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, two to five dimensions.</param>
    /// <param name="gamma">As in forward.</param>
    /// <param name="beta">As in forward.</param>
    /// <param name="runningMean">Mean of each channel, shape [channels].</param>
    /// <param name="runningVariance">Variance of each channel, shape [channels].</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="options">Layout and epsilon.</param>
    internal static void Infer<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta, DeviceTensor<TReal> runningMean,
        DeviceTensor<TReal> runningVariance, DeviceTensor<T> y, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "BatchNorm.Infer";
        NormGeometry geometry = NormChecks.Infer(Op, stream, x, residual: null, gamma, beta, runningMean, runningVariance, y, options);
        if (x.Length == 0) return;
        NormPasses.Apply(
            stream, geometry, x, residual: null, NormChecks.RunningChannels(runningMean, runningVariance, gamma, beta), y,
            isVariance: true, options.Epsilon, NormEpilogue.None);
    }

    /// <summary>
    /// Gradients of training: with xhat the normalized x over the n elements of a channel, dbeta = sum of dy, dgamma = sum of dy * xhat, dx
    /// = gamma * inverse deviation * (dy - dbeta / n - xhat * dgamma / n).
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">As in forward.</param>
    /// <param name="gamma">As in forward.</param>
    /// <param name="statistics">What forward gave.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of x, shape of <paramref name="x"/>; may be <paramref name="dy"/>.</param>
    /// <param name="dGamma">Gradient of gamma, shape [channels], or null when it is not needed.</param>
    /// <param name="dBeta">Gradient of beta, shape [channels], or null when it is not needed.</param>
    /// <param name="options">As in forward.</param>
    internal static void Backward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal>? gamma, DeviceTensor<TReal> statistics, DeviceTensor<T> dy,
        DeviceTensor<T> dx, DeviceTensor<TReal>? dGamma, DeviceTensor<TReal>? dBeta, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "BatchNorm.Backward";
        NormGeometry geometry = NormChecks.Backward(Op, stream, x, gamma, beta: null, statistics, dy, dx, dGamma, dBeta, options);
        NormEpilogue epilogue = NormChecks.NoEpilogue(Op, options);
        if (NormChecks.IsEmpty(stream, geometry, dGamma, dBeta)) return;
        NormPasses.Backward(
            stream, geometry, x, y: null, gamma, beta: null, statistics, dy, dx, dResidual: null, dGamma, dBeta, epilogue);
    }
}
