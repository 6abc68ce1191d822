using Kernels.Devices;

namespace Kernels;

/// <summary>
/// The target of a row: a label, two labels with shares, or a probability for each class. A tensor of labels converts by itself.
/// </summary>
public readonly record struct CrossEntropyTargets
{
    private CrossEntropyTargets(DeviceTensor<int>? labels, DeviceTensor<int>? otherLabels, object? shares, object? probabilities) =>
        (Labels, OtherLabels, Shares, Probabilities) = (labels, otherLabels, shares, probabilities);

    internal DeviceTensor<int>? Labels { get; }

    internal DeviceTensor<int>? OtherLabels { get; }

    /// <summary>A tensor of the arithmetic type.</summary>
    internal object? Shares { get; }

    /// <summary>A tensor of the logits' type.</summary>
    internal object? Probabilities { get; }

    /// <summary>One label a row.</summary>
    /// <param name="labels">Shape [rows], each in [0, classes) or the ignore index.</param>
    public static CrossEntropyTargets Hard(DeviceTensor<int> labels)
    {
        if (labels is null) throw new ArgumentNullException(nameof(labels), $"{nameof(CrossEntropyTargets)}: {nameof(labels)} is null.");
        return new CrossEntropyTargets(labels, null, null, null);
    }

    /// <summary>
    /// Two labels a row, as mixup and CutMix make them: the loss is share * loss(label) + (1 - share) * loss(other label), and the
    /// normalizer likewise. A label that is ignored takes its part of the loss with it.
    /// </summary>
    /// <param name="labels">Shape [rows], each in [0, classes) or the ignore index.</param>
    /// <param name="otherLabels">Shape [rows], the same.</param>
    /// <param name="shares">The share of the first label (lambda), shape [rows]: float, or double for double logits.</param>
    public static CrossEntropyTargets Mixed<TReal>(DeviceTensor<int> labels, DeviceTensor<int> otherLabels, DeviceTensor<TReal> shares)
        where TReal : unmanaged
    {
        if (labels is null) throw new ArgumentNullException(nameof(labels), $"{nameof(CrossEntropyTargets)}: {nameof(labels)} is null.");
        if (otherLabels is null)
            throw new ArgumentNullException(nameof(otherLabels), $"{nameof(CrossEntropyTargets)}: {nameof(otherLabels)} is null.");
        if (shares is null) throw new ArgumentNullException(nameof(shares), $"{nameof(CrossEntropyTargets)}: {nameof(shares)} is null.");
        return new CrossEntropyTargets(labels, otherLabels, shares, null);
    }

    /// <summary>A probability for each class. They are not checked and need not add up to 1.</summary>
    /// <param name="probabilities">Shape and type of the logits.</param>
    /// <param name="labels">
    /// Shape [rows], to say which rows are ignored: those with the ignore index, which must be set. Other values are not looked at.
    /// </param>
    public static CrossEntropyTargets Soft<T>(DeviceTensor<T> probabilities, DeviceTensor<int>? labels = null)
        where T : unmanaged
    {
        if (probabilities is null)
            throw new ArgumentNullException(nameof(probabilities), $"{nameof(CrossEntropyTargets)}: {nameof(probabilities)} is null.");
        return new CrossEntropyTargets(labels, null, null, probabilities);
    }

    /// <summary>One label a row.</summary>
    public static implicit operator CrossEntropyTargets(DeviceTensor<int> labels) => Hard(labels);

    internal TensorArgument SharesArgument => Shares switch
    {
        DeviceTensor<float> shares => shares.Argument,
        DeviceTensor<double> shares => shares.Argument,
        _ => default,
    };

    internal TensorArgument ProbabilitiesArgument => Probabilities switch
    {
        DeviceTensor<float> probabilities => probabilities.Argument,
        DeviceTensor<Half> probabilities => probabilities.Argument,
        DeviceTensor<BFloat16> probabilities => probabilities.Argument,
        DeviceTensor<double> probabilities => probabilities.Argument,
        _ => default,
    };

    /// <summary>The targets fit the logits.</summary>
    internal void CheckFits<T>(string op, DeviceStream stream, DeviceTensor<T> logits, bool ignores)
        where T : unmanaged
    {
        long rows = logits.Shape[0];
        if (Labels is null && Probabilities is null) throw new ArgumentException($"{op}: there are no targets.", "targets");
        if (Labels is not null) CheckRows(op, stream, Labels, "labels", rows);
        if (OtherLabels is not null) CheckRows(op, stream, OtherLabels, "otherLabels", rows);
        switch (Shares)
        {
            case null: break;
            case DeviceTensor<float> shares: CheckShares(op, stream, logits, shares); break;
            case DeviceTensor<double> shares: CheckShares(op, stream, logits, shares); break;
            default: throw new ArgumentException($"{op}: shares are float or double.", "targets");
        }

        if (Probabilities is null) return;
        if (Probabilities is not DeviceTensor<T> probabilities)
            throw new ArgumentException($"{op}: the probabilities are not of the logits' type {logits.DType.ShortName()}.", "targets");
        Check.Tensor(op, stream, probabilities, "probabilities");
        Check.Shape(op, probabilities, "probabilities", logits.Shape);
        if (Labels is null == ignores)
        {
            throw new ArgumentException(
                $"{op}: probabilities need labels to say which rows are ignored, and labels an ignore index.", "targets");
        }
    }

    /// <summary>A result overlaps no target.</summary>
    internal void CheckDisjoint<T>(string op, DeviceTensor<T> output, string name)
        where T : unmanaged
    {
        if (Labels is not null) Check.Disjoint(op, Labels, "labels", output, name);
        if (OtherLabels is not null) Check.Disjoint(op, OtherLabels, "otherLabels", output, name);
        if (Shares is DeviceTensor<float> floats) Check.Disjoint(op, floats, "shares", output, name);
        if (Shares is DeviceTensor<double> doubles) Check.Disjoint(op, doubles, "shares", output, name);
        switch (Probabilities)
        {
            case DeviceTensor<float> probabilities: Check.Disjoint(op, probabilities, "probabilities", output, name); break;
            case DeviceTensor<Half> probabilities: Check.Disjoint(op, probabilities, "probabilities", output, name); break;
            case DeviceTensor<BFloat16> probabilities: Check.Disjoint(op, probabilities, "probabilities", output, name); break;
            case DeviceTensor<double> probabilities: Check.Disjoint(op, probabilities, "probabilities", output, name); break;
        }
    }

    private static void CheckShares<T, TReal>(string op, DeviceStream stream, DeviceTensor<T> logits, DeviceTensor<TReal> shares)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.Real(op, logits, shares, "shares");
        CheckRows(op, stream, shares, "shares", logits.Shape[0]);
    }

    private static void CheckRows<T>(string op, DeviceStream stream, DeviceTensor<T> tensor, string name, long rows)
        where T : unmanaged
    {
        Check.Tensor(op, stream, tensor, name);
        Check.Shape(op, tensor, name, rows);
    }
}
