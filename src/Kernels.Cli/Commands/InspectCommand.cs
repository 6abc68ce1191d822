using System.CommandLine;
using Kernels.Inspection;
using Kernels.Reporting;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary><c>kernels inspect</c>: what the machine code of each kernel says, and the ceilings that follow. Needs no GPU.</summary>
internal static class InspectCommand
{
    private static readonly string[] DTypes = ["f32", "f16", "bf16", "f64"];

    public static Command Create()
    {
        Option<string?> op = CommandOptions.Text("--op", "Only the kernels of this op.", "NAME");
        Option<string?> kernel = CommandOptions.Text("--kernel", "Only this kernel.", "NAME");
        Option<string[]> dtypes = CommandOptions.Texts("--dtype", "Stored types; f32 and bf16 if not given.", "TYPE", DTypes);
        Option<string?> tools = CommandOptions.Text("--tools", "Folder of cuobjdump, if it is not on PATH or in CUDA's folder.", "FOLDER");
        Option<string?> measured = CommandOptions.Text(
            "--measured", "Set a GPU's times beside the ceilings of a report: rows that bench --json wrote, or a page of results.", "FILE");
        Option<string?> before = CommandOptions.Text(
            "--before", "Set the first ceilings that an earlier report has beside those of this one.", "FILE.md");
        Option<string?> report = CommandOptions.Text("--report", "Write the result to a Markdown file.", "FILE.md");
        Option<bool> json = CommandOptions.Json();
        Command command = new("inspect", "Read the machine code of the kernels for Hopper, and say what it allows; needs no GPU.")
        {
            op, kernel, dtypes, tools, measured, before, report, json,
        };
        command.SetWork((parsed, stop) =>
        {
            string? file = parsed.GetValue(report);
            string[] left =
                [file ?? "", parsed.GetValue(tools) ?? "", parsed.GetValue(before) ?? "", "--report", "--tools", "--before", "--json"];
            IReadOnlyList<MeasuredTable.Time>? times = parsed.GetValue(measured) is { } path ? MeasuredTable.Read(path) : null;
            EarlierCeilings earlier = parsed.GetValue(before) is { } page ? EarlierCeilings.Read(page) : EarlierCeilings.None;
            InspectionRequest request = new(
                parsed.GetValue(op),
                parsed.GetValue(kernel),
                parsed.GetValue(dtypes) is { Length: > 0 } types ? types : ["f32", "bf16"],
                parsed.GetValue(tools),
                $"kernels {string.Join(' ', parsed.Tokens.Select(token => token.Value).Where(word => !left.Contains(word)))}");
            return Run(request, times, earlier, file, parsed.GetValue(json), stop);
        });
        return command;
    }

    private static int Run(
        InspectionRequest request, IReadOnlyList<MeasuredTable.Time>? measured, EarlierCeilings earlier, string? path, bool json,
        CancellationToken stop)
    {
        using ReportFile? file = path is null ? null : ReportFile.Open(path);
        List<InspectRow> rows = Output.WithStatus(status => Inspector.Inspect(request, status, stop)
            .OrderBy(kernel => kernel.Name, StringComparer.Ordinal)
            .SelectMany(InspectRow.From)
            .ToList());
        file?.Write(InspectPage.Text(rows, measured, earlier, request.Command));
        if (json) Output.WriteJson(rows);
        else Print(rows, earlier);
        return stop.IsCancellationRequested ? ExitCode.Interrupted : ExitCode.Success;
    }

    private static void Print(List<InspectRow> rows, EarlierCeilings earlier)
    {
        IAnsiConsole console = Output.ForPeople();
        Print(console, InspectTable.Ceilings(rows, earlier), InspectTable.CeilingCaption);
        Print(console, InspectTable.Products(rows), InspectTable.ProductCaption);
        Print(console, InspectTable.Counts(rows), InspectTable.CountCaption);
    }

    private static void Print(IAnsiConsole console, InspectTable numbers, string caption)
    {
        if (numbers.Rows.Count == 0) return;
        OutputTable table = new(TableBorder.Simple, [.. numbers.Header.Select((title, column) => (title, column >= numbers.WordColumns))]);
        foreach (IReadOnlyList<string> row in numbers.Rows) table.AddRow([.. row.Select(Markup.Escape)]);
        table.Write(console);
        console.MarkupLineInterpolated($"{caption}");
    }
}
