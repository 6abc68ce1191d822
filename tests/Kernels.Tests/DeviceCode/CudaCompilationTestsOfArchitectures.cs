using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>
/// Programs through NVRTC for an old architecture and for those that it does not know yet, and what the report of registers is worth.
/// </summary>
public sealed class CudaCompilationTestsOfArchitectures
{
    /// <summary>Volta and Hopper: the ends of what the compiler knows.</summary>
    private static readonly string[] Architectures = ["sm_70", "sm_90"];

    /// <summary>
    /// Of each file one text in float, and one in each half type: what is other on Volta stands in headers, the same in all texts.
    /// </summary>
    public static TheoryData<string> VoltaPrograms =>
    [
        .. from program in KernelPrograms.All
           where program.First.IsPortable && program.Variant.DType != DType.Float64
           group program by program.Variant.DType == DType.Float32 ? program.File : $"{program.Variant.DType}" into alike
           select alike.Last().Name,
    ];

    [Theory]
    [MemberData(nameof(VoltaPrograms))]
    public void CompilesForVolta(string name)
    {
        CudaCompilations.SkipWithoutCompiler();
        KernelProgram program = KernelPrograms.Named(name);
        bool counts = program.Variant.DType == DType.Float32 && CudaCompilations.CountsRegisters(program);
        string architecture = counts ? Architectures[0] : "compute_70";
        CudaCompilation compilation = CudaCompilation.Of(program.Text("cuda"), program.File, architecture, "--ptxas-options=-v");
        Assert.DoesNotContain("warning", compilation.Log, StringComparison.OrdinalIgnoreCase);
        Assert.True(!counts || compilation.LocalBytes == 0, compilation.Log);
    }

    /// <summary>
    /// PTX is what a GPU newer than the compiler gets, and what the machine runs. It is what the machine code is made of, so whatever is
    /// read off the one is true of the other.
    /// </summary>
    [Fact]
    public void PtxForNewerGpusIsThatOfMachineCode()
    {
        CudaCompilations.SkipWithoutCompiler();
        KernelProgram program = KernelPrograms.All.First(program =>
            program.Variant.DType == DType.Float32 && CudaCompilations.CountsRegisters(program));
        CudaCompilation forNewer = CudaCompilation.Of(program.Text("cuda"), program.File, "compute_90", "--generate-line-info");
        Assert.Empty(forNewer.Log);
        Assert.Equal(forNewer.Ptx, CudaCompilations.Of(program).Ptx);
    }

    /// <summary>
    /// The check itself: an array indexed at run time lies in local memory, and values beyond the register limit are spilled.
    /// </summary>
    [Fact]
    public void LocalMemoryIsSeen()
    {
        CudaCompilations.SkipWithoutCompiler();
        const string Indexed =
            """
            extern "C" __global__ void indexed(float* x, int n) {
                float bins[64] = {0};
                for (int i = 0; i < n; i++) bins[(int)x[i] & 63] += 1;
                for (int i = 0; i < 64; i++) x[i] = bins[i];
            }
            """;
        const string Crowded =
            """
            extern "C" __global__ void crowded(float* x) {
                float values[64];
                #pragma unroll
                for (int i = 0; i < 64; i++) values[i] = x[i];
                __syncthreads();
                #pragma unroll
                for (int i = 0; i < 64; i++) x[i] = values[63 - i] * values[i];
            }
            """;
        foreach (string architecture in Architectures)
        {
            CudaCompilation indexed = CudaCompilation.Of(Indexed, "indexed.cu", architecture, "--ptxas-options=-v");
            Assert.True(indexed.LocalBytes > 0, indexed.Log);
            Assert.True(indexed.HasLocalArrays);
            CudaCompilation crowded =
                CudaCompilation.Of(Crowded, "crowded.cu", architecture, "--ptxas-options=-v", "--maxrregcount=24");
            Assert.True(crowded.LocalBytes > 0, crowded.Log);
        }
    }
}
