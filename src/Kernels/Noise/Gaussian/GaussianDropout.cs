using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Gaussian dropout: y = x * (1 + sigma * z) in training, with z standard normal and sigma^2 = p / (1 - p), the variance of inverted
/// dropout with drop probability p; the identity at inference.
/// </summary>
/// <remarks>
/// The normal numbers are those of <see cref="GaussianNoise"/>. They are drawn again in backward, nothing is stored; where memory is faster
/// than arithmetic, <see cref="ForwardWithFactors"/> stores the factors for <see cref="BackwardWithFactors{T}"/>. p lies in [0, 1); p = 0
/// copies without drawing, and p = 1 has no finite variance. A NaN stays NaN, an infinity becomes one of either sign. N. Srivastava
/// et al., JMLR 15, 2014, section 10.
/// </remarks>
public static class GaussianDropout
{
    /// <summary>sigma = sqrt(p / (1 - p)).</summary>
    /// <exception cref="ArgumentOutOfRangeException">p is NaN or outside [0, 1).</exception>
    public static double StandardDeviation(double dropProbability) => dropProbability is >= 0 and < 1
        ? Math.Sqrt(dropProbability / (1 - dropProbability))
        : throw new ArgumentOutOfRangeException(
            nameof(dropProbability), dropProbability, "GaussianDropout: dropProbability lies in [0, 1).");

    /// <summary>Training: y = x * (1 + sigma * z).</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="dropProbability">p in [0, 1).</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="globalStart">Index of the first element in the whole tensor of which the argument is a shard.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">p is NaN or outside [0, 1).</exception>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double dropProbability, RandomKeySource key, ulong globalStart = 0)
        where T : unmanaged
    {
        const string Op = "GaussianDropout.Forward";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Key(Op, stream, key, nameof(key));
        GaussianKernel.Apply(Op, stream, x, y, StandardDeviation(dropProbability), multiplicative: true, key, globalStart);
    }

    /// <summary>
    /// Gradient: dx = dy * (1 + sigma * z) with the numbers of the forward call that had the same key, probability and start.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output, any shape.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/>.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="globalStart">As in forward.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">p is NaN or outside [0, 1).</exception>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> dx, double dropProbability, RandomKeySource key, ulong globalStart = 0)
        where T : unmanaged
    {
        const string Op = "GaussianDropout.Backward";
        Check.Elementwise(Op, stream, dy, nameof(dy), dx, nameof(dx));
        Check.Key(Op, stream, key, nameof(key));
        GaussianKernel.Apply(Op, stream, dy, dx, StandardDeviation(dropProbability), multiplicative: true, key, globalStart);
    }

    /// <summary>
    /// Training, with factors that are kept for backward: factor = 1 + sigma * z, y = x * factor. Factors of half types are rounded to
    /// them, and y is made with what is stored, so that backward gives its gradient; of float and double y is that of
    /// <see cref="Forward"/>.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="factors">Output, shape of <paramref name="x"/>: the factors; overlaps no other.</param>
    /// <param name="dropProbability">p in [0, 1).</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="globalStart">Index of the first element in the whole tensor of which the argument is a shard.</param>
    /// <exception cref="ArgumentException">The shapes differ, tensors overlap, or one is on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">p is NaN or outside [0, 1).</exception>
    public static void ForwardWithFactors<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, DeviceTensor<T> factors, double dropProbability, RandomKeySource key,
        ulong globalStart = 0)
        where T : unmanaged
    {
        const string Op = "GaussianDropout.ForwardWithFactors";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Elementwise(Op, stream, x, nameof(x), factors, nameof(factors));
        Check.Disjoint(Op, x, nameof(x), factors, nameof(factors));
        Check.Disjoint(Op, y, nameof(y), factors, nameof(factors));
        Check.Key(Op, stream, key, nameof(key));
        double sigma = StandardDeviation(dropProbability);
        Check.IndexRange(Op, x.Length, globalStart);
        GaussianKernel.ApplyFactors(stream, x, y, factors, sigma, key, globalStart);
    }

    /// <summary>Gradient with the factors that forward kept: dx = dy * factor.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output, any shape.</param>
    /// <param name="factors">Those of <see cref="ForwardWithFactors"/>, shape of <paramref name="dy"/>.</param>
    /// <param name="dx">
    /// Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/> or <paramref name="factors"/>.
    /// </param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    public static void BackwardWithFactors<T>(DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> factors, DeviceTensor<T> dx)
        where T : unmanaged
    {
        const string Op = "GaussianDropout.BackwardWithFactors";
        Check.Elementwise(Op, stream, dy, nameof(dy), dx, nameof(dx));
        Check.Elementwise(Op, stream, factors, nameof(factors), dx, nameof(dx));
        GaussianKernel.Scale(stream, dy, factors, dx);
    }
}
