using System.Text.RegularExpressions;
using Kernels.Devices;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>
/// Every program through NVRTC, which needs no GPU: it compiles, says nothing, takes the record's arguments and keeps to registers.
/// </summary>
public abstract partial class CudaCompilationTests<TShare>
    where TShare : IShare
{
    /// <summary>What a kernel may have without asking for more.</summary>
    private const int SharedBytes = 48 << 10;

    /// <summary>
    /// Every text in float and in Half, and one of each file in bfloat16, which differs from Half by two conversions, and in double. The
    /// machine compiles more of those when it runs them.
    /// </summary>
    public static TheoryData<string> Programs => Share.Of<TShare>(
    [
        .. from program in KernelPrograms.All
           group program by program.Variant.DType is DType.Float32 or DType.Float16
               ? program.Name : $"{program.File} {program.Variant.DType}" into alike
           select alike.Last().Name,
    ]);

    public static TheoryData<string> RegisterPrograms => Share.Of<TShare>(
    [
        .. from program in KernelPrograms.All
           where CudaCompilations.KeepsToRegisters(program.Variant.DType, program.First.File)
           select program.Name,
    ]);

    /// <summary>Writes zeros, and reads nothing of the stored type.</summary>
    private const string OnlyWrites = "batch_norm_clear";

    /// <summary>Kernels whose results are sums, stored one by one; a width of eight is how they read, or how many a draw serves.</summary>
    private static readonly string[] NarrowKernels =
    [
        "average_pool2d_global", "drop_connect_forward", "drop_connect_inference", "entropy_forward", "feature_noise",
        "batch_norm_moments_planes", "batch_norm_moments_columns", "batch_norm_sums_planes", "batch_norm_sums_columns",
        "differentiable_augment_draw", "spectral_norm_rows", "spectral_norm_overlap",
    ];

    public static TheoryData<string> WidePrograms => Share.Of<TShare>(
    [
        .. from program in KernelPrograms.All
           where program.Variant is { VectorWidth: 8, DType: DType.Float32 or DType.Float16 } && program.Kernels.Any(IsWide)
           select program.Name,
    ]);

    /// <summary>
    /// PTX states each parameter's type, which is what the driver goes by when it reads the host's argument block. The record comes from
    /// the text before the preprocessor, the PTX from the text after it.
    /// </summary>
    [Theory]
    [MemberData(nameof(Programs))]
    public void CompilesAndTakesTheArgumentsOfTheRecord(string name)
    {
        CudaCompilations.SkipWithoutCompiler();
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
        CudaCompilations.SkipWithoutCompiler();
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

    [Theory]
    [MemberData(nameof(RegisterPrograms))]
    public void KeepsToRegisters(string name)
    {
        CudaCompilations.SkipWithoutCompiler();
        KernelProgram program = KernelPrograms.Named(name);
        CudaCompilation compilation = CudaCompilations.Of(program);
        Assert.False(compilation.HasLocalArrays, "an array is indexed at run time");
        Assert.True(!CudaCompilations.CountsRegisters(program) || compilation.LocalBytes == 0, compilation.Log);
    }

    private static bool IsWide(KernelDefinition kernel) => kernel.VectorWidths.Contains(8) && !NarrowKernels.Contains(kernel.EntryPoint);

    [GeneratedRegex(@"\.param \.(?<type>\w+)")]
    private static partial Regex ParameterType();
}

public sealed class CudaCompilationTestsOfEvenPrograms : CudaCompilationTests<EvenPlaces>;

public sealed class CudaCompilationTestsOfOddPrograms : CudaCompilationTests<OddPlaces>;
