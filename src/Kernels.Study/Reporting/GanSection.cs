using System.Text;
using Kernels.Reporting;

namespace Kernels.Study;

/// <summary>The report's account of GANs: what their images look like and are worth, and how training went.</summary>
internal static class GanSection
{
    // What a person takes for clothes, and a class of its own.
    private const double EnoughAgreement = 0.9;
    private const double EnoughAgreementOfClass = 0.7;

    public static string Of(StudyResult study)
    {
        if (study.Gans.Count == 0) return "";
        GanResult? shown = study.Gans.FirstOrDefault(gan => gan.Failure is null);
        return $"""
            <section>
            <h2>Images of a GAN</h2>
            <p>{Svg.Escape(Reading(study))}</p>
            {Table(study)}
            {(shown is null ? "" : Shown(shown))}
            {GanCurves.Draw(shown ?? study.Gans[0])}
            <p class="facts">{Svg.Escape(study.Settings.Gan.Description)}</p>
            </section>
            """;
    }

    /// <summary>What the numbers say, good or bad.</summary>
    private static string Reading(StudyResult study)
    {
        StringBuilder text = new();
        foreach (GanResult gan in study.Gans.Where(gan => gan.Failure is not null))
            text.Append($"The GAN of seed {gan.Seed} was given up: {gan.Failure}. ");
        GanResult[] good = [.. study.Gans.Where(gan => gan.Quality is not null)];
        if (good.Length == 0) return text.Append("No run was trained with generated images.").ToString();

        double judge = good.Average(gan => gan.Quality!.JudgeTestAccuracy);
        double agreement = good.Average(gan => gan.Quality!.Agreement.Average());
        double worst = good.Average(gan => gan.Quality!.Agreement.Min());
        double distance = good.Average(gan => gan.Quality!.Distance.Average());
        double real = good.Average(gan => gan.Quality!.RealDistance.Average());
        string verdict = agreement >= EnoughAgreement && worst >= EnoughAgreementOfClass ? "clear classes" : "ragged classes";
        text.Append(
            $"The generator saw the {study.Sizes.Train:N0} training images and nothing else. Trained on real images, tested on generated " +
            $"ones: a network that saw the same images ({Gans.Judge}, {100 * judge:0.0}% right on test images) takes " +
            $"{100 * agreement:0.0}% of its images for the class asked for, {100 * worst:0.0}% in the worst class: {verdict}. Two images " +
            $"of a class are {distance:0.0} apart on average, where two real ones are {real:0.0}. ");
        text.Append(Worth(study));
        return text.ToString();
    }

    /// <summary>What the images did to classifiers.</summary>
    private static string Worth(StudyResult study)
    {
        RecipeSummary[] mixed =
        [
            .. study.Summaries.Where(
                summary => summary.Recipe.Generated is { IsOfGan: true, Share: < 1 } && summary.TestGain is not null),
        ];
        RecipeSummary? alone = study.Summaries.FirstOrDefault(summary => summary.Recipe.Generated is { IsOfGan: true, Share: 1 });
        StringBuilder text = new();
        if (mixed.Length > 0)
        {
            text.Append(
                "A classifier that trained on them beside real images gained " +
                string.Join(", ", mixed.Select(summary => $"{summary.TestGain!.Value.Percent(signed: true)} ({summary.Recipe.Name})")) +
                $" points over {mixed[0].Recipe.Reference}. ");
        }

        if (alone is not null)
        {
            text.Append(
                $"One that saw generated images only gets {alone.Test.Percent()}% of the real test images right" +
                (alone.TestGain is { } gain ? $", {gain.Percent(signed: true)} points. " : ". "));
        }

        text.Append(
            "Nothing more should be expected: all that a generator knows it has from the same images, so what it adds is its own idea of " +
            "what lies between them. Published results on as few images are between a point less and a point more; images that were made " +
            "by a network that saw more would be another matter.");
        return text.ToString();
    }

    private static string Table(StudyResult study)
    {
        IEnumerable<string> rows = study.Gans.Select(gan => gan.Quality is not { } quality
            ? $"<tr><th scope=\"row\">{gan.Seed}</th><td colspan=\"7\">{Svg.Escape($"given up: {gan.Failure}")}</td></tr>"
            : $"""
                <tr>
                <th scope="row">{gan.Seed}</th>
                <td>{100 * quality.JudgeTestAccuracy:0.0}</td>
                <td>{100 * quality.Agreement.Average():0.0}</td>
                <td>{100 * quality.Agreement.Min():0.0} ({Svg.Escape(FashionMnist.ClassName(WorstClass(quality)))})</td>
                <td>{quality.Distance.Average():0.0}</td>
                <td>{quality.RealDistance.Average():0.0}</td>
                <td>{gan.Curve.Max(epoch => epoch.Probability):0.00}</td>
                <td>{gan.Seconds:0}</td>
                </tr>
                """);
        return $"""
            <div class="scroll">
            <table>
            <thead>
            <tr>
            <th scope="col">seed</th><th scope="col">judge on<br />test, %</th><th scope="col">as asked,<br />%</th>
            <th scope="col">worst<br />class, %</th><th scope="col">distance<br />in a class</th><th scope="col">of real<br />images</th>
            <th scope="col">highest<br />probability</th><th scope="col">seconds</th>
            </tr>
            </thead>
            <tbody>
            {string.Join('\n', rows)}
            </tbody>
            </table>
            </div>
            """;
    }

    private static int WorstClass(GanQuality quality) => Array.IndexOf(quality.Agreement, quality.Agreement.Min());

    private static string Shown(GanResult gan)
    {
        int classes = gan.Quality!.Agreement.Length;
        IEnumerable<string> stages = gan.Sheets.Select(sheet => $"""
            <figure>
            <img class="sheet" src="{GreyImage.SheetUri(sheet.Levels, classes)}"
              alt="Generated images of each class after epoch {sheet.Epoch}" />
            <figcaption>epoch {sheet.Epoch}</figcaption>
            </figure>
            """);
        string agreement = string.Join(", ", Enumerable.Range(0, classes).Select(
            label => $"{FashionMnist.ClassName(label)} {100 * gan.Quality.Agreement[label]:0}%"));
        return $"""
            <h3>As training went on</h3>
            <p class="facts">Seed {gan.Seed}. A row is a class, a column the same random numbers at all times; as long as the class counts
            nothing, rows are of any class. Taken in the end for what was asked for: {Svg.Escape(agreement)}.</p>
            <div class="stages">
            {string.Join('\n', stages)}
            </div>
            {Neighbours(gan, classes)}
            """;
    }

    private static string Neighbours(GanResult gan, int classes)
    {
        if (gan.Neighbours is not { } neighbours) return "";
        byte[] last = gan.Sheets[^1].Levels;
        int row = last.Length / classes;
        byte[] both = [.. Enumerable.Range(0, classes).SelectMany(
            label => last.AsSpan(label * row, row).ToArray().Concat(neighbours.Levels.AsSpan(label * row, row).ToArray()))];
        return $"""
            <h3>Learned by heart?</h3>
            <p class="facts">Under each generated image the training image that is nearest to it. Mean distance to the nearest training
            image: {neighbours.Distance:0.00} of generated images, {neighbours.TestDistance:0.00} of test images. A generator that had
            learned images by heart would be far below.</p>
            <figure>
            <img class="sheet" src="{GreyImage.SheetUri(both, 2 * classes)}"
              alt="Generated images, and below each its nearest training image" />
            </figure>
            """;
    }
}
