using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>
/// Finds the native libraries behind the P/Invoke classes and behind Silk.NET. Each has a logical name; the file it stands for is
/// looked up once, on first use, in this order: the library's own environment variable, the folders of <c>KERNELS_LIBRARY_PATH</c>,
/// then the system's search path and the usual toolkit folders, newest version first.
/// </summary>
internal static class NativeLibraries
{
    internal const string Cuda = "libcuda";
    internal const string Nvrtc = "libnvrtc";
    internal const string Cublas = "libcublas";
    internal const string OpenCl = "OpenCL";
    internal const string Mpi = "libmpi";
    internal const string Nccl = "libnccl";

    private const string FoldersVariable = "KERNELS_LIBRARY_PATH";

    private static readonly Dictionary<string, Lazy<Outcome>> Outcomes = new()
    {
        [Cuda] = Find(Cuda, "KERNELS_LIBCUDA",
            linux: ["libcuda.so.1", "libcuda.so"],
            windows: ["nvcuda.dll"],
            macOS: [],
            usualFolders: () => OperatingSystem.IsLinux() ? ["/usr/lib/wsl/lib"] : []),
        [Nvrtc] = Find(Nvrtc, "KERNELS_LIBNVRTC",
            linux: ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"],
            windows: ["nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "nvrtc64_112_0.dll"],
            macOS: [],
            usualFolders: ToolkitFolders),
        [Cublas] = Find(Cublas, "KERNELS_LIBCUBLAS",
            linux: ["libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"],
            windows: ["cublas64_13.dll", "cublas64_12.dll", "cublas64_11.dll"],
            macOS: [],
            usualFolders: ToolkitFolders),
        [OpenCl] = Find(OpenCl, "KERNELS_LIBOPENCL",
            linux: ["libOpenCL.so.1", "libOpenCL.so"],
            windows: ["OpenCL.dll"],
            macOS: ["/System/Library/Frameworks/OpenCL.framework/OpenCL"],
            usualFolders: () => []),
        [Nccl] = Find(Nccl, "KERNELS_LIBNCCL",
            linux: ["libnccl.so.2", "libnccl.so"],
            windows: [],
            macOS: [],
            usualFolders: ToolkitFolders),
        [Mpi] = Find(Mpi, "KERNELS_LIBMPI",
            linux: MpiFiles(),
            windows: [],
            macOS: [],
            usualFolders: () => []),
    };

    /// <summary>
    /// Loads the library, or says in <paramref name="reason"/> what was tried. The outcome is remembered for the whole process.
    /// </summary>
    internal static bool TryLoad(string logicalName, out string? reason)
    {
        Outcome outcome = Outcomes[logicalName].Value;
        reason = outcome.Reason;
        return outcome.Handle != 0;
    }

    /// <summary>The library's handle.</summary>
    /// <exception cref="DllNotFoundException">It cannot be loaded; the message says what was tried.</exception>
    internal static nint Load(string logicalName) => HandleOf(Outcomes[logicalName].Value);

    /// <summary>
    /// The file that was loaded: a full path, or the bare file name where the system's search path found it; null if nothing was.
    /// </summary>
    internal static string? PathOf(string logicalName) => Outcomes[logicalName].Value.Path;

    // The resolver must stand before the first P/Invoke of this assembly, and not every runtime runs a class's static
    // constructor ahead of an extern method: hence a module initializer, in spite of CA2255.
#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void InstallResolver() =>
        NativeLibrary.SetDllImportResolver(typeof(NativeLibraries).Assembly, static (name, _, _) => Resolve(name));

    private static nint Resolve(string libraryName)
    {
        if (!Outcomes.TryGetValue(libraryName, out Lazy<Outcome>? outcome))
        {
            return 0; // not ours: the runtime's own search goes on
        }

        // Returning 0 would let the runtime load some other copy behind an override's back.
        return HandleOf(outcome.Value);
    }

    private static nint HandleOf(Outcome outcome) =>
        outcome.Handle is not 0 and nint handle ? handle : throw new DllNotFoundException(outcome.Reason);

    /// <summary>Looks a library up by the rules above; benches use it for the libraries of peers.</summary>
    internal static Lazy<Outcome> Find(
        string name, string overrideVariable, string[] linux, string[] windows, string[] macOS, Func<string[]> usualFolders)
    {
        string[] files = OperatingSystem.IsWindows() ? windows : OperatingSystem.IsMacOS() ? macOS : linux;
        return new Lazy<Outcome>(() => Find(name, overrideVariable, files, usualFolders()));
    }

    private static Outcome Find(string name, string overrideVariable, string[] files, string[] usualFolders)
    {
        if (Variable(overrideVariable) is string path)
        {
            return TryOpen(path, out nint handle, out string? error)
                ? new Outcome(handle, path, null)
                : new Outcome(0, null, $"{overrideVariable} names '{path}', which cannot be loaded: {error}");
        }

        string[] chosenFolders = Variable(FoldersVariable)?.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries) ?? [];
        List<string> failures = [];
        foreach (string candidate in Candidates(files, chosenFolders, usualFolders))
        {
            if (!Path.IsPathFullyQualified(candidate) || OperatingSystem.IsMacOS())
            {
                // By name: next to the application, then wherever the system looks. (macOS frameworks have a path but no file.)
                if (NativeLibrary.TryLoad(candidate, typeof(NativeLibraries).Assembly, null, out nint handle))
                {
                    return new Outcome(handle, candidate, null);
                }
            }
            else if (TryOpen(candidate, out nint handle, out string? error))
            {
                return new Outcome(handle, candidate, null);
            }
            else
            {
                failures.Add($"; '{candidate}' cannot be loaded: {error}");
            }
        }

        string names = files.Length == 0 ? "it has no file name on this operating system" : $"tried {string.Join(", ", files)}";
        string folders = string.Join(", ", [.. chosenFolders, .. usualFolders]);
        return new Outcome(0, null,
            $"{name} could not be loaded: {names}{(folders.Length == 0 ? "" : $", also in {folders}")}{string.Concat(failures)}. " +
            $"{overrideVariable} can give its full path, {FoldersVariable} a list of folders.");
    }

    /// <summary>Paths that exist and names left to the system, in the order in which they are tried.</summary>
    private static IEnumerable<string> Candidates(string[] files, string[] chosenFolders, string[] usualFolders)
    {
        foreach (string folder in chosenFolders.SelectMany(WithWheelFolders))
        {
            foreach (string path in files.Select(file => Path.GetFullPath(file, folder)).Where(File.Exists))
            {
                yield return path;
            }
        }

        foreach (string file in files)
        {
            yield return file;
            foreach (string path in usualFolders.Select(folder => Path.Combine(folder, file)).Where(File.Exists))
            {
                yield return path;
            }
        }
    }

    /// <summary>
    /// The folder itself and the library folders one level down: NVIDIA's Python wheels install as <c>nvidia/cublas/lib</c>,
    /// <c>nvidia/cuda_nvrtc/lib</c>, <c>nvidia/cu13/lib</c> (<c>bin</c> on Windows), so naming <c>nvidia</c> is enough.
    /// </summary>
    private static IEnumerable<string> WithWheelFolders(string folder)
    {
        folder = Path.GetFullPath(folder);
        if (!Directory.Exists(folder))
        {
            return [];
        }

        string[] packages = [.. Directory.EnumerateDirectories(folder, "*", new EnumerationOptions())
            .OrderDescending(StringComparer.Ordinal)];
        string[] libraryFolders = OperatingSystem.IsWindows() ? ["bin", Path.Combine("bin", "x86_64")] : ["lib"];
        return [folder, .. packages.SelectMany(package => libraryFolders.Select(name => Path.Combine(package, name)))];
    }

    /// <summary>
    /// The library of the launcher that started this process goes first: under another one each process would be alone. Open MPI is
    /// libmpi.so.40, libraries with the binary interface of MPICH are libmpi.so.12 or libmpich.so.12. That of MPI 5 has the number of the
    /// standard's interface, 1, but in MPICH 5.0.0 and 5.0.1, which number it 0.
    /// </summary>
    private static string[] MpiFiles()
    {
        const string openMpi = "libmpi.so.40", unnumbered = "libmpi.so";
        string[] standard = ["libmpi_abi.so.1", "libmpi_abi.so.0"], mpich = ["libmpich.so.12", "libmpi.so.12"];
        if (Variable("OMPI_COMM_WORLD_SIZE") is not null) return [openMpi, .. standard, unnumbered, .. mpich];
        if (Variable("PMI_SIZE") is not null) return [.. mpich, .. standard, unnumbered, openMpi];
        return [.. standard, openMpi, .. mpich, unnumbered];
    }

    private static string[] ToolkitFolders()
    {
        string[] roots = [.. new[] { Variable("CUDA_PATH"), Variable("CUDA_HOME") }.OfType<string>().Distinct()];
        return OperatingSystem.IsWindows()
            ? [.. roots.SelectMany(root => new[] { Path.Combine(root, "bin", "x64"), Path.Combine(root, "bin") })] // bin/x64 since CUDA 13
            : OperatingSystem.IsLinux() ? [.. roots.Select(root => Path.Combine(root, "lib64")), "/usr/local/cuda/lib64"] : [];
    }

    private static bool TryOpen(string path, out nint handle, out string? error)
    {
        try
        {
            handle = NativeLibrary.Load(path);
            error = null;
            return true;
        }
        catch (Exception exception) when (exception is DllNotFoundException or BadImageFormatException)
        {
            // .NET puts general advice first; the system's own words are the last line.
            handle = 0;
            error = exception.Message.TrimEnd().Split('\n')[^1].Trim().TrimEnd('.');
            return false;
        }
    }

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;

    /// <summary>The loaded library, or why there is none.</summary>
    internal sealed record Outcome(nint Handle, string? Path, string? Reason);
}
