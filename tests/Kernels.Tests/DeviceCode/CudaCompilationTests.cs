using System.Collections.Concurrent;
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

    /// <summary>Volta and Hopper as machine code: the ends of what the compiler knows.</summary>
    private static readonly string[] Architectures = ["sm_70", "sm_90"];

    /// <summary>
    /// Ampere for the half types: their texts differ from that of float by how elements are loaded and stored, which has been the same
    /// since.
    /// </summary>
    private static readonly string[] OneArchitecture = ["sm_80"];

    /// <summary>
    /// PTX for double, which is not held to registers: it says what is compiled, and a third of the time is the assembler's.
    /// </summary>
    private static readonly string[] NoArchitecture = ["compute_70"];

    /// <summary>
    /// Kernels whose working set is a tile, a chunk of a row beside sums, or four weights with their state and the sums of a row, so that
    /// the compiler weighs registers against occupancy: a few bytes spilled there cost nothing. All others, reductions included, hold a
    /// handful of values and have no excuse.
    /// </summary>
    private static readonly string[] TiledFiles =
    [
        "portable/matmul.cl", "portable/drop_connect.cl", "portable/cross_entropy.cl", "portable/entropy.cl",
        "portable/attention_dropout.cl", "portable/sgd.cl", "portable/conv2d.cl", "portable/batch_norm_backward.cl",
    ];

    private static readonly ConcurrentDictionary<(string Program, string Architecture), Lazy<(string Ptx, string Log)>>
        Compilations = new();

    public static TheoryData<string> Programs => KernelPrograms.Names;

    public static TheoryData<string> RegisterPrograms =>
        [.. KernelPrograms.All.Where(IsHeldToRegisters).Select(program => program.Name)];

    /// <summary>Kernels whose results are sums, stored one by one; a width of eight is how they read, or how many a draw serves.</summary>
    private static readonly string[] NarrowKernels =
    [
        "average_pool2d_global", "drop_connect_forward", "drop_connect_inference", "entropy_forward", "batch_norm_moments_planes",
        "batch_norm_moments_columns", "batch_norm_sums_planes", "batch_norm_sums_columns",
    ];

    public static TheoryData<string> WidePrograms =>
    [
        .. from program in KernelPrograms.All
           where program.Variant is { VectorWidth: 8, DType: not DType.Float64 } && program.Kernels.Any(IsWide)
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
        foreach (string architecture in ArchitecturesFor(program))
        {
            string ptx = Compiled(name, architecture).Ptx;
            foreach (KernelDefinition kernel in program.Kernels)
            {
                Match entry = Regex.Match(ptx, $@"\.entry {kernel.EntryPoint}\((?<list>[^)]*)\)");
                Assert.True(entry.Success, $"no entry {kernel.EntryPoint}");
                IEnumerable<string> compiled = ParameterType().Matches(entry.Groups["list"].Value)
                    .Select(match => match.Groups["type"].Value);
                Assert.Equal(KernelParameters.PtxTypes(kernel, program.Variant.DType), compiled);
                MatchCollection arrays = Regex.Matches(ptx, $@"\.shared \.align \d+ \.b8 _ZZ\d+{kernel.EntryPoint}E\w+\[(\d+)\]");
                Assert.InRange(arrays.Sum(array => int.Parse(array.Groups[1].Value)), 0, SharedBytes);
            }
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
        string ptx = Compiled(name, ArchitecturesFor(program)[0]).Ptx;
        foreach (KernelDefinition kernel in program.Kernels.Where(IsWide))
        {
            string entry = ptx[ptx.IndexOf($".entry {kernel.EntryPoint}(", StringComparison.Ordinal)..];
            entry = entry[..entry.IndexOf("\n}", StringComparison.Ordinal)];
            Assert.Matches(@"\bld\.global(\.nc)?\.v4\.[fu]32\b", entry);
            Assert.Matches(@"\bst\.global\.v4\.[fu]32\b", entry);
        }
    }

    /// <summary>
    /// PTX of Volta is what a GPU newer than the compiler gets. It is what the machine code of Volta is made of, so the PTX above is the
    /// driver's.
    /// </summary>
    [Fact]
    public void PtxForNewerGpusIsThatOfMachineCode()
    {
        SkipWithoutCompiler();
        KernelProgram program = KernelPrograms.All.First(program => program.Variant.DType == DType.Float32);
        (byte[] virtualCode, string log) = NvrtcProgram.Examine(program.Text("cuda"), program.File, "compute_70");
        Assert.Empty(log);
        Assert.Equal(Encoding.ASCII.GetString(virtualCode), Compiled(program.Name, "sm_70").Ptx);
    }

    /// <summary>Not asked of double, which is for verification: its division is a call that saves registers on the stack.</summary>
    [Theory]
    [MemberData(nameof(RegisterPrograms))]
    public void KeepsToRegisters(string name)
    {
        SkipWithoutCompiler();
        foreach (string architecture in ArchitecturesFor(KernelPrograms.Named(name)))
        {
            string report = Compiled(name, architecture).Log;
            Assert.True(LocalMemory(report) == 0, $"{architecture}: {report}");
        }
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
            string indexed = NvrtcProgram.Examine(Indexed, "indexed.cu", architecture, "--ptxas-options=-v").Log;
            Assert.True(LocalMemory(indexed) > 0, indexed);
            string crowded = NvrtcProgram.Examine(Crowded, "crowded.cu", architecture, "--ptxas-options=-v", "--maxrregcount=24").Log;
            Assert.True(LocalMemory(crowded) > 0, crowded);
        }
    }

    /// <summary>Stack frames and spills of all entry points, in bytes; throws when the assembler did not say.</summary>
    private static int LocalMemory(string report)
    {
        MatchCollection frames = FrameReport().Matches(report);
        if (frames.Count == 0 || frames.Count != EntryReport().Count(report))
            throw new FormatException($"Not a report of ptxas -v: {report}");
        return frames.Sum(frame => frame.Groups.Values.Skip(1).Sum(bytes => int.Parse(bytes.Value)));
    }

    private static bool IsWide(KernelDefinition kernel) => kernel.VectorWidths.Contains(8) && !NarrowKernels.Contains(kernel.EntryPoint);

    private static bool IsHeldToRegisters(KernelProgram program) =>
        program.Variant.DType is DType.Float32 or DType.Float16 && !TiledFiles.Contains(program.First.File);

    internal static string[] ArchitecturesFor(KernelProgram program) => program.Variant.DType == DType.Float32 ? Architectures
        : program.Variant.DType is DType.Float16 or DType.BFloat16 ? OneArchitecture
        : NoArchitecture;

    /// <summary>A program's PTX and what the assembler says of it, compiled once for all tests.</summary>
    internal static (string Ptx, string Log) Compiled(string name, string architecture) =>
        Compilations.GetOrAdd((name, architecture), static key => new(() => Compile(key.Program, key.Architecture))).Value;

    private static (string Ptx, string Log) Compile(string name, string architecture)
    {
        KernelProgram program = KernelPrograms.Named(name);
        (byte[] ptx, string log) = NvrtcProgram.Examine(program.Text("cuda"), program.File, architecture, "--ptxas-options=-v");
        Assert.DoesNotContain("warning", log, StringComparison.OrdinalIgnoreCase);
        return (Encoding.ASCII.GetString(ptx), log);
    }

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
