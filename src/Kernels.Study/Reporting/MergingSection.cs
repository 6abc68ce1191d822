using Kernels.Reporting;

namespace Kernels.Study;

/// <summary>The report's account of images that networks make of two others: Smart Augmentation, and autoencoders.</summary>
internal static class MergingSection
{
    public static string Of(StudyResult study) => Merged(study) + Autoencoded(study);

    private static string Merged(StudyResult study)
    {
        RunResult[] shown = [.. study.Runs.Where(run => run.Merging is not null).DistinctBy(run => run.Recipe.Name)];
        if (shown.Length == 0) return "";
        return $"""
            <section>
            <h2>Images that are made of two</h2>
            <p>{Svg.Escape(Reading(study))}</p>
            {string.Join('\n', shown.Select(Figure))}
            </section>
            """;
    }

    private static string Autoencoded(StudyResult study)
    {
        if (study.Autoencoders.Count == 0) return "";
        AutoencoderResult shown = study.Autoencoders[0];
        return $"""
            <section>
            <h2>Images from between two</h2>
            <figure>
            <figcaption>{Svg.Escape(study.Settings.Autoencoder.Description)} A row for each class, seed {shown.Seed}: an image; what the
            autoencoder makes of it, of three steps to another image, and of that; that image. Mean squared error in the last epoch,
            white being 1 and black −1: {shown.Error:0.000}.</figcaption>
            <img class="sheet" src="{GreyImage.SheetUri(shown.Sheet, FashionMnist.Classes)}"
              alt="Two images of each class, and what an autoencoder makes between them" />
            </figure>
            </section>
            """;
    }

    private static string Reading(StudyResult study)
    {
        RecipeSummary[] all = [.. study.Summaries.Where(summary => summary.Recipe.Merging is not null)];
        string gains = string.Join(", ", all.Select(summary => summary.TestGain is { } gain
            ? $"{summary.Recipe.Name} {gain.Percent(signed: true)}"
            : $"{summary.Recipe.Name} {summary.Test.Percent()}% right"));
        return $"Over the same classifier without further images, in points: {gains}. What Smart Augmentation adds is the difference to " +
            "its controls: the same network without the classifier's gradient, plain averages, and mixup within the class. Only " +
            "where it is clearly above all of these has the classifier taught the network anything.";
    }

    private static string Figure(RunResult run)
    {
        MergingSheet sheet = run.Merging!;
        int rows = 2 + sheet.Epochs.Length, columns = sheet.Levels.Length / (rows * FashionMnist.Pixels);
        string picture = GreyImage.SheetUri(sheet.Levels, rows);
        (double toMean, double toNearer, double apart) = Likeness(sheet, columns);
        string errors = string.Join(", ", sheet.Epochs.Zip(sheet.Errors, (epoch, error) => $"{error:0.000} in epoch {epoch}"));
        string text = $"{run.Recipe.Name}, seed {run.Seed}: two images of each class, and below them what the network made of them after " +
            $"epochs {string.Join(", ", sheet.Epochs)}. Mean squared error to a third image: {errors}. In the end its images are " +
            $"{toMean:0.0} from the average of the two and {toNearer:0.0} from the nearer of them, which are {apart:0.0} apart " +
            "(Euclidean distances, white being 1): " +
            (toMean < toNearer / 2 ? "they are little more than averages." : "neither averages nor copies.");
        return $"""
            <figure>
            <figcaption>{Svg.Escape(text)}</figcaption>
            <img class="sheet" src="{picture}" alt="Two images of each class, and what the network made of them" />
            </figure>
            """;
    }

    /// <summary>Mean distances of the last row to the average of the pair and to the nearer one, and within the pair.</summary>
    private static (double ToMean, double ToNearer, double Apart) Likeness(MergingSheet sheet, int columns)
    {
        const int Pixels = FashionMnist.Pixels;
        int last = (1 + sheet.Epochs.Length) * columns;
        (double toMean, double toNearer, double apart) = (0, 0, 0);
        for (int column = 0; column < columns; column++)
        {
            float[] first = Image(column), second = Image(columns + column), made = Image(last + column);
            toMean += ImageDistance.Between(made, [.. first.Zip(second, (left, right) => (left + right) / 2)]) / columns;
            apart += ImageDistance.Between(first, second) / columns;
            toNearer += Math.Min(ImageDistance.Between(made, first), ImageDistance.Between(made, second)) / columns;
        }

        return (toMean, toNearer, apart);

        float[] Image(int place) => [.. sheet.Levels.AsSpan(place * Pixels, Pixels).ToArray().Select(level => level / 255f)];
    }
}
