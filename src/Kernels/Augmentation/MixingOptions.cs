namespace Kernels;

/// <summary>What shares one lambda in <see cref="Mixup"/> and <see cref="CutMix"/>.</summary>
public enum MixingMode
{
    /// <summary>Each row has its own, which its sample number decides.</summary>
    Sample,

    /// <summary>All rows of the batch have one, as in the papers, which the batch's lowest sample number decides.</summary>
    Batch,
}

/// <summary>
/// Settings of <see cref="Mixup.Draw{TReal}"/> and <see cref="CutMix.Draw{TReal}"/>; by default every row has a lambda of its own and a
/// partner of any class from the batch.
/// </summary>
public readonly record struct MixingOptions
{
    /// <summary>What shares one lambda (and one box).</summary>
    public MixingMode Mode { get; init; }

    /// <summary>
    /// Probability to leave a row, or the batch, as it is: share 1 and an empty box. It is realised in steps of 2^-16, as a
    /// <see cref="KeepThreshold"/>.
    /// </summary>
    public double SkipProbability { get; init; }

    /// <summary>
    /// Whether partners are of the row's own class: the permutation is one within each class. A row that is alone in its class is its own
    /// partner.
    /// </summary>
    public bool SameClass { get; init; }

    /// <summary>
    /// Rows of a data set that the partners come from, 0 where they come from the batch. Sample numbers are then rows of the data set,
    /// labels are its labels, and a sample's partner depends on no batch at all.
    /// </summary>
    public long PoolRows { get; init; }

    /// <summary>Number of the first row's sample where no sample numbers are given.</summary>
    public ulong FirstSample { get; init; }
}
