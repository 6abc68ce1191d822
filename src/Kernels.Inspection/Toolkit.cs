using System.Diagnostics;

namespace Kernels.Inspection;

/// <summary>The disassembler of the CUDA toolkit is missing, or does not do its work.</summary>
internal sealed class ToolkitException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary><c>cuobjdump</c>, which is found on PATH or in the folder of a CUDA toolkit. It needs no GPU and no driver.</summary>
internal sealed class Toolkit
{
    /// <summary>A folder that has the tool, ahead of all others.</summary>
    public const string FolderVariable = "KERNELS_CUDA_TOOLS";

    private const string Tool = "cuobjdump";

    /// <summary>What CUDA's own installers and build scripts set.</summary>
    private static readonly string[] ToolkitVariables = ["CUDA_HOME", "CUDA_PATH"];

    private static readonly TimeSpan TimeLimit = TimeSpan.FromMinutes(2);

    private readonly string _program;

    private Toolkit(string program) => _program = program;

    /// <summary>What tells this tool from others, and from later ones in its place.</summary>
    public string Identity => $"{_program} {File.GetLastWriteTimeUtc(_program).Ticks}";

    /// <exception cref="ToolkitException">It is nowhere; the message says how to get it.</exception>
    public static Toolkit Find(string? folder = null) => TryFind(out Toolkit? toolkit, out string? reason, folder)
        ? toolkit!
        : throw new ToolkitException(reason!);

    /// <param name="toolkit">The tool.</param>
    /// <param name="reason">Why there is none.</param>
    /// <param name="folder">Where to look and nowhere else; by default in all known places.</param>
    public static bool TryFind(out Toolkit? toolkit, out string? reason, string? folder = null)
    {
        string file = OperatingSystem.IsWindows() ? $"{Tool}.exe" : Tool;
        string[] folders = folder is not null ? [folder] : [.. Folders()];
        string? program = folders.Select(place => Path.Combine(place, file)).FirstOrDefault(File.Exists);
        toolkit = program is null ? null : new Toolkit(program);
        string searched = folder is null ? $"on PATH, in {FolderVariable}, CUDA_HOME or CUDA_PATH" : $"in {folder}";
        reason = program is not null ? null
            : $"{Tool} of the CUDA toolkit was not found {searched}; it comes with CUDA, or as Debian's package nvidia-cuda-toolkit "
            + "(non-free), of which it and nvdisasm are enough: apt-get download nvidia-cuda-toolkit && "
            + $"dpkg -x nvidia-cuda-toolkit_*.deb tools && export {FolderVariable}=$PWD/tools/usr/bin";
        return program is not null;
    }

    /// <summary>The machine code of an image as text, with the resources of its kernels.</summary>
    /// <exception cref="ToolkitException">The tool refused it, or did not end.</exception>
    public string Disassemble(byte[] image)
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(file, image);
            return Run("--dump-sass", "--dump-resource-usage", file);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private string Run(params string[] arguments)
    {
        ProcessStartInfo start = new(_program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        // It calls nvdisasm, which lies beside it.
        start.Environment["PATH"] = $"{Path.GetDirectoryName(_program)}{Path.PathSeparator}{Environment.GetEnvironmentVariable("PATH")}";
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> error = process.StandardError.ReadToEndAsync();
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(TimeLimit))
            {
                process.Kill(entireProcessTree: true);
                throw new ToolkitException($"{_program} did not end within {TimeLimit.TotalSeconds:0} s.");
            }

            return process.ExitCode == 0
                ? output.GetAwaiter().GetResult()
                : throw new ToolkitException($"{_program} ended with {process.ExitCode}: {error.GetAwaiter().GetResult().Trim()}");
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new ToolkitException($"{_program} does not start: {e.Message}", e);
        }
    }

    private static IEnumerable<string> Folders()
    {
        if (Environment.GetEnvironmentVariable(FolderVariable) is { Length: > 0 } chosen) yield return chosen;
        string path = Environment.GetEnvironmentVariable("PATH") ?? "";
        foreach (string folder in path.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)) yield return folder;
        foreach (string variable in ToolkitVariables)
        {
            if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } home) yield return Path.Combine(home, "bin");
        }

        yield return "/usr/local/cuda/bin";
    }
}
