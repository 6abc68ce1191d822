namespace Kernels;

/// <summary>The logistic function: y = 1 / (1 + e^-x).</summary>
/// <remarks>
/// NaN stays NaN, infinities become 1 and 0; nothing overflows on the way. Types: float, Half, BFloat16, double; any shape, including
/// empty.
/// </remarks>
public static class Sigmoid
{
    /// <summary>y = 1 / (1 + e^-x).</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    public static void Forward<T>(DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y)
        where T : unmanaged => Activation.Forward("Sigmoid.Forward", stream, x, y, ActivationFunction.Sigmoid);

    /// <summary>dx = dy y (1 - y), from the output: where that was rounded to 1, dx is 0.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="y">Output of the forward call, any shape.</param>
    /// <param name="dy">Gradient of the output, shape of <paramref name="y"/>.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="y"/>; may be <paramref name="dy"/> or <paramref name="y"/>.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    public static void Backward<T>(DeviceStream stream, DeviceTensor<T> y, DeviceTensor<T> dy, DeviceTensor<T> dx)
        where T : unmanaged => Activation.Backward("Sigmoid.Backward", stream, y, dy, dx, ActivationFunction.Sigmoid);
}
