using Kernels.Reporting;

namespace Kernels.Benchmarks;

/// <summary>The result as a page: reading, a chart for each op, table, method.</summary>
internal static class BenchReport
{
    private const string TableCss = """
        .numbers { font-size: 0.84rem; }
        .numbers th, .numbers td { padding: 4px 0 4px 16px; }
        .numbers tbody th, .numbers thead th:first-child { padding-left: 0; }
        .numbers .word { text-align: left; }
        @media print { .numbers { font-size: 7.5pt; } .numbers th, .numbers td { padding: 2px 0 2px 10px; } }
        """;

    public static string Html(BenchResult result) => ReportPage.Html($"Kernels on {result.DeviceId}", $"{BenchChart.Css}\n{TableCss}", $"""
        <header>
        <h1>How fast the kernels are</h1>
        <p class="facts whole">{Facts(result)}</p>
        <p class="lead">{Svg.Escape(BenchReading.Of(result))}</p>
        </header>
        <section>
        <h2>Results</h2>
        {Table(BenchTable.ShortCaption, BenchTable.Short(result))}
        </section>
        <section>
        <h2>Op by op</h2>
        <p class="facts">Blue: this library. Grey: others, on the same machine in the same minutes. The orange line is the limit: what a
        plain copy of as many bytes reaches, or the multiply-add peak for ops that compute. “Ours is” says how many times faster the blue
        bar is.</p>
        {Charts(result)}
        </section>
        <section>
        <h2>All numbers</h2>
        {Table(BenchTable.FullCaption, BenchTable.Full(result))}
        </section>
        {Calls(result)}
        <section>
        <h2>Method</h2>
        <dl>
        {Method(result)}
        </dl>
        </section>
        """);

    private static string Facts(BenchResult result)
    {
        string[] facts =
        [
            $"{result.DeviceId} ({result.DeviceName})",
            .. result.Machine.Split(" · "),
            $"{result.Date:yyyy-MM-dd HH:mm}",
            $"{result.Seconds:0} s",
        ];
        return string.Join(" · ", facts.Select(fact => $"<span>{Svg.Escape(fact)}</span>"));
    }

    private static string Charts(BenchResult result) => string.Join('\n', result.Measurements
        .GroupBy(measurement => (measurement.Op.Op, Computes: measurement.Flops > 0))
        .Select((group, i) => $"""
            <article class="chart">
            <h3>{Svg.Escape(group.Key.Op)}</h3>
            {BenchChart.Draw($"chart-{i}", [.. group], result.Peak)}
            </article>
            """));

    private static string Calls(BenchResult result) => result.TimedPeers.Count == 0 ? "" : $"""
        <section>
        <h2>What was timed in the others</h2>
        {Table(
            string.Join(", ", result.TimedPeers.Select(peer => peer.Name)) + ".",
            new BenchTable(
                3,
                ["op", "library", "call"],
                [.. result.PeerCalls.Select(call => (IReadOnlyList<string>)[call.Case, call.Peers, call.Call])]))}
        </section>
        """;

    private static string Table(string caption, BenchTable table)
    {
        string Style(int column) => column > 0 && column < table.WordColumns ? " class=\"word\"" : "";
        string Row(IReadOnlyList<string> cells) =>
            $"<tr><th scope=\"row\">{Svg.Escape(cells[0])}</th>" +
            $"{string.Concat(cells.Skip(1).Select((cell, i) => $"<td{Style(i + 1)}>{Svg.Escape(cell)}</td>"))}</tr>";

        return $"""
            <div class="scroll">
            <table class="numbers">
            <caption>{Svg.Escape(caption)}</caption>
            <thead>
            <tr>{string.Concat(table.Header.Select((title, column) => $"<th scope=\"col\"{Style(column)}>{Svg.Escape(title)}</th>"))}</tr>
            </thead>
            <tbody>
            {string.Join('\n', table.Rows.Select(Row))}
            </tbody>
            </table>
            </div>
            """;
    }

    private static string Method(BenchResult result) => string.Join('\n',
    [
        ReportPage.Entry("Timing", result.Method),
        .. result.Notes.Any() ? [ReportPage.Entry("Left out", string.Join(' ', result.Notes))] : (string[])[],
        ReportPage.Entry("Machine", $"{result.DeviceId} ({result.DeviceName}) · {result.Machine}"),
        ReportPage.Entry("Repeat", "In a checkout, ./build.sh run with what follows the first word of", result.Command),
    ]);
}
