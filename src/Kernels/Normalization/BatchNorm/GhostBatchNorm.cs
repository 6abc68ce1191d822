namespace Kernels;

/// <summary>
/// Ghost batch normalization: <see cref="BatchNorm"/> of every so many samples by themselves, so that a large batch is regularized as small
/// ones are.
/// </summary>
/// <remarks>
/// <para>
/// A ghost batch is <c>ghostSize</c> samples that follow each other; their number divides the batch. Each has mean and variance of its own
/// for every channel; gamma and beta are shared. The running values move on ghost batch by ghost batch, in order. Inference is that of
/// <see cref="BatchNorm"/>. Statistics have the shape [3, batch / ghostSize, channels]; all else is as there.
/// </para>
/// <para>
/// E. Hoffer, I. Hubara and D. Soudry, "Train longer, generalize better: Closing the generalization gap in large batch training of neural
/// networks", NeurIPS 2017.
/// </para>
/// </remarks>
public static partial class GhostBatchNorm
{
    /// <summary>Training: every ghost batch by its own statistics.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, two to five dimensions.</param>
    /// <param name="gamma">Factor of each channel, shape [channels], or null for 1.</param>
    /// <param name="beta">What is added to each channel, shape [channels], or null for 0.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    /// <param name="statistics">Output for <c>Backward</c>, shape [3, batch / ghostSize, channels].</param>
    /// <param name="runningMean">Running mean, shape [channels], or null.</param>
    /// <param name="runningVariance">Running variance, shape [channels]; null when <paramref name="runningMean"/> is.</param>
    /// <param name="ghostSize">Samples of a ghost batch; divides the batch.</param>
    /// <param name="options">Layout, epsilon, and how running values move on.</param>
    internal static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta, DeviceTensor<T> y,
        DeviceTensor<TReal> statistics, DeviceTensor<TReal>? runningMean, DeviceTensor<TReal>? runningVariance, long ghostSize,
        BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "GhostBatchNorm.Forward";
        NormGeometry geometry = NormChecks.Forward(
            Op, stream, x, residual: null, gamma, beta, y, statistics, runningMean, runningVariance, options, ghostSize);
        NormEpilogue epilogue = NormChecks.NoEpilogue(Op, options);
        if (NormChecks.IsEmpty(stream, geometry, statistics)) return;
        NormPasses.Forward(
            stream, geometry, x, residual: null, gamma, beta, y, statistics, NormChecks.Running(runningMean, runningVariance, options),
            options.Epsilon, epilogue);
    }

    /// <summary>Gradients of training; those of gamma and beta are sums over the ghost batches.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">As in forward.</param>
    /// <param name="gamma">As in forward.</param>
    /// <param name="statistics">What forward gave.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of x, shape of <paramref name="x"/>; may be <paramref name="dy"/>.</param>
    /// <param name="dGamma">Gradient of gamma, shape [channels], or null when it is not needed.</param>
    /// <param name="dBeta">Gradient of beta, shape [channels], or null when it is not needed.</param>
    /// <param name="ghostSize">As in forward.</param>
    /// <param name="options">As in forward.</param>
    internal static void Backward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal>? gamma, DeviceTensor<TReal> statistics, DeviceTensor<T> dy,
        DeviceTensor<T> dx, DeviceTensor<TReal>? dGamma, DeviceTensor<TReal>? dBeta, long ghostSize, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "GhostBatchNorm.Backward";
        NormGeometry geometry = NormChecks.Backward(
            Op, stream, x, gamma, beta: null, statistics, dy, dx, dGamma, dBeta, options, ghostSize);
        NormEpilogue epilogue = NormChecks.NoEpilogue(Op, options);
        if (NormChecks.IsEmpty(stream, geometry, dGamma, dBeta)) return;
        NormPasses.Backward(
            stream, geometry, x, y: null, gamma, beta: null, statistics, dy, dx, dResidual: null, dGamma, dBeta, epilogue);
    }
}
