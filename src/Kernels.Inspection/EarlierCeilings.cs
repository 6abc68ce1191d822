using Kernels.Reporting;

namespace Kernels.Inspection;

/// <summary>The first ceilings of variants, as an earlier page has them, to be set beside those of now.</summary>
internal sealed class EarlierCeilings
{
    /// <summary>The column that keeps them from page to page.</summary>
    public const string Column = "at first";

    private readonly Dictionary<(string Kernel, string Type, string Variant), string> _ceilings = [];

    /// <summary>None.</summary>
    public static EarlierCeilings None { get; } = new();

    /// <summary>Those that a page of <c>inspect --report</c> has: its column of earlier ones, or its own where that has none.</summary>
    /// <exception cref="ArgumentException">The file is no such page.</exception>
    public static EarlierCeilings Read(string path)
    {
        EarlierCeilings read = new();
        try
        {
            foreach (IReadOnlyDictionary<string, string> row in Markdown.Rows(File.ReadLines(path)))
            {
                if (!row.TryGetValue("H100", out string? h100) || !row.TryGetValue("H200", out string? h200)) continue;
                if (!row.TryGetValue("kernel", out string? kernel) || !row.TryGetValue("variant", out string? variant)) continue;
                string first = row.GetValueOrDefault(Column, "");
                read._ceilings.TryAdd((kernel, row["type"], variant), first.Length > 0 ? first : $"{h100}, {h200}");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ArgumentException($"{path} is no page of kernels inspect --report: {e.Message}");
        }

        return read._ceilings.Count > 0 ? read : throw new ArgumentException($"{path} is no page of kernels inspect --report");
    }

    /// <summary>By the names of the page; empty where there is none.</summary>
    public string Of(string kernel, string type, string variant) => _ceilings.GetValueOrDefault((kernel, type, variant), "");
}
