using System.Text;
using Kernels.Interop;
using static Kernels.Interop.Nvrtc;

namespace Kernels.Devices.Cuda;

/// <summary>Compiles one text by NVRTC. Needs no GPU and no driver, so tests compile every kernel for every architecture with it.</summary>
internal static unsafe class NvrtcProgram
{
    /// <summary>
    /// For tests, which compile a text once for all that runs or reads it: what is asked before the compiler, by text, name and
    /// architecture; null is for the compiler.
    /// </summary>
    internal static Func<string, string, string, byte[]?>? Compiled { get; set; }

    /// <summary>The compiler's version, or a reason why there is none.</summary>
    public static bool TryVersion(out Version version, out string? reason)
    {
        version = new Version(0, 0);
        if (!NativeLibraries.TryLoad(NativeLibraries.Nvrtc, out reason)) return false;
        ThrowIfFailed(nvrtcVersion(out int major, out int minor), "nvrtcVersion");
        version = new Version(major, minor);
        return true;
    }

    /// <summary>The architectures this NVRTC knows: 70, 80, 90, ...</summary>
    public static IReadOnlyList<int> Architectures()
    {
        ThrowIfFailed(nvrtcGetNumSupportedArchs(out int count), "nvrtcGetNumSupportedArchs");
        int[] architectures = new int[count];
        fixed (int* first = architectures) ThrowIfFailed(nvrtcGetSupportedArchs(first), "nvrtcGetSupportedArchs");
        return architectures;
    }

    /// <summary>
    /// The option for a GPU: its own machine code (sm_) when the compiler knows it, which no driver version can misread; else PTX
    /// (compute_) of the newest architecture before it.
    /// </summary>
    public static string ArchitectureFor(int computeCapability)
    {
        IReadOnlyList<int> known = Architectures();
        if (known.Contains(computeCapability)) return $"sm_{computeCapability}";
        int older = known.Where(architecture => architecture < computeCapability).DefaultIfEmpty(70).Max();
        return $"compute_{older}";
    }

    /// <summary>
    /// Machine code for an <c>sm_</c> architecture, zero-terminated PTX for a <c>compute_</c> one. PTX says which lines it was made of:
    /// whoever compiles or runs it can name the kernel's file, and the code is the same.
    /// </summary>
    /// <exception cref="KernelCompilationException">The text does not compile; the log names the real files.</exception>
    public static byte[] Compile(string text, string name, string architecture) => Compiled?.Invoke(text, name, architecture) ?? Compile(
        text, name, architecture, IsMachineCode(architecture) ? [] : ["--generate-line-info"],
        (program, _) => IsMachineCode(architecture) ? MachineCode(program) : Ptx(program));

    /// <summary>
    /// Compiles with further options; gives the PTX, from which the compiler also makes the machine code of an <c>sm_</c> architecture, and
    /// what it had to say although it succeeded.
    /// </summary>
    public static (byte[] Ptx, string Log) Examine(string text, string name, string architecture, params ReadOnlySpan<string> options) =>
        Compile(text, name, architecture, options, (program, log) => (Ptx(program), log));

    private static bool IsMachineCode(string architecture) => architecture.StartsWith("sm_", StringComparison.Ordinal);

    private static T Compile<T>(string text, string name, string architecture, ReadOnlySpan<string> options, Func<nint, string, T> result)
    {
        nint program;
        fixed (byte* source = Encoding.UTF8.GetBytes(text + '\0'))
        fixed (byte* fileName = Encoding.UTF8.GetBytes(name + '\0'))
        {
            ThrowIfFailed(nvrtcCreateProgram(out program, source, fileName, 0, null, null), "nvrtcCreateProgram");
        }

        try
        {
            NvrtcStatus status = Compile(program, [$"--gpu-architecture={architecture}", .. options]);
            string log = Log(program);
            // The log tells of these; any other status is trouble of the compiler's own.
            if (status is NvrtcStatus.Compilation or NvrtcStatus.InvalidOption or NvrtcStatus.BuiltinOperationFailure)
            {
                throw new KernelCompilationException(
                    $"{name} does not compile for {architecture}.", log, Name(status), "nvrtcCompileProgram");
            }

            ThrowIfFailed(status, "nvrtcCompileProgram");
            return result(program, log);
        }
        finally
        {
            nvrtcDestroyProgram(ref program);
        }
    }

    private static NvrtcStatus Compile(nint program, string[] options)
    {
        // One block of zero-terminated texts, and where each starts.
        byte*[] starts = new byte*[options.Length];
        fixed (byte* texts = Encoding.ASCII.GetBytes(string.Concat(options.Select(option => option + '\0'))))
        fixed (byte** first = starts)
        {
            byte* start = texts;
            for (int i = 0; i < options.Length; start += options[i].Length + 1, i++) starts[i] = start;
            return nvrtcCompileProgram(program, options.Length, first);
        }
    }

    private static byte[] MachineCode(nint program)
    {
        ThrowIfFailed(nvrtcGetCUBINSize(program, out nuint size), "nvrtcGetCUBINSize");
        byte[] code = new byte[size];
        fixed (byte* first = code) ThrowIfFailed(nvrtcGetCUBIN(program, first), "nvrtcGetCUBIN");
        return code;
    }

    private static byte[] Ptx(nint program)
    {
        ThrowIfFailed(nvrtcGetPTXSize(program, out nuint size), "nvrtcGetPTXSize");
        byte[] ptx = new byte[size];
        fixed (byte* first = ptx) ThrowIfFailed(nvrtcGetPTX(program, first), "nvrtcGetPTX");
        return ptx;
    }

    private static string Log(nint program)
    {
        if (nvrtcGetProgramLogSize(program, out nuint size) != NvrtcStatus.Success) return "";
        byte[] log = new byte[size];
        fixed (byte* first = log)
        {
            if (nvrtcGetProgramLog(program, first) != NvrtcStatus.Success) return "";
        }

        return Encoding.UTF8.GetString(log).TrimEnd('\0').Trim();
    }

    private static string Name(NvrtcStatus status) => $"{status} ({(int)status})";

    private static void ThrowIfFailed(NvrtcStatus status, string call)
    {
        if (status != NvrtcStatus.Success) throw new DeviceException($"NVRTC: {Name(status)} from {call}", Name(status), call);
    }
}
