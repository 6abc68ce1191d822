using System.Globalization;

namespace Kernels.Benchmarks;

/// <summary>Numbers as people read them.</summary>
internal static class BenchFormat
{
    /// <summary>Three digits that count, whatever the size, down to a tenth of a microsecond.</summary>
    public static string Milliseconds(double value)
    {
        string format = value switch { >= 100 => "0", >= 10 => "0.0", >= 1 => "0.00", >= 0.1 => "0.000", _ => "0.0000" };
        return value.ToString(format, CultureInfo.InvariantCulture);
    }

    /// <summary>Three digits that count, for rates.</summary>
    public static string Significant(double value) =>
        value.ToString(value switch { >= 100 => "0", >= 10 => "0.0", >= 0.1 => "0.00", _ => "0.0000" }, CultureInfo.InvariantCulture);

    /// <summary>The rate that was reached: arithmetic for ops that compute, bytes for the others.</summary>
    public static string Rate(BenchRow row) =>
        row.Gflops is { } gflops ? Format($"{gflops:0.#} GFLOP/s") : Format($"{row.GigabytesPerSecond:0.0} GB/s");

    /// <summary>The share of what can be reached.</summary>
    public static string Limit(BenchRow row) =>
        row.FractionOfPeak is { } peak ? Format($"{peak:0.00} peak") : Format($"{row.FractionOfCopy:0.00} copy");

    /// <summary>The ratio of the peer's time to ours.</summary>
    public static string Speedup(double ratio) => ratio.ToString(ratio >= 10 ? "0×" : "0.00×", CultureInfo.InvariantCulture);

    /// <summary>A share in percent: with a decimal where it is small, and no more than that where it says nothing.</summary>
    public static string Percent(double share) =>
        share > 1 ? ">100%" : (100 * share).ToString(share < 0.0095 ? "0.0" : "0", CultureInfo.InvariantCulture) + "%";

    /// <summary>A number with this format, or nothing.</summary>
    public static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "";

    private static string Format(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
