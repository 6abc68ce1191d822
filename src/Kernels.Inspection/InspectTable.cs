using System.Globalization;

namespace Kernels.Inspection;

/// <summary>Rows as text: what the terminal and the page show.</summary>
/// <param name="WordColumns">The number of columns, from the left, that are words.</param>
/// <param name="Header">Titles of the columns.</param>
/// <param name="Rows">Cells.</param>
internal sealed record InspectTable(int WordColumns, IReadOnlyList<string> Header, IReadOnlyList<IReadOnlyList<string>> Rows)
{
    /// <summary>What to read in <see cref="Ceilings"/>.</summary>
    public const string CeilingCaption =
        "H100, H200: the most that a kernel can reach beside a copy of its fewest bytes, and what bounds it; at first: both when a page "
        + "first had the variant. instr, FMA, ALU, XU, LSU: instructions for an element, all and by pipe. loads, stores: of a lane in a "
        + "turn, number x bytes. B: bytes loaded and stored for an element, beside the fewest. sectors: touched by a warp's store, beside "
        + "the fewest. occ: share of resident threads, with the registers of each.";

    /// <summary>What to read in <see cref="Counts"/>.</summary>
    public const string CountCaption =
        "Kernels without a ceiling by the bytes of an element: what a turn of each loop issues, loops inside it and calls left out. "
        + "spills: loads and stores of local memory. No ceiling follows.";

    /// <summary>What to read in <see cref="Products"/>.</summary>
    public const string ProductCaption =
        "Kernels of matrix products: a turn of the loop that multiplies. peak: the most of the multiply-adds, on tensor cores where the "
        + "kernel uses them, that its other instructions leave room for, and what bounds it. shared: bytes of a group.";

    /// <summary>The column of <see cref="BelowTheAim"/> that has the reasons.</summary>
    public const string WhyColumn = "why no more";

    /// <summary>Kernels with a ceiling.</summary>
    public static InspectTable Ceilings(IEnumerable<InspectRow> rows, EarlierCeilings earlier) => new(
        3,
        [
            "kernel", "type", "variant", "H100", "H200", EarlierCeilings.Column, "bound", "instr", "FMA", "ALU", "XU",
            "LSU", "loads", "stores", "B", "sectors", "occ",
        ],
        [.. rows.Where(row => row.Note is null).Select(IReadOnlyList<string> (row) =>
        [
            Name(row), row.Dtype, row.Variant, Percent(row.H100FractionOfCopy), Percent(row.H200FractionOfCopy),
            earlier.Of(Name(row), row.Dtype, row.Variant),
            row.H100Bound == row.H200Bound ? row.H100Bound! : $"{row.H100Bound}; {row.H200Bound}",
            Number(row.InstructionsPerElement), Share(row, row.Fma + row.FmaHeavy), Share(row, row.Alu), Share(row, row.Xu),
            Share(row, row.Lsu), row.Loads, row.Stores,
            Beside(row.LoadedBytesPerElement + row.StoredBytesPerElement, row.LeastBytesPerElement),
            Beside(row.SectorsPerStore, row.LeastSectorsPerStore), Occupancy(row),
        ])]);

    /// <summary>Kernels whose ceiling is below the aim, each variant once.</summary>
    public static InspectTable BelowTheAim(IEnumerable<InspectRow> rows) => new(
        5,
        ["kernel", "type", "variant", "bound", WhyColumn, "H100", "H200"],
        [
            .. from row in rows
               where row.Note is null && BelowAim.Holds([row.H100FractionOfCopy!.Value, row.H200FractionOfCopy!.Value])
               group row by (row.Kernel, row.Dtype, row.Variant) into passes
               let row = passes.First()
               select (IReadOnlyList<string>)
               [
                   row.Kernel, row.Dtype, row.Variant, row.H200Bound!, BelowAim.ReasonOf(row.Kernel, row.Dtype) ?? "",
                   Percent(row.H100FractionOfCopy), Percent(row.H200FractionOfCopy),
               ],
        ]);

    /// <summary>Kernels without a ceiling, by what keeps them from one.</summary>
    public static InspectTable Reasons(IEnumerable<InspectRow> rows) => new(
        2,
        ["why there is none", "kernels"],
        [
            .. from row in rows
               where row.Note is not null
               group row.Kernel by row.Note into kernels
               orderby kernels.Key
               select (IReadOnlyList<string>)[kernels.Key, string.Join(' ', kernels.Distinct())],
        ]);

    /// <summary>Kernels of matrix products.</summary>
    public static InspectTable Products(IEnumerable<InspectRow> rows) => new(
        4,
        ["kernel", "type", "variant", "bound", "peak", "instr", "tensor", "FMA", "ALU", "LSU", "shared", "occ"],
        [.. rows.Where(row => row.FractionOfPeak is not null).Select(IReadOnlyList<string> (row) =>
        [
            row.Kernel, row.Dtype, row.Variant, row.PeakBound!, Percent(row.FractionOfPeak), Count(row.Instructions), Count(row.Tensor),
            Count(row.Fma + row.FmaHeavy), Count(row.Alu), Count(row.Lsu), Count(row.SharedBytes), Occupancy(row),
        ])]);

    /// <summary>Kernels without one.</summary>
    public static InspectTable Counts(IEnumerable<InspectRow> rows) => new(
        4,
        ["kernel", "type", "variant", "loop", "instr", "FMA", "ALU", "XU", "FP64", "LSU", "loads", "stores", "shared", "spills", "occ"],
        [.. rows.Where(row => row.Note is not null).Select(IReadOnlyList<string> (row) =>
        [
            row.Kernel, row.Dtype, row.Variant, row.Loop, Count(row.Instructions), Count(row.Fma + row.FmaHeavy), Count(row.Alu),
            Count(row.Xu), Count(row.Fp64), Count(row.Lsu), row.Loads, row.Stores, Count(row.SharedBytes),
            row.LocalLoads + row.LocalStores == 0 ? "" : $"{row.LocalLoads}+{row.LocalStores}", Occupancy(row),
        ])]);

    private static string Name(InspectRow row) => row.Loop == KernelWork.OnlyPass ? row.Kernel : $"{row.Kernel}: {row.Loop}";

    private static string Share(InspectRow row, int count) => count == 0 ? "" : Number((double)count / row.Elements);

    private static string Percent(double? share) => share is { } value
        ? string.Create(CultureInfo.InvariantCulture, $"{100 * value:0}%")
        : "";

    private static string Number(double? value) => value?.ToString("0.0", CultureInfo.InvariantCulture) ?? "";

    private static string Short(double? value) => value?.ToString("0.##", CultureInfo.InvariantCulture) ?? "";

    private static string Count(int value) => value == 0 ? "" : value.ToString(CultureInfo.InvariantCulture);

    private static string Beside(double? value, double? least) =>
        value is null ? "" : value == least ? Short(value) : $"{Short(value)}/{Short(least)}";

    private static string Occupancy(InspectRow row) => string.Create(
        CultureInfo.InvariantCulture, $"{100 * row.Occupancy:0}% ({row.Registers})");
}
