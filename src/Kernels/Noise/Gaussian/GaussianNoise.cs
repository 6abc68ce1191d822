using Kernels.Devices;

namespace Kernels;

/// <summary>Additive Gaussian noise in training: y = x + sigma * z, with z standard normal; the identity at inference.</summary>
/// <remarks>
/// <para>
/// Element i (plus the global start) takes normal i mod 4 of Philox block i / 4: words 0 and 1 of a block give normals 0 and 1, words 2 and
/// 3 normals 2 and 3, by Box and Muller's method with u = (word + 1/2) / 2^32 for the radius and the next word for the angle. Logarithm,
/// sine and cosine are polynomials in fused multiply-adds, so devices whose square root is correctly rounded (CPU, CUDA) draw the same bits
/// and others agree within 4 units in the last place.
/// </para>
/// <para>
/// The noise is calculated in float, also for double tensors. Types: float, Half, BFloat16, double; any shape, including empty; the
/// destination may be the source. The gradient of the input is the gradient of the output.
/// </para>
/// </remarks>
public static class GaussianNoise
{
    /// <summary>Training: y = x + sigma * z.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="standardDeviation">sigma, finite and at least 0; 0 copies without drawing.</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="globalStart">Index of the first element in the whole tensor of which the argument is a shard.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">sigma is negative, NaN or infinite.</exception>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double standardDeviation, RandomKeySource key, ulong globalStart = 0)
        where T : unmanaged
    {
        const string Op = "GaussianNoise.Forward";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.AtLeast(Op, standardDeviation, nameof(standardDeviation), 0);
        Check.Key(Op, stream, key, nameof(key));
        GaussianKernel.Apply(Op, stream, x, y, standardDeviation, multiplicative: false, key, globalStart);
    }
}
