using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>
/// A sample of the programs through an OpenCL C 1.2 compiler: they compile without a warning and have the kernels that the host asks for.
/// That all compile is shown by the theories, which run them.
/// </summary>
public sealed class OpenClCompilationTests
{
    public static TheoryData<string> Programs => KernelPrograms.Sample;

    [Theory]
    [MemberData(nameof(Programs))]
    public void CompilesWithoutWarnings(string name)
    {
        KernelProgram program = KernelPrograms.Named(name);
        using OpenClCompiler compiler = OpenClCompiler.OpenOrSkip();
        IReadOnlyDictionary<string, uint> arguments = compiler.ArgumentCounts(
            program.Text("opencl"), [.. program.Kernels.Select(kernel => kernel.EntryPoint)]);
        Assert.All(program.Kernels, kernel =>
            Assert.Equal(KernelParameters.PtxTypes(kernel, program.Variant.DType).Count, (int)arguments[kernel.EntryPoint]));
    }
}
