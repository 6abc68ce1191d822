namespace Kernels.Study;

/// <summary>What a recipe does, in words and formulas, from what it says itself.</summary>
internal static class RecipeText
{
    public static string Of(Recipe recipe, StudySettings settings)
    {
        OptimizerOptions optimizer = recipe.Optimizer(settings);
        string[] methods = [.. Methods(recipe, optimizer, settings)];
        List<string> text = methods.Length == 0 ? [recipe.Summary] : [.. methods];
        if (recipe.Network.Description(settings) is { } network) text.Add(network);
        if (optimizer is AdamWOptions)
        {
            text.Add(
                "Trained by Adam (Kingma and Ba, 2015; β₁ = 0.9, β₂ = 0.999) in place of momentum; η falls from " +
                $"{optimizer.LearningRate:0.####}, a rate chosen like the strengths.");
        }

        if (recipe.Setting.Length > 0) text.Add($"Setting: {recipe.Setting}.");
        if (recipe.Network is CnnPlan) text.Add($"{settings.EpochsOf(recipe)} epochs.");
        if (!recipe.IsReference && recipe.Reference != Recipes.Baseline)
            text.Add($"Compared with {recipe.Reference}, the same without regularization.");
        return string.Join(' ', text);
    }

    /// <summary>What the recipe adds to its network and optimizer without regularization, one text per method.</summary>
    private static IEnumerable<string> Methods(Recipe recipe, OptimizerOptions optimizer, StudySettings settings)
    {
        if (optimizer.L1 > 0) yield return L1Penalty(optimizer.L1);
        if (optimizer.WeightDecay > 0) yield return WeightDecay(optimizer.WeightDecay, optimizer.WeightDecayMode);
        if (recipe.Network.Method is { } method) yield return method.Description;
        if (recipe.Augmentation is { } augmentation) yield return augmentation.Description;
        if (recipe.Generated is { } generated) yield return Generated(generated, settings);
        if (recipe.Merging is { } merging) yield return merging.Description;
        if (recipe.Loss.Smoothing > 0) yield return SmoothedLabels(recipe.Loss.Smoothing);
        if (recipe.Loss.ConfidencePenalty > 0) yield return ConfidencePenalty(recipe.Loss.ConfidencePenalty);
        if (recipe.AverageDecay is { } decay) yield return AveragedWeights(decay);
        if (recipe.Stopping is { } stopping) yield return stopping.Description;
    }

    private static string L1Penalty(double strength) =>
        $"L1 penalty, proximal: after each step w ← sign(w)·max(|w| − ηλ, 0) for each weight w, with λ = {strength:0.######}. Weights " +
        "that the data does not keep pulling at become exactly 0; added to the gradient, the penalty would leave them swinging around it.";

    private static string WeightDecay(double strength, WeightDecayMode mode) => mode switch
    {
        WeightDecayMode.Coupled =>
            $"L2 penalty: the optimizer sees g + λw instead of the gradient g of each weight w, with λ = {strength:0.######}. " +
            "Weights that the data does not keep pulling at shrink.",
        WeightDecayMode.Decoupled =>
            $"Decoupled weight decay: before each step w ← w·(1 − ηλ) for each weight w, with λ = {strength:0.######}. The optimizer's " +
            "moments do not see it, so every weight shrinks by the same share, whatever its gradients are.",
        _ => $"L2 penalty, proximal: after each step w ← w / (1 + ηλ) for each weight w, with λ = {strength:0.######}.",
    };

    private static string Generated(GeneratedImages images, StudySettings settings) =>
        $"Of the images that an epoch sees, {100 * images.Share:0} % are made by a network of the same seed in place of real ones, so " +
        "that the number of steps stays. " + images.Source switch
        {
            ImageSource.Gan => "They are those of the GAN.",
            ImageSource.FilteredGan =>
                $"They are those of the GAN that a network trained by {Gans.Judge} on the same training images takes for what was asked.",
            _ => settings.Autoencoder.Description,
        };

    private static string SmoothedLabels(double epsilon) =>
        $"Label smoothing: in training the target of an image is (1 − ε)·(its label) + ε/K on each of the K classes, ε = {epsilon:0.##}, " +
        "so that no logit gains by growing without end.";

    // Polyak and Juditsky (1992).
    private static string AveragedWeights(double decay) =>
        $"Averaged weights: after each step a ← a + (1 − d)·(w − a) for each parameter w, d = {decay:0.####}; the network that is " +
        "measured has the averages a.";

    // Pereyra et al. (2017).
    private static string ConfidencePenalty(double beta) =>
        $"Confidence penalty: −βH(p) is added to the training loss, H(p) the entropy of the network's answer p, β = {beta:0.##}. Certain " +
        "answers cost.";
}
