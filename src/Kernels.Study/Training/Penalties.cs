namespace Kernels.Study;

/// <summary>L1 penalty on the weights by its proximal step, which makes weights exactly 0 that the data does not hold against it.</summary>
internal sealed class L1Penalty(double strength) : Regularizer
{
    public override string Description =>
        $"L1 penalty, proximal: after each step w ← sign(w)·max(|w| − ηλ, 0) for each weight w, with λ = {strength:0.######}. " +
        "Weights that the data does not keep pulling at become exactly 0; added to the gradient, the penalty would leave them swinging " +
        "around it.";

    public override OptimizerOptions ForWeights(OptimizerOptions options) => options with { L1 = strength, L1Mode = L1Mode.Proximal };
}

/// <summary>L2 on the weights, in one of the ways in which it can act.</summary>
internal sealed class WeightDecay(double strength, WeightDecayMode mode) : Regularizer
{
    public override string Description => mode switch
    {
        WeightDecayMode.Coupled =>
            $"L2 penalty: the optimizer sees g + λw instead of the gradient g of each weight w, with λ = {strength:0.######}. " +
            "Weights that the data does not keep pulling at shrink.",
        WeightDecayMode.Decoupled =>
            $"Decoupled weight decay: before each step w ← w·(1 − ηλ) for each weight w, with λ = {strength:0.######}. The optimizer's " +
            "moments do not see it, so every weight shrinks by the same share, whatever its gradients are.",
        _ => $"L2 penalty, proximal: after each step w ← w / (1 + ηλ) for each weight w, with λ = {strength:0.######}.",
    };

    public override OptimizerOptions ForWeights(OptimizerOptions options) =>
        options with { WeightDecay = strength, WeightDecayMode = mode };
}

/// <summary>Label smoothing over all classes.</summary>
internal sealed class SmoothedLabels(double epsilon) : Regularizer
{
    public override string Description =>
        $"Label smoothing: in training the target of an image is (1 − ε)·(its label) + ε/K on each of the K classes, ε = {epsilon:0.##}, " +
        "so that no logit gains by growing without end.";

    public override CrossEntropyOptions ForLoss(CrossEntropyOptions options) =>
        options with { Smoothing = epsilon, SmoothingConvention = LabelSmoothing.AllClasses };
}

/// <summary>The confidence penalty of Pereyra et al. (2017).</summary>
internal sealed class ConfidencePenalty(double beta) : Regularizer
{
    public override string Description =>
        $"Confidence penalty: −βH(p) is added to the training loss, H(p) the entropy of the network's answer p, β = {beta:0.##}. Certain " +
        "answers cost.";

    public override CrossEntropyOptions ForLoss(CrossEntropyOptions options) => options with { ConfidencePenalty = beta };
}
