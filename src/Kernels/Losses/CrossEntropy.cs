using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>Softmax cross-entropy with hard labels: loss[n] = log(sum over k of exp z[n, k]) - z[n, label[n]].</summary>
/// <remarks>
/// <para>
/// The gradient is scale * (softmax(z) - onehot(label)). The row's maximum is subtracted first, so large logits do not overflow. Types: float, Half,
/// BFloat16, double; sums in float (double for double), in a fixed order.
/// </para>
/// <para>
/// NaN, +Inf or a whole row of -Inf gives a NaN loss and gradient for that row alone; single -Inf logits are classes of probability 0. A label outside [0,
/// classes) gives a NaN loss and a zero gradient for its row. 0 rows are a valid no-op.
/// </para>
/// </remarks>
public static unsafe class CrossEntropy
{
    private const uint GradientSwitch = 1;

    private static readonly KernelDefinition<CrossEntropyArguments> Kernel =
        KernelDefinition<CrossEntropyArguments>.Float<CrossEntropyOnCpu>(
            "portable/cross_entropy.cl", "cross_entropy", switches: ["WRITE_GRADIENT"]);

    /// <summary>The loss of each row.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="logits">Shape [rows, classes].</param>
    /// <param name="labels">Shape [rows], each in [0, classes).</param>
    /// <param name="losses">Result, shape [rows].</param>
    /// <exception cref="ArgumentException">The shapes do not fit, a result overlaps an input, or a tensor is on another device.</exception>
    public static void Forward<T>(DeviceStream stream, DeviceTensor<T> logits, DeviceTensor<int> labels, DeviceTensor<T> losses)
        where T : unmanaged
    {
        CheckShapes("CrossEntropy.Forward", stream, logits, labels, losses);
        Launch(stream, logits, labels, losses, gradient: null, 0);
    }

    /// <summary>The loss of each row and its gradient, in one launch.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="logits">Shape [rows, classes].</param>
    /// <param name="labels">Shape [rows], each in [0, classes).</param>
    /// <param name="losses">Result, shape [rows]; not scaled.</param>
    /// <param name="dLogits">Gradient, shape of <paramref name="logits"/>; may be <paramref name="logits"/>.</param>
    /// <param name="gradientScale">Factor of the gradient: 1/rows for the gradient of the mean loss.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, tensors overlap in part, or one is on another device.</exception>
    public static void ForwardBackward<T>(
        DeviceStream stream, DeviceTensor<T> logits, DeviceTensor<int> labels, DeviceTensor<T> losses, DeviceTensor<T> dLogits, double gradientScale)
        where T : unmanaged
    {
        const string Op = "CrossEntropy.ForwardBackward";
        CheckShapes(Op, stream, logits, labels, losses);
        Check.Elementwise(Op, stream, logits, nameof(logits), dLogits, nameof(dLogits));
        Check.Disjoint(Op, labels, nameof(labels), dLogits, nameof(dLogits));
        Check.Disjoint(Op, losses, nameof(losses), dLogits, nameof(dLogits));
        Check.Finite(Op, gradientScale, nameof(gradientScale));
        Launch(stream, logits, labels, losses, dLogits, gradientScale);
    }

    private static void CheckShapes<T>(string op, DeviceStream stream, DeviceTensor<T> logits, DeviceTensor<int> labels, DeviceTensor<T> losses)
        where T : unmanaged
    {
        Check.FloatTensor(op, stream, logits, nameof(logits));
        Check.Tensor(op, stream, labels, nameof(labels));
        Check.FloatTensor(op, stream, losses, nameof(losses));
        Check.Rank(op, logits, nameof(logits), 2);
        Check.Shape(op, labels, nameof(labels), logits.Shape[0]);
        Check.Shape(op, losses, nameof(losses), logits.Shape[0]);
        Check.Disjoint(op, logits, nameof(logits), losses, nameof(losses));
        Check.Disjoint(op, labels, nameof(labels), losses, nameof(losses));
        if (logits.Shape[0] > 0 && logits.Shape[1] == 0) throw new ArgumentException($"{op}: {nameof(logits)} has rows of 0 classes.", nameof(logits));
    }

    private static void Launch<T>(
        DeviceStream stream, DeviceTensor<T> logits, DeviceTensor<int> labels, DeviceTensor<T> losses, DeviceTensor<T>? gradient, double scale)
        where T : unmanaged
    {
        (long rows, long classes) = (logits.Shape[0], logits.Shape[1]);
        if (rows == 0) return;
        stream.Launch(
            Kernel,
            new KernelVariant(logits.DType, Switches: gradient is null ? 0 : GradientSwitch),
            LaunchShape.GroupPerRow(rows),
            new CrossEntropyArguments(
                logits.Argument, labels.Argument, losses.Argument, gradient?.Argument ?? default, (ulong)rows, (ulong)classes, scale));
    }

    internal readonly record struct CrossEntropyArguments(
        TensorArgument Logits, TensorArgument Labels, TensorArgument Losses, TensorArgument Gradient, ulong Rows, ulong Classes, double GradientScale)
        : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Logits);
            binder.Tensor(Labels);
            binder.Tensor(Losses);
            binder.Tensor(Gradient);
            binder.UInt64(Rows);
            binder.UInt64(Classes);
            binder.Real(GradientScale);
        }
    }

    private readonly struct CrossEntropyOnCpu : ICpuKernel<CrossEntropyArguments>
    {
        public static void Run<T>(in KernelVariant variant, in CrossEntropyArguments arguments)
            where T : unmanaged
        {
            CrossEntropyArguments a = arguments;
            bool writesGradient = (variant.Switches & GradientSwitch) != 0;
            (long rows, long classes) = ((long)a.Rows, (long)a.Classes);
            CpuParallel.ForRange(rows, Math.Max(1, CpuParallel.ElementsPerChunk / 4 / classes), (first, end) =>
            {
                for (long row = first; row < end; row++)
                {
                    T* gradient = writesGradient ? a.Gradient.Pointer<T>() + (row * classes) : null;
                    double loss = Row(a.Logits.Pointer<T>() + (row * classes), a.Labels.Pointer<int>()[row], classes, gradient, a.GradientScale);
                    a.Losses.Pointer<T>()[row] = CpuElement.FromDouble<T>(loss);
                }
            });
        }

        private static double Row<T>(T* logits, int label, long classes, T* gradient, double scale)
            where T : unmanaged
        {
            bool valid = label >= 0 && label < classes;
            double largest = double.NegativeInfinity;
            for (long k = 0; k < classes; k++) largest = Larger(largest, CpuElement.ToDouble(logits[k]));
            double sum = 0;
            for (long k = 0; k < classes; k++) sum += Math.Exp(CpuElement.ToDouble(logits[k]) - largest);
            double loss = valid ? Math.Log(sum) - (CpuElement.ToDouble(logits[label]) - largest) : double.NaN;
            for (long k = 0; gradient != null && k < classes; k++)
            {
                double probability = Math.Exp(CpuElement.ToDouble(logits[k]) - largest) / sum;
                gradient[k] = CpuElement.FromDouble<T>(valid ? scale * (probability - (k == label ? 1 : 0)) : 0);
            }

            return loss;
        }

        /// <summary>Passes over NaN, which reaches the result through the sum.</summary>
        private static double Larger(double a, double b) => b > a ? b : a;
    }
}
