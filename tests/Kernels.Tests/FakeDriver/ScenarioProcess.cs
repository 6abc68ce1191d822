using System.Diagnostics;
using System.Text.RegularExpressions;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// Runs one scenario in a process of its own, since a process loads its driver once. A scenario is an explicit test of this assembly, which the
/// child process runs with the stand-in in the driver's place.
/// </summary>
internal sealed partial class ScenarioProcess : IDisposable
{
    private static readonly TimeSpan TimeLimit = TimeSpan.FromMinutes(5);

    private readonly Process _process;
    private readonly Task<string> _output;
    private readonly Task<string> _errors;
    private readonly string _name;

    /// <param name="type">The class of the scenario.</param>
    /// <param name="method">Its method.</param>
    /// <param name="environment">Variables of the process beyond those that put the stand-ins in place.</param>
    public ScenarioProcess(Type type, string method, params (string Name, string Value)[] environment)
    {
        _name = $"{type.FullName}.{method}";
        bool isHosted = Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet";
        ProcessStartInfo start = new(Environment.ProcessPath!)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        string[] host = isHosted ? ["exec", typeof(ScenarioProcess).Assembly.Location] : [];
        string[] arguments = [.. host, "-noLogo", "-noColor", "-explicit", "only", "-method", _name];
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        foreach ((string name, string value) in ((string, string)[])[.. Defaults(), .. environment]) start.Environment[name] = value;
        _process = Process.Start(start)!;
        _output = _process.StandardOutput.ReadToEndAsync();
        _errors = _process.StandardError.ReadToEndAsync();
    }

    /// <summary>What every process of the stand-ins gets.</summary>
    private static (string Name, string Value)[] Defaults() =>
    [
        ("KERNELS_FAKECUDA", StandIns.Folder), ("KERNELS_LIBCUDA", StandIns.Cuda), ("KERNELS_LIBNVRTC", StandIns.Cuda),
        ("KERNELS_LIBCUBLAS", StandIns.Cuda),
        ("KERNELS_CACHE", "off"), ("KERNELS_SYNC", ""), ("KERNELS_NO_CUBLAS", "1"),
    ];

    /// <summary>Waits for the end and hands on what the scenario reported; fails when it failed, or when nothing was run.</summary>
    public void Finish()
    {
        bool ended = _process.WaitForExit(TimeLimit);
        if (!ended) _process.Kill(entireProcessTree: true);
        string output = _output.Result + _errors.Result;
        Assert.True(ended, $"{_name} was not done after {TimeLimit}\n{output}");
        Assert.True(_process.ExitCode == 0 && OnePassed().IsMatch(output), $"{_name} ended with {_process.ExitCode}\n{output}");
        foreach (string line in output.Split('\n').Where(line => line.StartsWith(Scenario.ReportMark, StringComparison.Ordinal)))
            TestContext.Current.TestOutputHelper?.WriteLine(line[Scenario.ReportMark.Length..]);
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }

    // One test was run, and nothing else happened: a process that ran none must not pass.
    [GeneratedRegex(@" Total: 1, Errors: 0, Failed: 0, Skipped: 0, Not Run: 0,")]
    private static partial Regex OnePassed();
}
