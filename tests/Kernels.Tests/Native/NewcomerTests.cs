using System.Text.RegularExpressions;
using Kernels.Tests.Documentation;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Native;

/// <summary>What is handed out, used in an empty folder by its own text.</summary>
public sealed partial class NewcomerTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("kernels-newcomer-");

    public void Dispose() => _folder.Delete(recursive: true);

    /// <summary>The NuGet package: the README's first program in a new project.</summary>
    [Fact]
    public async Task PackageRunsTheFirstProgram()
    {
        string sdk = Path.Combine(TestProcess.InstallationFolder, "sdk");
        Assert.SkipUnless(Directory.Exists(sdk), "no .NET SDK beside the runtime");
        string version = $"0.0.1-test{Environment.ProcessId}";
        TestProcess packed = await Dotnet(
            Repository.Root, "pack", "src/Kernels", "-c", "Release", "--no-build", "--no-restore", "-p:PackageVersion=" + version,
            "-o", _folder.FullName, "--nologo", "-v:quiet");
        Assert.True(packed.ExitCode == 0, packed.Output);
        Assert.True(File.Exists(Path.Combine(_folder.FullName, $"Kernels.{version}.snupkg")), "there are no symbols");
        using (System.IO.Compression.ZipArchive package = System.IO.Compression.ZipFile.OpenRead(
            Path.Combine(_folder.FullName, $"Kernels.{version}.nupkg")))
        {
            string[] files = [.. package.Entries.Select(entry => entry.FullName)];
            string[] expected = ["README.md", "LICENSE", "api/PublicAPI.txt", "lib/net10.0/Kernels.dll", "lib/net10.0/Kernels.xml"];
            Assert.Empty(expected.Except(files));
            using StreamReader reader = new(package.GetEntry("README.md")!.Open());
            string readme = await reader.ReadToEndAsync(TestContext.Current.CancellationToken);
            Assert.Contains("## In your program", readme, StringComparison.Ordinal);
            Assert.DoesNotContain("./build.sh run", readme, StringComparison.Ordinal);
            Assert.DoesNotContain("](kernels/", readme, StringComparison.Ordinal);
        }

        string project = _folder.CreateSubdirectory("app").FullName;
        File.WriteAllText(Path.Combine(project, "app.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <RestoreAdditionalProjectSources>{_folder.FullName}</RestoreAdditionalProjectSources>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Kernels" Version="{version}" />
              </ItemGroup>
            </Project>
            """);
        File.WriteAllText(Path.Combine(project, "Program.cs"), new Page("README.md").Examples.First(example => example.IsProgram).Code);
        try
        {
            TestProcess run = await Dotnet(project, "run", "-v:quiet");
            Assert.True(run.ExitCode == 0, run.Output + run.Error);
            Assert.Contains("same mask in backward: True", run.Output, StringComparison.Ordinal);
        }
        finally
        {
            string cached = Path.Combine(PackageCache(), "kernels", version);
            if (Directory.Exists(cached)) Directory.Delete(cached, recursive: true);
        }
    }

    /// <summary>The archive: unpacked, and its example compiled by the command that it names.</summary>
    [Fact]
    public async Task ArchiveTrainsItsExample()
    {
        SharedLibrary.SkipUnlessBuilt();
        SharedLibrary.SkipWithoutCompiler("cc");
        TestProcess made = await TestProcess.Run(
            "bash", [Repository.PathOf("build.sh"), "native", SharedLibrary.Level], _folder.FullName,
            new Dictionary<string, string?> { ["KERNELS_TEST_ARCHIVE"] = _folder.FullName });
        Assert.SkipWhen(made.Error.Contains("xz is needed", StringComparison.Ordinal), "there is no xz");
        Assert.True(made.ExitCode == 0, made.Error);
        string archive = Directory.GetFiles(_folder.FullName, "kernels-*.tar.xz").Single();
        Assert.Equal(0, (await TestProcess.Run("tar", ["-xf", archive], _folder.FullName)).ExitCode);
        string unpacked = Path.Combine(_folder.FullName, "kernels"), example = File.ReadAllText(Path.Combine(unpacked, "examples/train.c"));
        string command = example.Split('\n').Single(line => line.Contains("cc -std=c99", StringComparison.Ordinal)).Trim(' ', '*');
        TestProcess run = await TestProcess.Run("bash", ["-c", command + " cpu"], unpacked);
        Assert.True(run.ExitCode == 0, run.Output + run.Error);
        Assert.Matches(@"right: (0\.9\d\d|1\.000)", run.Output);
        string[] missing = [.. new[] { "LICENSE", "README.md", "include/kernels.h", "include/kernels.json" }
            .Where(file => !File.Exists(Path.Combine(unpacked, file)))];
        Assert.Empty(missing);
        // Each link of the page leads to a file of the archive.
        string page = File.ReadAllText(Path.Combine(unpacked, "README.md"));
        Assert.All(
            Link().Matches(page).Select(link => link.Groups["file"].Value),
            file => Assert.True(File.Exists(Path.Combine(unpacked, file)), file));
        Assert.DoesNotContain("./build.sh native ", page, StringComparison.Ordinal);
    }

    [GeneratedRegex(@"\]\((?<file>[^)#]+)")]
    private static partial Regex Link();

    private static Task<TestProcess> Dotnet(string folder, params string[] arguments) =>
        TestProcess.Run(TestProcess.Host, arguments, folder, new Dictionary<string, string?> { ["DOTNET_NOLOGO"] = "1" });

    private static string PackageCache() => Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
}
