using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using Kernels.Benchmarks;
using Kernels.Tests.Documentation;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Native;

/// <summary>The Python package, by its own tests.</summary>
public sealed partial class PythonTests
{
    private static readonly TimeSpan TimeLimit = TimeSpan.FromMinutes(5);

    /// <summary>One process for all of them: to import PyTorch takes as long as they do.</summary>
    [Fact]
    public async Task ItsTestsPass()
    {
        SharedLibrary.SkipUnlessBuilt();
        string? python = await FindPython();
        Assert.SkipWhen(
            python is null, $"there is no Python with PyTorch (Debian's package python3-torch); {PythonPeers.PythonVariable} can name one");
        string cases = Path.GetTempFileName();
        try
        {
            await File.WriteAllLinesAsync(cases, Cases(), TestContext.Current.CancellationToken);
            Dictionary<string, string?> environment = new()
            {
                ["KERNELS_LIBRARY"] = SharedLibrary.File,
                ["KERNELS_CASES"] = cases,
                ["OMP_NUM_THREADS"] = "1",
                ["DOTNET_PROCESSOR_COUNT"] = "1", // problems are small, and other tests run meanwhile
                ["PYTHONDONTWRITEBYTECODE"] = "1",
            };
            TestProcess tests = await TestProcess.Run(
                python, ["-m", "unittest", "discover", "-t", ".", "tests"], Repository.PathOf("native/python"), environment, TimeLimit);

            Match summary = Summary().Match(tests.Error);
            Assert.True(tests.ExitCode == 0 && summary.Success, tests.Output + tests.Error);
            // A run that found no tests says OK as well.
            Assert.True(int.Parse(summary.Groups["tests"].Value, CultureInfo.InvariantCulture) > 60, tests.Error);
            TestContext.Current.TestOutputHelper?.WriteLine(tests.Error);
        }
        finally
        {
            File.Delete(cases);
        }
    }

    /// <summary>The first problem of each entry of each op that is small and is one of numbers, a JSON object a line.</summary>
    private static IEnumerable<string> Cases() =>
        from op in OpCase.All
        where op.DTypes.Contains(DType.Float32)
        from entry in op.Problems.GroupBy(problem => problem.Entry)
        let trial = entry.Select(problem => new Trial(op, problem, DType.Float32))
            .FirstOrDefault(trial =>
                trial.Specs.Sum(spec => spec.Length) is > 32 and < 4096 && trial.Results.Any(result => result.Length > 4))
        where trial is not null
        select JsonSerializer.Serialize(
            new
            {
                op.Op,
                Problem = (object)trial.Problem,
                Key = KeyOf(op),
                Tensors = trial.Specs.Select(spec => new
                {
                    spec.Name,
                    Dtype = spec.DType.ShortName(),
                    spec.Shape,
                    Values = spec.Role == TensorRole.Output ? new double[spec.Length] : spec.Values,
                    Expected = spec.Role == TensorRole.Input ? null : trial.Expected[spec.Name],
                    Limit = spec.Tolerance.Limit(spec.DType),
                    spec.Tolerance.Floor,
                }),
            },
            JsonConversation.Options);

    /// <summary>The key of a case's calls, which is its own affair everywhere else.</summary>
    private static ulong[] KeyOf(OpCase op)
    {
        for (Type? type = op.GetType(); type is not null; type = type.BaseType)
        {
            FieldInfo? field = type.GetField("Key", BindingFlags.Static | BindingFlags.NonPublic);
            if (field?.GetValue(null) is RandomKey key) return [key.Seed, key.Offset];
        }

        return [0, 0];
    }

    private static async Task<string?> FindPython()
    {
        string? chosen = Environment.GetEnvironmentVariable(PythonPeers.PythonVariable);
        foreach (string python in chosen is { Length: > 0 } ? [chosen] : (string[])["/usr/bin/python3", "python3"])
        {
            try
            {
                // Looked for, not loaded.
                TestProcess found = await TestProcess.Run(
                    python, ["-c", "import importlib.util as u; raise SystemExit(u.find_spec('torch') is None)"]);
                if (found.ExitCode == 0) return python;
            }
            catch (System.ComponentModel.Win32Exception)
            {
                // There is no such program.
            }
        }

        return null;
    }

    [GeneratedRegex(@"Ran (?<tests>\d+) tests in .*\n+OK.*")]
    private static partial Regex Summary();
}
