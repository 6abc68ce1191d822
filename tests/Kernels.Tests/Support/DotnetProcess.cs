using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Kernels.Tests.Support;

/// <summary>A .NET program run to its end in a process of its own, by the host that runs the tests.</summary>
internal sealed record DotnetProcess(int ExitCode, string Output, string Error)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    /// <summary>Where the host, and the SDKs if there are any, are installed: three levels above the runtime's own folder.</summary>
    public static string InstallationFolder { get; } = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../.."));

    /// <param name="assembly">Path of the program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="folder">Folder to run it in; that of temporary files if not given.</param>
    /// <param name="environment">Variables to set.</param>
    public static async Task<DotnetProcess> Run(
        string assembly, IEnumerable<string> arguments, string? folder = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        string host = Path.Combine(InstallationFolder, OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet");
        ProcessStartInfo start = new(host, ["exec", assembly, .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder ?? Path.GetTempPath(),
        };
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;

        using Process process = Process.Start(start)!;
        using CancellationTokenSource limit = new(Limit);
        Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token), error = process.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            return new DotnetProcess(process.ExitCode, (await output).ReplaceLineEndings("\n"), (await error).ReplaceLineEndings("\n"));
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{assembly} {string.Join(' ', arguments)} did not end within {Limit}.");
        }
    }
}
