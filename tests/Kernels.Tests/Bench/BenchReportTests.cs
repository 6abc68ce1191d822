using System.CommandLine;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;
using Kernels.Benchmarks;
using Kernels.Cli.Commands;
using Kernels.Reporting;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Bench;

public sealed class BenchReportTests
{
    private const string PyTorch = "PyTorch 1.13.1 (OpenBLAS 0.3.21)";
    private const string OneDnn = "oneDNN 2.6.3";
    private static readonly PeerMeasurement NoCounterpart = new("oneDNN", OneDnn, null, null, "no counterpart");

    [Fact]
    public void ThePageIsWellFormedAndNeedsNothingFromOutside()
    {
        string text = BenchReport.Html(Result());
        XElement html = Parse(text);

        string[] forbidden = ["script", "link", "img", "iframe", "object"];
        Assert.DoesNotContain(html.Descendants(), element => forbidden.Contains(element.Name.LocalName));
        Assert.DoesNotContain(html.DescendantsAndSelf().Attributes(), attribute => attribute.Name.LocalName is "src" or "href");
        Assert.DoesNotContain("url(", text, StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", text, StringComparison.Ordinal);
    }

    [Fact]
    public void EveryOpHasADescribedChartWithABarForEverySide()
    {
        XElement[] charts = [.. Parse(BenchReport.Html(Result())).Descendants("article")];

        Assert.Equal(["dropout", "matmul"], charts.Select(chart => chart.Element("h3")!.Value));
        Assert.All(charts, chart => Assert.NotEmpty(chart.Descendants("desc").Single().Value));
        Assert.Equal([2, 1], charts.Select(chart => Classes(chart, "polygon").Count(style => style == "ours-bar")));
        Assert.Equal([1, 2], charts.Select(chart => Classes(chart, "polygon").Count(style => style == "peer-bar")));
        Assert.Equal([2, 1], charts.Select(chart => Classes(chart, "line").Count(style => style == "limit-line")));
        Assert.Contains(charts[0].Descendants("text"), text => text.Value == "40×");
    }

    [Fact]
    public void BarsAreAsLongAsTheRates()
    {
        XElement chart = Parse(BenchReport.Html(Result())).Descendants("article").Last();
        double[] lengths = [.. chart.Descendants("polygon").Select(Length)];

        // matmul: ours takes 20 ms, the peers 40 and 10.
        Assert.Equal(0.5, lengths[1] / lengths[0], 2);
        Assert.Equal(2.0, lengths[2] / lengths[0], 2);
    }

    [Fact]
    public void WithoutPeersThePageStillStands()
    {
        BenchResult alone = Result() with
        {
            Measurements = [Dropout(1 << 20, [])],
            Peers = [],
            MissingPeers = ["pytorch: no Python with PyTorch"],
        };

        XElement html = Parse(BenchReport.Html(alone));

        Assert.Contains(html.Descendants("dd"), entry => entry.Value.Contains("no Python with PyTorch", StringComparison.Ordinal));
        Assert.Single(Classes(html, "polygon"));
    }

    [Fact]
    public void MarkdownHasTheShortTableFirstAndALineForEveryCaseInBoth()
    {
        string[] lines = [.. BenchMarkdown.Text(Result()).Split('\n').Where(line => line.StartsWith('|'))];
        string[] brief = lines[..5], full = lines[5..];

        Assert.Equal("| op | shape | ms | of limit | to PyTorch | to oneDNN |", brief[0]);
        Assert.Equal("| dropout forward | 16777216 p=0.1 | 5.00  ±20% | 0.80 copy | 40×  ±38% |  |", brief[2]);
        Assert.Equal("| matmul multiply | 1024x1024x1024 | 20.0  ±20% | 0.54 peak | 2.00×  ±38% | 0.50×  ±38% |", brief[4]);
        Assert.Equal("| op | shape | type | n | MB | ms | warm ms | copy ms | rate | PyTorch ms | oneDNN ms |", full[0]);
        Assert.StartsWith(
            "| dropout forward | 16777216 p=0.1 | f32 | 7 | 134.2 | 5.00 (4.00–5.50) | 4.00 (3.20–4.40) | 4.00 (3.20–4.40) | 26.8 GB/s |",
            full[2],
            StringComparison.Ordinal);
        foreach (string[] table in (string[][])[brief, full])
        {
            Assert.Equal(2 + 3, table.Length);
            Assert.Single(table.Select(line => line.Count(letter => letter == '|')).Distinct());
        }
    }

    /// <summary>The type is a column only where a reader needs it.</summary>
    [Fact]
    public void SeveralTypesAreTold()
    {
        BenchResult one = Result();
        BenchResult two = one with { Measurements = [.. one.Measurements, one.Measurements[0] with { DType = DType.Float16 }] };

        Assert.DoesNotContain("type", BenchTable.Short(one).Header);
        Assert.Equal(["op", "shape", "type"], BenchTable.Short(two).Header.Take(3));
        Assert.Equal(["f32", "f32", "f32", "f16"], BenchTable.Short(two).Rows.Select(row => row[2]));
    }

    [Fact]
    public void AFirstLookIsNotForPublication()
    {
        BenchResult full = Result();
        BenchResult quick = full with { Measurements = [full.Measurements[0] with { Repetitions = 3 }, full.Measurements[1]] };

        Assert.DoesNotContain("not for publication", BenchMarkdown.Text(full), StringComparison.Ordinal);
        foreach (string text in (string[])[BenchMarkdown.Text(quick), BenchReport.Html(quick)])
            Assert.Contains("not for publication: 1 of 2 cases have fewer than 7 repetitions", text, StringComparison.Ordinal);
    }

    [Fact]
    public void RowsKeepTheContractOfTheCommand()
    {
        JsonElement[] rows = [.. JsonDocument.Parse(JsonRows.Write(Result().Rows)).RootElement.EnumerateArray()];

        // Two peers have matmul, one has the first dropout, none the second.
        Assert.Equal([PyTorch, null, PyTorch, OneDnn], rows.Select(row => row.GetProperty("peer").GetString()));
        string[] contract =
        [
            "device", "op", "shape", "dtype", "milliseconds", "gigabytesPerSecond", "fractionOfCopy", "gflops", "fractionOfPeak", "peer",
            "peerMilliseconds", "speedup",
        ];
        Assert.All(rows, row => Assert.All(contract, name => Assert.True(row.TryGetProperty(name, out _), name)));
        Assert.All(rows, row => Assert.DoesNotContain(
            row.EnumerateObject(), field => field.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array));

        JsonElement dropout = rows[0], alone = rows[1], matmul = rows[2];
        Assert.Equal(5, dropout.GetProperty("milliseconds").GetDouble());
        Assert.Equal(200, dropout.GetProperty("peerMilliseconds").GetDouble());
        Assert.Equal(40, dropout.GetProperty("speedup").GetDouble(), 9);
        Assert.Equal([4, 5.5, 160, 220, Math.Round(160 / 5.5, 9), 55], ((string[])["milliseconds", "peerMilliseconds", "speedup"])
            .SelectMany(name => (string[])[$"{name}Low", $"{name}High"])
            .Select(name => Math.Round(dropout.GetProperty(name).GetDouble(), 9)));
        Assert.Equal((1 << 27) / 5e6, dropout.GetProperty("gigabytesPerSecond").GetDouble(), 6);
        Assert.Equal(0.8, dropout.GetProperty("fractionOfCopy").GetDouble(), 9);
        Assert.Equal("cold", dropout.GetProperty("cache").GetString());
        Assert.Equal(JsonValueKind.Null, dropout.GetProperty("gflops").ValueKind);
        Assert.Equal(JsonValueKind.Null, alone.GetProperty("speedup").ValueKind);
        Assert.Equal((1L << 31) / 20e6, matmul.GetProperty("gflops").GetDouble(), 6);
        Assert.Equal((1L << 31) / 20e-3 / 200e9, matmul.GetProperty("fractionOfPeak").GetDouble(), 9);
    }

    [Fact]
    public void NotesSayWhoHasNoTimeAndWhy()
    {
        string notes = string.Join('\n', Result().Notes);

        Assert.Contains($"{OneDnn} has no time for dropout forward: no counterpart.", notes, StringComparison.Ordinal);
        Assert.Contains(": 4 here.", notes, StringComparison.Ordinal);
    }

    /// <summary>A median that is a little less says nothing; one whose interval is below ours does.</summary>
    [Fact]
    public void ReadersLearnWherePeersAreAheadForCertain()
    {
        BenchResult result = Result();
        Measurement close = Dropout(
            1 << 24,
            [new("PyTorch", PyTorch, null, null, "too small"), new("oneDNN", OneDnn, "dnnl_eltwise_forward", Times(4.9, 4), null)]);
        string text = string.Join(' ', BenchMarkdown.Text(result with { Measurements = [.. result.Measurements, close] }).Split('\n'));

        Assert.Contains(
            "PyTorch is slower in 2 of 2 cases, and faster by more than the intervals of both leave open in none: ", text,
            StringComparison.Ordinal);
        Assert.Contains(
            "oneDNN is slower in 0 of 2 cases, and faster by more than the intervals of both leave open in 1 (matmul multiply " +
            "1024x1024x1024): ", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--report page.pdf")]
    [InlineData("--peers tensorflow")]
    public void UnknownFilesAndPeersAreRefused(string options) => Assert.NotEmpty(BenchCommand.Create().Parse(options).Errors);

    [Theory]
    [InlineData("--report page.html --report table.md --report rows.json")]
    [InlineData("--peers pytorch onednn --quick")]
    [InlineData("--no-peers --large --json")]
    public void OptionsAreUnderstood(string options) => Assert.Empty(BenchCommand.Create().Parse(options).Errors);

    private static BenchResult Result() => new(
        "cpu", "managed", "a <processor> & more", "kernels bench --device cpu",
        new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), 12, 200e9,
        [
            Dropout(1 << 24, [new("PyTorch", PyTorch, "torch.nn.functional.dropout", Times(200, 190), null), NoCounterpart]),
            Dropout(1 << 20, [new("PyTorch", PyTorch, null, null, "too small"), NoCounterpart]),
            new Measurement(
                OpCase.All.Single(op => op.Op == "matmul"), new MatMulProblem(1024, 1024, 1024, false, false, ""), DType.Float32,
                Times(20, 19), Times(1, 1), 7,
                [new("PyTorch", PyTorch, "torch.mm", Times(40, 40), null), new("oneDNN", OneDnn, "dnnl_matmul", Times(10, 10), null)]),
        ],
        [("PyTorch", PyTorch), ("oneDNN", OneDnn)], [], LargeLeftOut: 4, CutOff: 0);

    private static Measurement Dropout(long length, IReadOnlyList<PeerMeasurement> peers) => new(
        OpCase.All.Single(op => op.Op == "dropout"), new DropoutProblem("forward", [length], "", 0.1), DType.Float32,
        Times(5, 4), Times(4, 3), 7, peers);

    /// <summary>Intervals from four fifths to eleven tenths of the median.</summary>
    private static MedianTiming Times(double cold, double warm) =>
        new(new(cold, 0.8 * cold, 1.1 * cold), new(warm, 0.8 * warm, 1.1 * warm));

    private static XElement Parse(string html)
    {
        XmlReaderSettings settings = new() { DtdProcessing = DtdProcessing.Ignore, XmlResolver = null };
        using XmlReader reader = XmlReader.Create(new StringReader(html), settings);
        return XElement.Load(reader);
    }

    private static IEnumerable<string> Classes(XElement root, string element) =>
        root.Descendants(element).Select(e => (string)e.Attribute("class")!);

    private static double Length(XElement bar)
    {
        string points = (string)bar.Attribute("points")!;
        double[] xs = [.. Regex.Matches(points, @"([\d.]+),").Select(match => double.Parse(match.Groups[1].Value))];
        return xs.Max() - xs.Min();
    }
}
