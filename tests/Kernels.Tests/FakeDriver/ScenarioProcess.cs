using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// Runs scenarios in processes of their own, since a process loads its driver once. A scenario is an explicit test of this assembly, which
/// the child process runs with the stand-in in the driver's place.
/// </summary>
internal static partial class ScenarioProcess
{
    private static readonly TimeSpan TimeLimit = TimeSpan.FromMinutes(10);

    private static readonly ConcurrentDictionary<string, Lazy<Task<TestProcess>>> Shared = new();

    /// <summary>Runs a scenario and hands on what it reported; fails when it failed, or when nothing was run.</summary>
    /// <param name="type">The class of the scenario.</param>
    /// <param name="method">Its method.</param>
    /// <param name="environment">Variables of the process beyond those that put the stand-ins in place.</param>
    public static async Task Run(Type type, string method, params (string Name, string Value)[] environment)
    {
        string name = NameOf(type, method);
        TestProcess process = await Start([name], environment);
        string output = process.Output + process.Error;
        Assert.True(process.ExitCode == 0 && OnePassed().IsMatch(output), $"{name} ended with {process.ExitCode}\n{output}");
        HandOn(output);
    }

    /// <summary>
    /// The same in a process that runs all scenarios of the same variables one after another: to start one takes longer than most of them.
    /// </summary>
    /// <inheritdoc cref="Run"/>
    public static async Task RunShared(
        Type type, string method, IEnumerable<(Type Type, string Method)> all, params (string Name, string Value)[] environment)
    {
        string name = NameOf(type, method), key = string.Join('\n', environment);
        TestProcess process = await Shared.GetOrAdd(
            key, _ => new(() => Start([.. all.Select(scenario => NameOf(scenario.Type, scenario.Method))], environment))).Value;
        string output = process.Output;
        int start = output.IndexOf($"    {name} [STARTING]", StringComparison.Ordinal);
        int end = start < 0 ? -1 : output.IndexOf($"    {name} [FINISHED]", start, StringComparison.Ordinal);
        Assert.True(end >= 0, $"{name} was not finished; its process ended with {process.ExitCode}\n{output}{process.Error}");
        // What is between the two is a failure or a reason for skipping.
        string mark = $"    {name} [STARTING]", own = output[(start + mark.Length)..end];
        Assert.True(!own.Contains($"    {name} [", StringComparison.Ordinal), own);
        HandOn(own);
    }

    private static string NameOf(Type type, string method) => $"{type.FullName}.{method}";

    private static Task<TestProcess> Start(string[] names, (string Name, string Value)[] environment)
    {
        Dictionary<string, string?> variables = new()
        {
            ["KERNELS_FAKECUDA"] = StandIns.Folder,
            ["KERNELS_LIBCUDA"] = StandIns.Cuda,
            ["KERNELS_LIBNVRTC"] = StandIns.Cuda,
            ["KERNELS_LIBCUBLAS"] = StandIns.Cuda,
            ["KERNELS_LIBNCCL"] = StandIns.Cuda,
            ["KERNELS_CACHE"] = "off",
            ["KERNELS_SYNC"] = null,
            ["KERNELS_NO_CUBLAS"] = "1",
        };
        foreach ((string variable, string value) in environment) variables[variable] = value;
        string[] arguments =
        [
            "-explicit", "only", "-parallelMode", "none", "-noAutoReporters", "-reporter", "verbose",
            .. names.SelectMany(name => (string[])["-method", name]),
        ];
        return TestProcess.RunTests(arguments, variables, TimeLimit);
    }

    private static void HandOn(string output)
    {
        foreach (string line in output.Split('\n').Where(line => line.StartsWith(Scenario.ReportMark, StringComparison.Ordinal)))
            TestContext.Current.TestOutputHelper?.WriteLine(line[Scenario.ReportMark.Length..]);
    }

    // One test was run, and nothing else happened: a process that ran none must not pass.
    [GeneratedRegex(@" Total: 1, Errors: 0, Failed: 0, Skipped: 0, Not Run: 0,")]
    private static partial Regex OnePassed();
}
