using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace Kernels.Bench;

/// <summary>A column computed from the case and from the medians of its three methods.</summary>
internal sealed class CaseColumn(string name, string legend, Func<CaseColumn.Medians, string> cell) : IColumn
{
    public string Id => $"{nameof(CaseColumn)}.{ColumnName}";

    public string ColumnName => name;

    public string Legend => legend;

    public bool AlwaysShow => true;

    public ColumnCategory Category => ColumnCategory.Custom;

    public int PriorityInCategory => 0;

    public bool IsNumeric => true;

    public UnitType UnitType => UnitType.Dimensionless;

    public static IEnumerable<CaseColumn> All(OpBenchmarks.Place place) =>
    [
        new("GB/s", "Least bytes that the op must move, per second", m => Number(m.Case.Bytes / m.Own)),
        new(
            "GFLOP/s",
            "Multiplications and additions per second",
            m => m.Case.Problem.Flops > 0 && !m.IsCopy ? Number(m.Case.Problem.Flops / m.Own) : ""),
        new("of copy", "Time of a copy of as many bytes over this time", m => Number(m.Copy / m.Own)),
        new("to peer", "Time of the peer over this time: above 1 is faster", m => m.IsCopy ? "" : Number(m.Peer / m.Own)),
        new("peer", "The library behind the method Peer", m => m.IsCopy ? "" : place.PeerOf(m.Case)?.Name ?? ""),
    ];

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase) => cell(new Medians(summary, benchmarkCase));

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);

    public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;

    public bool IsAvailable(Summary summary) => true;

    private static string Number(double? value) => value?.ToString(value >= 100 ? "0" : "0.00", CultureInfo.InvariantCulture) ?? "";

    /// <summary>Medians in nanoseconds of the methods for one case; null where a method did not run.</summary>
    internal sealed class Medians(Summary summary, BenchmarkCase row)
    {
        public BenchCase Case { get; } = BenchCase.Of(row);

        public bool IsCopy => row.Descriptor.WorkloadMethod.Name == nameof(OpBenchmarks.Copy);

        public double? Own => Median(row.Descriptor.WorkloadMethod.Name);

        public double? Copy => Median(nameof(OpBenchmarks.Copy));

        public double? Peer => Median(nameof(OpBenchmarks.Peer));

        private double? Median(string method) => summary.Reports
            .Where(report => report.BenchmarkCase.Descriptor.WorkloadMethod.Name == method)
            .FirstOrDefault(report => BenchCase.Of(report.BenchmarkCase) == Case)
            ?.ResultStatistics?.Median;
    }
}
