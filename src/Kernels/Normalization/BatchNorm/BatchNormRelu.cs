namespace Kernels;

/// <summary>
/// Batch normalization, ReLU and dropout in one pass: y = m * max(0, z) / q with z = gamma * xhat + beta, m drawn per element, P(m = 1) =
/// q.
/// </summary>
/// <remarks>
/// <para>
/// Statistics, shapes, types and settings are those of <see cref="BatchNorm"/>, the decisions those of <see cref="Dropout"/>: element i of
/// the dense order takes the decision of index i + <see cref="BatchNormOptions.GlobalStart"/>. Nothing is stored for either mask:
/// <c>Backward</c> calculates z from x again and draws again. A probability of 0 draws nothing, so that the op is normalization and ReLU.
/// With <see cref="BatchNormOptions.DropBlock"/> y is also dropped in blocks and multiplied by cells / kept cells, in the same pass.
/// </para>
/// <para>
/// A dropped element is +0, NaN included; NaN passes the ReLU and its gradient. Errors are those of <see cref="BatchNorm"/>, and
/// <see cref="ArgumentOutOfRangeException"/> for a probability that is NaN or outside [0, 1]; those of <see cref="DropBlock"/>, and for a
/// scale of each sample or map and a shard that begins inside a sample.
/// </para>
/// </remarks>
public static partial class BatchNormRelu
{
    /// <summary>Training: y = m * max(0, gamma * xhat + beta) / q.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, two to five dimensions.</param>
    /// <param name="gamma">Factor of each channel, shape [channels], or null for 1.</param>
    /// <param name="beta">What is added to each channel, shape [channels], or null for 0.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    /// <param name="statistics">Output for <c>Backward</c>, shape [3, channels].</param>
    /// <param name="runningMean">Running mean, shape [channels], or null.</param>
    /// <param name="runningVariance">Running variance, shape [channels]; null when <paramref name="runningMean"/> is.</param>
    /// <param name="dropProbability">Probability p to drop an element, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Layout, epsilon, running values and shard start.</param>
    internal static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta, DeviceTensor<T> y,
        DeviceTensor<TReal> statistics, DeviceTensor<TReal>? runningMean, DeviceTensor<TReal>? runningVariance, double dropProbability,
        RandomKeySource key, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "BatchNormRelu.Forward";
        NormGeometry geometry = NormChecks.Forward(
            Op, stream, x, residual: null, gamma, beta, y, statistics, runningMean, runningVariance, options);
        NormEpilogue epilogue = NormChecks.Epilogue(Op, stream, x, dropProbability, key, options);
        if (NormChecks.IsEmpty(stream, geometry, statistics)) return;
        NormPasses.Forward(
            stream, geometry, x, residual: null, gamma, beta, y, statistics, NormChecks.Running(runningMean, runningVariance, options),
            options.Epsilon, epilogue);
    }

    /// <summary>Inference: y = max(0, gamma * (x - mean) / sqrt(variance + epsilon) + beta); nothing is dropped.</summary>
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
        const string Op = "BatchNormRelu.Infer";
        NormGeometry geometry = NormChecks.Infer(Op, stream, x, residual: null, gamma, beta, runningMean, runningVariance, y, options);
        if (x.Length == 0) return;
        NormPasses.Apply(
            stream, geometry, x, residual: null, NormChecks.RunningChannels(runningMean, runningVariance, gamma, beta), y,
            isVariance: true, options.Epsilon, NormEpilogue.Relu);
    }

    /// <summary>
    /// Gradients of training: those of <see cref="BatchNorm"/> for g = m * dy / q where z is more than 0, else 0.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">As in forward.</param>
    /// <param name="gamma">As in forward.</param>
    /// <param name="beta">As in forward: z is calculated again.</param>
    /// <param name="statistics">What forward gave.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of x, shape of <paramref name="x"/>; may be <paramref name="dy"/>.</param>
    /// <param name="dGamma">Gradient of gamma, shape [channels], or null when it is not needed.</param>
    /// <param name="dBeta">Gradient of beta, shape [channels], or null when it is not needed.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    internal static void Backward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta, DeviceTensor<TReal> statistics,
        DeviceTensor<T> dy, DeviceTensor<T> dx, DeviceTensor<TReal>? dGamma, DeviceTensor<TReal>? dBeta, double dropProbability,
        RandomKeySource key, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "BatchNormRelu.Backward";
        NormGeometry geometry = NormChecks.Backward(Op, stream, x, gamma, beta, statistics, dy, dx, dGamma, dBeta, options);
        NormEpilogue epilogue = NormChecks.Epilogue(Op, stream, x, dropProbability, key, options);
        if (NormChecks.IsEmpty(stream, geometry, dGamma, dBeta)) return;
        NormPasses.Backward(
            stream, geometry, x, y: null, gamma, beta, statistics, dy, dx, dResidual: null, dGamma, dBeta, epilogue);
    }
}
