using System.Globalization;
using Kernels.Reporting;

namespace Kernels.Inspection;

/// <summary>The result as Markdown, to be kept in a repository.</summary>
internal static class InspectPage
{
    /// <param name="rows">What was found.</param>
    /// <param name="measured">Times from a GPU to set beside it, or null.</param>
    /// <param name="earlier">Ceilings of an earlier page.</param>
    /// <param name="command">The command line that repeats the page.</param>
    public static string Text(
        IReadOnlyList<InspectRow> rows, IReadOnlyList<MeasuredTable.Time>? measured, EarlierCeilings earlier, string command)
    {
        InspectRow[] wide = [.. rows.Where(row => !row.Variant.StartsWith("VEC=1", StringComparison.Ordinal) || IsAlone(row, rows))];
        string[] lines =
        [
            $"# What Hopper's machine code allows: {string.Join(" and ", Gpu.All.Select(gpu => gpu.FullName))}",
            "",
            $"Made by `{command}`: a model, {(measured is null ? "nothing here was measured on a GPU" : "with times from a GPU")}.",
            "",
            .. Method(),
            "",
            "## Ceilings",
            "",
            .. Markdown.Wrapped(InspectTable.CeilingCaption),
            "",
            .. Table(InspectTable.Ceilings(wide, earlier)),
            "",
            "## Below the aim",
            "",
            .. Markdown.Wrapped(
                $"Aimed at is {string.Join(" and ", Gpu.All.Select(gpu => $"{100 * gpu.AimedShare:0}% of a copy on the {gpu.FullName}"))}. "
                + "These variants have no room for it."),
            "",
            .. Table(InspectTable.BelowTheAim(wide)),
            "",
            .. Measured(rows, measured),
            "## Ceilings without wide accesses",
            "",
            "Launched where an address is not on 16 bytes, or a row or block is not whole.",
            "",
            .. Table(InspectTable.Ceilings(rows.Except(wide), earlier)),
            "",
            "## Matrix products",
            "",
            .. Markdown.Wrapped(InspectTable.ProductCaption),
            "",
            .. Table(InspectTable.Products(rows)),
            "",
            "## Other loops",
            "",
            .. Table(InspectTable.Reasons(rows)),
            "",
            .. Markdown.Wrapped(InspectTable.CountCaption),
            "",
            .. Table(InspectTable.Counts(rows)),
            "",
        ];
        return string.Join('\n', lines);
    }

    private static IEnumerable<string> Measured(IReadOnlyList<InspectRow> rows, IReadOnlyList<MeasuredTable.Time>? measured) =>
        measured is null
            ? []
            : ["## Measured", "", .. Markdown.Wrapped(MeasuredTable.Caption), "", .. Table(MeasuredTable.Of(measured, rows)), ""];

    private static IEnumerable<string> Method() => ((string[])
    [
        .. Gpu.All.Select(gpu => string.Create(
            CultureInfo.InvariantCulture,
            $"{gpu.FullName}: copy {gpu.CopyBytesPerSecond / 1e12:0.0} TB/s, {Gpu.Multiprocessors} multiprocessors at "
            + $"{Gpu.Clock / 1e9:0.0} GHz.")),
        string.Create(
            CultureInfo.InvariantCulture,
            $"A multiprocessor and clock: {Gpu.IssueLanes} lanes issue, {Gpu.FmaLanes} FMA ({Gpu.FmaHeavyLanes} of them integer products), "
            + $"{Gpu.AluLanes} ALU, {Gpu.XuLanes} XU, {Gpu.Fp64Lanes} FP64, {Gpu.LsuLanes} LSU; L2 {Gpu.SectorsPerSecond / 1e9:0} G "
            + $"sectors/s in all; {Gpu.MemoryLatency} clocks to memory. Sources: `src/Kernels.Inspection/Model/Gpu.cs`."),
        "A ceiling is the longest of the times that each of these needs for an element, as if all worked side by side without a gap. What "
            + "a kernel does once for a row or a launch is left out.",
        "The loop over the elements is found in the control flow: the one in which a turn moves what the kernel must move for some number "
            + "of elements (`Model/KernelWork.cs`). Where branches leave several ways through it, the way with the fewest accesses "
            + "counts, and of these the longest; the shortest where it is known by its instructions (`Pass.Marks`), so that edges, boxes "
            + "and ends of rows are left out.",
    ]).SelectMany(Markdown.Item);

    private static bool IsAlone(InspectRow row, IReadOnlyList<InspectRow> rows) =>
        !rows.Any(other => other.Kernel == row.Kernel && !other.Variant.StartsWith("VEC=1", StringComparison.Ordinal));

    private static IEnumerable<string> Table(InspectTable table) => Markdown.Table(table.Header, table.WordColumns, table.Rows);
}
