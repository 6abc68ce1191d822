using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text.RegularExpressions;
using Kernels.Tests.Noise;
using Kernels.Tests.Randomness;
using Kernels.Tests.Support;
using Kernels.Tests.Theories;
using Xunit;

namespace Kernels.Tests.Cpu;

/// <summary>
/// The CPU device has code for vectors of 512, 256 and 128 bits, of which one process runs only that of its processor. So the tests of that code are
/// run again in a process whose runtime is told that the processor has nothing wider. Slow for what it is: each row starts a test run of its own.
/// </summary>
public sealed partial class CpuVectorWidthTests
{
    private static readonly Type[] TestsOfVectorCode =
        [typeof(VectorWidthProbe), typeof(PhiloxTests), typeof(MaskTests), typeof(CpuElementTests), typeof(CpuGemmTests), typeof(ReferenceTheory)];

    [Theory]
    [InlineData(256, "DOTNET_EnableAVX512")]
    [InlineData(128, "DOTNET_EnableAVX2")]
    public async Task NarrowerVectors_PassTheSameTests(int bits, string switchOff)
    {
        int own = Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;
        Assert.SkipUnless(own > bits, $"this processor has vectors of {own} bits, which all other tests have used");

        string host = Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet");
        ProcessStartInfo start = new(host) { RedirectStandardOutput = true };
        start.ArgumentList.Add("exec");
        start.ArgumentList.Add(typeof(CpuVectorWidthTests).Assembly.Location);
        foreach (Type tests in TestsOfVectorCode)
        {
            start.ArgumentList.Add("-class");
            start.ArgumentList.Add(tests.FullName!);
        }

        start.Environment[switchOff] = "0";
        start.Environment[VectorWidthProbe.BitsVariable] = bits.ToString(CultureInfo.InvariantCulture);
        start.Environment[TestDevices.SelectionVariable] = "cpu";
        using Process process = Process.Start(start)!;
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.True(process.ExitCode == 0, output);
        int total = int.Parse(Total().Match(output).Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.True(total > 50, output);
    }

    [GeneratedRegex(@"Total: (\d+), Errors: 0, Failed: 0, Skipped: 0")]
    private static partial Regex Total();
}

/// <summary>Whether the runtime heeded the switch: without this, the run above could test the same code again.</summary>
public sealed class VectorWidthProbe
{
    public const string BitsVariable = "KERNELS_TEST_VECTOR_BITS";

    [Fact]
    public void CpuDevice_UsesTheExpectedWidth()
    {
        using Device device = Device.Open("cpu");
        if (Environment.GetEnvironmentVariable(BitsVariable) is { Length: > 0 } bits) Assert.Contains($"{bits}-bit vectors", device.Name);
        Assert.Equal(Vector512.IsHardwareAccelerated, device.Name.Contains("512-bit"));
    }
}
