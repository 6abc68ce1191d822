using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>Every program through an OpenCL C 1.2 compiler: it compiles without a warning and has the kernels that the host asks for.</summary>
public sealed class OpenClCompilationTests
{
    public static TheoryData<string> Programs => KernelPrograms.Names;

    [Theory]
    [MemberData(nameof(Programs))]
    public void CompilesWithoutWarnings(string name)
    {
        KernelProgram program = KernelPrograms.Named(name);
        using OpenClCompiler compiler = OpenClCompiler.OpenOrSkip();
        IReadOnlyDictionary<string, uint> arguments = compiler.ArgumentCounts(program.Text("opencl"), [.. program.Kernels.Select(kernel => kernel.EntryPoint)]);
        Assert.All(program.Kernels, kernel => Assert.Equal(KernelParameters.InRecord(kernel).Count, (int)arguments[kernel.EntryPoint]));
    }
}
