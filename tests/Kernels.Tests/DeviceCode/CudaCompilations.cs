using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using Kernels.Devices;
using Kernels.Devices.Cuda;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>
/// Each text compiled once in a run: the machine for PTX runs what the tests of compilation read. Where registers are counted, PTX is a
/// by-product of the machine code.
/// </summary>
internal static class CudaCompilations
{
    /// <summary>Hopper, the newest that the compiler knows, which is what the machine asks for.</summary>
    private const string Newest = "90";

    /// <summary>
    /// Ampere for the half types: their texts differ from that of float by how elements are loaded and stored, which has been the same
    /// since.
    /// </summary>
    private const string OfHalf = "80";

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

    private static readonly ConcurrentDictionary<string, Lazy<CudaCompilation>> Known = new();

#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Install()
    {
        // After the machine is, in whichever order initialisers run.
        MachineDriver.Install();
        if (MachineDriver.IsInstalled) NvrtcProgram.Compiled = OfMachine;
    }

    /// <summary>
    /// Whether the assembler tells registers, which takes as long as the compiler. Not asked of double, which is for verification: its
    /// division is a call that saves registers on the stack. Nor of a half type where float is asked, which holds the same values in the
    /// registers and more of what was loaded.
    /// </summary>
    public static bool CountsRegisters(DType dtype, string file) => !TiledFiles.Contains(file)
        && (dtype == DType.Float32 || (dtype == DType.Float16 && file.StartsWith("cuda/", StringComparison.Ordinal)));

    /// <summary>Whether a text must keep its arrays in registers.</summary>
    public static bool KeepsToRegisters(DType dtype, string file) =>
        dtype is DType.Float32 or DType.Float16 && !TiledFiles.Contains(file);

    /// <inheritdoc cref="CountsRegisters(DType, string)"/>
    public static bool CountsRegisters(KernelProgram program) => CountsRegisters(program.Variant.DType, program.First.File);

    public static void SkipWithoutCompiler()
    {
        if (!NvrtcProgram.TryVersion(out _, out string? reason)) Assert.Skip($"NVRTC: {reason}");
    }

    public static CudaCompilation Of(KernelProgram program) =>
        Of(program.Text("cuda"), program.File, program.Variant.DType);

    private static CudaCompilation Of(string text, string file, DType dtype) => Known.GetOrAdd(
        ProgramCache.Key(text, file),
        _ => new(() =>
        {
            string architecture = dtype is DType.Float16 or DType.BFloat16 ? OfHalf : Newest;
            return CountsRegisters(dtype, file["kernels/".Length..])
                ? CudaCompilation.Of(text, file, $"sm_{architecture}", "--generate-line-info", "--ptxas-options=-v")
                : CudaCompilation.Of(text, file, $"compute_{architecture}", "--generate-line-info");
        })).Value;

    // A text that was changed to be tried once is not kept.
    private static byte[]? OfMachine(string text, string file, string architecture)
    {
        if (architecture != $"compute_{Newest}" || KernelSource.Rewrite is not null) return null;
        DType dtype = Enum.GetValues<DType>().First(type =>
            text.Contains($"#define DTYPE_{type.ShortName().ToUpperInvariant()} 1\n", StringComparison.Ordinal));
        return Of(text, file, dtype).Image;
    }
}

/// <summary>What became of a text.</summary>
/// <param name="Image">The PTX, zero-terminated.</param>
/// <param name="Log">What the compiler said, and the assembler where registers are counted.</param>
internal sealed partial record CudaCompilation(byte[] Image, string Log)
{
    public string Ptx => Encoding.ASCII.GetString(Image);

    /// <summary>Whether there are arrays that the compiler could not put into registers, which PTX declares.</summary>
    public bool HasLocalArrays => Ptx.Contains(".local .align", StringComparison.Ordinal);

    /// <summary>Stack frames and spills of all entry points, in bytes.</summary>
    /// <exception cref="FormatException">The assembler did not say.</exception>
    public int LocalBytes
    {
        get
        {
            MatchCollection frames = FrameReport().Matches(Log);
            if (frames.Count == 0 || frames.Count != EntryReport().Count(Log))
                throw new FormatException($"Not a report of ptxas -v: {Log}");
            return frames.Sum(frame => frame.Groups.Values.Skip(1).Sum(bytes => int.Parse(bytes.Value)));
        }
    }

    /// <summary>Compiles a text, which is not kept.</summary>
    public static CudaCompilation Of(string text, string file, string architecture, params ReadOnlySpan<string> options)
    {
        (byte[] image, string log) = NvrtcProgram.Examine(text, file, architecture, options);
        return new CudaCompilation(image, log);
    }

    [GeneratedRegex(@"Compiling entry function '(?<name>\w+)'")]
    private static partial Regex EntryReport();

    [GeneratedRegex(@"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")]
    private static partial Regex FrameReport();
}
