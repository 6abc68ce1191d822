using System.CommandLine;
using System.Text.RegularExpressions;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Filters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Kernels;
using Kernels.Bench;
using Kernels.Verification;

Option<string> filter = new("--filter")
{
    Description = "Cases that contain this text, such as 'sgd step'; with * or ? the whole text must match: 'dropout*', 'matmul*1024*'.",
    DefaultValueFactory = _ => "*",
};
Option<string> device = new("--device") { Description = "Device id.", DefaultValueFactory = _ => "cpu" };
Option<string[]> dtypes = new("--dtype")
{
    Description = "Stored types: f32, f16, bf16, f64.",
    DefaultValueFactory = _ => ["f32"],
    AllowMultipleArgumentsPerToken = true,
};
Option<bool> quick = new("--quick") { Description = "Three iterations.", Arity = ArgumentArity.Zero };
dtypes.AcceptOnlyFromAmong("f32", "f16", "bf16", "f64");
Option<string> artifacts = new("--artifacts")
{
    Description = "Folder for results and logs.",
    DefaultValueFactory = _ => "BenchmarkDotNet.Artifacts",
};
Option<string?> native = new("--native")
{
    Description = "Times calls of this libkernels.so beside managed ones, on the CPU, and nothing else.",
};
RootCommand root = new(
    "BenchmarkDotNet over the case table, with warm caches. `kernels bench` measures with cold ones and against more peers.")
{
    filter, device, dtypes, quick, artifacts, native,
};
root.SetAction(parsed =>
{
    if (parsed.GetValue(native) is { } library)
    {
        NativeCalls.Run(library);
        return 0;
    }

    using OpBenchmarks.Place place = OpBenchmarks.Place.Open(parsed.GetValue(device)!);
    OpBenchmarks.Here = place;
    string pattern = parsed.GetValue(filter)!;
    OpBenchmarks.Cases =
    [
        .. from op in OpCase.All
           from dtype in op.DTypes
           where parsed.GetValue(dtypes)!.Contains(dtype.ShortName()) && Verifier.Supports(place.Device, dtype)
           from problem in op.BenchProblemsOn(place.Device.Kind)
           select new BenchCase(op, problem, dtype) into row
           where Matches(row.ToString(), pattern)
           select row,
    ];
    if (OpBenchmarks.Cases.Count == 0)
    {
        Console.Error.WriteLine($"No case matches '{pattern}'. Cases read like 'dropout forward 16777216 p=0.1 f32'.");
        return 2;
    }

    Summary summary = BenchmarkRunner.Run<OpBenchmarks>(Config(place, parsed.GetValue(quick), parsed.GetValue(artifacts)!));
    return summary.HasCriticalValidationErrors || summary.Reports.Any(report => !report.Success) ? 1 : 0;
});
return root.Parse(args).Invoke();

static IConfig Config(OpBenchmarks.Place place, bool quick, string artifacts)
{
    // In this process: device, peer and cases are objects of it. (A process of its own for each row would also need a project generated and
    // restored.)
    Job job = (quick ? Job.ShortRun : Job.Default.WithWarmupCount(3).WithIterationCount(10))
        .WithToolchain(new InProcessEmitToolchain(TimeSpan.FromHours(1), logOutput: true));
    return ManualConfig.CreateEmpty()
        .AddJob(job)
        .AddLogger(ConsoleLogger.Default)
        .AddExporter(MarkdownExporter.GitHub)
        .AddColumnProvider(DefaultColumnProviders.Descriptor, DefaultColumnProviders.Params, DefaultColumnProviders.Statistics)
        .AddColumn([.. CaseColumn.All(place)])
        .AddFilter(new SimpleFilter(
            row => row.Descriptor.WorkloadMethod.Name != nameof(OpBenchmarks.Peer) || place.PeerOf(BenchCase.Of(row)) is not null))
        .WithSummaryStyle(SummaryStyle.Default.WithMaxParameterColumnWidth(60))
        .WithArtifactsPath(artifacts);
}

static bool Matches(string text, string pattern)
{
    string expression = Regex.Escape(pattern).Replace("\\*", ".*").Replace("\\?", ".");
    return Regex.IsMatch(text, pattern.AsSpan().ContainsAny('*', '?') ? $"^{expression}$" : expression, RegexOptions.IgnoreCase);
}
