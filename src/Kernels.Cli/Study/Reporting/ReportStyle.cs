namespace Kernels.Cli.Study;

/// <summary>The report's style sheet. Training is dashed and orange, test solid and blue: told apart without colour, and by colour-blind eyes.</summary>
internal static class ReportStyle
{
    public const string Css = """
        :root {
          color-scheme: light dark;
          --paper: #ffffff; --ink: #1c2024; --soft: #5b6570; --grid: #e3e7eb; --rule: #c4cbd2; --panel: #f7f8fa;
          --train: #b34700; --test: #0b5fa5; --area: #0b5fa514; --bar: #c9d1d9;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --paper: #14181c; --ink: #e8ebee; --soft: #a3adb7; --grid: #2a3138; --rule: #434d57; --panel: #1b2026;
            --train: #ff9e57; --test: #6cb8f5; --area: #6cb8f51f; --bar: #46515c;
          }
        }
        @media print {
          :root {
            color-scheme: light;
            --paper: #ffffff; --ink: #000000; --soft: #444444; --grid: #dddddd; --rule: #999999; --panel: #ffffff;
            --train: #b34700; --test: #0b5fa5; --area: #00000012; --bar: #bbbbbb;
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
        .lead { font-size: 1.08rem; margin: 22px 0 0; }
        svg { display: block; width: 100%; height: auto; }
        svg text { font-family: inherit; fill: var(--ink); }
        .wide { max-width: 860px; }
        .panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 18px; }
        .panel { background: var(--panel); border: 1px solid var(--grid); border-radius: 8px; padding: 14px 14px 6px; break-inside: avoid;
          display: flex; flex-direction: column; }
        .panel p { font-size: 0.86rem; line-height: 1.4; color: var(--soft); margin: 2px 0 8px; }
        .panel svg { margin-top: auto; }
        .panel .numbers { color: var(--ink); font-variant-numeric: tabular-nums; margin: 0 0 6px; }
        .panel .numbers b { font-weight: 600; }
        .panel ul { margin: 6px 0 8px; padding-left: 1.1rem; font-size: 0.86rem; line-height: 1.45; color: var(--soft); }
        .panel li { margin-bottom: 5px; }
        .grid { stroke: var(--grid); stroke-width: 1; }
        .reference { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 1 3; stroke-linecap: round; }
        .kept { stroke: var(--rule); stroke-width: 1; }
        .tick, .note { font-size: 11px; }
        svg .tick, svg .note { fill: var(--soft); }
        .label { font-size: 12px; font-weight: 600; }
        .name { font-size: 14px; font-weight: 600; }
        .value { font-size: 13px; font-variant-numeric: tabular-nums; }
        svg .train-text { fill: var(--train); }
        svg .test-text { fill: var(--test); }
        .train-line, .test-line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: butt; }
        .train-line { stroke: var(--train); stroke-dasharray: 5 3; }
        .test-line { stroke: var(--test); }
        .seed-line { stroke-width: 0.8; opacity: 0.55; }
        .gap-area { fill: var(--area); stroke: none; }
        .gap-bar { stroke: var(--bar); stroke-width: 4; }
        .test-dot { fill: var(--test); stroke: var(--test); stroke-width: 1; }
        .train-dot { fill: var(--paper); stroke: var(--train); stroke-width: 2; }
        .test-mark { stroke: var(--test); stroke-width: 1; }
        .train-mark { stroke: var(--train); stroke-width: 1; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.95rem; break-inside: avoid; }
        caption { text-align: left; color: var(--soft); font-size: 0.86rem; padding-bottom: 8px; }
        th, td { padding: 7px 0 7px 26px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
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
          .curves { break-before: page; }
          .curves h2 { margin-top: 0; }
          .panels { grid-template-columns: 1fr 1fr; gap: 10px; }
          .panel { padding: 8px 10px 2px; border-color: var(--rule); }
          .panel p, .panel ul { font-size: 8.5pt; margin-bottom: 4px; }
          .scroll { overflow: visible; }
          dt, dd { break-inside: avoid; }
          dt { break-after: avoid; }
        }
        """;
}
