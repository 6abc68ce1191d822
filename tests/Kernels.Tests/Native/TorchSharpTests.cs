using System.Text;
using Kernels.Tests.Documentation;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Native;

/// <summary>The example with TorchSharp, where its native library loads and was fetched.</summary>
public sealed class TorchSharpTests
{
    /// <summary>The newest symbols of the C++ runtime that the native library of TorchSharp 0.107 asks for.</summary>
    private const string Runtime = "GLIBCXX_3.4.32";

    [Fact]
    public async Task GradientsOfTheExampleAreRight()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "TorchSharp is tried on Linux");
        string? library = new[] { "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib" }
            .Select(folder => Path.Combine(folder, "libstdc++.so.6")).FirstOrDefault(File.Exists);
        Assert.SkipWhen(library is null, "there is no C++ runtime");
        bool isNewEnough = File.ReadAllBytes(library).AsSpan().IndexOf(Encoding.ASCII.GetBytes(Runtime)) >= 0;
        Assert.SkipUnless(isNewEnough, $"TorchSharp 0.107 asks for {Runtime}, which the C++ runtime of this system does not have");
        string packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        Assert.SkipUnless(
            Directory.Exists(Path.Combine(packages, "torchsharp-cpu")), "TorchSharp was not fetched: dotnet restore native/torchsharp");
        TestProcess run = await TestProcess.Run(
            TestProcess.Host, ["run", "--project", Repository.PathOf("native/torchsharp"), "-c", "Release"], Repository.Root);
        Assert.True(run.ExitCode == 0, run.Output + run.Error);
        Assert.Contains("gradients right: True", run.Output, StringComparison.Ordinal);
    }
}
