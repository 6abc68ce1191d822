using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Softmax cross-entropy of rows of logits: loss[n] = -sum over k of w[k] * t[n, k] * log softmax(z[n])[k], with label smoothing, soft and
/// mixed targets, class weights, ignored labels, masked classes, z-loss and confidence penalty; losses and gradients in one pass over the
/// logits.
/// </summary>
/// <remarks>
/// <para>
/// The target: t = (1 - s) q + s / M, q from the <see cref="CrossEntropyTargets"/>, s from the smoothing, M the classes of the row that are
/// not masked. z-loss and confidence penalty are added to each row, times its weight in the normalizer. With c = w t, lse = log of the sum
/// of exp z, H = -sum of p log p: dz[k] = scale * (p[k] * (sum of c + 2 alpha lse + beta (log p[k] + H)) - c[k]).
/// </para>
/// <para>
/// A mean divides by the normalizer, with PyTorch's conventions: for labels the sum of w[label] over rows that are not ignored (for two
/// labels by their shares), for probabilities the number of such rows. It can be had as a tensor, and never leaves the device.
/// </para>
/// <para>
/// A logit of -Inf masks its class: probability 0, gradient +0 whatever else is in the row, no part of the smoothing, which is spread over
/// the others. If the target wants it all the same the loss is +Inf, and NaN in a row of nothing but -Inf. NaN or +Inf gives a NaN loss,
/// and a NaN gradient of the classes that are not masked, for that row alone. A class weight, share, probability or loss gradient that is
/// not finite counts as NaN; what is multiplied by 0 is not looked at. Finite logits never give NaN, however far they are apart. Ignored
/// rows are not read: loss 0, gradient +0.
/// </para>
/// <para>
/// A label outside [0, classes) that is not the ignore index gives a NaN loss and a zero gradient for its row, and the next synchronisation
/// of the stream throws a <see cref="DeviceDataException"/> with the row. Such a row counts once in the normalizer, as does one whose share
/// or weight is not finite: a row never spoils another one's gradient.
/// </para>
/// <para>
/// Logits and gradients are float, Half, BFloat16 or double. Losses, weights, shares, normalizer and the losses' gradient are float, double
/// for double, as is the arithmetic; gradients are rounded once. Sums have a fixed order. Up to 2^24 classes; rows * classes in 64 bits.
/// </para>
/// <para>
/// C. Szegedy et al., CVPR 2016 (smoothing); G. Pereyra et al., "Regularizing neural networks by penalizing confident output
/// distributions", 2017; M. Milakov and N. Gimelshein, 2018 (one pass).
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes or types that do not fit, a result that overlaps an argument, or a tensor
/// on another device, and <see cref="ArgumentOutOfRangeException"/> for settings outside their range, before anything is launched.
/// </para>
/// </remarks>
public static partial class CrossEntropy
{
    private const int ElementsPerItem = 8;

    /// <summary>What a piece of a row leaves: its largest logit and nine sums.</summary>
    private const int PieceSums = 10;

    /// <summary>Groups that a multiprocessor of a CUDA device has registers for.</summary>
    private const int ResidentGroups = 2;

    /// <summary>
    /// Values that one group adds, sixteen an item; further launches add the groups' sums in the same way: no sum of floats is long.
    /// </summary>
    private const long SumChunk = 4096;

    private static readonly KernelDefinition<CrossEntropyArguments> RowKernel =
        EntryPoints.CrossEntropy.Float<CpuRows>(vectorWidths: [1, 8], switches: ["HAS_TERMS"]);

    private static readonly KernelDefinition<CrossEntropyNormalizerArguments> NormalizerKernel =
        EntryPoints.CrossEntropyNormalizer.Float<CpuNormalizer>();

    private static readonly KernelDefinition<CrossEntropySumArguments> SumKernel = EntryPoints.CrossEntropySum.Float<CpuSum>();

    /// <summary>The losses.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="logits">Shape [rows, classes].</param>
    /// <param name="targets">The target of each row; a tensor of labels of shape [rows] will do.</param>
    /// <param name="classWeights">w, shape [classes], or null for ones.</param>
    /// <param name="losses">Result: shape [rows], or [1] when reduced.</param>
    /// <param name="normalizer">Result: the divisor of a mean, shape [1], whatever the reduction; null where it is not needed.</param>
    /// <param name="options">Smoothing, ignored labels, reduction, penalties.</param>
    internal static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> logits, CrossEntropyTargets targets, DeviceTensor<TReal>? classWeights,
        DeviceTensor<TReal> losses, DeviceTensor<TReal>? normalizer, CrossEntropyOptions options = default)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "CrossEntropy.Forward";
        CheckArguments(Op, stream, logits, targets, losses, options, classWeights, normalizer);
        Launch(Op, stream, logits, targets, losses, options, classWeights, normalizer, null, 0, null);
    }

    /// <summary>The losses and the gradient of the logits, in one pass over the logits.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="logits">Shape [rows, classes].</param>
    /// <param name="targets">As in <see cref="Forward{T, TReal}"/>.</param>
    /// <param name="classWeights">As in <see cref="Forward{T, TReal}"/>.</param>
    /// <param name="lossGradient">A factor of the gradient in device memory, shape [1], or [rows] when the losses are not reduced; null for
    /// 1.</param>
    /// <param name="losses">Result: shape [rows], or [1] when reduced; not scaled.</param>
    /// <param name="dLogits">Gradient of the (reduced) loss, shape of <paramref name="logits"/>; may be <paramref name="logits"/>.</param>
    /// <param name="normalizer">As in <see cref="Forward{T, TReal}"/>.</param>
    /// <param name="gradientScale">Factor of the gradient, finite.</param>
    /// <param name="options">Smoothing, ignored labels, reduction, penalties.</param>
    internal static void ForwardBackward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> logits, CrossEntropyTargets targets, DeviceTensor<TReal>? classWeights,
        DeviceTensor<TReal>? lossGradient, DeviceTensor<TReal> losses, DeviceTensor<T> dLogits, DeviceTensor<TReal>? normalizer,
        double gradientScale, CrossEntropyOptions options = default)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "CrossEntropy.ForwardBackward";
        CheckArguments(Op, stream, logits, targets, losses, options, classWeights, normalizer);
        CheckGradient(Op, stream, logits, targets, classWeights, losses, dLogits, gradientScale);
        if (normalizer is not null) Check.Disjoint(Op, normalizer, nameof(normalizer), dLogits, nameof(dLogits));
        if (lossGradient is not null)
        {
            Check.Tensor(Op, stream, lossGradient, nameof(lossGradient));
            bool perRow = options.Reduction == LossReduction.None && lossGradient.Length != 1;
            Check.Shape(Op, lossGradient, nameof(lossGradient), perRow ? logits.Shape[0] : 1);
            Check.Disjoint(Op, lossGradient, nameof(lossGradient), dLogits, nameof(dLogits));
            Check.Disjoint(Op, lossGradient, nameof(lossGradient), losses, nameof(losses));
            if (normalizer is not null) Check.Disjoint(Op, lossGradient, nameof(lossGradient), normalizer, nameof(normalizer));
        }

        Launch(Op, stream, logits, targets, losses, options, classWeights, normalizer, dLogits, gradientScale, lossGradient);
    }

    private static void CheckArguments<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> logits, CrossEntropyTargets targets, DeviceTensor<TReal> losses,
        CrossEntropyOptions options, DeviceTensor<TReal>? classWeights, DeviceTensor<TReal>? normalizer)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.FloatTensor(op, stream, logits, nameof(logits));
        Check.FloatTensor(op, stream, losses, nameof(losses));
        Check.Rank(op, logits, nameof(logits), 2);
        (long rows, long classes) = (logits.Shape[0], logits.Shape[1]);
        if (rows > 0 && classes == 0) throw new ArgumentException($"{op}: {nameof(logits)} has rows of 0 classes.", nameof(logits));
        Check.SoftmaxRow(op, logits, nameof(logits));
        Check.Real(op, logits, losses, nameof(losses));
        CheckOptions(op, options);
        targets.CheckFits(op, stream, logits, options.IgnoreIndex is not null);
        Check.Shape(op, losses, nameof(losses), options.Reduction == LossReduction.None ? rows : 1);
        Check.Disjoint(op, logits, nameof(logits), losses, nameof(losses));
        CheckOutput(op, targets, losses, nameof(losses), classWeights);
        CheckWeights(op, stream, classWeights, classes);
        if (normalizer is null) return;
        Check.Tensor(op, stream, normalizer, nameof(normalizer));
        Check.Shape(op, normalizer, nameof(normalizer), 1);
        Check.Disjoint(op, logits, nameof(logits), normalizer, nameof(normalizer));
        Check.Disjoint(op, losses, nameof(losses), normalizer, nameof(normalizer));
        CheckOutput(op, targets, normalizer, nameof(normalizer), classWeights);
    }

    private static void CheckWeights<TReal>(string op, DeviceStream stream, DeviceTensor<TReal>? classWeights, long classes)
        where TReal : unmanaged
    {
        if (classWeights is null) return;
        Check.Tensor(op, stream, classWeights, nameof(classWeights));
        Check.Shape(op, classWeights, nameof(classWeights), classes);
    }

    /// <summary>The gradient that is to be written, and its factor.</summary>
    private static void CheckGradient<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> logits, CrossEntropyTargets targets, DeviceTensor<TReal>? classWeights,
        DeviceTensor<TReal> losses, DeviceTensor<T> dLogits, double gradientScale)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.Elementwise(op, stream, logits, nameof(logits), dLogits, nameof(dLogits));
        Check.Finite(op, gradientScale, nameof(gradientScale));
        CheckOutput(op, targets, dLogits, nameof(dLogits), classWeights);
        Check.Disjoint(op, losses, nameof(losses), dLogits, nameof(dLogits));
    }

    private static void CheckOptions(string op, CrossEntropyOptions options)
    {
        Check.Probability(op, options.Smoothing, nameof(options.Smoothing));
        Check.AtLeast(op, options.ZLoss, nameof(options.ZLoss), 0);
        Check.AtLeast(op, options.ConfidencePenalty, nameof(options.ConfidencePenalty), 0);
        Check.Finite(op, options.EntropyThreshold ?? 0, nameof(options.EntropyThreshold));
        Check.Defined(op, options.SmoothingConvention, nameof(options.SmoothingConvention));
        Check.Defined(op, options.Reduction, nameof(options.Reduction));
        Check.Defined(op, options.EmptyMean, nameof(options.EmptyMean));
    }

    /// <summary>A result that overlaps neither targets nor weights.</summary>
    private static void CheckOutput<T, TReal>(
        string op, CrossEntropyTargets targets, DeviceTensor<T> output, string name, DeviceTensor<TReal>? classWeights)
        where T : unmanaged
        where TReal : unmanaged
    {
        targets.CheckDisjoint(op, output, name);
        if (classWeights is not null) Check.Disjoint(op, classWeights, nameof(classWeights), output, name);
    }

    private static void Launch<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> logits, CrossEntropyTargets targets, DeviceTensor<TReal> losses,
        CrossEntropyOptions options, DeviceTensor<TReal>? classWeights, DeviceTensor<TReal>? normalizer, DeviceTensor<T>? gradient,
        double gradientScale, DeviceTensor<TReal>? lossGradient, DeviceTensor<TReal>? givenDivisor = null)
        where T : unmanaged
        where TReal : unmanaged
    {
        (long rows, long classes) = (logits.Shape[0], logits.Shape[1]);
        bool isMean = options.Reduction == LossReduction.Mean, isSoft = targets.Probabilities is not null;
        TargetArguments target = Target(targets, classWeights, options);
        double emptyMean = options.EmptyMean == EmptyMean.Zero ? 0 : double.NaN;

        // Where every row counts once the host divides by their number, whether the normalizer is asked for or not.
        bool allCount = AllCount(targets, classWeights, options);
        bool dividesByWeights = isMean && !allCount && givenDivisor is null;
        using Rented<TReal> weightSum = new(stream, dividesByWeights && normalizer is null, 1);
        TensorArgument total = normalizer?.Argument ?? weightSum.Argument;
        if (dividesByWeights || normalizer is not null)
            SumWeights<TReal>(stream, logits.DType, target, rows, classes, isSoft || allCount, total);

        TensorArgument divisor = givenDivisor?.Argument ?? (dividesByWeights ? total : default);
        double factor = !isMean || dividesByWeights || givenDivisor is not null ? 1 : rows == 0 ? emptyMean : 1.0 / rows;
        bool isReduced = options.Reduction != LossReduction.None;
        using Rented<TReal> rowLosses = new(stream, isReduced, rows);
        if (rows > 0)
        {
            using DataErrorSlot error = stream.DataErrorSlot(op, $"of the rows has a label outside the {classes} classes");
            bool wide = classes % ElementsPerItem == 0 && logits.IsVectorAligned && gradient?.IsVectorAligned != false
                && (targets.Probabilities as DeviceTensor<T>)?.IsVectorAligned != false;
            bool hasTerms = isSoft || (classWeights is not null && options.Smoothing != 0);
            KernelVariant variant = new(logits.DType, wide ? ElementsPerItem : 1, hasTerms ? 1u : 0);
            SoftmaxSplit split = SoftmaxSplit.Of(stream.Device, RowKernel, variant, rows, classes, ResidentGroups);
            using ScratchPool.Lease<byte>? sums = split.Rent(stream, logits.DType, PieceSums);
            CrossEntropyArguments arguments = new()
            {
                Logits = logits.Argument,
                Target = target,
                Probabilities = targets.ProbabilitiesArgument,
                Normalizer = divisor,
                LossGradient = lossGradient?.Argument ?? default,
                Losses = isReduced ? rowLosses.Argument : losses.Argument,
                Gradient = gradient?.Argument ?? default,
                Error = error.Argument,
                Rows = (ulong)rows,
                Classes = (ulong)classes,
                LossGradientStride = lossGradient?.Length > 1 ? 1u : 0,
                Smoothing = options.Smoothing,
                OthersOnly = options.SmoothingConvention == LabelSmoothing.OtherClasses ? 1u : 0,
                LsePenalty = options.ZLoss,
                Penalty = options.ConfidencePenalty,
                HasThreshold = options.EntropyThreshold is null ? 0u : 1,
                Threshold = options.EntropyThreshold ?? 0,
                EmptyMean = emptyMean,
                GradientScale = gradientScale * factor,
                Split = default, // of the pass
            };
            foreach (bool sumsOnly in split.Passes)
                stream.Launch(RowKernel, variant, split.Shape, arguments with { Split = split.Arguments(sums, sumsOnly) });
        }

        TensorArgument lossDivisor = isMean ? divisor : default;
        if (isReduced) Sum<TReal>(stream, logits.DType, rowLosses.Argument, rows, lossDivisor, factor, emptyMean, losses.Argument);
    }

    private static TargetArguments Target<TReal>(
        CrossEntropyTargets targets, DeviceTensor<TReal>? classWeights, CrossEntropyOptions options)
        where TReal : unmanaged => new()
        {
            Labels = targets.Labels?.Argument ?? default,
            OtherLabels = targets.OtherLabels?.Argument ?? default,
            LabelShares = targets.SharesArgument,
            ClassWeights = classWeights?.Argument ?? default,
            Ignores = options.IgnoreIndex is null ? 0u : 1u,
            IgnoreIndex = (uint)(options.IgnoreIndex ?? 0),
        };

    /// <summary>Every row counts once in the normalizer.</summary>
    private static bool AllCount<TReal>(CrossEntropyTargets targets, DeviceTensor<TReal>? classWeights, CrossEntropyOptions options)
        where TReal : unmanaged => options.IgnoreIndex is null && (classWeights is null || targets.Probabilities is not null);

    private static void SumWeights<TReal>(
        DeviceStream stream, DType dtype, TargetArguments target, long rows, long classes, bool countsRows, TensorArgument total)
        where TReal : unmanaged
    {
        long parts = Parts(rows);
        using Rented<TReal> partial = new(stream, parts > 1, parts);
        TensorArgument sums = parts > 1 ? partial.Argument : total;
        stream.Launch(
            NormalizerKernel,
            new KernelVariant(dtype),
            LaunchShape.GroupPerRow(parts),
            new CrossEntropyNormalizerArguments
            {
                Target = target,
                Sums = sums,
                Rows = (ulong)rows,
                Parts = (ulong)parts,
                Chunk = (ulong)SumChunk,
                Classes = (ulong)classes,
                CountsRows = countsRows ? 1u : 0,
            });
        if (parts > 1) Sum<TReal>(stream, dtype, partial.Argument, parts, default, 1, 0, total);
    }

    /// <summary>The sum of values, divided by the normalizer in device memory if there is one, else times a factor.</summary>
    internal static void Sum<TReal>(
        DeviceStream stream, DType dtype, TensorArgument values, long count, TensorArgument divisor, double factor, double emptyMean,
        TensorArgument total)
        where TReal : unmanaged
    {
        long parts = Parts(count);
        using Rented<TReal> partial = new(stream, parts > 1, parts);
        CrossEntropySumArguments sum = new()
        {
            Values = values,
            Normalizer = divisor,
            Sums = total,
            Count = (ulong)count,
            Parts = (ulong)parts,
            Chunk = (ulong)SumChunk,
            Factor = factor,
            EmptyMean = emptyMean,
        };
        if (parts > 1) sum = sum with { Normalizer = default, Sums = partial.Argument, Factor = 1 };
        stream.Launch(SumKernel, new KernelVariant(dtype), LaunchShape.GroupPerRow(parts), sum);
        if (parts > 1) Sum<TReal>(stream, dtype, partial.Argument, parts, divisor, factor, emptyMean, total);
    }

    private static long Parts(long count) => Math.Max(1, (count + SumChunk - 1) / SumChunk);

    /// <summary>Scratch memory, if it is needed.</summary>
    private readonly struct Rented<TReal>(DeviceStream stream, bool isNeeded, long length) : IDisposable
        where TReal : unmanaged
    {
        private readonly ScratchPool.Lease<TReal>? _lease = isNeeded ? stream.RentScratch<TReal>(length) : null;

        public TensorArgument Argument => _lease?.Argument ?? default;

        public void Dispose() => _lease?.Dispose();
    }
}
