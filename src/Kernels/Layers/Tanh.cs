namespace Kernels;

/// <summary>The hyperbolic tangent.</summary>
/// <remarks>
/// NaN stays NaN, -0 stays -0, infinities become 1 and -1. Types: float, Half, BFloat16, double; any shape, including empty.
/// </remarks>
public static class Tanh
{
    /// <summary>y = tanh x.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    public static void Forward<T>(DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y)
        where T : unmanaged => Activation.Forward("Tanh.Forward", stream, x, y, ActivationFunction.Tanh);

    /// <summary>dx = dy (1 - y^2), from the output: where that was rounded to 1 or -1, dx is 0.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="y">Output of the forward call, any shape.</param>
    /// <param name="dy">Gradient of the output, shape of <paramref name="y"/>.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="y"/>; may be <paramref name="dy"/> or <paramref name="y"/>.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    public static void Backward<T>(DeviceStream stream, DeviceTensor<T> y, DeviceTensor<T> dy, DeviceTensor<T> dx)
        where T : unmanaged => Activation.Backward("Tanh.Backward", stream, y, dy, dx, ActivationFunction.Tanh);
}
