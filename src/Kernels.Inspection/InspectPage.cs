using System.Globalization;

namespace Kernels.Inspection;

/// <summary>The result as Markdown, to be kept in a repository.</summary>
internal static class InspectPage
{
    private const int WidestLine = 140;

    public static string Text(IReadOnlyList<InspectRow> rows, string command)
    {
        InspectRow[] wide = [.. rows.Where(row => !row.Variant.StartsWith("VEC=1", StringComparison.Ordinal) || IsAlone(row, rows))];
        string[] lines =
        [
            $"# What Hopper's machine code allows: {string.Join(" and ", Gpu.All.Select(gpu => gpu.FullName))}",
            "",
            $"Made by `{command}`: a model, nothing here was measured on a GPU.",
            "",
            .. Method(),
            "",
            "## Ceilings",
            "",
            .. Wrapped(InspectTable.CeilingCaption),
            "",
            .. Table(InspectTable.Ceilings(wide)),
            "",
            "## Ceilings without wide accesses",
            "",
            "Launched where an address is not on 16 bytes, or a row or block is not whole.",
            "",
            .. Table(InspectTable.Ceilings(rows.Except(wide))),
            "",
            "## Other loops",
            "",
            .. Wrapped(InspectTable.CountCaption),
            "",
            .. Table(InspectTable.Counts(rows)),
            "",
        ];
        return string.Join('\n', lines);
    }

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
            + "counts, and of these the longest.",
    ]).SelectMany(item => Wrapped(item, "- ", "  "));

    /// <summary>A paragraph in lines of at most 140 characters.</summary>
    private static IEnumerable<string> Wrapped(string text, string first = "", string next = "")
    {
        string line = first;
        foreach (string word in text.Split(' '))
        {
            if (line.Length + word.Length > WidestLine)
            {
                yield return line.TrimEnd();
                line = next;
            }

            line += $"{word} ";
        }

        yield return line.TrimEnd();
    }

    private static bool IsAlone(InspectRow row, IReadOnlyList<InspectRow> rows) =>
        !rows.Any(other => other.Kernel == row.Kernel && !other.Variant.StartsWith("VEC=1", StringComparison.Ordinal));

    private static IEnumerable<string> Table(InspectTable table) =>
    [
        Line(table.Header),
        Line(table.Header.Select((_, column) => column < table.WordColumns ? "---" : "---:")),
        .. table.Rows.Select(Line),
    ];

    private static string Line(IEnumerable<string> cells) => $"| {string.Join(" | ", cells)} |";
}
