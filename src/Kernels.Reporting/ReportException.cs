namespace Kernels.Reporting;

/// <summary>The report cannot be written where the user wants it.</summary>
internal sealed class ReportException(string path, Exception inner)
    : Exception($"the report {path} cannot be written: {inner.Message}", inner);
