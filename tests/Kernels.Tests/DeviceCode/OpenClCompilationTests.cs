using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>
/// A sample of the programs compiles as OpenCL C 1.2 without a warning. That all compile and take their arguments is shown by the theories,
/// which run them.
/// </summary>
public sealed class OpenClCompilationTests
{
    public static TheoryData<string> Programs => KernelPrograms.Sample;

    [Theory]
    [MemberData(nameof(Programs))]
    public void CompilesWithoutWarnings(string name)
    {
        using OpenClCompiler compiler = OpenClCompiler.OpenOrSkip();
        compiler.Compile(KernelPrograms.Named(name).Text("opencl"));
    }
}
