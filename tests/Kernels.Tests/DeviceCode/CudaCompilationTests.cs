using System.Text;
using System.Text.RegularExpressions;
using Kernels.Devices;
using Kernels.Devices.Cuda;
using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>
/// Every program through NVRTC, which needs no GPU: it compiles, says nothing, takes the record's arguments and keeps to registers.
/// </summary>
public sealed partial class CudaCompilationTests
{
    /// <summary>What a kernel may have without asking for more.</summary>
    private const int SharedBytes = 48 << 10;

    /// <summary>Volta and Hopper: the ends of what the compiler knows.</summary>
    private static readonly string[] Architectures = ["sm_70", "sm_90"];

    /// <summary>
    /// Every text in float and in Half, and one of each file in bfloat16, which differs from Half by two conversions, and in double. The
    /// machine compiles more of those when it runs them.
    /// </summary>
    public static TheoryData<string> Programs =>
    [
        .. from program in KernelPrograms.All
           group program by program.Variant.DType is DType.Float32 or DType.Float16
               ? program.Name : $"{program.File} {program.Variant.DType}" into alike
           select alike.Last().Name,
    ];

    public static TheoryData<string> RegisterPrograms =>
    [
        .. from program in KernelPrograms.All
           where CudaCompilations.KeepsToRegisters(program.Variant.DType, program.First.File)
           select program.Name,
    ];

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

    /// <summary>Writes zeros, and reads nothing of the stored type.</summary>
    private const string OnlyWrites = "batch_norm_clear";

    /// <summary>Kernels whose results are sums, stored one by one; a width of eight is how they read, or how many a draw serves.</summary>
    private static readonly string[] NarrowKernels =
    [
        "average_pool2d_global", "drop_connect_forward", "drop_connect_inference", "entropy_forward", "feature_noise",
        "batch_norm_moments_planes", "batch_norm_moments_columns", "batch_norm_sums_planes", "batch_norm_sums_columns",
        "differentiable_augment_draw", "spectral_norm_rows", "spectral_norm_overlap",
    ];

    public static TheoryData<string> WidePrograms =>
    [
        .. from program in KernelPrograms.All
           where program.Variant is { VectorWidth: 8, DType: DType.Float32 or DType.Float16 } && program.Kernels.Any(IsWide)
           select program.Name,
    ];

    /// <summary>
    /// PTX states each parameter's type, which is what the driver goes by when it reads the host's argument block. The record comes from
    /// the text before the preprocessor, the PTX from the text after it.
    /// </summary>
    [Theory]
    [MemberData(nameof(Programs))]
    public void CompilesAndTakesTheArgumentsOfTheRecord(string name)
    {
        SkipWithoutCompiler();
        KernelProgram program = KernelPrograms.Named(name);
        CudaCompilation compilation = CudaCompilations.Of(program);
        Assert.DoesNotContain("warning", compilation.Log, StringComparison.OrdinalIgnoreCase);
        string ptx = compilation.Ptx;
        foreach (KernelDefinition kernel in program.Kernels)
        {
            Match entry = Regex.Match(ptx, $@"\.entry {kernel.EntryPoint}\((?<list>[^)]*)\)");
            Assert.True(entry.Success, $"no entry {kernel.EntryPoint}");
            IEnumerable<string> compiled = ParameterType().Matches(entry.Groups["list"].Value).Select(match => match.Groups["type"].Value);
            Assert.Equal(KernelParameters.PtxTypes(kernel, program.Variant.DType), compiled);
            MatchCollection arrays = Regex.Matches(ptx, $@"\.shared \.align \d+ \.b8 _ZZ\d+{kernel.EntryPoint}E\w+\[(\d+)\]");
            Assert.InRange(arrays.Sum(array => int.Parse(array.Groups[1].Value)), 0, SharedBytes);
        }
    }

    /// <summary>
    /// Compilers split a 16-byte access whose parts come out of selections into four, which is four times the requests. PTX shows it.
    /// </summary>
    [Theory]
    [MemberData(nameof(WidePrograms))]
    public void WideKernelsMoveSixteenBytesAtATime(string name)
    {
        SkipWithoutCompiler();
        KernelProgram program = KernelPrograms.Named(name);
        string ptx = CudaCompilations.Of(program).Ptx;
        foreach (KernelDefinition kernel in program.Kernels.Where(IsWide))
        {
            string entry = ptx[ptx.IndexOf($".entry {kernel.EntryPoint}(", StringComparison.Ordinal)..];
            entry = entry[..entry.IndexOf("\n}", StringComparison.Ordinal)];
            if (kernel.EntryPoint != OnlyWrites)
                Assert.Matches(@"\b(ld\.global(\.nc)?\.v4\.[fu]32|cp\.async\.cg\.shared\.global)\b", entry);
            Assert.Matches(@"\bst\.global\.v4\.[fu]32\b", entry);
        }
    }

    /// <summary>
    /// PTX is what a GPU newer than the compiler gets, and what the machine runs. It is what the machine code is made of, so whatever is
    /// read off the one is true of the other.
    /// </summary>
    [Fact]
    public void PtxForNewerGpusIsThatOfMachineCode()
    {
        SkipWithoutCompiler();
        KernelProgram program = KernelPrograms.All.First(program => program.Variant.DType == DType.Float32 && CountsRegisters(program));
        (byte[] virtualCode, string log) =
            NvrtcProgram.Examine(program.Text("cuda"), program.File, "compute_90", "--generate-line-info");
        Assert.Empty(log);
        Assert.Equal(Encoding.ASCII.GetString(virtualCode), CudaCompilations.Of(program).Ptx);
    }

    [Theory]
    [MemberData(nameof(RegisterPrograms))]
    public void KeepsToRegisters(string name)
    {
        SkipWithoutCompiler();
        KernelProgram program = KernelPrograms.Named(name);
        CudaCompilation compilation = CudaCompilations.Of(program);
        Assert.True(!HasLocalArrays(compilation.Ptx), "an array is indexed at run time");
        Assert.True(!CountsRegisters(program) || LocalMemory(compilation.Log) == 0, compilation.Log);
    }

    [Theory]
    [MemberData(nameof(VoltaPrograms))]
    public void CompilesForVolta(string name)
    {
        SkipWithoutCompiler();
        KernelProgram program = KernelPrograms.Named(name);
        bool counts = program.Variant.DType == DType.Float32 && CountsRegisters(program);
        string architecture = counts ? Architectures[0] : "compute_70";
        string report = NvrtcProgram.Examine(program.Text("cuda"), program.File, architecture, "--ptxas-options=-v").Log;
        Assert.DoesNotContain("warning", report, StringComparison.OrdinalIgnoreCase);
        Assert.True(!counts || LocalMemory(report) == 0, report);
    }

    /// <summary>
    /// The check itself: an array indexed at run time lies in local memory, and values beyond the register limit are spilled.
    /// </summary>
    [Fact]
    public void LocalMemoryIsSeen()
    {
        SkipWithoutCompiler();
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
            (byte[] ptx, string indexed) = NvrtcProgram.Examine(Indexed, "indexed.cu", architecture, "--ptxas-options=-v");
            Assert.True(LocalMemory(indexed) > 0, indexed);
            Assert.True(HasLocalArrays(Encoding.ASCII.GetString(ptx)));
            string crowded = NvrtcProgram.Examine(Crowded, "crowded.cu", architecture, "--ptxas-options=-v", "--maxrregcount=24").Log;
            Assert.True(LocalMemory(crowded) > 0, crowded);
        }
    }

    /// <summary>Arrays that the compiler could not put into registers, which PTX declares.</summary>
    private static bool HasLocalArrays(string ptx) => ptx.Contains(".local .align", StringComparison.Ordinal);

    /// <summary>Stack frames and spills of all entry points, in bytes; throws when the assembler did not say.</summary>
    private static int LocalMemory(string report)
    {
        MatchCollection frames = FrameReport().Matches(report);
        if (frames.Count == 0 || frames.Count != EntryReport().Count(report))
            throw new FormatException($"Not a report of ptxas -v: {report}");
        return frames.Sum(frame => frame.Groups.Values.Skip(1).Sum(bytes => int.Parse(bytes.Value)));
    }

    private static bool IsWide(KernelDefinition kernel) => kernel.VectorWidths.Contains(8) && !NarrowKernels.Contains(kernel.EntryPoint);

    private static bool CountsRegisters(KernelProgram program) =>
        CudaCompilations.CountsRegisters(program.Variant.DType, program.First.File);

    internal static void SkipWithoutCompiler()
    {
        if (!NvrtcProgram.TryVersion(out _, out string? reason)) Assert.Skip($"NVRTC: {reason}");
    }

    [GeneratedRegex(@"Compiling entry function '(?<name>\w+)'")]
    private static partial Regex EntryReport();

    [GeneratedRegex(@"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")]
    private static partial Regex FrameReport();

    [GeneratedRegex(@"\.param \.(?<type>\w+)")]
    private static partial Regex ParameterType();
}
