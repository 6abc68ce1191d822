using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Entropy of softmax rows, in nats: H[n] = -sum over k of p[n, k] * log p[n, k], p = softmax(z[n]) over the classes that are not masked.
/// </summary>
/// <remarks>
/// <para>
/// Signs: <see cref="Backward{T, TReal}"/> gives the gradient of the entropy itself, dz[k] = scale * dH[n] * -p[k] (log p[k] + H[n]), so a
/// step along it makes rows more uniform. A loss that is minimised and should keep the entropy up (the bonus of policy gradients, L -
/// beta * mean H, or a confidence penalty) passes dH = -beta / rows; entropy minimisation (Grandvalet and Bengio, 2005), L + beta * mean H,
/// passes the same with a plus.
/// </para>
/// <para>
/// A class takes no part where its logit is -Inf or its mask is 0: probability 0, 0 * log 0 = 0, gradient +0. A row without classes has the
/// entropy 0 and gradient +0. Other NaN and +Inf logits make the row's entropy, and the gradient of its classes that take part, NaN. A dH
/// that is not finite counts as NaN; a row whose dH is 0 is not read and has the gradient +0, whatever its logits.
/// </para>
/// <para>
/// Logits and gradients are float, Half, BFloat16 or double. Entropies and their gradients are float, double for double, as is the
/// arithmetic. Sums have a fixed order. Up to 2^24 classes.
/// </para>
/// <para>
/// R. J. Williams and J. Peng, "Function optimization using connectionist reinforcement learning algorithms", 1991; V. Mnih et al., ICML
/// 2016.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes or types that do not fit, a result that overlaps an argument, or a tensor
/// on another device, before anything is launched.
/// </para>
/// </remarks>
public static partial class Entropy
{
    /// <summary>What a piece of a row leaves: its largest logit, sum and moment.</summary>
    private const int PieceSums = 3;

    /// <summary>Groups of each kernel that a multiprocessor of a CUDA device has registers for.</summary>
    private const int ResidentForward = 4, ResidentBackward = 2;

    private static readonly KernelDefinition<EntropyForwardArguments> ForwardKernel =
        EntryPoints.EntropyForward.Float<CpuForward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<EntropyBackwardArguments> BackwardKernel =
        EntryPoints.EntropyBackward.Float<CpuBackward>(vectorWidths: [1, 8]);

    /// <summary>The entropy of each row.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="logits">Shape [rows, classes].</param>
    /// <param name="mask">0 for classes that take no part, shape of <paramref name="logits"/>; null when all do.</param>
    /// <param name="entropies">Result, shape [rows].</param>
    internal static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> logits, DeviceTensor<byte>? mask, DeviceTensor<TReal> entropies)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "Entropy.Forward";
        Check.FloatTensor(Op, stream, logits, nameof(logits));
        CheckRows(Op, stream, logits, entropies, nameof(entropies), mask);
        Check.Shape(Op, entropies, nameof(entropies), logits.Shape[0]);
        Check.Disjoint(Op, logits, nameof(logits), entropies, nameof(entropies));
        if (mask is not null) Check.Disjoint(Op, mask, nameof(mask), entropies, nameof(entropies));
        (long rows, long classes) = (logits.Shape[0], logits.Shape[1]);
        if (rows == 0) return;
        KernelVariant variant = Variant(logits, logits);
        SoftmaxSplit split = SoftmaxSplit.Of(stream.Device, ForwardKernel, variant, rows, classes, ResidentForward);
        using ScratchPool.Lease<byte>? sums = split.Rent(stream, logits.DType, PieceSums);
        EntropyForwardArguments arguments = new()
        {
            Logits = logits.Argument,
            Mask = mask?.Argument ?? default,
            Entropies = entropies.Argument,
            Rows = (ulong)rows,
            Classes = (ulong)classes,
            Split = default, // of the pass
        };
        foreach (bool sumsOnly in split.Passes)
            stream.Launch(ForwardKernel, variant, split.Shape, arguments with { Split = split.Arguments(sums, sumsOnly) });
    }

    /// <summary>Gradient: dz[n, k] = gradientScale * dH[n] * -p[n, k] * (log p[n, k] + H[n]).</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="logits">As in forward.</param>
    /// <param name="mask">As in forward.</param>
    /// <param name="entropyGradient">dH, in device memory: shape [rows], or [1] for all rows.</param>
    /// <param name="dLogits">Gradient, shape of <paramref name="logits"/>; may be <paramref name="logits"/>.</param>
    /// <param name="gradientScale">Factor of the gradient.</param>
    internal static void Backward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> logits, DeviceTensor<byte>? mask, DeviceTensor<TReal> entropyGradient,
        DeviceTensor<T> dLogits, double gradientScale = 1)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "Entropy.Backward";
        Check.Elementwise(Op, stream, logits, nameof(logits), dLogits, nameof(dLogits));
        CheckRows(Op, stream, logits, entropyGradient, nameof(entropyGradient), mask);
        (long rows, long classes) = (logits.Shape[0], logits.Shape[1]);
        Check.Shape(Op, entropyGradient, nameof(entropyGradient), entropyGradient.Length == 1 ? 1 : rows);
        Check.Finite(Op, gradientScale, nameof(gradientScale));
        Check.Disjoint(Op, entropyGradient, nameof(entropyGradient), dLogits, nameof(dLogits));
        if (mask is not null) Check.Disjoint(Op, mask, nameof(mask), dLogits, nameof(dLogits));
        if (rows == 0) return;
        KernelVariant variant = Variant(logits, dLogits);
        SoftmaxSplit split = SoftmaxSplit.Of(stream.Device, BackwardKernel, variant, rows, classes, ResidentBackward);
        using ScratchPool.Lease<byte>? sums = split.Rent(stream, logits.DType, PieceSums);
        EntropyBackwardArguments arguments = new()
        {
            Logits = logits.Argument,
            Mask = mask?.Argument ?? default,
            EntropyGradient = entropyGradient.Argument,
            Gradient = dLogits.Argument,
            Rows = (ulong)rows,
            Classes = (ulong)classes,
            EntropyGradientStride = entropyGradient.Length > 1 ? 1u : 0,
            GradientScale = gradientScale,
            Split = default, // of the pass
        };
        foreach (bool sumsOnly in split.Passes)
            stream.Launch(BackwardKernel, variant, split.Shape, arguments with { Split = split.Arguments(sums, sumsOnly) });
    }

    private static void CheckRows<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> logits, DeviceTensor<TReal> perRow, string name, DeviceTensor<byte>? mask)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.Rank(op, logits, nameof(logits), 2);
        if (logits.Shape[0] > 0 && logits.Shape[1] == 0)
            throw new ArgumentException($"{op}: {nameof(logits)} has rows of 0 classes.", nameof(logits));
        Check.SoftmaxRow(op, logits, nameof(logits));
        Check.FloatTensor(op, stream, perRow, name);
        Check.Real(op, logits, perRow, name);
        if (mask is null) return;
        Check.Tensor(op, stream, mask, nameof(mask));
        Check.Shape(op, mask, nameof(mask), logits.Shape);
    }

    private static KernelVariant Variant<T>(DeviceTensor<T> logits, DeviceTensor<T> gradient)
        where T : unmanaged =>
        new(logits.DType, logits.Shape[1] % 8 == 0 && logits.IsVectorAligned && gradient.IsVectorAligned ? 8 : 1);
}
