using Kernels.Devices;
using Kernels.Devices.Cuda;
using Kernels.Devices.OpenCl;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>A compile error names the file and the line that someone would edit, not a place in the assembled text.</summary>
public sealed class CompilerMessageTests
{
    private const string Mistake = "no_such_type";

    private static KernelProgram Dropout => KernelPrograms.All.First(program => program.First.File == "portable/dropout.cl");

    /// <summary>A place in the dialect, in an included header, and in the kernel's own file after its includes.</summary>
    public static TheoryData<string, string> Places => new()
    {
        { "dialect/{0}.h", "DEVICE float f16_to_f32(" },
        { "portable/philox.h", "DEVICE philox_block philox(" },
        { "portable/dropout.cl", "KERNEL void dropout_mask(" },
    };

    [Theory]
    [MemberData(nameof(Places))]
    public void CudaNamesFileAndLine(string file, string place)
    {
        if (!NvrtcProgram.TryVersion(out _, out string? reason)) Assert.Skip($"NVRTC: {reason}");
        (string text, string name, int line) = Broken("cuda", file, place);
        KernelCompilationException error = Assert.Throws<KernelCompilationException>(
            () => NvrtcProgram.Compile(text, "kernels/portable/dropout.cl", "sm_80"));
        Assert.Contains($"{name}({line}): error", error.CompilerLog, StringComparison.Ordinal);
        Assert.Contains(Mistake, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void OpenClNamesFileAndLine(string file, string place)
    {
        using OpenClCompiler compiler = OpenClCompiler.OpenOrSkip();
        (string text, string name, int line) = Broken("opencl", file, place);
        KernelCompilationException error = Assert.Throws<KernelCompilationException>(() => compiler.Compile(text));
        Assert.Contains($"{name}:{line}:", error.CompilerLog, StringComparison.Ordinal);
        Assert.Contains(Mistake, error.Message, StringComparison.Ordinal);
    }

    /// <summary>The check itself: whatever tests run on OpenCL is compiled so.</summary>
    [Fact]
    public void WarningsOfOpenClAreErrors()
    {
        using OpenClCompiler compiler = OpenClCompiler.OpenOrSkip();
        string text = Dropout.Text("opencl");
        compiler.Compile(text);
        Assert.Throws<KernelCompilationException>(() => compiler.Compile($"{text}\nint nothing(void) {{ }}\n"));
        Assert.All([false, true], isOptimized => Assert.Contains(
            OpenClOptions.OfWarnings,
            OpenClPrograms.FurtherOptions(Dropout.First, Dropout.Variant with { VectorWidth = isOptimized ? 8 : 1 }),
            StringComparison.Ordinal));
    }

    /// <summary>
    /// The dropout program with an unknown type in the parameter list at <paramref name="place"/>, and the line that it stands on.
    /// </summary>
    private static (string Text, string Name, int Line) Broken(string dialect, string file, string place)
    {
        file = string.Format(null, file, dialect);
        string[] lines = KernelSource.Read(file).Split('\n');
        int line = 1 + Array.FindIndex(lines, text => text.StartsWith(place, StringComparison.Ordinal));
        return (Dropout.Text(dialect).Replace(place, $"{place}{Mistake} mistake, ", StringComparison.Ordinal), $"kernels/{file}", line);
    }
}
