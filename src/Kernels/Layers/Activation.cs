using Kernels.Devices;

namespace Kernels;

/// <summary>The functions of <c>activation.cl</c>, by the numbers that they have there.</summary>
internal enum ActivationFunction : uint
{
    LeakyRelu,
    Tanh,
    Sigmoid,
}

/// <summary>Activations with one kernel for all functions, and one for all gradients, which follow from the output.</summary>
internal static partial class Activation
{
    private static readonly KernelDefinition<ActivationForwardArguments> ForwardKernel =
        EntryPoints.ActivationForward.Float<CpuForward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<ActivationBackwardArguments> BackwardKernel =
        EntryPoints.ActivationBackward.Float<CpuBackward>(vectorWidths: [1, 8]);

    public static void Forward<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, ActivationFunction function, double slope = 0)
        where T : unmanaged
    {
        Check.Elementwise(op, stream, x, nameof(x), y, nameof(y));
        if (x.Length == 0) return;
        stream.Launch(
            ForwardKernel,
            new KernelVariant(x.DType, x.IsVectorAligned && y.IsVectorAligned ? 8 : 1),
            LaunchShape.Items((x.Length + 7) / 8, ForwardKernel),
            new ActivationForwardArguments
            {
                X = x.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Function = (uint)function,
                Slope = slope,
            });
    }

    public static void Backward<T>(
        string op, DeviceStream stream, DeviceTensor<T> y, DeviceTensor<T> dy, DeviceTensor<T> dx, ActivationFunction function,
        double slope = 0)
        where T : unmanaged
    {
        Check.Elementwise(op, stream, dy, nameof(dy), dx, nameof(dx));
        Check.Elementwise(op, stream, y, nameof(y), dx, nameof(dx));
        if (y.Length == 0) return;
        stream.Launch(
            BackwardKernel,
            new KernelVariant(y.DType, y.IsVectorAligned && dy.IsVectorAligned && dx.IsVectorAligned ? 8 : 1),
            LaunchShape.Items((y.Length + 7) / 8, BackwardKernel),
            new ActivationBackwardArguments
            {
                Y = y.Argument,
                Dy = dy.Argument,
                Dx = dx.Argument,
                Count = (ulong)y.Length,
                Function = (uint)function,
                Slope = slope,
            });
    }
}
