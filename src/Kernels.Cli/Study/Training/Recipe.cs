namespace Kernels.Cli.Study;

/// <summary>A named way to train. All recipes of a seed start from the same weights and see the same batches in the same order.</summary>
internal sealed record Recipe(string Name, string Summary)
{
    public IReadOnlyList<Regularizer> Regularizers { get; init; } = [];

    /// <summary>Ends training by the loss on the validation images, never by the test images; null trains all epochs.</summary>
    public EarlyStoppingOptions? EarlyStopping { get; init; }

    /// <summary>What the recipe adds to the baseline, one text per method.</summary>
    public IEnumerable<string> Descriptions
    {
        get
        {
            foreach (Regularizer regularizer in Regularizers) yield return regularizer.Description;
            if (EarlyStopping is { } stopping)
            {
                yield return
                    $"Early stopping: after each epoch the loss on {StudyData.ValidationCount:N0} validation images is measured; when it has not " +
                    $"fallen for {stopping.Patience} epochs, training ends and the best weights seen come back.";
            }
        }
    }
}

/// <summary>The table of recipes. Strengths were chosen on 10,000 training images that no run uses, over several seeds; the test images had no say.</summary>
internal static class Recipes
{
    public const string Baseline = "baseline";

    private static readonly Regularizer L2 = new L2Penalty(1e-3);
    private static readonly Regularizer Dropout = new LayerDropout(input: 0.2, hidden: 0.5);
    private static readonly EarlyStoppingOptions Stopping = new() { Mode = MetricMode.Minimize, Patience = 10 };

    public static IReadOnlyList<Recipe> All { get; } =
    [
        new(Baseline, "No regularization: nothing keeps the network from learning its training images by heart."),
        new("l2", "An L2 penalty pulls every weight towards zero.") { Regularizers = [L2] },
        new("dropout", "Random units are switched off in every training step.") { Regularizers = [Dropout] },
        new("early-stopping", "Training ends when the validation loss stops falling.") { EarlyStopping = Stopping },
        new("all", "L2 penalty, dropout and early stopping together.") { Regularizers = [L2, Dropout], EarlyStopping = Stopping },
    ];

    public static Recipe Find(string name) => All.First(recipe => recipe.Name == name);
}
