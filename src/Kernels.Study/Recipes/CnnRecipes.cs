namespace Kernels.Study;

/// <summary>
/// Recipes of convolutional networks. Each is tuned over sixteen settings: the learning rate, and what its method has to choose; where
/// there is nothing to choose, more learning rates and the size of a batch. All train for the same number of epochs but for those that are
/// long, whose reference is long too.
/// </summary>
internal static class CnnRecipes
{
    /// <summary>The network without regularization.</summary>
    public const string Reference = "cnn";

    private const string Long = "cnn-long";
    private const int Epochs = 40;
    private const int LongEpochs = 2 * Epochs;
    private const int BatchSize = 64;

    private static readonly CnnPlan Plain = new();
    private static readonly CnnPlan Residual = new() { IsResidual = true };
    private static readonly CnnPlan Normalized = new() { HasBatchNorm = true };
    private static readonly CnnPlan NormalizedResidual = new() { IsResidual = true, HasBatchNorm = true };

    public static IReadOnlyList<Recipe> All { get; } =
    [
        Alone(
            Cnn(Reference, "A convolutional network without regularization, a ninth of the baseline's parameters."),
            rate: 0.01, BatchSize / 2),
        Alone(
            Cnn("cnn+batch-norm", "Each map of the convolutional network is normalized by its batch.") with { Network = Normalized },
            rate: 0.14, BatchSize / 2),
        TuningGrid.Tuned(
            v => Cnn("cnn+dropout", "Random cells of the convolutional network's maps are switched off.", rate: v[0]) with
            {
                Network = new CnnPlan { Method = Method.Dropout(input: 0, hidden: v[1]) },
            },
            Rate(0.05), new("p", 0.05, 0.05, 0.1, 0.2, 0.3)),
        TuningGrid.Tuned(
            v => Cnn("cnn+drop-block", "Random squares of the convolutional network's maps are switched off.", rate: v[0]) with
            {
                Network = new CnnPlan { Method = DropBlock(v[1]) },
            },
            Rate(0.1), new("p", 0.15, 0.05, 0.1, 0.15, 0.2)),
        Alone(
            Cnn("cnn-residual", "A residual convolutional network without regularization, for cnn+stochastic-depth to compare with.") with
            {
                Network = Residual,
                Reference = "cnn-residual",
            },
            rate: 0.01, BatchSize / 2),
        TuningGrid.Tuned(
            v => Cnn(
                "cnn+stochastic-depth", "In the residual convolutional network images skip random blocks, later blocks more often.",
                v[0]) with
            {
                Network = Residual with { Method = Method.StochasticDepth(last: v[1]) },
                Reference = "cnn-residual",
            },
            Rate(0.02), new("p", 0.2, 0.1, 0.2, 0.35, 0.5)),
        TuningGrid.Tuned(
            v => Cnn("cnn+weight-decay", "An L2 penalty pulls the weights of the convolutional network towards zero.", v[0], decay: v[1]),
            Rate(0.02), new("decay", 1e-3, 3e-4, 1e-3, 3e-3, 1e-2)),
        TuningGrid.Tuned(
            v => Cnn(
                "cnn+label-smoothing", "The convolutional network is asked for a little probability on the wrong classes.", v[0]) with
            {
                Loss = Smoothed(v[1]),
            },
            Rate(0.02), new("smoothing", 0.1, 0.05, 0.1, 0.2, 0.3)),
        TuningGrid.Tuned(
            v => Cnn("cnn+average", "What counts are moving averages of the convolutional network's weights.", v[0]) with
            {
                AverageDecay = v[1],
            },
            Rate(0.02), new("average", 0.99, 0.98, 0.99, 0.995, 0.998)),
        TuningGrid.Tuned(
            v => Cnn("cnn+flip-shift", "Images are mirrored and shifted, in each epoch anew.", v[0]) with
            {
                Augmentation = RecipeAugmentation.FlipShift((int)v[1]),
            },
            Rate(0.02), new("pixels", 2, 1, 2, 3, 4)),
        TuningGrid.Tuned(
            v => Cnn("cnn+cutout", "A square of each image is cut out, in each epoch another.", v[0]) with
            {
                Augmentation = RecipeAugmentation.Cutout((int)v[1]),
            },
            Rate(0.02), new("side", 8, 4, 8, 12, 16)),
        TuningGrid.Tuned(
            v => Cnn("cnn+erase", "Rectangles of images are erased, in each epoch others.", v[0]) with
            {
                Augmentation = RecipeAugmentation.RandomErase(v[1]),
            },
            Rate(0.02), new("p", 0.5, 0.25, 0.5, 0.75, 1)),
        TuningGrid.Tuned(
            v => Cnn("cnn+mixup", "Images are mixed with others, and so are their labels.", v[0]) with
            {
                Augmentation = RecipeAugmentation.Mixup(v[1]),
            },
            Rate(0.02), new("alpha", 0.2, 0.1, 0.2, 0.4, 1)),
        TuningGrid.Tuned(
            v => Cnn("cnn+cutmix", "Boxes of images come from others, and so do shares of their labels.", v[0]) with
            {
                Augmentation = RecipeAugmentation.CutMix(v[1]),
            },
            Rate(0.02), new("p", 0.5, 0.25, 0.5, 0.75, 1)),
        TuningGrid.Tuned(
            v => Cnn("cnn+auto-augment", "Images go through two random ops, in each epoch others.", v[0]) with
            {
                Augmentation = RecipeAugmentation.Automatic((int)v[1]),
            },
            Rate(0.02), new("magnitude", 6, 3, 6, 9, 14)),
        TuningGrid.Tuned(
            v => Cnn("cnn+feature-space", "What the last layer reads is noisy, as wide as its class is.", v[0]) with
            {
                Network = new CnnPlan { Method = Method.FeatureNoise(v[1], CnnPlan.LastPlace) },
            },
            Rate(0.02), new("factor", 0.5, 0.25, 0.5, 1, 2)),
        TuningGrid.Tuned(
            v => Cnn("cnn+all", "Batch normalization, DropBlock, L2 penalty, label smoothing and averaged weights.", v[0], decay: v[1]) with
            {
                Network = Normalized with { Method = DropBlock(v[2]) },
                Loss = Smoothed(0.1),
                AverageDecay = 0.99,
            },
            Rate(0.1), new("decay", 1e-3, 1e-3, 3e-3), new("p", 0.1, 0.05, 0.1)),
        Alone(
            Cnn(Long, "The convolutional network without regularization in twice the time, for long recipes to compare with.") with
            {
                Epochs = LongEpochs,
                Reference = Long,
            },
            rate: 0.02, BatchSize),
        Alone(
            Cnn("cnn-residual+batch-norm", "The network of cnn+everything, and nothing else of it.") with
            {
                Network = NormalizedResidual,
                Epochs = LongEpochs,
                Reference = Long,
            },
            rate: 0.1, BatchSize),
        TuningGrid.Tuned(
            v => Cnn(
                "cnn+everything", "Residual blocks, batch normalization, flips and shifts, CutMix, an L2 penalty and averaged weights.",
                v[0], decay: v[1]) with
            {
                Network = NormalizedResidual,
                Augmentation = RecipeAugmentation.FlipShift(2).Then(RecipeAugmentation.CutMix(v[2])),
                AverageDecay = 0.995,
                Epochs = LongEpochs,
                BatchSize = (int)v[3],
                Reference = Long,
                AlsoComparedWith = "cnn-residual+batch-norm",
            },
            new("rate", 0.1, 0.05, 0.1), new("decay", 1e-3, 1e-3, 3e-3), new("p", 0.5, 0.25, 0.5),
            new("batch", BatchSize, BatchSize / 2, BatchSize)),
    ];

    /// <summary>A recipe without a strength to tune.</summary>
    private static Recipe Alone(Recipe recipe, double rate, int batchSize) => TuningGrid.Tuned(
        v => recipe with { Optimizer = Nesterov(v[0]), BatchSize = (int)v[1] },
        new("rate", rate, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.14, 0.2), new("batch", batchSize, BatchSize / 2, BatchSize));

    private static Recipe Cnn(string name, string summary, double rate = 0, double decay = 0) => new(name, summary)
    {
        Network = Plain,
        Optimizer = Nesterov(rate, decay),
        Epochs = CnnRecipes.Epochs,
        BatchSize = CnnRecipes.BatchSize,
        WarmUp = 0.05,
        Reference = CnnRecipes.Reference,
    };

    private static Func<StudySettings, OptimizerOptions> Nesterov(double rate, double decay = 0) =>
        settings => settings.Sgd with { LearningRate = rate, Nesterov = true, WeightDecay = decay };

    private static TunedNumber Rate(double chosen) => new("rate", chosen, 0.01, 0.02, 0.05, 0.1);

    private static Method DropBlock(double probability) => Method.DropBlock(probability, size: 3, first: 2, last: 5);

    private static CrossEntropyOptions Smoothed(double share) =>
        new() { Smoothing = share, SmoothingConvention = LabelSmoothing.AllClasses };
}
