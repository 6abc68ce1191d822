using Kernels.Devices;

namespace Kernels;

/// <summary>
/// The end of a residual block in one pass: y = m * max(0, gamma * xhat + beta + residual) / q, m drawn per element, P(m = 1) = q.
/// </summary>
/// <remarks>
/// <para>
/// Everything of <see cref="BatchNormRelu"/> holds here too. <c>Backward</c> takes y, which the next layer keeps anyway: it is 0 where an
/// element was rectified or dropped, so that neither the residual is read nor anything drawn again.
/// </para>
/// <para>K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition", CVPR 2016.</para>
/// </remarks>
public static partial class BatchNormAddRelu
{
    /// <summary>Training: y = m * max(0, gamma * xhat + beta + residual) / q.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, two to five dimensions.</param>
    /// <param name="residual">What is added, shape of <paramref name="x"/>.</param>
    /// <param name="gamma">Factor of each channel, shape [channels], or null for 1.</param>
    /// <param name="beta">What is added to each channel, shape [channels], or null for 0.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="residual"/>.</param>
    /// <param name="statistics">Output for <c>Backward</c>, shape [3, channels].</param>
    /// <param name="runningMean">Running mean, shape [channels], or null.</param>
    /// <param name="runningVariance">Running variance, shape [channels]; null when <paramref name="runningMean"/> is.</param>
    /// <param name="dropProbability">Probability p to drop an element, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Layout, epsilon, running values and shard start.</param>
    internal static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> residual, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta,
        DeviceTensor<T> y, DeviceTensor<TReal> statistics, DeviceTensor<TReal>? runningMean, DeviceTensor<TReal>? runningVariance,
        double dropProbability, RandomKeySource key, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "BatchNormAddRelu.Forward";
        Check.FloatTensor(Op, stream, residual, nameof(residual));
        NormGeometry geometry = NormChecks.Forward(
            Op, stream, x, residual, gamma, beta, y, statistics, runningMean, runningVariance, options);
        NormEpilogue epilogue = NormChecks.Epilogue(Op, stream, x, dropProbability, key, options);
        if (NormChecks.IsEmpty(stream, geometry, statistics)) return;
        NormPasses.Forward(
            stream, geometry, x, residual, gamma, beta, y, statistics, NormChecks.Running(runningMean, runningVariance, options),
            options.Epsilon, epilogue);
    }

    /// <summary>Inference: y = max(0, gamma * (x - mean) / sqrt(variance + epsilon) + beta + residual); nothing is dropped.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, two to five dimensions.</param>
    /// <param name="residual">What is added, shape of <paramref name="x"/>.</param>
    /// <param name="gamma">As in forward.</param>
    /// <param name="beta">As in forward.</param>
    /// <param name="runningMean">Mean of each channel, shape [channels].</param>
    /// <param name="runningVariance">Variance of each channel, shape [channels].</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/> or <paramref name="residual"/>.</param>
    /// <param name="options">Layout and epsilon.</param>
    internal static void Infer<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> residual, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta,
        DeviceTensor<TReal> runningMean, DeviceTensor<TReal> runningVariance, DeviceTensor<T> y, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "BatchNormAddRelu.Infer";
        Check.FloatTensor(Op, stream, residual, nameof(residual));
        NormGeometry geometry = NormChecks.Infer(Op, stream, x, residual, gamma, beta, runningMean, runningVariance, y, options);
        if (x.Length == 0) return;
        NormPasses.Apply(
            stream, geometry, x, residual, NormChecks.RunningChannels(runningMean, runningVariance, gamma, beta), y, isVariance: true,
            options.Epsilon, NormEpilogue.Relu);
    }

    /// <summary>
    /// Gradients of training: dresidual = dy / q where y is more than 0, else 0, and those of <see cref="BatchNorm"/> for it.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">As in forward.</param>
    /// <param name="y">What forward gave.</param>
    /// <param name="gamma">As in forward.</param>
    /// <param name="statistics">What forward gave.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of x, shape of <paramref name="x"/>; may be <paramref name="dy"/>.</param>
    /// <param name="dResidual">Gradient of the residual, or null when it is not needed; may be <paramref name="dy"/> where
    /// <paramref name="dx"/> is not.</param>
    /// <param name="dGamma">Gradient of gamma, shape [channels], or null when it is not needed.</param>
    /// <param name="dBeta">Gradient of beta, shape [channels], or null when it is not needed.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="options">As in forward.</param>
    internal static void Backward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, DeviceTensor<TReal>? gamma, DeviceTensor<TReal> statistics,
        DeviceTensor<T> dy, DeviceTensor<T> dx, DeviceTensor<T>? dResidual, DeviceTensor<TReal>? dGamma, DeviceTensor<TReal>? dBeta,
        double dropProbability, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "BatchNormAddRelu.Backward";
        NormGeometry geometry = NormChecks.Backward(Op, stream, x, gamma, beta: null, statistics, dy, dx, dGamma, dBeta, options);
        Check.FloatTensor(Op, stream, y, nameof(y));
        Check.Shape(Op, y, nameof(y), dy.Shape);
        Check.Disjoint(Op, y, nameof(y), dx, nameof(dx));
        NormChecks.ApartFromChannels(Op, y, nameof(y), dGamma, nameof(dGamma));
        NormChecks.ApartFromChannels(Op, y, nameof(y), dBeta, nameof(dBeta));
        if (dResidual is not null)
        {
            NormChecks.Pair(Op, stream, dy, nameof(dy), dResidual, nameof(dResidual));
            Check.Disjoint(Op, dx, nameof(dx), dResidual, nameof(dResidual));
            Check.Disjoint(Op, x, nameof(x), dResidual, nameof(dResidual));
            Check.Disjoint(Op, y, nameof(y), dResidual, nameof(dResidual));
            NormChecks.ApartFromLengths<T, TReal>(Op, options, dResidual, nameof(dResidual));
            NormChecks.ApartFromChannels(Op, dResidual, nameof(dResidual), gamma, nameof(gamma));
            NormChecks.ApartFromChannels(Op, dResidual, nameof(dResidual), statistics, nameof(statistics));
            NormChecks.ApartFromChannels(Op, dResidual, nameof(dResidual), dGamma, nameof(dGamma));
            NormChecks.ApartFromChannels(Op, dResidual, nameof(dResidual), dBeta, nameof(dBeta));
        }

        NormEpilogue epilogue = NormChecks.Epilogue(Op, stream, x, dropProbability, default(RandomKey), options);
        if (NormChecks.IsEmpty(stream, geometry, dGamma, dBeta)) return;
        NormPasses.Backward(stream, geometry, x, y, gamma, beta: null, statistics, dy, dx, dResidual, dGamma, dBeta, epilogue);
    }
}
