namespace Kernels.Study;

/// <summary>The style of the study's report beyond the common frame. Training is dashed and orange, test solid and blue.</summary>
internal static class ReportStyle
{
    public const string Css = """
        :root { --train: var(--orange); --test: var(--blue); }
        .panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 18px; }
        .panel { background: var(--panel); border: 1px solid var(--grid); border-radius: 8px; padding: 14px 14px 6px; break-inside: avoid;
          display: flex; flex-direction: column; }
        .panel p { font-size: 0.86rem; line-height: 1.4; color: var(--soft); margin: 2px 0 8px; }
        .panel svg { margin-top: auto; }
        .panel .numbers { color: var(--ink); font-variant-numeric: tabular-nums; margin: 0 0 6px; }
        .panel .numbers b { font-weight: 600; }
        .panel ul { margin: 6px 0 8px; padding-left: 1.1rem; font-size: 0.86rem; line-height: 1.45; color: var(--soft); }
        .panel li { margin-bottom: 5px; }
        .kept { stroke: var(--rule); stroke-width: 1; }
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
        figure { margin: 18px 0; }
        figcaption { font-size: 0.9rem; line-height: 1.4; color: var(--soft); margin-bottom: 6px; max-width: 46rem; }
        .sheet { width: min(100%, 672px); image-rendering: pixelated; border: 1px solid var(--grid); }
        .stages { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 14px; }
        .stages figure { margin: 0; }
        .stages .sheet { width: 100%; }
        @media print {
          .curves { break-before: page; }
          .curves h2 { margin-top: 0; }
          .panels { grid-template-columns: 1fr 1fr; gap: 10px; }
          .panel { padding: 8px 10px 2px; border-color: var(--rule); }
          .panel svg { max-height: 60mm; }
          .panel p, .panel ul { font-size: 8.5pt; margin-bottom: 4px; }
        }
        """;
}
