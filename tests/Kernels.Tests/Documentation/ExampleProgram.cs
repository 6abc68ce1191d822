using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.Json;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Documentation;

/// <summary>
/// All examples of all pages as one program, compiled by the SDK's own compiler from outside the repository: it sees the public API only,
/// and the language version that users have. Compiler messages and stack traces name page and line.
/// </summary>
internal static class ExampleProgram
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

    private static readonly Lazy<Task<string>> AllOutput = new(() => Run([.. Page.All.SelectMany(page => page.Examples)]));

    /// <summary>What the examples print, compiled once and run once in order; skips the test where there is no compiler.</summary>
    public static Task<string> Output => AllOutput.Value;

    private static async Task<string> Run(IReadOnlyList<Example> examples)
    {
        string compiler = Compiler() ?? "";
        Assert.SkipWhen(compiler.Length == 0, "no .NET SDK beside the runtime");
        DirectoryInfo folder = Directory.CreateTempSubdirectory("kernels-examples-");
        try
        {
            string Place(string file) => Path.Combine(folder.FullName, file);
            File.WriteAllText(Place("Examples.cs"), Source(examples));
            File.WriteAllText(Place("Usings.cs"), ImplicitUsings);
            foreach (string library in Libraries()) File.Copy(library, Place(Path.GetFileName(library)));
            File.WriteAllText(Place("Examples.runtimeconfig.json"), RuntimeConfiguration());
            string[] options = ["-out:Examples.dll", "-reference:Kernels.dll", "-nullable", "-warnaserror", "-nologo", "-debug:embedded"];
            IEnumerable<string> framework = FrameworkAssemblies().Select(file => $"-reference:\"{file}\"");
            File.WriteAllLines(Place("options.rsp"), [.. options, .. framework, "Examples.cs", "Usings.cs"]);

            TestProcess compiled = await TestProcess.RunDotnet(compiler, ["@options.rsp"], folder.FullName);
            Assert.True(compiled.ExitCode == 0, compiled.Output);
            TestProcess run = await TestProcess.RunDotnet(Place("Examples.dll"), [], folder.FullName);
            Assert.Equal((0, ""), (run.ExitCode, run.Error));
            return run.Output;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>A method for each example, in a namespace of its own, so that none lives from the usings of another.</summary>
    private static string Source(IReadOnlyList<Example> examples)
    {
        StringBuilder source = new();
        foreach ((int number, Example example) in examples.Index())
        {
            string method = example.Code.Contains("await ", StringComparison.Ordinal) ? "async Task" : "void";
            string parameters = example.IsProgram ? "" : "Device device, DeviceStream stream";
            string code = example.IsProgram ? example.Code[example.Code.IndexOf('\n')..] : example.Code;
            source.AppendLine(CultureInfo.InvariantCulture, $"namespace Example{number} {{ using Kernels; static class Example {{");
            source.AppendLine(CultureInfo.InvariantCulture, $"public static {method} Run({parameters}) {{");
            source.AppendLine(CultureInfo.InvariantCulture, $"#line {example.Line} \"{example.Page}\"\n{code}\n#line default\n}} }} }}");
        }

        source.Append("static class Program { static async Task Main() {\n");
        source.Append("await Task.CompletedTask;\n");
        source.Append("using var device = Kernels.Device.Open(\"cpu\"); using var stream = device.CreateStream();\n");
        foreach ((int number, Example example) in examples.Index())
        {
            string wait = example.Code.Contains("await ", StringComparison.Ordinal) ? "await " : "";
            string arguments = example.IsProgram ? "" : "device, stream";
            source.AppendLine(CultureInfo.InvariantCulture, $"{wait}Example{number}.Example.Run({arguments}); stream.Synchronize();");
        }

        return source.Append("} }\n").ToString();
    }

    /// <summary>The library and what it needs beside the framework.</summary>
    private static IEnumerable<string> Libraries()
    {
        HashSet<Assembly> found = [typeof(Device).Assembly];
        Queue<Assembly> left = new(found);
        while (left.TryDequeue(out Assembly? next))
        {
            foreach (Assembly used in next.GetReferencedAssemblies().Select(Assembly.Load))
            {
                if (Path.GetDirectoryName(used.Location) == Path.GetDirectoryName(next.Location) && found.Add(used)) left.Enqueue(used);
            }
        }

        return found.Select(assembly => assembly.Location);
    }

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
        string trusted = (string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!;
        return trusted.Split(Path.PathSeparator).Where(file => Path.GetDirectoryName(file) == framework);
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
}
