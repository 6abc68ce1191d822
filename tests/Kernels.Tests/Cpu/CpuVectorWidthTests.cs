using System.Globalization;
using System.Runtime.Intrinsics;
using System.Text.RegularExpressions;
using Kernels.Tests.Properties;
using Kernels.Tests.Randomness;
using Kernels.Tests.Support;
using Kernels.Tests.Theories;
using Xunit;

namespace Kernels.Tests.Cpu;

/// <summary>
/// The CPU device has code for vectors of 512, 256 and 128 bits, of which one process runs only that of its processor. So the tests of that
/// code are run again in a process whose runtime is told that the processor has nothing wider. Slow for what it is: each row starts a test
/// run of its own.
/// </summary>
public sealed partial class CpuVectorWidthTests
{
    private static readonly TimeSpan TimeLimit = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Of the theories those that try all problems and all tails: addresses and memory shared in place are no matter of the width.
    /// </summary>
    private static readonly string[] TestsOfVectorCode =
    [
        .. new[] { typeof(VectorWidthProbe), typeof(PhiloxTests), typeof(DropoutProperties), typeof(CpuElementTests), typeof(CpuGemmTests) }
            .Select(type => $"{type.FullName}.*"),
        .. from type in new[] { typeof(ReferenceTheoryOfEvenRows), typeof(ReferenceTheoryOfOddRows) }
           from method in new[]
               { nameof(ReferenceTheoryOfEvenRows.EveryProblem_Matches), nameof(ReferenceTheoryOfEvenRows.EveryLength_Matches) }
           select $"{type.FullName}.{method}",
    ];

    [Theory]
    [InlineData(256, "DOTNET_EnableAVX512")]
    [InlineData(128, "DOTNET_EnableAVX2")]
    public async Task NarrowerVectors_PassTheSameTests(int bits, string switchOff)
    {
        int own = Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;
        Assert.SkipUnless(own > bits, $"this processor has vectors of {own} bits, which all other tests have used");

        Dictionary<string, string?> environment = new()
        {
            [switchOff] = "0",
            [VectorWidthProbe.BitsVariable] = bits.ToString(CultureInfo.InvariantCulture),
            [TestDevices.SelectionVariable] = "cpu",
        };
        IEnumerable<string> chosen = TestsOfVectorCode.SelectMany(tests => (string[])["-method", tests]);
        TestProcess process = await TestProcess.RunTests(chosen, environment, TimeLimit);

        Assert.True(process.ExitCode == 0, process.Output);
        int total = int.Parse(Total().Match(process.Output).Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.True(total > 50, process.Output);
    }

    [GeneratedRegex(@"Total: (\d+), Errors: 0, Failed: 0, Skipped: 0")]
    private static partial Regex Total();
}

/// <summary>Whether the runtime heeded the switch: without this, the run above could test the same code again.</summary>
public sealed class VectorWidthProbe
{
    public const string BitsVariable = "KERNELS_TEST_VECTOR_BITS";

    private static readonly string? Bits = Environment.GetEnvironmentVariable(BitsVariable);

    /// <summary>True in the process that is told of narrower vectors than the processor has.</summary>
    public static bool IsNarrowed => !string.IsNullOrEmpty(Bits);

    [Fact]
    public void CpuDevice_UsesTheExpectedWidth()
    {
        using Device device = Device.Open("cpu");
        if (Bits is { Length: > 0 } bits) Assert.Contains($"{bits}-bit vectors", device.Name);
        Assert.Equal(Vector512.IsHardwareAccelerated, device.Name.Contains("512-bit"));
    }
}
