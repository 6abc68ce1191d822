using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Kernels.Reporting;

/// <summary>The output of <c>--json</c>.</summary>
internal static class JsonRows
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        // A measurement can be infinite or NaN; JSON's numbers cannot.
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    /// <summary>One JSON array of flat objects.</summary>
    public static string Write<TRow>(IEnumerable<TRow> rows) => JsonSerializer.Serialize(rows, Options);
}
