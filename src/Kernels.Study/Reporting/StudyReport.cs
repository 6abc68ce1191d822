using Kernels.Reporting;

namespace Kernels.Study;

/// <summary>The study as a page: reading, gap chart, table, learning curves, method.</summary>
internal static class StudyReport
{
    public static string Html(StudyResult study) => ReportPage.Html("Regularization study on Fashion-MNIST", ReportStyle.Css, $"""
        <header>
        <h1>What regularization does to the generalization gap</h1>
        <p class="facts whole">{Facts(study)}</p>
        <p class="lead">{Svg.Escape(StudyReading.Of(study))}</p>
        </header>
        <section>
        <h2>The gap between images learned and images never seen</h2>
        <p class="facts">Accuracy on the test images (filled, blue) and on the training images (hollow, orange); the bar between them is
        the generalization gap, in points.{SeedMarks(study)}</p>
        <div class="wide">
        {GapChart.Draw(study)}
        </div>
        </section>
        <section>
        <h2>Results</h2>
        {Table(study)}
        </section>
        <section class="curves">
        <h2>Learning curves</h2>
        <div class="panels">
        {Panels(study)}
        {HowToRead(study)}
        </div>
        </section>
        {Sheets(study)}
        {GanSection.Of(study)}
        {MergingSection.Of(study)}
        {ReportMethod.Section(study)}
        """);

    private static string Facts(StudyResult study)
    {
        string[] facts =
        [
            $"Fashion-MNIST, {study.Sizes.Train:N0} training and {study.Sizes.Test:N0} test images",
            study.Seeds.Count == 1 ? $"seed {study.Seeds[0]}" : $"{study.Seeds.Count} seeds",
            $"{study.DeviceId} ({study.DeviceName})",
            $"{study.Date:yyyy-MM-dd HH:mm}",
            $"{study.Seconds:0} s",
        ];
        return string.Join(" · ", facts.Select(fact => $"<span>{Svg.Escape(fact)}</span>"));
    }

    private static string SeedMarks(StudyResult study) =>
        study.Seeds.Count > 1 ? " Dots are means over seeds; each thin mark is one seed." : "";

    private static string Table(StudyResult study)
    {
        double best = study.Summaries.Max(summary => summary.Test.Mean);
        IEnumerable<string> rows = study.Summaries.Select(summary => $"""
            <tr>
            <th scope="row">{Svg.Escape(summary.Recipe.Name)}</th>
            <td>{summary.Train.Percent()}</td>
            <td{(summary.Test.Mean == best && study.Summaries.Count > 1 ? " class=\"best\"" : "")}>{summary.Test.Percent()}</td>
            <td>{summary.Gap.Percent()}</td>
            <td>{summary.TestGain?.Percent(signed: true)}</td>
            <td>{summary.GapChange?.Percent(signed: true)}</td>
            <td>{summary.TestLoss.Mean:0.00}</td>
            <td>{ZeroWeights(summary)}</td>
            <td>{KeptEpochs(summary)}</td>
            <td>{summary.Runs[0].Parameters:N0}</td>
            <td>{summary.Seconds:0.0}</td>
            </tr>
            """);
        string spread = study.Seeds.Count > 1 ? $" Mean ± sample standard deviation over {study.Seeds.Count} seeds; seconds per run." : "";
        return $"""
            <p class="facts">
            Accuracies and exactly zero weights in percent, differences in percentage points.{References(study)}{spread}
            </p>
            <div class="scroll">
            <table>
            <thead>
            <tr>
            <th scope="col">recipe</th><th scope="col">train</th><th scope="col">test</th><th scope="col">gap</th>
            <th scope="col">test vs un-<br />regularized</th><th scope="col">gap vs un-<br />regularized</th>
            <th scope="col">test<br />loss</th>
            <th scope="col">zero<br />weights</th><th scope="col">epoch kept<br />of run</th>
            <th scope="col">para-<br />meters</th><th scope="col">seconds</th>
            </tr>
            </thead>
            <tbody>
            {string.Join('\n', rows)}
            </tbody>
            </table>
            </div>
            """;
    }

    /// <summary>The recipes that are not compared with the baseline, and their own references.</summary>
    private static string References(StudyResult study)
    {
        string[] others =
        [
            .. from summary in study.Summaries
               where summary.TestGain is not null && summary.Recipe.Reference != Recipes.Baseline
               group summary.Recipe.Name by summary.Recipe.Reference into compared
               select $"{string.Join(", ", compared)} with {compared.Key}",
        ];
        return others.Length == 0
            ? ""
            : " Each recipe is compared with its own network and optimizer without regularization, or the plain one: those of the " +
                $"first network with the baseline; {string.Join("; ", others)}.";
    }

    /// <summary>Blank where no weight is exactly 0, as almost everywhere.</summary>
    private static string ZeroWeights(RecipeSummary summary) => summary.ZeroWeights == 0 ? "" : $"{100 * summary.ZeroWeights:0.0}";

    private static string KeptEpochs(RecipeSummary summary)
    {
        string kept = Range(summary.Runs.Select(run => run.BestEpoch)), run = Range(summary.Runs.Select(run => run.Epochs));
        return kept == run ? run : $"{kept} of {run}";

        static string Range(IEnumerable<int> epochs) => epochs.Min() == epochs.Max() ? $"{epochs.Min()}" : $"{epochs.Min()}–{epochs.Max()}";
    }

    private static string Panels(StudyResult study)
    {
        LearningCurves curves = new(study);
        return string.Join('\n', study.Summaries.Select((summary, i) => $"""
            <article class="panel">
            <h3>{Svg.Escape(summary.Recipe.Name)}</h3>
            <p>{Svg.Escape(summary.Recipe.Summary)}</p>
            <p class="numbers">{Number("train", summary.Train)} · {Number("test", summary.Test)} · {Number("gap", summary.Gap)}</p>
            {curves.Draw(summary, $"curves-{i}")}
            </article>
            """));
    }

    private static string Sheets(StudyResult study)
    {
        if (study.Sheets.Count == 0) return "";
        IEnumerable<string> figures =
            from summary in study.Summaries
            let recipe = summary.Recipe
            where study.Sheets.ContainsKey(recipe.Name)
            let alternative = $"Training images, and below them as {recipe.Name} changes them in three epochs"
            select $"""
                <figure>
                <figcaption><b>{Svg.Escape(recipe.Name)}</b>: {Svg.Escape(recipe.Augmentation?.Description ?? "")}</figcaption>
                <img class="sheet" src="{study.Sheets[recipe.Name]}" alt="{Svg.Escape(alternative)}" />
                </figure>
                """;
        return $"""
            <section>
            <h2>What training sees</h2>
            <p class="facts">Above, training images as they are; below, as three epochs see them.</p>
            {string.Join('\n', figures)}
            </section>
            """;
    }

    private static string Number(string name, Spread spread) => $"{name} <b>{100 * spread.Mean:0.0}</b>";

    private static string HowToRead(StudyResult study)
    {
        List<string> hints =
        [
            "Solid line: test images. Dashed line: training images. Both are measured as the network would be used, with nothing dropped.",
            "The tinted area between the two accuracies is the generalization gap.",
        ];
        if (study.Summaries.Any(summary => summary.TestGain is not null))
            hints.Add("Dotted line: the final test accuracy of the same network and optimizer without regularization, to compare with.");
        if (study.Runs.Any(run => run.BestEpoch < run.Epochs))
            hints.Add("Vertical line with two dots: the epoch whose weights early stopping kept. Later epochs were thrown away.");
        if (study.Seeds.Count > 1)
            hints.Add("Thin lines: one per seed. Bold lines: their mean, as far as all seeds ran.");
        hints.Add("All panels share their scales.");
        return $"""
            <aside class="panel">
            <h3>How to read the panels</h3>
            <ul>
            {string.Join('\n', hints.Select(hint => $"<li>{Svg.Escape(hint)}</li>"))}
            </ul>
            </aside>
            """;
    }
}
