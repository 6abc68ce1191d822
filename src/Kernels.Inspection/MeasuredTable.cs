using System.Globalization;
using System.Text.Json;

namespace Kernels.Inspection;

/// <summary>What a GPU took beside what the model allows, for problems of <c>kernels bench</c> whose time is that of one kernel.</summary>
internal static class MeasuredTable
{
    /// <summary>What to read in the table.</summary>
    public const string Caption =
        "measured: the share of a copy's rate that a GPU reached, with inputs in memory; H100, H200: the ceiling of the kernel's widest "
        + "variant. Launches, rows that fill no group and what a kernel does once for a row are in the first and not in the others. "
        + "Times are of the kernels as they were then, ceilings of those of now.";

    private static readonly JsonSerializerOptions CamelCase = new(JsonSerializerDefaults.Web);

    /// <summary>The kernel that an op's entry runs.</summary>
    private static readonly Dictionary<string, string> Kernels = new()
    {
        ["relu forward"] = "relu_forward",
        ["relu backward"] = "relu_backward",
        ["tanh forward"] = "activation_forward",
        ["tanh backward"] = "activation_backward",
        ["mean-squared-error backward"] = "mean_squared_error",
        ["dropout forward"] = "dropout_apply",
        ["dropout backward"] = "dropout_apply",
        ["alpha-dropout forward"] = "alpha_dropout",
        ["alpha-dropout backward"] = "alpha_dropout",
        ["gaussian-dropout forward"] = "gaussian_noise",
        ["gaussian-dropout backward"] = "gaussian_noise",
        ["gaussian-dropout forward-with-factors"] = "gaussian_factors",
        ["gaussian-dropout backward-with-factors"] = "gaussian_scale",
        ["gaussian-noise forward"] = "gaussian_noise",
        ["monte-carlo-dropout forward"] = "monte_carlo_dropout",
        ["channel-dropout forward"] = "channel_dropout",
        ["variational-dropout forward"] = "channel_dropout",
        ["adaptive-dropout forward"] = "adaptive_dropout_forward",
        ["adaptive-dropout infer"] = "adaptive_dropout_infer",
        ["adaptive-dropout backward"] = "adaptive_dropout_backward",
        ["adaptive-dropout forward-per-element"] = "adaptive_dropout_per_element",
        ["bias-dropout-residual forward"] = "bias_dropout_residual_forward",
        ["stochastic-depth forward"] = "stochastic_depth_forward",
        ["stochastic-depth backward branch"] = "stochastic_depth_backward",
        ["embedding-dropout forward"] = "embedding_dropout_forward",
        ["kept-rows gather"] = "kept_rows_gather",
        ["kept-rows scatter"] = "kept_rows_scatter_add",
        ["mixup forward"] = "mixup_apply",
        ["mixup backward"] = "mixup_apply",
        ["cutmix forward"] = "cutmix_apply",
        ["cutmix backward"] = "cutmix_apply",
        ["cutout forward"] = "cutout_fill",
        ["random-erase forward"] = "cutout_fill",
        ["feature-noise forward"] = "feature_noise",
        ["feature-interpolate forward"] = "mixup_apply",
        ["feature-extrapolate forward"] = "mixup_apply",
        ["parameter-snapshot save"] = "parameter_snapshot_save",
        ["sgd step"] = "sgd_step",
        ["adam step"] = "adam_step",
        ["adamw step"] = "adam_step",
        ["rmsprop step"] = "rms_prop_step",
        ["lion step"] = "lion_step",
        ["cross-entropy backward"] = "cross_entropy",
        ["entropy forward"] = "entropy_forward",
        ["entropy backward"] = "entropy_backward",
        ["attention-dropout forward"] = "attention_dropout_forward",
        ["attention-dropout backward"] = "attention_dropout_backward",
    };

    /// <summary>The names of kernels that have a measurement, for the test that there are such.</summary>
    public static IEnumerable<string> KernelNames => Kernels.Values.Distinct();

    /// <summary>The ops and entries, for the test that there are such.</summary>
    public static IEnumerable<string> Entries => Kernels.Keys;

    /// <summary>
    /// Reads rows that <c>kernels bench --json</c> wrote, or those of a page of results; several rows of a problem, one for each peer,
    /// count as one.
    /// </summary>
    /// <exception cref="ArgumentException">The file is not such.</exception>
    public static IReadOnlyList<Time> Read(string path)
    {
        try
        {
            if (Path.GetExtension(path) == ".md") return OfPage(path);
            return [.. JsonSerializer.Deserialize<Time[]>(File.ReadAllBytes(path), CamelCase)!.Distinct()];
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new ArgumentException($"{path} has no rows of kernels bench --json: {e.Message}");
        }
    }

    private static Time[] OfPage(string path)
    {
        Time[] times = [.. File.ReadLines(path).Select(OfLine).OfType<Time>().Distinct()];
        return times.Length > 0 ? times : throw new ArgumentException($"{path} has no table of kernels bench");
    }

    /// <summary>
    /// A problem's row, whose limit is a copy: op and entry, shape, type, milliseconds and their interval, share of the copy.
    /// </summary>
    private static Time? OfLine(string line)
    {
        const string OfCopy = " copy";
        string[] cells = line.Split('|', StringSplitOptions.TrimEntries);
        if (cells.Length < 7 || !cells[5].EndsWith(OfCopy, StringComparison.Ordinal)) return null;
        string[] op = cells[1].Split(' ', 2);
        return op.Length == 2 && Number(cells[4].Split(' ')[0]) is { } milliseconds && Number(cells[5][..^OfCopy.Length]) is { } share
            ? new Time(op[0], op[1], cells[2], cells[3], milliseconds, share)
            : null;
    }

    private static double? Number(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) ? number : null;

    public static InspectTable Of(IReadOnlyList<Time> times, IReadOnlyList<InspectRow> rows) => new(
        4,
        ["op", "shape", "type", "kernel", "ms", "measured", "H100", "H200", "bound on the H200"],
        [
            .. from time in times
               let kernel = Kernels.GetValueOrDefault($"{time.Op} {time.Entry}")
               where kernel is not null
               let passes = Widest(rows.Where(row => row.Kernel == kernel && row.Dtype == time.Dtype && row.Note is null))
               where passes.Length > 0
               select (IReadOnlyList<string>)
               [
                   $"{time.Op} {time.Entry}", time.Shape, time.Dtype, kernel,
                   time.Milliseconds.ToString("G3", CultureInfo.InvariantCulture), Percent(time.FractionOfCopy),
                   Percent(passes[0].H100FractionOfCopy!.Value), Percent(passes[0].H200FractionOfCopy!.Value), passes[0].H200Bound!,
               ],
        ]);

    /// <summary>The passes of the variant with the widest accesses and, of these, the fewest switches; all have one ceiling.</summary>
    private static InspectRow[] Widest(IEnumerable<InspectRow> rows) => rows
        .GroupBy(row => row.Variant)
        .OrderBy(variant => variant.Key.StartsWith("VEC=1", StringComparison.Ordinal))
        .ThenBy(variant => variant.Key.Length)
        .Select(variant => variant.ToArray())
        .FirstOrDefault() ?? [];

    private static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0}%");

    /// <summary>The fields of a row of <c>kernels bench --json</c> that are looked at.</summary>
    internal sealed record Time(string Op, string Entry, string Shape, string Dtype, double Milliseconds, double FractionOfCopy);
}
