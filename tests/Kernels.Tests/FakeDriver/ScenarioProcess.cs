using System.Text.RegularExpressions;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// Runs one scenario in a process of its own, since a process loads its driver once. A scenario is an explicit test of this assembly, which
/// the child process runs with the stand-in in the driver's place.
/// </summary>
internal static partial class ScenarioProcess
{
    private static readonly TimeSpan TimeLimit = TimeSpan.FromMinutes(5);

    /// <summary>Runs a scenario and hands on what it reported; fails when it failed, or when nothing was run.</summary>
    /// <param name="type">The class of the scenario.</param>
    /// <param name="method">Its method.</param>
    /// <param name="environment">Variables of the process beyond those that put the stand-ins in place.</param>
    public static async Task Run(Type type, string method, params (string Name, string Value)[] environment)
    {
        string name = $"{type.FullName}.{method}";
        Dictionary<string, string?> variables = new()
        {
            ["KERNELS_FAKECUDA"] = StandIns.Folder,
            ["KERNELS_LIBCUDA"] = StandIns.Cuda,
            ["KERNELS_LIBNVRTC"] = StandIns.Cuda,
            ["KERNELS_LIBCUBLAS"] = StandIns.Cuda,
            ["KERNELS_CACHE"] = "off",
            ["KERNELS_SYNC"] = null,
            ["KERNELS_NO_CUBLAS"] = "1",
        };
        foreach ((string variable, string value) in environment) variables[variable] = value;
        TestProcess process = await TestProcess.RunTests(["-explicit", "only", "-method", name], variables, TimeLimit);

        string output = process.Output + process.Error;
        Assert.True(process.ExitCode == 0 && OnePassed().IsMatch(output), $"{name} ended with {process.ExitCode}\n{output}");
        foreach (string line in output.Split('\n').Where(line => line.StartsWith(Scenario.ReportMark, StringComparison.Ordinal)))
            TestContext.Current.TestOutputHelper?.WriteLine(line[Scenario.ReportMark.Length..]);
    }

    // One test was run, and nothing else happened: a process that ran none must not pass.
    [GeneratedRegex(@" Total: 1, Errors: 0, Failed: 0, Skipped: 0, Not Run: 0,")]
    private static partial Regex OnePassed();
}
