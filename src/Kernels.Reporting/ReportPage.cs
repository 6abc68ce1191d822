namespace Kernels.Reporting;

/// <summary>
/// The frame of every report: one HTML file that needs nothing else, no scripts, no fonts, no images from outside; light or dark as the
/// reader has it, and fit for paper. It is well-formed XML too, which the tests use.
/// </summary>
internal static class ReportPage
{
    /// <summary>
    /// Colours, type, tables and definition lists, on screen and on paper. Blue and orange are told apart by colour-blind eyes.
    /// </summary>
    private const string CommonStyle = """
        :root {
          color-scheme: light dark;
          --paper: #ffffff; --ink: #1c2024; --soft: #5b6570; --grid: #e3e7eb; --rule: #c4cbd2; --panel: #f7f8fa;
          --orange: #b34700; --blue: #0b5fa5; --area: #0b5fa514; --bar: #c9d1d9;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --paper: #14181c; --ink: #e8ebee; --soft: #a3adb7; --grid: #2a3138; --rule: #434d57; --panel: #1b2026;
            --orange: #ff9e57; --blue: #6cb8f5; --area: #6cb8f51f; --bar: #46515c;
          }
        }
        @media print {
          :root {
            color-scheme: light;
            --paper: #ffffff; --ink: #000000; --soft: #444444; --grid: #dddddd; --rule: #999999; --panel: #ffffff;
            --orange: #b34700; --blue: #0b5fa5; --area: #00000012; --bar: #bbbbbb;
          }
        }
        @page { size: A4; margin: 14mm; }
        * { box-sizing: border-box; }
        body {
          margin: 0; background: var(--paper); color: var(--ink);
          font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
        }
        main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 56px; }
        h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; }
        h2 { font-size: 1.2rem; margin: 44px 0 10px; }
        h3 { font-size: 1rem; margin: 0; }
        p { margin: 0 0 12px; max-width: 46rem; }
        .facts { color: var(--soft); font-size: 0.9rem; max-width: none; }
        .whole span { white-space: nowrap; }
        .lead { font-size: 1.08rem; margin: 22px 0 0; }
        svg { display: block; width: 100%; height: auto; }
        svg text { font-family: inherit; fill: var(--ink); }
        .wide { max-width: 860px; }
        .grid { stroke: var(--grid); stroke-width: 1; }
        .reference { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 1 3; stroke-linecap: round; }
        .tick, .note { font-size: 11px; }
        svg .tick, svg .note { fill: var(--soft); }
        .label { font-size: 12px; font-weight: 600; }
        .name { font-size: 14px; font-weight: 600; }
        .value { font-size: 13px; font-variant-numeric: tabular-nums; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.95rem; break-inside: avoid; }
        caption { text-align: left; color: var(--soft); font-size: 0.86rem; padding-bottom: 8px; }
        th, td { padding: 7px 0 7px 22px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
        thead th { color: var(--soft); font-weight: 500; border-bottom-color: var(--rule); vertical-align: bottom; }
        tbody th, thead th:first-child { text-align: left; padding-left: 0; font-weight: 600; }
        td.best { font-weight: 700; }
        dl { margin: 0; max-width: 52rem; }
        dt { font-weight: 600; margin-top: 12px; }
        dd { margin: 0; }
        code { font: 0.9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
        @media print {
          body { font-size: 10.5pt; line-height: 1.4; }
          main { max-width: none; padding: 0; }
          h1 { font-size: 18pt; }
          h2 { font-size: 12.5pt; margin: 18pt 0 6pt; break-after: avoid; }
          p, dl { max-width: none; }
          .scroll { overflow: visible; }
          table { font-size: 9pt; }
          th, td { padding: 5px 0 5px 15px; }
          dt, dd { break-inside: avoid; }
          dt { break-after: avoid; }
        }
        """;

    /// <summary>The whole file.</summary>
    /// <param name="title">What the browser's tab says.</param>
    /// <param name="style">The report's own rules.</param>
    /// <param name="content">What stands inside <c>main</c>.</param>
    public static string Html(string title, string style, string content) => $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>{Svg.Escape(title)}</title>
        <style>
        {CommonStyle}
        {style}
        </style>
        </head>
        <body>
        <main>
        {content}
        </main>
        </body>
        </html>

        """;

    /// <summary>A term of a definition list, with its explanation and perhaps a command to type.</summary>
    public static string Entry(string term, string text, string? command = null) =>
        $"<dt>{Svg.Escape(term)}</dt>\n<dd>{Svg.Escape(text)}{(command is null ? "" : $" <code>{Svg.Escape(command)}</code>")}</dd>";
}
