using Kernels.Reporting;

namespace Kernels.Study;

/// <summary>The report's account of how the numbers came about, complete enough to repeat the study elsewhere.</summary>
internal static class ReportMethod
{
    public static string Section(StudyResult study)
    {
        StudySettings settings = study.Settings;
        StudySizes sizes = study.Sizes;
        (Recipe mlp, Recipe cnn) = (Recipes.Find(Recipes.Baseline), Recipes.Find(CnnRecipes.Reference));
        int[] hidden = [.. settings.Widths.Skip(1).SkipLast(1)];
        string hiddenUnits = string.Join(" and ", hidden.Select(width => $"{width}"));
        string[] entries =
        [
            ReportPage.Entry("Data",
                $"Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): grey images of clothing, {FashionMnist.Side} × {FashionMnist.Side} " +
                $"pixels, {FashionMnist.Classes} classes. Training: the first {sizes.Train:N0} images of the training file. Validation: " +
                $"the next {sizes.Validation:N0}. Test: all {sizes.Test:N0} images of the test file. Pixels are standardised by mean and " +
                "standard deviation of the training images. So few training images are used on purpose: the network can learn them by " +
                "heart."),
            ReportPage.Entry("Split",
                "The test images decide nothing. Early stopping looks at the validation images, and the strengths of the recipes were " +
                $"chosen on {StudyData.TuningCount:N0} further training images that no run of this study uses, or are usual in papers; " +
                "--tune tries sixteen settings of each convolutional network there."),
            ReportPage.Entry("Network",
                $"{settings.Widths[0]} pixels, {hiddenUnits} hidden units with ReLU, {settings.Widths[^1]} classes. Weights start " +
                "uniform on (−b, b), b = √(6 / inputs) (He et al., 2015), biases at zero; biases are not regularized."),
            ReportPage.Entry("Training",
                $"Softmax cross-entropy, stochastic gradient descent with momentum {settings.Momentum:0.##} on batches of " +
                $"{settings.BatchSizeOf(mlp)}, in float32, g being the mean gradient of a batch: v ← {settings.Momentum:0.##} v + g, " +
                $"w ← w − η v. The rate η falls along half a cosine from {settings.LearningRate:0.####} to 0 over " +
                $"{Epochs(settings.EpochsOf(mlp))}. Recipes of one seed share the batch order and, on the same network, the initial " +
                "weights."),
            .. study.Summaries.Any(summary => summary.Recipe.Network is CnnPlan)
                ? (string[])[ReportPage.Entry("Training of convolutional networks",
                    $"The same with Nesterov's momentum, w ← w − η (g + {settings.Momentum:0.##} v), on batches of " +
                    $"{settings.BatchSizeOf(cnn)} unless said otherwise; the rate first rises over {100 * cnn.WarmUp:0} % of the steps.")]
                : [],
            ReportPage.Entry("Measures",
                "Accuracy: share of right answers. Gap: training minus test accuracy, both measured as the network would be used: " +
                "nothing is dropped, methods with an inference rule of their own follow it. Loss: mean cross-entropy in nats, without " +
                "what a method adds to it in training. Zero weights: share of the weights, biases left out, that are exactly 0."),
            .. study.Summaries.Select(summary =>
                ReportPage.Entry($"Recipe {summary.Recipe.Name}", RecipeText.Of(summary.Recipe, settings))),
            ReportPage.Entry("Repeat",
                "Every random number follows from seed and position, and all sums have a fixed order: on the same device a repeated run " +
                "gives the same bits.",
                Command(study)),
        ];
        return $"""
            <section>
            <h2>Method</h2>
            <dl>
            {string.Join('\n', entries)}
            </dl>
            </section>
            """;
    }

    private static string Epochs(int count) => count == 1 ? "1 epoch" : $"{count} epochs";

    private static string Command(StudyResult study)
    {
        bool everyRecipe = study.Summaries.Count == Recipes.All.Count;
        string recipes = everyRecipe ? "" : string.Concat(study.Summaries.Select(summary => $" --recipe {summary.Recipe.Name}"));
        string epochs = study.Settings.Epochs is { } count ? $" --epochs {count}" : "";
        return $"kernels study --device {study.DeviceId} --seeds {study.Seeds.Count}{epochs}{recipes}";
    }
}
