using System.Text.Json;
using System.Text.RegularExpressions;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Documentation;

/// <summary>What the README says is so: its example compiles as it stands and runs, and its tables are complete.</summary>
public sealed partial class ReadmeTests
{
    /// <summary>What a new console project has in scope without asking.</summary>
    private const string ImplicitUsings =
        """
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Net.Http;
        global using System.Threading;
        global using System.Threading.Tasks;
        """;

    /// <summary>
    /// By the SDK's own compiler, from outside the repository: it sees the public API only, and the language version that users have. Starting the
    /// compiler and then the example takes a few seconds.
    /// </summary>
    [Fact]
    public async Task ExampleCompilesAndRuns()
    {
        string compiler = Compiler() ?? "";
        Assert.SkipWhen(compiler.Length == 0, "no .NET SDK beside the runtime");
        DirectoryInfo folder = Directory.CreateTempSubdirectory("kernels-readme-");
        try
        {
            string Place(string file) => Path.Combine(folder.FullName, file);
            File.WriteAllText(Place("Program.cs"), Example());
            File.WriteAllText(Place("Usings.cs"), ImplicitUsings);
            File.Copy(typeof(Device).Assembly.Location, Place("Kernels.dll"));
            File.WriteAllText(Place("Example.runtimeconfig.json"), RuntimeConfiguration());
            string[] sources = ["Program.cs", "Usings.cs"], options = ["-out:Example.dll", "-reference:Kernels.dll", "-nullable", "-warnaserror", "-nologo"];
            File.WriteAllLines(Place("options.rsp"), [.. options, .. FrameworkAssemblies().Select(file => $"-reference:\"{file}\""), .. sources]);

            TestProcess compiled = await TestProcess.RunDotnet(compiler, ["@options.rsp"], folder.FullName);
            Assert.True(compiled.ExitCode == 0, compiled.Output);
            TestProcess run = await TestProcess.RunDotnet(Place("Example.dll"), [], folder.FullName);
            Assert.Equal((0, ""), (run.ExitCode, run.Error));
            Assert.Contains("same mask in backward: True", run.Output, StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void ExampleIsShort() => Assert.InRange(Example().Split('\n').Count(line => line.Trim().Length > 0), 10, 22);

    [Fact]
    public void EveryOpIsInTheTable()
    {
        string readme = Repository.Read("README.md");
        Assert.All(OpCase.All, op => Assert.Matches($@"(?m)^\| `{Regex.Escape(op.Op)}` \| `\w+`", readme));
        string[] listed = [.. OpRow().Matches(readme).Select(match => match.Groups["op"].Value)];
        Assert.All(listed, op => Assert.Contains(op, OpCase.All.Select(known => known.Op)));
    }

    /// <summary>Links to files of the repository lead somewhere.</summary>
    [Theory]
    [InlineData("README.md")]
    [InlineData("kernels/README.md")]
    public void LinksResolve(string file)
    {
        string folder = Path.GetDirectoryName(Path.Combine(Repository.Root, file))!;
        foreach (string target in Link().Matches(Repository.Read(file)).Select(match => match.Groups["target"].Value))
            Assert.True(target.StartsWith("http", StringComparison.Ordinal) || Path.Exists(Path.Combine(folder, target)), target);
    }

    private static string Example() => ExampleBlock().Match(Repository.Read("README.md")).Groups["code"].Value;

    /// <summary>The compiler of the newest SDK beside the runtime that runs the tests, or null.</summary>
    private static string? Compiler()
    {
        string sdks = Path.Combine(TestProcess.InstallationFolder, "sdk");
        if (!Directory.Exists(sdks)) return null;
        return Directory.GetDirectories(sdks, $"{Environment.Version.Major}.*")
            .Select(sdk => Path.Combine(sdk, "Roslyn", "bincore", "csc.dll"))
            .Where(File.Exists)
            .Max(StringComparer.Ordinal);
    }

    private static IEnumerable<string> FrameworkAssemblies()
    {
        string framework = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        return ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Where(file => Path.GetDirectoryName(file) == framework);
    }

    private static string RuntimeConfiguration() => JsonSerializer.Serialize(new
    {
        runtimeOptions = new
        {
            tfm = $"net{Environment.Version.Major}.0",
            framework = new { name = "Microsoft.NETCore.App", version = Environment.Version.ToString() },
            configProperties = new Dictionary<string, bool> { ["System.Globalization.Invariant"] = true },
        },
    });

    [GeneratedRegex(@"```csharp\n(?<code>.*?)```", RegexOptions.Singleline)]
    private static partial Regex ExampleBlock();

    [GeneratedRegex(@"^\| `(?<op>[a-z0-9-]+)` \| `[A-Z]\w*` \|", RegexOptions.Multiline)]
    private static partial Regex OpRow();

    [GeneratedRegex(@"\]\((?<target>[^)#]+)\)")]
    private static partial Regex Link();
}
