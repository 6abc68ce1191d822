namespace Kernels.Study;

/// <summary>
/// A named way to train. All recipes of a seed and a network start from the same weights and see the same batches in the same order.
/// </summary>
internal sealed record Recipe(string Name, string Summary)
{
    /// <summary>
    /// The recipe to compare with: the same network and optimizer without regularization. Its own name where the recipe is one of these.
    /// </summary>
    public string Reference { get; init; } = Recipes.Baseline;

    /// <summary>Another recipe to compare with, which has the same network; null for none.</summary>
    public string? AlsoComparedWith { get; init; }

    public NetworkPlan Network { get; init; } = new MlpPlan();

    /// <summary>How the images are changed in training; null for not at all. Evaluations see them as they are.</summary>
    public RecipeAugmentation? Augmentation { get; init; }

    /// <summary>Images that take the place of real ones in training and were made of these; null for none.</summary>
    public GeneratedImages? Generated { get; init; }

    /// <summary>How training makes new images of two of a class; null for not at all.</summary>
    public MergingPlan? Merging { get; init; }

    /// <summary>The loss of training. Evaluations measure the plain one.</summary>
    public CrossEntropyOptions Loss { get; init; } = new();

    /// <summary>What moves the weights. Biases are moved alike, but never regularized.</summary>
    public Func<StudySettings, OptimizerOptions> Optimizer { get; init; } = settings => settings.Sgd;

    /// <summary>Of a full run.</summary>
    public int Epochs { get; init; } = 60;

    public int BatchSize { get; init; } = 50;

    /// <summary>The share of all steps over which the learning rate rises from 0.</summary>
    public double WarmUp { get; init; }

    /// <summary>
    /// Where it is not null, what is evaluated are moving averages of the parameters, which keep this share of themselves in every step.
    /// </summary>
    public double? AverageDecay { get; init; }

    /// <summary>Ends training by the validation images, never by the test images; null trains all epochs.</summary>
    public StoppingRule? Stopping { get; init; }

    /// <summary>What is tuned in it; null where nothing is.</summary>
    public TuningGrid? Grid { get; init; }

    /// <summary>The values of what is tuned in it, in words.</summary>
    public string Setting { get; init; } = "";

    /// <summary>Networks make images for it.</summary>
    public bool IsLearned => Generated is not null || Merging is not null;

    public bool IsReference => Reference == Name;
}
