namespace Kernels.Study;

/// <summary>
/// Recipes whose augmentation is learned: images of a GAN or an autoencoder, and images that a network makes of two others. Each but for
/// what it adds is the recipe that it is compared with, settings and number of steps included.
/// </summary>
internal static class LearnedRecipes
{
    private const string FlipShift = "cnn+flip-shift";

    public static IReadOnlyList<Recipe> All { get; } =
    [
        Made("cnn+gan-10", "A tenth of the images that training sees are generated.", new GeneratedImages(0.1)),
        Made("cnn+gan", "Three tenths of the images that training sees are generated.", new GeneratedImages(0.3)),
        Made("cnn+gan-50", "Half of the images that training sees are generated.", new GeneratedImages(0.5)),
        Made(
            "cnn+gan-filtered", "Three tenths of the images are generated, those only that look as they were asked to.",
            new GeneratedImages(0.3, ImageSource.FilteredGan)),
        Made("cnn-gan-only", "All images are generated: what does a network learn of them about real ones?", new GeneratedImages(1)),
        Like(FlipShift) with
        {
            Name = "cnn+gan+flip-shift",
            Summary = "Three tenths of the images are generated, and all are mirrored and shifted.",
            Generated = new GeneratedImages(0.3),
            AlsoComparedWith = FlipShift,
        },
        Made(
            "cnn+autoencoder", "Three tenths of the images are made by an autoencoder from between two of a class.",
            new GeneratedImages(0.3, ImageSource.Autoencoder)),
        Merged("cnn+smart", "A network that learns with the classifier makes further images of two each.", Merger.Network),
        Merged("cnn+smart-detached", "The same network, but it does not learn from the classifier.", Merger.DetachedNetwork),
        Merged("cnn+pair-mean", "Further images are averages of two of a class.", Merger.Mean),
        Merged("cnn+pair-mixup", "Further images are weighted means of two of a class.", Merger.Mixup),
    ];

    private static Recipe Made(string name, string summary, GeneratedImages generated) =>
        Like(CnnRecipes.Reference) with { Name = name, Summary = summary, Generated = generated };

    private static Recipe Merged(string name, string summary, Merger merger) =>
        Like(CnnRecipes.Reference) with { Name = name, Summary = summary, Merging = new MergingPlan(merger) };

    private static Recipe Like(string name) =>
        CnnRecipes.All.First(recipe => recipe.Name == name) with { Reference = CnnRecipes.Reference, Grid = null };
}
