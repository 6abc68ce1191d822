namespace Kernels.Study;

/// <summary>
/// The table of recipes. The strengths of perceptrons were chosen over two seeds or more by accuracy on 10,000 training images that no
/// run uses, and by the loss there where accuracies were within their noise; those of convolutional networks by <see cref="TuningGrid"/>.
/// </summary>
internal static class Recipes
{
    public const string Baseline = "baseline";

    private static readonly Func<StudySettings, OptimizerOptions> L2 = settings => settings.Sgd with { WeightDecay = 3e-3 };
    private static readonly MlpPlan Dropout = new() { Method = Method.Dropout(input: 0.2, hidden: 0.4) };

    // The textbook's criterion. The loss turns before the accuracy does, so it stops early indeed.
    private static readonly StoppingRule ByLoss = new(StoppingMetric.Loss, Window: 3, Patience: 10);

    // With the other methods at work accuracy grows slowly and to the end, long after the loss has turned.
    private static readonly StoppingRule ByAccuracy = new(StoppingMetric.Accuracy, Window: 5, Patience: 20);

    // Masks over weights cost what weights times images are: in the baseline's network training would take minutes.
    private static readonly MlpPlan NarrowNetwork = new() { Hidden = [256, 64] };
    private static readonly Recipe Narrow = new("narrow", "A narrower network without regularization, for drop-connect to compare with.")
    {
        Network = NarrowNetwork,
        Reference = "narrow",
    };

    private static readonly MlpPlan ResidualNetwork = new() { Hidden = [128, 128, 128, 128, 128], IsResidual = true };
    private static readonly Recipe Residual = new(
        "residual", "A network of four residual blocks without regularization, for stochastic-depth to compare with.")
    {
        Network = ResidualNetwork,
        Reference = "residual",
    };

    private static readonly Recipe Adam = new(
        "adam", "The baseline's network trained by Adam without regularization, for adamw to compare with.")
    {
        Optimizer = settings => settings.Adam,
        Reference = "adam",
    };

    public static IReadOnlyList<Recipe> All { get; } =
    [
        new(Baseline, "No regularization: nothing keeps the network from learning its training images by heart."),
        new("l2", "An L2 penalty pulls every weight towards zero.") { Optimizer = L2 },
        new("l1", "An L1 penalty sets weights to exactly zero.") { Optimizer = settings => settings.Sgd with { L1 = 1e-3 } },
        new("elastic-net", "An L1 and an L2 penalty together: exact zeros, and small weights elsewhere.")
        {
            Optimizer = settings => settings.Sgd with { L1 = 1e-3, WeightDecay = 1e-2, WeightDecayMode = WeightDecayMode.Proximal },
        },
        new("dropout", "Random units are switched off in every training step.") { Network = Dropout },
        new("gaussian-dropout", "Random units are multiplied by normal numbers around 1 in every training step.")
        {
            Network = new MlpPlan { Method = Method.GaussianDropout(input: 0.3, hidden: 0.4) },
        },
        new("adaptive-dropout", "Hidden units are switched off at random, the less active ones more often.")
        {
            Network = new MlpPlan { Method = Method.AdaptiveDropout(alpha: 0.5, beta: -1) },
        },
        new("label-smoothing", "Training asks for a little probability on the wrong classes.")
        {
            Loss = new() { Smoothing = 0.1, SmoothingConvention = LabelSmoothing.AllClasses },
        },
        new("confidence-penalty", "Answers given with certainty cost in training.") { Loss = new() { ConfidencePenalty = 0.1 } },
        new("early-stopping", "Training ends when the loss on validation images stops falling.") { Stopping = ByLoss },
        new("all", "L2 penalty, dropout and early stopping together.") { Optimizer = L2, Network = Dropout, Stopping = ByAccuracy },
        Narrow,
        Narrow with
        {
            Name = "drop-connect",
            Summary = "In the narrower network random weights are switched off, others for every image.",
            Network = NarrowNetwork with { Method = Method.DropConnect(layer: 1, probability: 0.5, samples: 64) },
        },
        Residual,
        Residual with
        {
            Name = "stochastic-depth",
            Summary = "In the residual network images skip random blocks, later blocks more often.",
            Network = ResidualNetwork with { Method = Method.StochasticDepth(last: 0.5) },
        },
        Adam,
        Adam with
        {
            Name = "adamw",
            Summary = "Adam with decoupled weight decay: in every step each weight shrinks by the same share.",
            Optimizer = settings => settings.Adam with { WeightDecay = 1, WeightDecayMode = WeightDecayMode.Decoupled },
        },
        .. CnnRecipes.All,
        .. LearnedRecipes.All,
    ];

    /// <summary>Those that <c>--quick</c> trains: one of each kind, within three minutes on two cores.</summary>
    public static IReadOnlyList<string> Quick { get; } =
        [Baseline, "l2", "l1", "dropout", "label-smoothing", "early-stopping", "all", CnnRecipes.Reference, "cnn+batch-norm"];

    public static Recipe Find(string name) => All.First(recipe => recipe.Name == name);
}
