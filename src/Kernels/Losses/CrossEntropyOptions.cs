namespace Kernels;

/// <summary>
/// The classes that get the probability which label smoothing takes from the target; K is the number of classes that are not masked.
/// </summary>
public enum LabelSmoothing
{
    /// <summary>
    /// Spread over all classes, the target among them: t = (1 - epsilon) q + epsilon / K (Szegedy et al., "Rethinking the Inception
    /// architecture", CVPR 2016; PyTorch).
    /// </summary>
    AllClasses,

    /// <summary>
    /// Spread over the other classes: 1 - epsilon for the label, epsilon / (K - 1) for each other class (Goodfellow, Bengio and Courville,
    /// "Deep Learning", 7.5.1). It is <see cref="AllClasses"/> with epsilon K / (K - 1). With one class nothing is smoothed.
    /// </summary>
    OtherClasses,
}

/// <summary>The reduction of the rows' losses.</summary>
public enum LossReduction
{
    /// <summary>One loss a row.</summary>
    None,

    /// <summary>Their sum.</summary>
    Sum,

    /// <summary>
    /// Their sum over the normalizer: the weights of the labels that are not ignored; for probabilities the number of rows that are not
    /// ignored.
    /// </summary>
    Mean,
}

/// <summary>The mean of nothing: no rows, all rows ignored, or weights that add up to 0.</summary>
public enum EmptyMean
{
    /// <summary>Loss and gradient are 0.</summary>
    Zero,

    /// <summary>The loss is NaN, as 0/0 is. So is the gradient of rows that are not ignored, if there are any.</summary>
    NaN,
}

/// <summary>Settings of <see cref="CrossEntropy"/>; the default is the plain loss of each row.</summary>
public readonly record struct CrossEntropyOptions
{
    /// <summary>Epsilon, in [0, 1]: how much of the target is spread over the classes.</summary>
    public double Smoothing { get; init; }

    /// <summary>The classes over which <see cref="Smoothing"/> spreads it.</summary>
    public LabelSmoothing SmoothingConvention { get; init; }

    /// <summary>
    /// The label of rows that do not count: loss 0, gradient +0, not part of the normalizer. Any value, inside the classes or outside.
    /// </summary>
    public int? IgnoreIndex { get; init; }

    /// <summary>The reduction of the rows' losses.</summary>
    public LossReduction Reduction { get; init; }

    /// <summary>The mean of nothing.</summary>
    public EmptyMean EmptyMean { get; init; }

    /// <summary>
    /// Alpha of the z-loss, alpha * (log of the sum of exp z)^2, which keeps logits near a normalised log-probability; finite and at least
    /// 0.
    /// </summary>
    public double ZLoss { get; init; }

    /// <summary>Beta of the confidence penalty -beta * H(p), which rewards entropy (Pereyra et al., 2017); finite and at least 0.</summary>
    public double ConfidencePenalty { get; init; }

    /// <summary>
    /// Gamma: the penalty is beta * max(0, Gamma - H(p)) instead, so that only rows of less entropy (in nats) are pushed. Finite.
    /// </summary>
    public double? EntropyThreshold { get; init; }
}
