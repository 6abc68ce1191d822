using Kernels.Devices;

namespace Kernels;

/// <summary>The form of the losses of a generative adversarial network; r and g are logits of real and of generated samples.</summary>
public enum GanLossForm
{
    /// <summary>
    /// The logistic loss: discriminator mean softplus(-r) + mean softplus(g), generator mean softplus(-g), which does not saturate where
    /// the discriminator wins (Goodfellow et al., "Generative adversarial nets", NeurIPS 2014).
    /// </summary>
    NonSaturating,

    /// <summary>
    /// The hinge: discriminator mean max(0, 1 - r) + mean max(0, 1 + g), generator -mean g (J. H. Lim and J. C. Ye, "Geometric GAN", 2017;
    /// T. Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018).
    /// </summary>
    Hinge,
}

/// <summary>
/// Losses of generative adversarial networks from the discriminator's logits: for each side the value, the share of logits above 0 and the
/// gradient, in one pass.
/// </summary>
/// <remarks>
/// <para>
/// softplus(z) = log(1 + e^z), which overflows for no z. Each side has its own mean, so the numbers of real and generated logits may
/// differ; the mean of none is 0. The gradient at the corner of a hinge is 0. The share of logits above 0 is what adaptive discriminator
/// augmentation goes by: E[sign(D(x))] = 2 share - 1 (T. Karras et al., "Training generative adversarial networks with limited data",
/// NeurIPS 2020).
/// </para>
/// <para>
/// Logits and gradients are float, Half, BFloat16 or double; summaries and the loss gradient are float, double for double, as is the
/// arithmetic. Sums have an order that depends on the numbers of logits alone. NaN makes its side's loss NaN and is not above 0; so is its
/// gradient, but in the hinge, whose slopes are constants. A loss gradient that is not finite counts as NaN.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes or types that do not fit, results that overlap one another or an
/// argument in part, or a tensor on another device, and <see cref="ArgumentOutOfRangeException"/> for settings outside their range,
/// before anything is launched.
/// </para>
/// </remarks>
public static partial class GanLoss
{
    /// <summary>Logits of a block, and blocks that one group adds, two an item; a second launch adds the groups' sums.</summary>
    private const long BlockLogits = Philox.LanesPerBlock, PartBlocks = 512;

    /// <summary>A side begins with a block of such a number, so that whole warps are of one side.</summary>
    private const long SideBlocks = 32;

    private static readonly KernelDefinition<GanLossArguments> Kernel = EntryPoints.GanLoss.Float<CpuParts>(vectorWidths: [1, 8]);

    /// <summary>The functions of <c>gan_loss.cl</c>, by the numbers that they have there.</summary>
    private enum Function : uint
    {
        Softplus,
        Hinge,
        Identity,
    }

    /// <summary>The discriminator's losses and their gradients.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="realLogits">Logits of real samples, any shape.</param>
    /// <param name="generatedLogits">Logits of generated samples, any shape.</param>
    /// <param name="lossGradient">A factor of the gradients in device memory, shape [1]; null for 1.</param>
    /// <param name="summary">Result, shape [4]: the loss of the real logits, that of the generated ones (the discriminator's loss is their
    /// sum), the share of real logits above 0, that of generated ones. Not scaled.</param>
    /// <param name="dReal">Gradient of the real logits, their shape, or null when it is not needed; may be the logits.</param>
    /// <param name="dGenerated">Gradient of the generated logits, their shape, or null when it is not needed; may be the logits.</param>
    /// <param name="gradientScale">Factor of the gradients, finite.</param>
    /// <param name="form">Which losses.</param>
    internal static void Discriminator<T, TReal>(
        DeviceStream stream, DeviceTensor<T> realLogits, DeviceTensor<T> generatedLogits, DeviceTensor<TReal>? lossGradient,
        DeviceTensor<TReal> summary, DeviceTensor<T>? dReal, DeviceTensor<T>? dGenerated, double gradientScale, GanLossForm form)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "GanLoss.Discriminator";
        CheckSide(Op, stream, realLogits, nameof(realLogits), dReal, nameof(dReal), lossGradient, summary);
        CheckSide(Op, stream, generatedLogits, nameof(generatedLogits), dGenerated, nameof(dGenerated), lossGradient, summary);
        if (dReal is not null) Check.Disjoint(Op, generatedLogits, nameof(generatedLogits), dReal, nameof(dReal));
        if (dGenerated is not null) Check.Disjoint(Op, realLogits, nameof(realLogits), dGenerated, nameof(dGenerated));
        if (dReal is not null && dGenerated is not null) Check.Disjoint(Op, dReal, nameof(dReal), dGenerated, nameof(dGenerated));
        CheckSettings(Op, stream, lossGradient, summary, 4, gradientScale, form);
        Function function = form == GanLossForm.Hinge ? Function.Hinge : Function.Softplus;
        Launch(stream, realLogits, generatedLogits, lossGradient, summary, dReal, dGenerated, gradientScale, function);
    }

    /// <summary>The generator's loss and its gradient.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="generatedLogits">Logits of generated samples, any shape.</param>
    /// <param name="lossGradient">A factor of the gradient in device memory, shape [1]; null for 1.</param>
    /// <param name="summary">Result, shape [2]: the loss, and the share of logits above 0. Not scaled.</param>
    /// <param name="dGenerated">Gradient of the logits, their shape, or null when it is not needed; may be the logits.</param>
    /// <param name="gradientScale">Factor of the gradient, finite.</param>
    /// <param name="form">Which loss.</param>
    internal static void Generator<T, TReal>(
        DeviceStream stream, DeviceTensor<T> generatedLogits, DeviceTensor<TReal>? lossGradient, DeviceTensor<TReal> summary,
        DeviceTensor<T>? dGenerated, double gradientScale, GanLossForm form)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "GanLoss.Generator";
        CheckSide(Op, stream, generatedLogits, nameof(generatedLogits), dGenerated, nameof(dGenerated), lossGradient, summary);
        CheckSettings(Op, stream, lossGradient, summary, 2, gradientScale, form);
        Function function = form == GanLossForm.Hinge ? Function.Identity : Function.Softplus;
        Launch(stream, generatedLogits, null, lossGradient, summary, dGenerated, null, gradientScale, function);
    }

    private static void CheckSide<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> logits, string name, DeviceTensor<T>? gradient, string gradientName,
        DeviceTensor<TReal>? lossGradient, DeviceTensor<TReal> summary)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.FloatTensor(op, stream, logits, name);
        Check.FloatTensor(op, stream, summary, nameof(summary));
        Check.Disjoint(op, logits, name, summary, nameof(summary));
        if (gradient is null) return;
        Check.Elementwise(op, stream, logits, name, gradient, gradientName);
        Check.Disjoint(op, summary, nameof(summary), gradient, gradientName);
        if (lossGradient is not null) Check.Disjoint(op, lossGradient, nameof(lossGradient), gradient, gradientName);
    }

    private static void CheckSettings<TReal>(
        string op, DeviceStream stream, DeviceTensor<TReal>? lossGradient, DeviceTensor<TReal> summary, long length, double gradientScale,
        GanLossForm form)
        where TReal : unmanaged
    {
        Check.Shape(op, summary, nameof(summary), length);
        Check.Finite(op, gradientScale, nameof(gradientScale));
        Check.Defined(op, form, nameof(form));
        if (lossGradient is null) return;
        Check.Tensor(op, stream, lossGradient, nameof(lossGradient));
        Check.Shape(op, lossGradient, nameof(lossGradient), 1);
        Check.Disjoint(op, lossGradient, nameof(lossGradient), summary, nameof(summary));
    }

    private static void Launch<T, TReal>(
        DeviceStream stream, DeviceTensor<T> raised, DeviceTensor<T>? lowered, DeviceTensor<TReal>? lossGradient,
        DeviceTensor<TReal> summary, DeviceTensor<T>? dRaised, DeviceTensor<T>? dLowered, double gradientScale, Function function)
        where T : unmanaged
        where TReal : unmanaged
    {
        long loweredCount = lowered?.Length ?? 0, loweredBlock = CeilingOf(raised.Length, SideBlocks * BlockLogits) * SideBlocks;
        long blocks = loweredCount == 0 ? CeilingOf(raised.Length, BlockLogits) : loweredBlock + CeilingOf(loweredCount, BlockLogits);
        long parts = Math.Max(1, CeilingOf(blocks, PartBlocks));
        bool isWide = raised.IsVectorAligned && lowered?.IsVectorAligned != false && dRaised?.IsVectorAligned != false
            && dLowered?.IsVectorAligned != false;
        using ScratchPool.Lease<TReal> sums = stream.RentScratch<TReal>(parts > 1 ? parts * summary.Length : 0);
        stream.Launch(
            Kernel,
            new KernelVariant(raised.DType, isWide ? (int)BlockLogits : 1),
            LaunchShape.GroupPerRow(parts),
            new GanLossArguments
            {
                Raised = raised.Argument,
                Lowered = lowered?.Argument ?? default,
                LossGradient = lossGradient?.Argument ?? default,
                Draised = dRaised?.Argument ?? default,
                Dlowered = dLowered?.Argument ?? default,
                Sums = parts > 1 ? sums.Argument : summary.Argument,
                RaisedCount = (ulong)raised.Length,
                LoweredCount = (ulong)loweredCount,
                LoweredBlock = (ulong)loweredBlock,
                Parts = (ulong)parts,
                PartBlocks = (ulong)PartBlocks,
                Form = (uint)function,
                Sides = lowered is null ? 1u : 2,
                RaisedShare = ShareOf(raised.Length),
                LoweredShare = ShareOf(loweredCount),
                GradientScale = gradientScale,
            });
        if (parts > 1) PartialSums.Reduce(stream, sums.Argument, summary, parts);

        static long CeilingOf(long count, long size) => (count + size - 1) / size;

        static double ShareOf(long elements) => elements == 0 ? 0 : 1.0 / elements;
    }
}
