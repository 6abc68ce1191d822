using System.Text.Json;
using System.Xml;
using System.Xml.Linq;
using Kernels.Study;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class StudyReportTests
{
    private static readonly string[] AllRecipes = [.. Recipes.All.Select(recipe => recipe.Name)];

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void ShowsEveryRecipeInTableChartAndPanel(int seeds)
    {
        XElement html = Parse(StudyReport.Html(StudyFixtures.Result(seeds, AllRecipes)));

        Assert.Equal(AllRecipes, html.Descendants("tbody").Single().Elements("tr").Select(row => row.Element("th")!.Value));
        Assert.Equal(AllRecipes, html.Descendants("article").Select(panel => panel.Element("h3")!.Value));
        Assert.Equal(
            AllRecipes, html.Descendants("text").Where(text => (string?)text.Attribute("class") == "name").Select(text => text.Value));
        foreach (string recipe in AllRecipes) Assert.Contains(html.Descendants("dt"), term => term.Value == $"Recipe {recipe}");
    }

    [Fact]
    public void NeedsNothingFromOutside()
    {
        StudyResult study = StudyFixtures.Result(2, AllRecipes) with
        {
            Sheets = new Dictionary<string, string> { ["l2"] = GreyImage.DataUri(2, 2, (_, _) => 0.5) },
        };
        string text = StudyReport.Html(study);
        XElement html = Parse(text);

        string[] forbidden = ["script", "link", "iframe", "object"];
        Assert.DoesNotContain(html.Descendants(), element => forbidden.Contains(element.Name.LocalName));
        Assert.DoesNotContain(html.DescendantsAndSelf().Attributes(), attribute => attribute.Name.LocalName == "href");
        XAttribute picture = Assert.Single(html.Descendants().Attributes("src"));
        Assert.StartsWith("data:", picture.Value, StringComparison.Ordinal);
        Assert.Contains("l2", (string)picture.Parent!.Attribute("alt")!, StringComparison.Ordinal);
        Assert.DoesNotContain("url(", text, StringComparison.Ordinal);
        Assert.DoesNotContain("@import", text, StringComparison.Ordinal);
    }

    [Fact]
    public void DescribesEveryDrawingInWords()
    {
        XElement[] drawings = [.. Parse(StudyReport.Html(StudyFixtures.Result(1, AllRecipes))).Descendants("svg")];

        Assert.Equal(1 + AllRecipes.Length, drawings.Length);
        Assert.All(drawings, drawing =>
        {
            string[] ids = ((string)drawing.Attribute("aria-labelledby")!).Split(' ');
            Assert.Equal(ids[0], (string?)drawing.Element("title")!.Attribute("id"));
            Assert.Equal(ids[1], (string?)drawing.Element("desc")!.Attribute("id"));
            Assert.NotEmpty(drawing.Element("desc")!.Value);
        });
        Assert.Distinct(drawings.Elements("title").Select(title => (string)title.Attribute("id")!));
    }

    [Fact]
    public void AllCoordinatesAreFinite()
    {
        string text = StudyReport.Html(StudyFixtures.Result(1, "l2"));

        Parse(text);
        Assert.DoesNotContain("NaN", text, StringComparison.Ordinal);
        Assert.DoesNotContain("∞", text, StringComparison.Ordinal);
    }

    [Fact]
    public void ReadingFollowsTheNumbers()
    {
        // The fixture gives each further recipe one point more on the test images and one less on the training images.
        string reading = StudyReading.Of(StudyFixtures.Result(3, "baseline", "l2"));

        Assert.Contains("by heart (99.5% right)", reading, StringComparison.Ordinal);
        Assert.Contains("recognizes 81.8% of 10,000 images", reading, StringComparison.Ordinal);
        Assert.Contains("gap of 17.7 points", reading, StringComparison.Ordinal);
        Assert.Contains("More right answers on new images: l2 (+1.0 points, gap 15.7).", reading, StringComparison.Ordinal);
        Assert.Contains("Best on new images, with the smallest gap: l2.", reading, StringComparison.Ordinal);
        Assert.Contains("means over 3 seeds", reading, StringComparison.Ordinal);
    }

    [Fact]
    public void RecipesAreComparedWithTheirOwnNetwork()
    {
        StudyResult study = StudyFixtures.Result(2, "baseline", "residual", "stochastic-depth", "drop-connect");
        Dictionary<string, double?> gains = study.Summaries.ToDictionary(summary => summary.Recipe.Name, summary => summary.TestGain?.Mean);
        string html = Parse(StudyReport.Html(study)).Value;

        // The network that drop-connect would be compared with was not run.
        Assert.Null(gains["baseline"]);
        Assert.Null(gains["residual"]);
        Assert.Null(gains["drop-connect"]);
        Assert.Equal(0.01, gains["stochastic-depth"]!.Value, precision: 6);
        Assert.Contains("stochastic-depth with residual", html, StringComparison.Ordinal);
        Assert.Contains("residual (82.8%, gap 15.7)", StudyReading.Of(study), StringComparison.Ordinal);
    }

    [Fact]
    public void ExactZerosAreShown()
    {
        // The fixture makes a quarter of the weights of this recipe 0.
        StudyResult study = StudyFixtures.Result(1, "baseline", "l1");
        IEnumerable<XElement> rows = Parse(StudyReport.Html(study)).Descendants("tbody").Single().Elements("tr");
        string[] cells = [.. rows.Select(row => row.Elements("td").ElementAt(6).Value)];

        Assert.Equal(["", "25.0"], cells);
        Assert.Contains("Weights that are exactly zero: 25.0% with l1.", StudyReading.Of(study), StringComparison.Ordinal);
    }

    [Fact]
    public void ReadingTellsOfMissingRuns()
    {
        StudyResult whole = StudyFixtures.Result(2, "baseline", "l2"), stopped = whole with { MissingRuns = 3 };

        Assert.DoesNotContain("missing", StudyReport.Html(whole), StringComparison.Ordinal);
        Assert.Contains("stopped before its end: 3 of 7 runs are missing", StudyReport.Html(stopped), StringComparison.Ordinal);
    }

    [Fact]
    public void GansAndMergedImagesAreShown()
    {
        StudyResult plain = StudyFixtures.Result(2, "cnn", "cnn+gan", "cnn-gan-only", "cnn+smart", "cnn+pair-mean");
        MergingSheet merged = new([1, 40], [0.9, 0.4], new byte[4 * FashionMnist.Classes * FashionMnist.Pixels]);
        StudyResult study = plain with
        {
            Runs = [.. plain.Runs.Select(run => run.Recipe.Name == "cnn+smart" ? run with { Merging = merged } : run)],
            Gans = [StudyFixtures.Gan(1), StudyFixtures.Gan(2) with { Quality = null, Failure = "its images are <all> alike" }],
            Autoencoders =
                [new AutoencoderResult(1, 0.01, new Examples([], [], 0), new byte[7 * FashionMnist.Classes * FashionMnist.Pixels])],
        };
        XElement html = Parse(StudyReport.Html(study));
        string text = html.Value;

        Assert.Contains("takes 90.0% of its images for the class asked for, 81.0% in the worst class: clear classes", text,
            StringComparison.Ordinal);
        Assert.Contains("gained +1.0 ± 0.0 (cnn+gan) points over cnn", text, StringComparison.Ordinal);
        Assert.Contains("One that saw generated images only", text, StringComparison.Ordinal);
        Assert.Contains("The GAN of seed 2 was given up: its images are <all> alike", text, StringComparison.Ordinal);
        Assert.Contains("cnn+smart +3.0 ± 0.0, cnn+pair-mean +4.0 ± 0.0", text, StringComparison.Ordinal);

        // Two sheets of the GAN, its nearest images, and one each of the network that merges and of the autoencoder.
        Assert.Equal(5, html.Descendants("img").Count());
        Assert.All(html.Descendants("img"), image => Assert.NotEmpty((string)image.Attribute("alt")!));
        Assert.Equal(1 + plain.Summaries.Count + 3, html.Descendants("svg").Count());
    }

    [Fact]
    public void ReadingWarnsOfASingleSeed() =>
        Assert.Contains("standard error of 0.4 points", StudyReading.Of(StudyFixtures.Result(1, "baseline")), StringComparison.Ordinal);

    [Fact]
    public void JsonIsOneArrayOfFlatObjects()
    {
        StudyResult study = StudyFixtures.Result(2, AllRecipes);

        using JsonDocument json = JsonDocument.Parse(StudyJson.Write(study.Runs, study.DeviceId));

        Assert.Equal(2 * AllRecipes.Length, json.RootElement.GetArrayLength());
        foreach (JsonElement row in json.RootElement.EnumerateArray())
        {
            string[] promised = ["recipe", "seed", "trainAccuracy", "testAccuracy", "gap", "seconds"];
            Assert.All(promised, name => Assert.True(row.TryGetProperty(name, out _), name));
            Assert.Equal(row.GetProperty("recipe").GetString() == "l1" ? 0.25 : 0, row.GetProperty("zeroWeights").GetDouble());
            Assert.All(row.EnumerateObject(),
                property => Assert.True(property.Value.ValueKind is JsonValueKind.Number or JsonValueKind.String));
            Assert.Equal(
                row.GetProperty("trainAccuracy").GetDouble() - row.GetProperty("testAccuracy").GetDouble(),
                row.GetProperty("gap").GetDouble(), precision: 5);
        }
    }

    private static XElement Parse(string html)
    {
        XmlReaderSettings settings = new() { DtdProcessing = DtdProcessing.Ignore, XmlResolver = null };
        using XmlReader reader = XmlReader.Create(new StringReader(html), settings);
        return XElement.Load(reader);
    }
}
