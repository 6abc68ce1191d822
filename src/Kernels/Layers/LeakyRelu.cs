using Kernels.Devices;

namespace Kernels;

/// <summary>The leaky rectifier: y = x where x &gt; 0, else negativeSlope * x.</summary>
/// <remarks>
/// NaN stays NaN, -0 stays -0. A slope of 0 makes it max(x, 0) but for infinity, of which 0 times is NaN; <see cref="Relu"/> has none of
/// that. Types: float, Half, BFloat16, double; any shape, including empty. A. Maas, A. Hannun and A. Ng, "Rectifier nonlinearities improve
/// neural network acoustic models", ICML 2013.
/// </remarks>
public static class LeakyRelu
{
    /// <summary>y = x where x &gt; 0, else negativeSlope * x.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="negativeSlope">Factor of what is not positive, finite and at least 0; 0.2 in most discriminators.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The slope is negative, NaN or infinite.</exception>
    public static void Forward<T>(DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double negativeSlope)
        where T : unmanaged
    {
        const string Op = "LeakyRelu.Forward";
        Check.AtLeast(Op, negativeSlope, nameof(negativeSlope), 0);
        Activation.Forward(Op, stream, x, y, ActivationFunction.LeakyRelu, negativeSlope);
    }

    /// <summary>
    /// dx = dy where y &gt; 0 (or y is NaN), else negativeSlope * dy. Since y is positive where x is, either may be given.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="y">Output of the forward call (or its input), any shape.</param>
    /// <param name="dy">Gradient of the output, shape of <paramref name="y"/>.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="y"/>; may be <paramref name="dy"/> or <paramref name="y"/>.</param>
    /// <param name="negativeSlope">As in the forward call.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The slope is negative, NaN or infinite.</exception>
    public static void Backward<T>(DeviceStream stream, DeviceTensor<T> y, DeviceTensor<T> dy, DeviceTensor<T> dx, double negativeSlope)
        where T : unmanaged
    {
        const string Op = "LeakyRelu.Backward";
        Check.AtLeast(Op, negativeSlope, nameof(negativeSlope), 0);
        Activation.Backward(Op, stream, y, dy, dx, ActivationFunction.LeakyRelu, negativeSlope);
    }
}
