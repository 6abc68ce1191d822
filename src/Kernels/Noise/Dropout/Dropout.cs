using Kernels.Devices;

namespace Kernels;

/// <summary>The place where dropout makes up for the dropped elements: training or inference.</summary>
public enum DropoutScaling
{
    /// <summary>Training multiplies kept elements by 65536/T; inference is the identity. What frameworks call dropout today.</summary>
    Inverted,

    /// <summary>
    /// Training leaves kept elements as they are; inference multiplies by the keep probability T/65536. The original paper.
    /// </summary>
    Original,
}

/// <summary>Settings of <see cref="Dropout"/>; the default is inverted scaling of a whole tensor.</summary>
public readonly record struct DropoutOptions
{
    /// <summary>The place where dropout makes up for the dropped elements: training or inference.</summary>
    public DropoutScaling Scaling { get; init; }

    /// <summary>
    /// Index of the first element in the whole tensor of which the argument is a shard, so that the shards' masks together are the mask of
    /// the whole.
    /// </summary>
    public ulong GlobalStart { get; init; }
}

/// <summary>
/// Dropout: y = m * x / q in training, with m drawn per element, P(m = 1) = q; the identity at inference.
/// </summary>
/// <remarks>
/// <para>
/// Element i (plus <see cref="DropoutOptions.GlobalStart"/>) takes <see cref="Philox.Lane">lane</see> i and is kept iff lane &lt; T;
/// q = T/65536 is the realised keep probability (<see cref="KeepThreshold"/>), so E[y] = x. The mask is not stored: <see cref="Backward"/>
/// draws it again from the same key. It does not depend on the device, the launch or how the tensor is sharded.
/// </para>
/// <para>
/// Dropped elements are +0 also where x is NaN or infinite; kept NaN and infinities stay. p = 0 copies, p = 1 writes zeros, both without
/// drawing. Types: float, Half, BFloat16, double; the product is rounded once. Any shape, including empty; the destination may be the
/// source itself.
/// </para>
/// <para>
/// N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: a simple way to prevent neural networks from
/// overfitting", JMLR 15, 2014.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that differ, tensors that overlap in part or live on another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a probability that is NaN or outside [0, 1], before anything is launched.
/// </para>
/// </remarks>
public static partial class Dropout
{
    private const string ForwardName = "Dropout.Forward";
    private const string BackwardName = "Dropout.Backward";

    private static readonly KernelDefinition<DropoutApplyArguments> ApplyKernel =
        EntryPoints.DropoutApply.Float<CpuApply>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<DropoutScaleArguments> ScaleKernel =
        EntryPoints.DropoutScale.Float<CpuScale>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<DropoutMaskArguments> MaskKernel = EntryPoints.DropoutMask.Fixed(CpuMask);

    private static readonly KernelDefinition<DropoutApplyMaskArguments> ApplyMaskKernel =
        EntryPoints.DropoutApplyMask.Float<CpuApplyMask>(vectorWidths: [1, 8]);

    /// <summary>Training: y = m * x / q (inverted scaling) or y = m * x (original scaling).</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="dropProbability">Probability p to drop an element, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Scaling and shard start.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double dropProbability, RandomKeySource key,
        DropoutOptions options = default)
        where T : unmanaged
    {
        Check.Elementwise(ForwardName, stream, x, nameof(x), y, nameof(y));
        Check.Key(ForwardName, stream, key, nameof(key));
        Apply(ForwardName, stream, x, y, dropProbability, key, options);
    }

    /// <summary>
    /// Gradient: dx = m * dy / q (or m * dy) with the mask of the forward call that had the same key, probability and options.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output, any shape.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/>.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> dx, double dropProbability, RandomKeySource key,
        DropoutOptions options = default)
        where T : unmanaged
    {
        Check.Elementwise(BackwardName, stream, dy, nameof(dy), dx, nameof(dx));
        Check.Key(BackwardName, stream, key, nameof(key));
        Apply(BackwardName, stream, dy, dx, dropProbability, key, options);
    }

    /// <summary>Inference: y = x under inverted scaling, y = q * x under original scaling. Draws nothing.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>, which costs nothing under inverted
    /// scaling.</param>
    /// <param name="dropProbability">The probability of training.</param>
    /// <param name="scaling">The scaling of training.</param>
    public static void Infer<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double dropProbability, DropoutScaling scaling = DropoutScaling.Inverted)
        where T : unmanaged
    {
        const string Op = "Dropout.Infer";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Defined(Op, scaling, nameof(scaling));
        KeepThreshold threshold = Threshold(Op, dropProbability);
        if (scaling == DropoutScaling.Inverted || threshold.KeepsAll)
        {
            stream.Copy(x, y);
            return;
        }

        if (x.Length == 0) return;
        bool vectors = x.IsVectorAligned && y.IsVectorAligned;
        stream.Launch(
            ScaleKernel,
            new KernelVariant(x.DType, vectors ? Philox.LanesPerBlock : 1),
            LaunchShape.Items((x.Length / Philox.LanesPerBlock) + 1, ScaleKernel),
            new DropoutScaleArguments { X = x.Argument, Y = y.Argument, Count = (ulong)x.Length, Scale = threshold.KeepProbability });
    }

    /// <summary>Writes the mask of a call as bits: bit i mod 32 of word i / 32, lowest first, is 1 where element i is kept.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="mask">Output, shape [ceil(count / 32)]; bits past the end are 0.</param>
    /// <param name="count">Number of elements.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward; the scaling does not matter.</param>
    public static void ExportMask(
        DeviceStream stream, DeviceTensor<uint> mask, long count, double dropProbability, RandomKeySource key,
        DropoutOptions options = default)
    {
        const string Op = "Dropout.ExportMask";
        Check.Tensor(Op, stream, mask, nameof(mask));
        if (count < 0) throw new ArgumentOutOfRangeException(nameof(count), count, $"{Op}: {nameof(count)} is at least 0.");
        Check.Shape(Op, mask, nameof(mask), MaskWords(count));
        Check.Key(Op, stream, key, nameof(key));
        Check.IndexRange(Op, count, options.GlobalStart);
        KeepThreshold threshold = Threshold(Op, dropProbability);
        if (count == 0) return;
        stream.Launch(
            MaskKernel,
            new KernelVariant(DType.Float32),
            LaunchShape.Items(mask.Length, MaskKernel),
            new DropoutMaskArguments
            {
                Mask = mask.Argument,
                Count = (ulong)count,
                Start = options.GlobalStart,
                Threshold = threshold.Value,
                Key = key.Argument,
            });
    }

    /// <summary>
    /// Forward or backward under a mask of one's own: y = bit * x / q (or bit * x), with bits as <see cref="ExportMask"/> writes them.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input (or gradient of the output), any shape.</param>
    /// <param name="mask">Bits, shape [ceil(length / 32)].</param>
    /// <param name="y">Output (or gradient of the input), shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="dropProbability">The probability the mask was made with, for the scale.</param>
    /// <param name="scaling">The place where dropout makes up for the dropped elements: training or inference.</param>
    public static void ApplyMask<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<uint> mask, DeviceTensor<T> y, double dropProbability,
        DropoutScaling scaling = DropoutScaling.Inverted)
        where T : unmanaged
    {
        const string Op = "Dropout.ApplyMask";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Tensor(Op, stream, mask, nameof(mask));
        Check.Shape(Op, mask, nameof(mask), MaskWords(x.Length));
        Check.Disjoint(Op, mask, nameof(mask), y, nameof(y));
        Check.Defined(Op, scaling, nameof(scaling));
        KeepThreshold threshold = Threshold(Op, dropProbability);
        if (x.Length == 0) return;
        stream.Launch(
            ApplyMaskKernel,
            new KernelVariant(x.DType, x.IsVectorAligned && y.IsVectorAligned ? 8 : 1),
            LaunchShape.Items((x.Length + 7) / 8, ApplyMaskKernel),
            new DropoutApplyMaskArguments
            {
                X = x.Argument,
                Mask = mask.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Scale = TrainingScale(threshold, scaling),
            });
    }

    /// <summary>Words of a packed mask for <paramref name="count"/> elements.</summary>
    public static long MaskWords(long count) => (count + 31) / 32;

    private static KeepThreshold Threshold(string op, double dropProbability)
    {
        Check.Probability(op, dropProbability, nameof(dropProbability));
        return KeepThreshold.FromDropProbability(dropProbability);
    }

    private static double TrainingScale(KeepThreshold threshold, DropoutScaling scaling) =>
        scaling == DropoutScaling.Inverted ? threshold.Scale : 1;

    private static void Apply<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double dropProbability, RandomKeySource key,
        DropoutOptions options)
        where T : unmanaged
    {
        KeepThreshold threshold = Threshold(op, dropProbability);
        Check.Defined(op, options.Scaling, nameof(options.Scaling));
        Check.IndexRange(op, x.Length, options.GlobalStart);
        if (threshold.KeepsAll)
            stream.Copy(x, y);
        else if (threshold.DropsAll)
            stream.Fill(y, default);
        else
            Launch(stream, x, y, threshold.Value, TrainingScale(threshold, options.Scaling), key, options.GlobalStart);
    }

    private static void Launch<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, uint threshold, double scale, RandomKeySource key, ulong start)
        where T : unmanaged
    {
        if (x.Length == 0) return;
        bool wholeBlocks = start % Philox.LanesPerBlock == 0 && x.IsVectorAligned && y.IsVectorAligned;
        stream.Launch(
            ApplyKernel,
            new KernelVariant(x.DType, wholeBlocks ? Philox.LanesPerBlock : 1),
            LaunchShape.Items((x.Length / Philox.LanesPerBlock) + 2, ApplyKernel),
            new DropoutApplyArguments
            {
                X = x.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Start = start,
                Threshold = threshold,
                Scale = scale,
                Key = key.Argument,
            });
    }
}
